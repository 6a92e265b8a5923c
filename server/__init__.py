"""Runs texture generators: `pixels = texture(model, seed, size, window)`, a pure function (see
`server.network.texture`).
"""

__version__ = "0.2.0"
