"""Whether an environment lies elsewhere than where it was installed: scripts say where their interpreter is."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from kaa.host.files import read_regular_file
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.damage import expected_hash, recorded_paths
from kaa.prefix.recorded_files import hash_and_size

_FIRST_LINE = 4096
_SYSTEM = ("/bin", "/usr/bin", "/usr/local/bin")
_INTERPRETER = re.compile(rb"#![ ]*(/[^\n\0]*?/bin/[^/\s]+)")
_TRAMPOLINE = re.compile(rb"#!/bin/sh\n'''exec' \"?(/[^\n\0\"]*?/bin/[^/\"\s]+)")
"""Paths that are too long for a first line, or have spaces, stand in the second."""


def find_former_place(prefix: Path, records: Sequence[PrefixRecord]) -> str:
    """Where an environment was when its scripts were written, if that is another place than now; else empty.

    Only scripts count that are as they were installed, and whose interpreter the environment has.
    """
    for path in _iter_scripts(prefix, records):
        with contextlib.suppress(OSError):
            head = read_regular_file(prefix / path, _FIRST_LINE)
            match = _TRAMPOLINE.match(head) or _INTERPRETER.match(head)
            if match is None:
                continue
            interpreter = os.fsdecode(match[1])
            directory, name = posixpath.split(interpreter)
            place = posixpath.dirname(directory)
            if directory in _SYSTEM or not os.path.lexists(prefix / "bin" / name):
                continue
            # One is enough: all of them were written for the same place.
            return "" if _is_same(place, prefix) else place
    return ""


def _is_same(place: str, prefix: Path) -> bool:
    try:
        return place == str(prefix) or os.path.samefile(place, prefix)  # noqa: PTH121
    except OSError:
        return False


def _iter_scripts(prefix: Path, records: Sequence[PrefixRecord]) -> Iterator[str]:
    """The scripts in bin that were written for a place, and are as they were written."""
    for record in records:
        for path, entry in recorded_paths(record).items():
            is_script = entry.path_type == "unix_python_entry_point" or (
                entry.prefix_placeholder is not None and entry.file_mode == "text"
            )
            if is_script and path.startswith("bin/") and path.count("/") == 1:
                with contextlib.suppress(OSError):
                    if hash_and_size(f"{prefix}{os.sep}{path}")[0] == expected_hash(entry):
                        yield path
