"""Launchers: small scripts outside of an environment that run a program inside it.

Where the environment has neither scripts nor variables of its own, nor the one that is active (if there is one),
leaving and entering is a matter of four variables, which the launcher sets itself; else it lets kaa do it. Either way
the program takes the launcher's place, and finds the variables that the caller had exported, whatever they are called.
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
__kaa_prefix={prefix}
__kaa_program=$__kaa_prefix/bin/{program}
__kaa_is_plain() {{
    [ ! -e "$1/etc/conda/activate.d" ] && [ ! -e "$1/etc/conda/deactivate.d" ] &&
        [ ! -e "$1/etc/conda/env_vars.d" ] && [ ! -e "$1/conda-meta/state" ]
}}
__kaa_path=:$PATH:
case "${{CONDA_SHLVL:-0}}$__KAA_SHLVL_1_NAMES" in
    (0) __kaa_way=short;;
    (1) if [ -n "$CONDA_PREFIX" ] && __kaa_is_plain "$CONDA_PREFIX"; then
            __kaa_way=short
            case "$__kaa_path" in
                (*":$CONDA_PREFIX/bin:"*)
                    __kaa_path=${{__kaa_path%%":$CONDA_PREFIX/bin:"*}}:${{__kaa_path#*":$CONDA_PREFIX/bin:"}};;
            esac
        else
            __kaa_way=long
        fi;;
    (*) __kaa_way=long;;
esac
if [ $__kaa_way = short ] && [ -x "$__kaa_program" ] && __kaa_is_plain "$__kaa_prefix"; then
    __kaa_path=${{__kaa_path#:}} __kaa_path=${{__kaa_path%:}}
    PATH=$__kaa_prefix/bin${{__kaa_path:+:$__kaa_path}}
    CONDA_PREFIX=$__kaa_prefix CONDA_DEFAULT_ENV=$__kaa_prefix CONDA_SHLVL=1
    export CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_SHLVL PATH
    exec "$__kaa_program" "$@"
fi
exec {kaa} run --root-prefix {root} -p "$__kaa_prefix" "$__kaa_program" "$@"
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
