"""What kaa prints: results as JSON or text on standard output, errors on standard error (JSON ones on standard output).

The JSON form of errors has the keys that conda's clients read. Nothing heavy is imported here: light commands report
their errors through this module too.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from kaa.cli.program import as_called
from kaa.errors import KaaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

LONGEST_LINE = 2000
"""Of an error as it is shown to people; programs get all of it."""
FORMER_NAMES = {"PackagesNotFoundInChannelsError": "PackagesNotFoundError"}
"""Names that conda gave up and clients still look for in the text."""


def print_json(value: object, stream: TextIO | None = None) -> None:
    """Print a value as JSON, one key per line."""
    print(to_json(value), file=stream or sys.stdout)


def to_json(value: object) -> str:
    """A value as JSON with an indent of 2, its keys in their order."""
    text: str = importlib.import_module("json").dumps(value, indent=2, default=_plain)
    return text


def _plain(value: object) -> Any:
    """What JSON has no form for: paths as text, sets sorted, and kaa's own values by their fields."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    fields = getattr(value, "__struct_fields__", None) or getattr(value, "__dataclass_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    if isinstance(value, Iterable):
        return list(value)
    return str(value)


# -- errors -----------------------------------------------------------------------------------------------------------


def error_text(error: KaaError, words: Sequence[str] = ()) -> str:
    """The error for people: its name for conda's clients, what failed, what to try.

    `words` are those of the command line, for repairs that say what to type instead.
    """
    text = str(error)
    commands = commands_of(error, words)
    if any(commands):
        # Repairs are the first of the hints.
        hints = zip_longest((f"  try: {hint}" for hint in error.hints), commands)
        lines = [line for hint, command in hints for line in (hint, f"       {command}" if command else "") if line]
        text = "\n".join([error.message, *lines])
    name = error.conda_name
    if name == "CondaError":
        return f"error: {text}"
    former = FORMER_NAMES.get(name)
    return f"{name} ({former}): {text}" if former else f"{name}: {text}"


def commands_of(error: KaaError, words: Sequence[str]) -> list[str]:
    """The command lines of an error's repairs, in their order; an empty one where there is none."""
    repairs = getattr(error, "repairs", ())
    if not repairs or not words:
        return []
    repairing = importlib.import_module("kaa.cli.repairing")
    return [repairing.command_of(repair, words) for repair in repairs]


def error_json(error: KaaError, words: Sequence[str] = ()) -> dict[str, object]:
    """The error for programs, with the keys of conda's errors and the fields of this one."""
    name = error.conda_name
    document: dict[str, object] = {
        "caused_by": str(error.__cause__) if error.__cause__ is not None else "None",
        "error": f"{name}: {as_called(error.message)}",
        "exception_name": name,
        "exception_type": f"<class 'conda.exceptions.{name}'>",
        "message": as_called(error.message),
    }
    for key, value in error.fields().items():
        document.setdefault(key, value)
    summary, _, cause = error.message.partition("\n")
    if error.hints or cause:
        document["guidance"] = {"summary": summary, "cause": cause, "hints": [as_called(hint) for hint in error.hints]}
    commands = commands_of(error, words)
    if commands:
        repairs = [_plain(repair) for repair in getattr(error, "repairs", ())]
        document["repairs"] = [
            {**repair, "command": as_called(command)} for repair, command in zip(repairs, commands, strict=True)
        ]
    # The keys come from many classes; sorted they stand where a reader looks for them.
    return dict(sorted(document.items()))


def report_error(error: KaaError, *, as_json: bool, words: Sequence[str] = ()) -> None:
    """Tell about an error that kaa expected; `words` are those of the command line."""
    if as_json:
        print_json(error_json(error, words), sys.stdout if error.exit_code else sys.stderr)
    else:
        lines = [_shortened(line) for line in as_called(error_text(error, words)).split("\n")]
        print("", *lines, "", sep="\n", file=sys.stderr)


def _shortened(line: str) -> str:
    """A line that no text from elsewhere makes so long that nobody finds the rest of the message."""
    if len(line) <= LONGEST_LINE:
        return line
    return f"{line[:LONGEST_LINE]}… and {len(line) - LONGEST_LINE} characters more"


def report_interrupt(interrupt: KeyboardInterrupt, *, as_json: bool) -> None:
    """Tell that the user stopped the work (Ctrl-C), and what was known by then."""
    message = " ".join(["interrupted", *getattr(interrupt, "__notes__", ())])
    if as_json:
        print_json({"error": "KeyboardInterrupt", "exception_name": "KeyboardInterrupt", "message": message})
    else:
        print(f"\n{message}", file=sys.stderr)


def report_crash(error: BaseException, words: Sequence[str], *, as_json: bool) -> None:
    """Tell about an error that kaa did not expect: the traceback, and what to do with it."""
    traceback = importlib.import_module("traceback")
    redact = importlib.import_module("kaa.models.redaction").redact
    kaa = importlib.import_module("kaa")
    lines: list[str] = redact("".join(traceback.format_exception(error))).splitlines()
    message = redact(f"{type(error).__name__}: {error}")
    command = redact(" ".join(["kaa", *words]))
    if as_json:
        print_json(
            {
                "command": command,
                "conda_info": {"kaa_version": kaa.__version__, "python_version": sys.version, "platform": sys.platform},
                "error": message,
                "exception_name": type(error).__name__,
                "exception_type": str(type(error)),
                "message": message,
                "traceback": "\n".join(lines),
                "version": kaa.__version__,
            }
        )
        return
    print("\n".join(lines), file=sys.stderr)
    print(
        f"\nThis is a fault in kaa {kaa.__version__} (Python {sys.version.split()[0]}, {sys.platform}), not in what "
        f"you did.\nThe command was: {command}\nPlease report it to kaa's developers, with the lines above.",
        file=sys.stderr,
    )


# -- text -------------------------------------------------------------------------------------------------------------


def table(rows: Iterable[Sequence[str]], *, header: Sequence[str] = (), indent: str = "") -> list[str]:
    """Lines of columns, two spaces between them, as wide as their contents."""
    # Cells come from elsewhere, and one with an end of a line in it could pass for a row.
    cells = [tuple(cell.replace("\n", "\\n") for cell in row) for row in rows]
    every = [tuple(header), *cells] if header else cells
    if not every:
        return []
    widths = [max(len(row[i]) for row in every if i < len(row)) for i in range(max(map(len, every)))]
    return [indent + "  ".join(f"{cell:<{widths[i]}}" for i, cell in enumerate(row)).rstrip() for row in every]


def size_text(size: int) -> str:
    """A number of bytes as people read it: `713 B`, `1.2 MB`."""
    amount = float(size)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")
