"""Calls the hooks of build backends (PEP 517) in child processes, which run `kaa.pypi.backend_call`.

This runs code of whoever made the source tree.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kaa.archive.tar import printable
from kaa.errors import KaaError
from kaa.host.process import run_logged
from kaa.models.redaction import redact
from kaa.pypi import backend_call
from kaa.pypi.sdist import BuildSystem

KEPT_OUT = ("CONDA_", "_CONDA_", "_CE_", "KAA_", "MAMBA_", "PIP_", "PYTHON", "UV_", "VIRTUAL_ENV", "__PYVENV")
"""How variables begin that speak of other environments, or of how to install into them."""
SHOWN_LINES = 25
LONGEST_TAIL = 1 << 16


class BuildFailed(KaaError):
    """A backend did not do what it was asked to."""

    conda_name = "CondaError"

    def __init__(self, file_name: str, hook: str, reason: str, log: Path) -> None:
        self.file_name = file_name
        self.hook = hook
        self.reason = reason
        self.log = str(log)
        self.tail = read_tail(log)
        shown = "".join(f"\n    {line}" for line in self.tail)
        super().__init__(
            f"{file_name} could not be built: {reason}" + (f"; it ends so:{shown}" if shown else ""),
            hints=(
                f"the whole output is in {log}",
                "what a build needs beside Python (compilers, libraries, headers) must be on this machine",
                "ask for a version that has a wheel, or take the package from another channel",
            ),
        )


class SourceTree(msgspec.Struct, frozen=True):
    """An unpacked sdist, and where what its backend says is written to."""

    file_name: str
    """Of the sdist."""
    root: Path
    system: BuildSystem
    scratch: Path
    """A directory for what is asked and answered."""
    log: Path


def call_hook(tree: SourceTree, prefix: Path, python: Path, hook: str, arguments: Mapping[str, object]) -> object:
    """What a hook of a source tree's backend answers, None where the backend does not have it.

    `python` is that of the environment at `prefix`, which holds what the backend needs. Raises BuildFailed, CannotRun.
    """
    asked, answer = tree.scratch / f"{hook}.json", tree.scratch / f"{hook}.answer.json"
    request = {
        "backend": tree.system.backend,
        "backend_path": [str(tree.root / path) for path in tree.system.backend_path],
        "hook": hook,
        "arguments": arguments,
        "answer": str(answer),
    }
    asked.write_text(json.dumps(request), "utf-8")
    with tree.log.open("a", encoding="utf-8") as stream:
        stream.write(f"--- {hook} of {tree.system.backend}\n")
    script = backend_call.__file__
    # Isolated: neither variables nor the user's own packages count.
    argv: list[str | Path] = [python, "-I", "-B", script, asked]
    code = run_logged(argv, tree.log, environ=build_environ(os.environ, prefix), cwd=tree.root)
    if code != 0:
        what = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        raise BuildFailed(tree.file_name, hook, f"{hook} of {tree.system.backend} {what}", tree.log)
    try:
        answered = json.loads(answer.read_bytes())
        assert isinstance(answered, dict)
    except (OSError, ValueError, RecursionError, AssertionError):
        raise BuildFailed(tree.file_name, hook, f"{hook} of {tree.system.backend} gave no answer", tree.log) from None
    return answered.get("value")


def build_environ(environ: Mapping[str, str], prefix: Path) -> dict[str, str]:
    """The variables of a build: those of the user, without what leads to other environments, with PATH for this one.

    >>> found = build_environ({"PATH": "/usr/bin", "CC": "gcc", "PIP_INDEX_URL": "x", "PYTHONPATH": "y"}, Path("/e"))
    >>> found["CC"], found["PATH"].startswith("/e"), "PIP_INDEX_URL" in found, "PYTHONPATH" in found
    ('gcc', True, False, False)
    """
    found = {name: value for name, value in environ.items() if not name.upper().startswith(KEPT_OUT)}
    below = ("", "Scripts", "Library/bin", "bin") if os.name == "nt" else ("bin",)
    directories = [str(prefix / part) for part in below]
    # What a backend starts is not isolated.
    return found | {
        "PATH": os.pathsep.join([*directories, *filter(None, [environ.get("PATH", os.defpath)])]),
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8",
    }


def read_tail(log: Path) -> tuple[str, ...]:
    """The last lines of a log, fit to be shown."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - LONGEST_TAIL))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ()
    lines = [redact(printable(line.rstrip().replace("\t", "    "))) for line in text.splitlines() if line.strip()]
    return tuple(lines[-SHOWN_LINES:])
