"""Environment and lock files to values and back; pure text in, values out."""
