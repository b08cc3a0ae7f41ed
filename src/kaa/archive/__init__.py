"""The .conda, .tar.bz2 and wheel formats on any file object."""
