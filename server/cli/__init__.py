"""The commands for people: texget."""
