"""Paints the textures of a .blend file before its first frame, for farms whose software runs scripts, not commands.

    blender -b scene.blend --python-exit-code 1 --python farm/paint_scene.py -- --missing-only

What follows `--` is the same as after `--command texserver paint` (docs/BLENDER.md). Blender ends with its exit code.
The extension need not be enabled: it is enabled for this run alone.
"""

import importlib
import sys

import addon_utils
import bpy


def module() -> str:
    """The name of the extension in this Blender, whichever repository it came from. Ends Blender without one."""
    enabled = [each.module for each in bpy.context.preferences.addons if each.module.endswith(".texserver")]
    if enabled:
        return enabled[0]
    addon_utils.modules_refresh()
    names = [each.__name__ for each in addon_utils.modules() if each.__name__.endswith(".texserver")]
    if names and addon_utils.enable(names[0], default_set=True) is not None:
        return names[0]
    sys.exit("texserver: the extension is not installed in this Blender. Install it first (docs/BLENDER.md).")


if __name__ == "__main__":
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    command = importlib.import_module(f"{module()}.panel.command")
    sys.exit(command.main(["paint", *arguments]))
