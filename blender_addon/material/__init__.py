"""Materials, objects and images in Blender: what tasks make is put there."""
