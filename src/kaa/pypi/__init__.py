"""PyPI and other indexes of Python packages: what they offer, as records and as installed files."""
