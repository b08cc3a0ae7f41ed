"""Asking before something changes.

An empty answer, or no answer at all (standard input closed), is the default one. With --json or always_yes nobody is
asked.
"""

from __future__ import annotations

import sys

from kaa.config.options import Config
from kaa.errors import KaaError


class Declined(KaaError):
    """The user said no; nothing was changed, and that is no failure."""

    conda_name = "CondaSystemExit"
    exit_code = 0

    def __init__(self) -> None:
        super().__init__("Exiting.")


class DryRunEnds(KaaError):
    """A dry run has shown what it had to show."""

    conda_name = "DryRunExit"
    exit_code = 0

    def __init__(self) -> None:
        super().__init__("Dry run. Exiting.")


def confirm(config: Config, question: str = "Proceed", *, default: bool = True) -> None:
    """Ask, and raise Declined unless the answer is yes."""
    if config.always_yes or config.json:
        return
    choices = "[y]/n" if default else "y/[n]"
    while True:
        print(f"{question} ({choices})? ", end="", flush=True)
        line = sys.stdin.readline()
        if not line.endswith("\n"):
            print()
        answer = line.strip().lower()
        if answer in ("y", "yes", "n", "no", ""):
            break
        print(f"Please answer y or n, not {answer!r}.")
    if answer in ("n", "no") or (not answer and not default):
        raise Declined


def consent_to_scripts(config: Config, count: int) -> bool | None:
    """Ask whether new scripts of packages may run; None where nobody is there to be asked, whatever always_yes says."""
    if config.json or config.always_yes or not sys.stdin.isatty():
        return None
    what = "this script" if count == 1 else f"these {count} scripts"
    try:
        confirm(config, f"Let {what} run", default=False)
    except Declined:
        return False
    return True
