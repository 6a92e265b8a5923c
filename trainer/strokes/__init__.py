"""Learns a quilted style (server/strokes): how borders are compared, prices that show the painting alike, hygiene."""
