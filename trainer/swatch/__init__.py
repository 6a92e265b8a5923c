"""What the trainer learns from: swatches, map sets, content images."""
