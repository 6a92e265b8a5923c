"""The connection to a server and the downloads over it. Shared with the server; no bpy here."""
