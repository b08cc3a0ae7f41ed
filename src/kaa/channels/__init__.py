"""Build, package for and index channels."""
