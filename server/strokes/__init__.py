"""Quilted styles: a picture put together from pieces of a painting, guided by what the picture shows.

Read in this order: turns (eight ways to lay a piece), light (luminance, edges and directions), tables (what is
compared), strays (what plain parts must not show), guide (what the picture asks for), canvas (which piece each pixel
comes from), search (the best place of a patch), sewing (patch after patch, coarse to fine), painter (pixels, and the
model's generator). For sequences: pieces (what a picture is made of), motion (from frame to frame), film (pieces that
are carried along), carry (a frame as bytes).
"""
