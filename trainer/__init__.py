"""Makes texture generators: one reference swatch in, one model file out (`python -m trainer --swatch brick.jpg`)."""

from server import __version__ as __version__  # it also makes threads patient, before torch is imported
