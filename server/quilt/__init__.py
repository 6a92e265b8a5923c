"""The quilt: a texture generator that remembers its swatch. It sews pieces of the photograph together on a torus.

Read in this order: settings (server/model/quilt.py: what a model says), grid (server/model/grid.py: where patches lie),
tables (what is compared), plan (which piece goes where) with patches, draws, phases, search, refine and on_lattice,
cuts and labels (which patch a pixel comes from), bands and gather (how joints are hidden), quilt (all of it for a
window).
"""
