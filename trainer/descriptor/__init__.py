"""The networks that losses look with."""
