// SPDX-License-Identifier: GPL-3.0-or-later
//
// Flamenco: a folder of photographs or map sets becomes models, one task for each shard. Submitted again, the job makes
// what is missing. To install, put this file into the folder `scripts` beside flamenco-manager.

const JOB_TYPE = {
    label: "Texserver: Train Materials",
    description: "Learn a material from each photograph or map set of a folder",
    settings: [
        { key: "swatches", type: "string", subtype: "dir_path", required: true,
          description: "Folder of photographs and map sets, as the workers see it" },
        { key: "models", type: "string", subtype: "dir_path", required: true,
          description: "Folder for the models, as the workers see it. What is finished there is not made again" },
        { key: "shards", type: "int32", default: 16, propargs: { min: 1, max: 4096 },
          description: "Number of tasks. Each starts the trainer once, which takes a few seconds" },
        { key: "arch", type: "string", default: "quilt", choices: ["quilt", "taper", "pyramid"],
          label: "Kind of Model",
          description: "A quilt holds the photograph and takes seconds, a network (taper, pyramid) takes minutes" },
        { key: "derive", type: "string", default: "", label: "Maps to Guess",
          description: "Maps to guess from the photographs, such as normal,height,roughness" },
        { key: "trainer", type: "string", default: "textrain", visible: "submission",
          description: "The program textrain, as the workers find it. Variables of the Manager may stand here" },
    ],
};

function compileJob(job) {
    const settings = job.settings;
    if (!(settings.shards >= 1)) {
        throw new Error("Shards must be 1 or more.");
    }
    for (let shard = 1; shard <= settings.shards; shard++) {
        const task = author.Task("train-" + shard, "misc");
        task.addCommand(author.Command("exec", {
            exe: settings.trainer,
            args: [
                "--swatch", settings.swatches,
                "--out", settings.models,
                "--shard", shard + "/" + settings.shards,
                "--arch", settings.arch,
                "--derive", settings.derive,
                "--result-lines",
            ],
        }));
        job.addTask(task);
    }
}
