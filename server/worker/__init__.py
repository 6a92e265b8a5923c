"""A worker: one process, one device, one task after another."""
