"""The connection to a server and what comes over it, shared with the server. No bpy here."""
