"""The protocol TX1, pairing, and what both sides say in the same words. Standard library and pyzmq, no bpy."""
