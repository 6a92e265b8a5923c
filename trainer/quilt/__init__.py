"""Learns a quilt (server/quilt): what to compare, sizes of patches, prices that show all of it alike."""
