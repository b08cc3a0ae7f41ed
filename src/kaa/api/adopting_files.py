"""Whether the files that pip or its like installed are those that a package would bring: by RECORD, and on the disk."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from kaa.host.hashing import hash_file
from kaa.prefix.distribution_files import files_of_distributions, hashes_of_distribution
from kaa.prefix.python_packages import PythonDistribution
from kaa.prefix.recorded_files import inside_check
from kaa.transaction.actions import How, PackageActions, PathAction, bytecode_source

MADE_BY_INSTALLERS = frozenset({"INSTALLER", "RECORD", "REQUESTED", "direct_url.json", "uv_cache.json"})
"""Files of a metadata directory that every installer writes in its own way (PEP 376, 610)."""
_INCLUDE = re.compile(r"include/(?:site/)?(?:python[0-9][^/]*/)?")
_NUMBER = re.compile(r"-?[0-9][0-9.]*\Z")
_LAUNCHER = re.compile(r"(?:-script\.pyw?|\.exe|\.bat)\Z")


class InstalledFiles(msgspec.Struct, frozen=True):
    """The files of an installation as its RECORD lists them; bytecode and what installers write are left out."""

    paths: frozenset[str]
    """Below the environment"""
    hashes: Mapping[str, str]
    """The SHA-256 of those of which it is recorded, in hexadecimal"""


def read_installed_files(prefix: Path, distribution: PythonDistribution) -> InstalledFiles:
    """What a distribution says of its files; none where it lists nothing."""
    made = {f"{distribution.metadata}/{name}" for name in MADE_BY_INSTALLERS}
    listed = files_of_distributions(prefix, [distribution])[distribution]
    paths = frozenset(path for path in listed if path not in made and bytecode_source(path) is None)
    hashes = hashes_of_distribution(prefix, distribution)
    return InstalledFiles(paths, {path: digest for path, digest in hashes.items() if path in paths})


def edited_files(prefix: Path, installed: InstalledFiles) -> list[str]:
    """The files that are missing, or not what they were when they were installed."""
    is_inside = inside_check(prefix)

    def is_as_recorded(path: str) -> bool:
        if not is_inside(path.rpartition("/")[0]):
            return False
        file, recorded = prefix / path, installed.hashes.get(path)
        try:
            return file.is_file() if recorded is None else hash_file(file) == recorded
        except OSError:
            return False

    return [path for path in sorted(installed.paths) if not is_as_recorded(path)]


def find_difference(prefix: Path, installed: InstalledFiles, planned: PackageActions, scripts: str) -> str:
    """What is not the same in an installation and in a package that would be linked; empty where nothing is."""
    wanted = {
        _place(action.target, scripts): action
        for action in planned.actions
        if action.how not in (How.DIRECTORY, How.BYTECODE) and not _is_of_installer(action.target)
    }
    present = {_place(path, scripts): path for path in installed.paths}
    commands = {_NUMBER.sub("", place) for place, action in wanted.items() if action.how is How.WRITE}
    # Programs that pip makes of its own accord, with the version of Python in their names, are not of the wheel.
    more = [path for place, path in present.items() if place not in wanted and _NUMBER.sub("", place) not in commands]
    if more:
        return f"the wheel does not have {_shown(more)}"
    if lacking := [action.target for place, action in wanted.items() if place not in present]:
        return f"the wheel also has {_shown(lacking)}"
    other = [path for place, path in present.items() if _is_other(prefix, path, installed, wanted.get(place))]
    return f"the wheel has another {_shown(other)}" if other else ""


def _is_other(prefix: Path, path: str, installed: InstalledFiles, action: PathAction | None) -> bool:
    """Whether a file is not the one that a package brings to its place; programs that are written say nothing."""
    digest = _digest(action) if action is not None else ""
    return bool(digest) and (installed.hashes.get(path) or hash_file(prefix / path)) != digest


def _digest(action: PathAction) -> str:
    """What an installed file will hold, where that is known: not of one with the environment's path in it."""
    if action.entry is None or action.how in (How.RENDER, How.WRITE):
        return ""
    return (action.entry.sha256 or "").lower()


def _is_of_installer(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    return folder.endswith(".dist-info") and name in MADE_BY_INSTALLERS


def _place(path: str, scripts: str) -> str:
    """What a path is for, whoever chose it: installers put headers into other directories, and name launchers."""
    include = _INCLUDE.match(path)
    if include is not None:
        return "include:" + path[include.end() :].partition("/")[2]
    if path.startswith(f"{scripts}/"):
        return _LAUNCHER.sub("", path)
    return path


def _shown(paths: Iterable[str]) -> str:
    every = sorted(paths)
    return every[0] if len(every) == 1 else f"{every[0]} and {len(every) - 1} more"
