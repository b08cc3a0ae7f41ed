"""What to tell when no interpreter of this machine is the Python that is asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from kaa.models.pattern import Pattern
from kaa.pypi.interpreters.known import CONDA, Interpreters

MOST_UNUSABLE = 3
_MINOR = Pattern(r"=*([0-9]+\.[0-9]+)(?:\.[0-9*]+)*", re.ASCII)


def interpreter_lines(found: Interpreters, subdir: str) -> tuple[str, ...]:
    """Sentences on the interpreters of this machine, and whether they are for a platform."""
    fitting = found.offered(subdir)
    if fitting:
        # The newest first; how versions compare is not worth more than this here.
        fitting.sort(key=lambda each: [int(part) for part in each.interpreter.version.split(".")], reverse=True)
        listed = ", ".join(f"{each.interpreter.full_version} ({each.interpreter.executable})" for each in fitting)
        lines = [f"The interpreters of this machine: {listed}."]
    elif found.usable:
        subdirs = ", ".join(sorted({each.subdir for each in found.usable}))
        lines = [f"The interpreters of this machine are for {subdirs}, and none is for {subdir}."]
    else:
        lines = [f"There is no interpreter on this machine of which an environment for {subdir} could be made."]
    refused = [each for each in found.unusable if each.reason != CONDA][:MOST_UNUSABLE]
    return (*lines, *(f"{each.path} is not used: {each.reason}." for each in refused))


def interpreter_hints(found: Interpreters, subdir: str, versions: Sequence[str]) -> tuple[str, ...]:
    """Where else a Python comes from; `versions` are the version ranges that were asked for, as texts."""
    wanted = next((match[1] for match in map(_MINOR.fullmatch, versions) if match), "")
    python = f"python {wanted}" if wanted else "python"
    hints = [f"add a conda channel that has {python} for {subdir}"]
    if found.offered(subdir) or not found.usable:
        name = wanted or "VERSION"
        ways = f"as python{wanted or '3'} of the system, `pyenv install {name}` or `uv python install {name}`"
        hints.append(f"install it on this machine: {ways}")
    return tuple(hints)
