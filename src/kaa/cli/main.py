"""The `kaa` program: the first word chooses a command; an error becomes a message and an exit code.

Nothing is imported before it is needed: `kaa --version` costs little more than Python itself.
"""

from __future__ import annotations

import gc
import os
import sys

from kaa.cli.called import program_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

CONDA_VERSION = "26.7.2"
"""The conda whose command line, files and JSON kaa answers like; told when kaa is called by the name `conda`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: this process's) and answer the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = run(words)
        # Whoever reads our output may be gone; that is to show here, not when Python ends.
        sys.stdout.flush()
        if arguments is None:
            # Nothing is worth looking for circles in all that is there: the process ends, and takes it along.
            gc.disable()
            gc.freeze()
    except BrokenPipeError:
        # The reader has enough: no reason to complain, nor for Python to do so when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def run(words: list[str]) -> int:
    """Run one command line, as far as its output finds a reader."""
    if words and words[0] in ("--version", "-V"):
        print(version_line(sys.argv[0]))
        return 0
    # A command ends soon, and leaves few circles behind: looking for them as often as Python does costs 20 ms of 250.
    gc.set_threshold(100_000, 20, 100)
    from kaa.cli.dispatch import dispatch  # noqa: PLC0415 - not needed for --version
    from kaa.cli.plain_text import printing_plain_text  # noqa: PLC0415

    with printing_plain_text():
        return dispatch(words)


def version_line(program: str) -> str:
    """`kaa 1.2`; whoever calls the program `conda` reads one of conda's versions there."""
    if program_name(program) == "conda":
        return f"conda {CONDA_VERSION}"
    from kaa import __version__  # noqa: PLC0415 - a constant of the package

    return f"kaa {__version__}"
