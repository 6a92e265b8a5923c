"""What is learned from: swatches, map sets, content images."""
