"""Runs texture generators: `pixels = texture(model, seed, size, window)`, a pure function (see `server.texture`)."""

__version__ = "0.1.0"
