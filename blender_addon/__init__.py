"""Asks for textures: what the Blender side shares with the server, in the standard library alone."""
