"""Launchers: small scripts outside of an environment that run a program inside it.

Where the environment has neither scripts nor variables of its own, and none is active, entering it is a matter of four
variables, which the launcher sets itself; else it lets kaa do it. Either way the program takes the launcher's place.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

_MARK = "# kaa launcher for "
_TEXT = """\
#!/bin/sh
{mark}
# `kaa tool` writes and removes this file.
prefix={prefix}
program=$prefix/bin/{program}
if [ "${{CONDA_SHLVL:-0}}" = 0 ] && [ -x "$program" ] && [ ! -e "$prefix/etc/conda/activate.d" ] &&
    [ ! -e "$prefix/etc/conda/env_vars.d" ] && [ ! -e "$prefix/conda-meta/state" ]; then
    CONDA_PREFIX=$prefix CONDA_DEFAULT_ENV=$prefix CONDA_SHLVL=1 PATH=$prefix/bin${{PATH:+:$PATH}}
    export CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_SHLVL PATH
    exec "$program" "$@"
fi
exec {kaa} run --root-prefix {root} -p "$prefix" "$program" "$@"
"""


def launcher_text(kaa: Sequence[str], root_prefix: Path, prefix: Path, program: str) -> bytes:
    """The launcher of a program in the `bin` of an environment; `kaa` are the words that run kaa."""
    text = _TEXT.format(
        mark=_mark(prefix),
        prefix=shlex.quote(str(prefix)),
        program=shlex.quote(program),
        kaa=shlex.join(kaa),
        root=shlex.quote(str(root_prefix)),
    )
    return os.fsencode(text)


def is_launcher(path: Path, prefix: Path) -> bool:
    """Whether a file is a launcher of programs in that environment."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as stream:
        lines = stream.read(10_000).split(b"\n", 2)
    return len(lines) > 1 and lines[1] == os.fsencode(_mark(prefix))


def _mark(prefix: Path) -> str:
    # One line, whatever the path is.
    return _MARK + json.dumps(str(prefix), ensure_ascii=False)
