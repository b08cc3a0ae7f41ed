"""Users by their names."""

from __future__ import annotations

import os
import sys


def user_name(number: int | None = None) -> str:
    """The name of a user, by default of the one who runs this; the number where the system knows no name."""
    if sys.platform == "win32":
        return os.environ.get("USERNAME", "")
    import pwd  # noqa: PLC0415 - not there on Windows

    number = os.getuid() if number is None else number
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
