"""What a model says of itself: maps, lattice, sizes, header. No torch here."""
