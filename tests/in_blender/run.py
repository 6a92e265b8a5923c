"""Runs one of the files here under pytest inside a real Blender, whose own Python this is; the outer tests call it.

    BLENDER_USER_RESOURCES=HOME python -I run.py FILE [pytest's options]

The extension comes from HOME, where it was installed from its zip. Blender 4.2 crashes and 4.5 hangs where something
is registered when the interpreter ends: so the extension is disabled, and os._exit ends it, whatever happened.
"""

import os
import sys
import traceback
from pathlib import Path

import bpy
import pytest

HERE = Path(__file__).parent
EXTENSION = "bl_ext.user_default.texserver"


def main(arguments: list[str]) -> int:
    """pytest's exit status."""
    sys.path.insert(0, str(HERE))
    pytest.register_assert_rewrite("inside", "scenery", "pictures", "strict_layout")
    import inside

    own = ["--rootdir", str(HERE), "-c", os.devnull, "--noconftest", "-p", "no:cacheprovider", "-p", "no:doctest"]
    strict = ["-W", "error", "--strict-markers", "--tb=short", "-o", "faulthandler_timeout=60"]
    return int(pytest.main([*own, *strict, *arguments], plugins=[inside]))


if __name__ == "__main__":
    code = 1
    try:
        bpy.ops.preferences.addon_enable(module=EXTENSION)
        if EXTENSION in bpy.context.preferences.addons:
            code = main(sys.argv[1:])
    except BaseException:
        traceback.print_exc()
    finally:
        if any(name.startswith("TEXSERVER_") for name in dir(bpy.types)):
            bpy.ops.preferences.addon_disable(module=EXTENSION)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
