"""Picture files: read, written, named and packed, without numpy. Shared with the server; no bpy here."""
