"""The starter library: materials that are drawn by code, with their true height, and learned as quilts."""
