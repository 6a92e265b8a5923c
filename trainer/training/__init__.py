"""Trainings: their steps, recipes, checkpoints."""
