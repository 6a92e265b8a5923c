"""TX1 and pairing, shared with the server: standard library and pyzmq. No bpy here."""
