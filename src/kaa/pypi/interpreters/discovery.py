"""Where the interpreters of a machine are: the running one, PATH, pyenv, uv, the directories of the system.

Only programs count, no scripts: what version managers put on PATH (shims) chooses another Python from day to day.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from kaa.models.pattern import Pattern
from kaa.pypi.interpreters.elf import is_elf

SYSTEM_DIRECTORIES = (Path("/usr/local/bin"), Path("/usr/bin"))
_NAME = Pattern(r"python(?:3(?:\.(?P<minor>[0-9]+)t?)?)?", re.ASCII)


def iter_interpreters(environ: Mapping[str, str], home: Path, running: str) -> Iterator[Path]:
    """Each interpreter once, links followed, in the order in which a person would expect them to be taken.

    `running` is the program that kaa runs on. What is told twice, by links or by virtual environments with links, is
    one interpreter; those of conda environments are among them.
    """
    seen: set[Path] = set()
    for path in _iter_places(environ, home, running):
        try:
            real = path.resolve(strict=True)
            if real not in seen and os.access(real, os.X_OK) and _is_program(real):
                seen.add(real)
                yield real
        except (OSError, RuntimeError):
            # A link that leads nowhere, or in circles; a place that this user may not look into.
            continue


def is_in_conda_environment(path: Path) -> bool:
    """Whether an interpreter belongs to a conda environment, whose packages are in a channel or in a cache."""
    return (path.parent.parent / "conda-meta").is_dir()


def _iter_places(environ: Mapping[str, str], home: Path, running: str) -> Iterator[Path]:
    if running:
        yield Path(running)
    for text in environ.get("PATH", "").split(os.pathsep):
        # A relative entry means another directory in each directory.
        if text.startswith(os.sep):
            yield from _iter_directory(Path(text))
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    yield from _iter_versions(pyenv / "versions")
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    yield from _iter_versions(Path(environ.get("UV_PYTHON_INSTALL_DIR") or data / "uv" / "python"))
    for directory in SYSTEM_DIRECTORIES:
        yield from _iter_directory(directory)


def _iter_directory(directory: Path) -> Iterator[Path]:
    """The interpreters of a directory of programs: what is called `python3` first, then from the newest on."""
    found: list[tuple[int, str]] = []
    try:
        names = [path.name for path in directory.iterdir()]
    except OSError:
        return
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None:
            # `python3` is what the owner of the directory takes for the usual one.
            found.append((-int(match["minor"]) if match["minor"] else -(10**6) - len(name), name))
    yield from (directory / name for _, name in sorted(found))


def _iter_versions(directory: Path) -> Iterator[Path]:
    """The interpreters of a directory with one installation for each version, newest first."""
    try:
        names = [path.name for path in directory.iterdir()]
    except OSError:
        return
    for name in sorted(names, key=_numbers, reverse=True):
        yield directory / name / "bin" / "python3"


def _numbers(name: str) -> tuple[tuple[int, ...], str]:
    return tuple(int(part) for part in re.findall(r"[0-9]+", name)[:3]), name


def _is_program(path: Path) -> bool:
    with path.open("rb") as stream:
        return is_elf(stream.read(4))
