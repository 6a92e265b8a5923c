"""The add-on's tasks, the server's models, the history, a local server. No bpy here."""
