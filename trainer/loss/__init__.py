"""The losses that a training minimises."""
