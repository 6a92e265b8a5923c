// SPDX-License-Identifier: GPL-3.0-or-later
//
// Flamenco: textures of one model, one for each seed. Each file appears complete; painted again, it has the same bytes.
// To install, put this file into the folder `scripts` beside flamenco-manager.

const JOB_TYPE = {
    label: "Texserver: Paint Textures",
    description: "Paint a texture of a model for each seed",
    settings: [
        { key: "models", type: "string", subtype: "dir_path", required: true,
          description: "Folder of the models, as the workers see it" },
        { key: "model", type: "string", required: true, description: "Name of the model" },
        { key: "seeds", type: "string", default: "0-15", required: true,
          description: "One texture for each, such as 0-15 or 3,5,9-12" },
        { key: "chunk_size", type: "int32", default: 1, propargs: { min: 1, max: 1000 }, label: "Seeds per Task",
          description: "Number of textures that one task paints", visible: "submission" },
        { key: "size", type: "string", default: "2048x2048", required: true,
          description: "Width and height in pixels" },
        { key: "textures", type: "string", subtype: "dir_path", required: true,
          description: "Folder for the pictures, such as bricks-basecolor-0003.png, as the workers see it" },
        { key: "painter", type: "string", default: "texget", visible: "submission",
          description: "The program texget, as the workers find it. Variables of the Manager may stand here" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    for (const seeds of frameChunker(settings.seeds, settings.chunk_size)) {
        const task = author.Task("paint-" + seeds, "misc");
        task.addCommand(author.Command("exec", {
            exe: settings.painter,
            args: [
                settings.model,
                "--models", settings.models,
                "--seeds", seeds,
                "--size", settings.size,
                "--output", path.join(settings.textures, settings.model + "-{map}.png"),
            ],
        }));
        job.addTask(task);
    }
}
