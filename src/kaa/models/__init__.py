"""What the things of this field are: pure values that parse, print, compare and match; no disk, no network."""
