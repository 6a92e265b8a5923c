"""Run by a Blender's own Python: installs the extension in one of its ways, and prints what it saw as JSON.

    python inside_blender.py ZIP              from disk
    python inside_blender.py ADDRESS          from the static repository whose index.json is there

BLENDER_USER_RESOURCES says where Blender may write. An add-on that is registered at exit makes Blender 4.2 crash and
4.5 hang, hence the uninstalling and os._exit, whatever happened.
"""

import json
import os
import sys
import traceback
from pathlib import Path

import bpy

ID = "texserver"


def from_disk(path: str) -> str:
    """The add-on's module. Blender only prints why where it refuses the zip."""
    bpy.ops.extensions.package_install_files(filepath=path, repo="user_default", enable_on_install=True, overwrite=True)
    return f"bl_ext.user_default.{ID}"


def from_repository(address: str) -> str:
    preferences = bpy.context.preferences
    preferences.system.use_online_access = True
    for repository in preferences.extensions.repos:
        repository.enabled = not repository.use_remote_url
    ours = preferences.extensions.repos.new(name="ours", module="ours", remote_url=address)
    bpy.ops.extensions.repo_sync(repo_directory=ours.directory)
    bpy.ops.extensions.package_install(repo_directory=ours.directory, pkg_id=ID, enable_on_install=True)
    return f"bl_ext.ours.{ID}"


def seen(module: str) -> dict[str, object]:
    """What there is of the add-on and its pyzmq at present."""
    extensions = Path(bpy.utils.user_resource("EXTENSIONS"))
    name = module.removeprefix("bl_ext.").replace(".", "/")
    return {
        "enabled": module in bpy.context.preferences.addons,
        "classes": sum(name.startswith("TEXSERVER_") for name in dir(bpy.types)),
        "installed": (extensions / name / "__init__.py").exists(),
        "pyzmq": sorted(path.parent.name for path in extensions.glob(".local/lib/*/site-packages/pyzmq-*/WHEEL")),
    }


def live(module: str) -> dict[str, object]:
    """The extension's life from enabled to gone."""
    told: dict[str, object] = {"first": seen(module)}
    import zmq

    told["zmq"] = Path(zmq.__file__).relative_to(bpy.utils.user_resource("EXTENSIONS")).as_posix()
    told["tags"] = [
        line.removeprefix("Tag: ")
        for path in Path(zmq.__file__).parents[1].glob("pyzmq-*.dist-info/WHEEL")
        for line in path.read_text("utf-8").splitlines()
        if line.startswith("Tag: ")
    ]
    bpy.ops.preferences.addon_disable(module=module)
    told["disabled"] = seen(module)
    bpy.ops.preferences.addon_enable(module=module)
    told["enabled"] = seen(module)
    uninstall(module)
    told["uninstalled"] = seen(module)
    return told


def uninstall(module: str) -> None:
    repositories = bpy.context.preferences.extensions.repos
    (directory,) = (each.directory for each in repositories if each.module == module.split(".")[1])
    bpy.ops.extensions.package_uninstall(repo_directory=directory, pkg_id=ID)


def main(source: str) -> None:
    told: dict[str, object] = {}
    try:
        module = from_repository(source) if source.startswith("http") else from_disk(source)
        told = live(module) if seen(module)["installed"] else {"first": seen(module)}
    finally:
        for module in [each.module for each in bpy.context.preferences.addons]:
            if module.endswith(f".{ID}"):
                uninstall(module)
    print(json.dumps(told), flush=True)


try:
    main(sys.argv[1])
except BaseException:
    traceback.print_exc()
    os._exit(1)
os._exit(0)
