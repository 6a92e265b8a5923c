// SPDX-License-Identifier: GPL-3.0-or-later
//
// Flamenco: a .blend file without pixels. One task paints its textures, and then others render its frames. What is
// painted already is not painted again. To install, put this file into the folder `scripts` beside flamenco-manager.

const JOB_TYPE = {
    label: "Texserver: Paint and Render",
    description: "Paint the textures that the file names, then render its frames",
    settings: [
        { key: "frames", type: "string", required: true, eval: "f'{C.scene.frame_start}-{C.scene.frame_end}'",
          evalInfo: { showLinkButton: true, description: "Frame range of the scene" },
          description: "Frames to render, such as 47 or 1-30,40" },
        { key: "chunk_size", type: "int32", default: 1, propargs: { min: 1, max: 10000 }, label: "Frames per Task",
          description: "Number of frames that one task renders", visible: "submission" },
        { key: "render_output", type: "string", subtype: "file_path", required: true,
          eval: "str(abspath('//render/######'))",
          description: "Path of the frames, with a # for each digit, as the workers see it" },
        { key: "connection", type: "string", subtype: "file_path", default: "",
          description: "File with the pairing line of the texserver, as the workers see it. Without one, Blender finds "
              + "the server by TEXSERVER_CONNECTION or by the preferences" },
        { key: "blendfile", type: "string", required: true, visible: "web", description: "Path of the .blend file" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    const paint = author.Task("paint-textures", "blender");
    paint.addCommand(blender(settings, [
        "--online-mode", "--command", "texserver", "paint", "--missing-only",
    ].concat(settings.connection ? ["--connect", settings.connection] : [])));
    job.addTask(paint);
    for (const frames of frameChunker(settings.frames, settings.chunk_size)) {
        const render = author.Task("render-" + frames, "blender");
        render.addCommand(blender(settings, [
            "--render-output", settings.render_output,
            "--render-frame", frames.replace(/-/g, ".."),
        ]));
        render.addDependency(paint);
        job.addTask(render);
    }
}

function blender(settings, args) {
    return author.Command("blender-render", {
        exe: "{blender}",
        exeArgs: "{blenderArgs}",
        argsBefore: [],
        blendfile: settings.blendfile,
        args: args,
    });
}
