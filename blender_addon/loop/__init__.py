"""Blender's main loop: the pump drives tasks and delivers their results; the handlers hear what Blender reports."""
