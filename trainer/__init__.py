"""Makes texture generators: one reference swatch in, one model file out (`python -m trainer --swatch brick.jpg`)."""
