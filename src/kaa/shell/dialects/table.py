"""Which dialect a shell speaks; only the module that is asked for is loaded."""

from __future__ import annotations

import importlib

from kaa.errors import KaaError
from kaa.shell.dialects.dialect import Dialect

MODULES = {
    "posix": "posix",
    "sh": "posix",
    "ash": "posix",
    "bash": "posix",
    "dash": "posix",
    "ksh": "posix",
    "zsh": "posix",
    "fish": "fish",
    "csh": "csh",
    "tcsh": "csh",
    "xonsh": "xonsh",
    "powershell": "powershell",
    "pwsh": "powershell",
    "cmd": "cmd",
    "cmd.exe": "cmd",
    "nushell": "nushell",
    "nu": "nushell",
}
"""Name of a shell → module of its dialect."""


class UnknownShell(KaaError):
    """A shell that kaa has no dialect for."""

    def __init__(self, shell: str) -> None:
        super().__init__(
            f"kaa does not know the shell {shell!r}.",
            hints=(f"one of: {', '.join(MODULES)}", "posix, for shells that understand sh"),
        )
        self.shell = shell


def get_dialect(shell: str) -> Dialect:
    """The dialect of a shell."""
    if shell not in MODULES:
        raise UnknownShell(shell)
    dialect: Dialect = importlib.import_module(f"kaa.shell.dialects.{MODULES[shell]}").DIALECT
    return dialect
