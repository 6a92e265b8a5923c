"""Pictures in files: read, written, and the sinks that a painting goes into. No torch here."""
