"""Asks a texture server for textures, and puts them into Blender's materials.

As an extension this package registers panels and operators (blender_manifest.toml); as a plain package it holds what
Blender and the server share: the wire, the pairing, the connection and the jobs. Nothing here imports bpy before
register() does.
"""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled, or Blender quits."""
    from . import registration

    registration.unregister()
