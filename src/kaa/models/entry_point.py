"""Entry points: commands that stand for a function of a Python module (CEP 17, the entry points specification)."""

from __future__ import annotations

import keyword
import re

import msgspec

from kaa.errors import KaaError
from kaa.models.pattern import Pattern

LONGEST_COMMAND = 200
"""A command in bytes; a file name has at most 255, and Windows gets endings behind it."""
_COMMAND = Pattern(r"[A-Za-z0-9_][A-Za-z0-9_.+@ -]*")
_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_REFERENCE = Pattern(rf"(?P<module>{_DOTTED})\s*:\s*(?P<function>{_DOTTED})(?:\s*\[[^\]]*\])?")


class InvalidEntryPoint(KaaError):
    """An entry point that would write elsewhere, or run something else, than a command of that name."""

    conda_name = "LinkError"

    def __init__(self, package: str, entry_point: str, reason: str) -> None:
        self.package = package
        self.entry_point = entry_point
        self.reason = reason
        super().__init__(
            f"{package} has the entry point {entry_point!r}, which is refused: {reason}",
            hints=("report this to those who built the package", "take another build of the package"),
        )


class EntryPoint(msgspec.Struct, frozen=True):
    """A command and the function behind it."""

    command: str
    module: str
    function: str

    @property
    def program(self) -> str:
        """The program that runs it, from its second line on."""
        imported = self.function.partition(".")[0]
        return _PROGRAM.format(module=self.module, imported=imported, function=self.function)


def parse_entry_point(text: str, package: str) -> EntryPoint:
    """The entry point that `command = module:function` stands for; raises InvalidEntryPoint.

    >>> parse_entry_point("tool = tool.cli:main", "tool-1.0-0")
    EntryPoint(command='tool', module='tool.cli', function='main')
    """
    command, equals, reference = (part.strip() for part in text.partition("="))
    if not equals:
        raise InvalidEntryPoint(package, text, "it has not the form command = module:function")
    if not _COMMAND.fullmatch(command) or command.endswith((" ", ".")) or len(command) > LONGEST_COMMAND:
        raise InvalidEntryPoint(package, text, "the command is not a simple file name")
    match = _REFERENCE.fullmatch(reference)
    if match is None or any(map(keyword.iskeyword, re.split(r"[.:\s]+", reference))):
        raise InvalidEntryPoint(package, text, "what follows '=' is not module:function")
    return EntryPoint(command, match["module"], match["function"])


_PROGRAM = """\
import sys

from {module} import {imported}

if __name__ == "__main__":
    for ending in ("-script.pyw", "-script.py", ".exe"):
        if sys.argv[0].endswith(ending):
            sys.argv[0] = sys.argv[0][: -len(ending)]
            break
    sys.exit({function}())
"""
