"""What channels offer, read lazily by name."""
