"""Descriptors: the networks whose features the losses compare."""
