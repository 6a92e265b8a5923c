"""Learns a quilt (server/quilt): what to compare, the sizes of patches, and prices that show all of the swatch alike."""
