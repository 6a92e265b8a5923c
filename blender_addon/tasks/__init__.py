"""What the add-on has going on: tasks, models, history. No bpy here."""
