"""The name by which kaa was called; every command line loads this, so it imports next to nothing."""

from __future__ import annotations

import sys


def program_name(argv0: str | None = None) -> str:
    """`conda` where the program was called so, else `kaa`; by default that of this process."""
    name = (sys.argv[0] if argv0 is None else argv0).replace("\\", "/").rpartition("/")[2].removesuffix(".exe")
    return "conda" if name == "conda" else "kaa"
