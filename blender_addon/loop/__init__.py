"""Blender's main loop: the pump that drives tasks, and what Blender tells of."""
