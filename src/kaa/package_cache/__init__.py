"""What is downloaded and extracted on this machine."""
