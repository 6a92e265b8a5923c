"""Requests textures from a texture server and puts them into Blender's materials.

As an extension this package registers panels and operators (blender_manifest.toml). As a plain package it holds what
Blender and the server share: the protocol and the client. Nothing here imports bpy before register() does.
"""


def register() -> None:
    """Called by Blender when the extension is enabled."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Called by Blender when the extension is disabled, or Blender quits."""
    from . import registration

    registration.unregister()
