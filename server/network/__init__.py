"""The network generators: noise in, pixels out. torch lives here and in the worker."""
