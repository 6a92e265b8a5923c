"""The quilt: a texture generator that remembers its swatch. It sews pieces of the photograph together on a torus.

Read in this order: settings (what a model says), grid (where patches lie), tables (what is compared), plan (which piece
goes where), cuts (which patch a pixel comes from), bands (how joints are hidden), quilt (all of it for a window).
"""
