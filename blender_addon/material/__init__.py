"""Materials, objects and images in Blender: where the results of tasks go, and where content comes from."""
