// A stand-in for what Flamenco Manager does with a job type's script: node flamenco_manager.js SCRIPT SETTINGS
//
// Prints the job type, and the tasks that the script makes of the settings (JSON), as JSON. The script sees what Flamenco
// documents and no more. Source: https://flamenco.blender.org/usage/job-types/ and its list of commands, version 3.7.

"use strict";
const fs = require("fs");
const vm = require("vm");

const TYPES = ["string", "int32", "float", "bool"];
const SUBTYPES = [undefined, "file_path", "dir_path", "file_name", "hashed_file_path"];
const VISIBLE = [undefined, "visible", "hidden", "submission", "web"];
const KEYS = [
    "key", "type", "subtype", "choices", "propargs", "description", "label", "default", "eval", "evalInfo", "visible",
    "required", "editable",
];

function demand(condition, message) {
    if (!condition) {
        throw new Error(message);
    }
}

function text(value, what) {
    demand(typeof value === "string", what + " is no string: " + JSON.stringify(value));
    return value;
}

// Parameters that the worker demands of each command.
const COMMANDS = {
    "exec": (parameters) => {
        text(parameters.exe, "exe");
        parameters.args.forEach((each) => text(each, "an argument"));
    },
    "blender-render": (parameters) => {
        for (const name of ["exe", "exeArgs", "blendfile"]) {
            text(parameters[name], name);
        }
        parameters.argsBefore.concat(parameters.args).forEach((each) => text(each, "an argument"));
    },
};

const author = {
    Task(name, type) {
        demand(text(name, "name").trim() && text(type, "type").trim(), "a task needs a name and a type");
        return {
            name, type, commands: [], dependencies: [],
            addCommand(command) { this.commands.push(command); },
            addDependency(task) { this.dependencies.push(task); },
        };
    },
    Command(name, parameters) {
        demand(COMMANDS[name], "there is no command " + name);
        COMMANDS[name](parameters);
        return { name, parameters };
    },
};

// "1-3,8" or "1..3,8" as parts of at most `size` numbers, of which runs of three and more are written as ranges.
function frameChunker(range, size) {
    demand(size >= 1, "invalid chunk size");
    const numbers = new Set();
    for (const part of text(range, "range").replace(/\.\./g, "-").split(",")) {
        const found = /^\s*(\d+)\s*(?:-\s*(\d+)\s*)?$/.exec(part);
        demand(found, "invalid range " + JSON.stringify(range));
        for (let number = +found[1]; number <= +(found[2] || found[1]); number++) {
            numbers.add(number);
        }
    }
    const sorted = Array.from(numbers).sort((one, other) => one - other);
    const chunks = [];
    for (let at = 0; at < sorted.length; at += size) {
        const runs = [];
        for (const number of sorted.slice(at, at + size)) {
            const last = runs[runs.length - 1];
            if (last && last[last.length - 1] + 1 === number) {
                last.push(number);
            } else {
                runs.push([number]);
            }
        }
        chunks.push(runs.map((run) => run.length > 2 ? run[0] + "-" + run[run.length - 1] : run.join(",")).join(","));
    }
    return chunks;
}

const [script, settingsFile] = process.argv.slice(2);
const context = vm.createContext({
    author, frameChunker,
    path: {
        join: (...parts) => parts.join("/").replace(/\/+/g, "/"),
        basename: (path) => path.split(/[\\/]/).pop(),
        dirname: (path) => path.replace(/[\\/][^\\/]*$/, ""),
        stem: (path) => path.split(/[\\/]/).pop().replace(/\.[^.]*$/, ""),
    },
    print: () => undefined,
    alert: () => undefined,
});
vm.runInContext(fs.readFileSync(script, "utf-8"), context, { filename: script });
const jobType = vm.runInContext("JOB_TYPE", context);
const compileJob = vm.runInContext("compileJob", context);

for (const setting of jobType.settings) {
    demand(TYPES.includes(setting.type), setting.key + " has no known type");
    demand(SUBTYPES.includes(setting.subtype), setting.key + " has no known subtype");
    demand(VISIBLE.includes(setting.visible), setting.key + " has no known visibility");
    demand(text(setting.description, "description").slice(-1) !== ".", "Blender adds the full stop to " + setting.key);
    demand(!setting.choices || setting.choices.includes(setting.default), setting.key + " is none of its choices");
    Object.keys(setting).forEach((key) => demand(KEYS.includes(key), setting.key + " has an unknown " + key));
}

// The add-on sends all settings: what was typed, what is evaluated, or the default.
const settings = JSON.parse(fs.readFileSync(settingsFile, "utf-8"));
for (const setting of jobType.settings) {
    if (settings[setting.key] === undefined && setting.default !== undefined) {
        settings[setting.key] = setting.default;
    }
    demand(!setting.required || settings[setting.key] !== undefined, "the setting " + setting.key + " is missing");
}

const tasks = [];
compileJob({
    id: "1", name: "A Job", settings, created: new Date(0),
    addTask(task) {
        demand(task.commands.length > 0, task.name + " does nothing");
        task.dependencies.forEach((each) => demand(tasks.includes(each), each.name + " was not added before"));
        tasks.push(task);
    },
});
console.log(JSON.stringify({
    label: jobType.label,
    keys: jobType.settings.map((each) => each.key),
    tasks: tasks.map((task) => ({
        name: task.name,
        type: task.type,
        commands: task.commands,
        after: task.dependencies.map((each) => each.name),
    })),
}));
