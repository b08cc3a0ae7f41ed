"""From the contents of a package to the files of an environment: one `PathAction` per path. Pure.

Everything that a package says is checked here: paths stay below the environment and out of kaa's own places, entry
points are commands and functions and nothing else.
"""

from __future__ import annotations

import enum
import os
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import msgspec

from kaa.errors import KaaError
from kaa.models.entry_point import parse_entry_point
from kaa.models.package_info import LinkJson, PathEntry
from kaa.models.record import RepoDataRecord
from kaa.models.subdir import is_windows, operating_system
from kaa.transaction.noarch_python import (
    PythonMissing,
    entry_point_scripts,
    needs_python,
    target_path,
)
from kaa.transaction.plan import PythonInfo

CLOBBERS = "__clobbers__"
"""The directory of an environment that keeps files which lost their place to another package (as rattler does)."""

LONGEST_PATH = 4096
MOST_PARTS = 300
"""The unpacking of packages stops at 256 directories within one another."""
_DRIVE = re.compile(r"[A-Za-z]:")
_SUSPICIOUS = re.compile(r"[\\:\0]|/[./\n]|/\Z|^(?:[/.]|$|conda-meta|__clobbers)", re.IGNORECASE | re.MULTILINE).search


LONGEST_NAME = 255
"""Bytes of a name, as nearly all file systems have it."""


class How(enum.Enum):
    """What is done for a path."""

    LINK = "link"
    """Linked from the cache by the best method there is."""
    COPY = "copy"
    """Copied in any case (`no_link`)."""
    RENDER = "render"
    """Written with the prefix replaced."""
    SOFTLINK = "softlink"
    DIRECTORY = "directory"
    WRITE = "write"
    """Generated: an entry point."""
    BYTECODE = "bytecode"
    """Linked from the bytecode kept beside the package, after it was compiled where it was missing."""


class PathAction(NamedTuple):
    """What is done for one path of a package (a tuple: there are tens of thousands)."""

    how: How
    source: str
    """The path within the package; of bytecode, that of its source file."""
    target: str
    """The path below the environment, with forward slashes."""
    entry: PathEntry | None
    path_type: str
    content: bytes = b""
    mode: int = 0o644


class PackageActions(msgspec.Struct, frozen=True):
    """A package and what is done for each of its paths; no two have the same target."""

    record: RepoDataRecord
    actions: tuple[PathAction, ...]


class UnsafePath(KaaError):
    """A path of a package or a record leads where it must not."""

    conda_name = "LinkError"

    def __init__(self, package: str, path: str, reason: str) -> None:
        self.package = package
        self.path = path
        self.reason = reason
        super().__init__(
            f"{package} is refused: its path {path!r} {reason}",
            hints=("report this to those who built the package", "take another build of the package"),
        )


def why_unsafe(path: str) -> str:
    """Why a path below an environment may not be written to; empty when it may."""
    if not path or path.startswith(("/", "\\")) or _DRIVE.match(path):
        return "is not relative to the environment"
    if "\0" in path:
        return "holds a NUL"
    parts = path.replace("\\", "/").split("/")
    if len(path) > LONGEST_PATH or len(parts) > MOST_PARTS:
        return "is longer, or deeper, than paths can be"
    if ".." in parts:
        return "leads out of the environment"
    if "." in parts or "" in parts:
        return "is not written in its normal form"
    if parts[0].lower() in ("conda-meta", CLOBBERS):
        return f"lies in {parts[0]}, which belongs to the environment"
    return ""


def is_below(path: object) -> bool:
    """Whether a value that was read from somewhere is a path that stays below the environment."""
    if not isinstance(path, str) or not path or "\0" in path or path.startswith(("/", "\\")) or _DRIVE.match(path):
        return False
    parts = path.replace("\\", "/") if os.sep == "\\" else path
    return not {"", ".", ".."}.intersection(parts.split("/"))


def path_key(subdir: str) -> Callable[[str], str]:
    """What makes two paths the same on the target platform: there, or but for upper and lower case."""
    return str.lower if operating_system(subdir) in ("osx", "win") else str


def is_noarch_python(record: RepoDataRecord, link: LinkJson) -> bool:
    """Whether a package's files are to be mapped to the python of the environment."""
    if link.noarch is not None:
        return link.noarch.type == "python"
    return record.noarch == "python"


def plan_actions(
    record: RepoDataRecord,
    paths: Sequence[PathEntry],
    link: LinkJson,
    *,
    prefix: str,
    subdir: str,
    python: PythonInfo | None,
    compile_bytecode: bool,
) -> PackageActions:
    """What is done for each path of a package; raises UnsafePath, PythonMissing, InvalidEntryPoint."""
    if python is not None and (reason := why_unsafe(python.site_packages)):
        raise UnsafePath("python", python.site_packages, reason)
    noarch, windows = is_noarch_python(record, link), is_windows(subdir)
    key = path_key(subdir)
    actions: dict[str, PathAction] = {}
    for entry in paths:
        path = target = entry.path
        if noarch and needs_python(path):
            if python is None:
                raise PythonMissing(record.dist)
            target = target_path(path, python)
        if entry.path_type == "hardlink" and entry.prefix_placeholder is None and not entry.no_link:
            actions[key(target)] = PathAction(How.LINK, path, target, entry, "hardlink")
        else:
            actions[key(target)] = _special_action(entry, target, windows=windows)
    _check_paths(record, actions.values())
    if noarch and link.noarch is not None and link.noarch.entry_points:
        for action in _entry_points(record, link.noarch.entry_points, prefix, subdir, python):
            actions[key(action.target)] = action
    if compile_bytecode and python is not None and python.bytecode_tag is not None:
        for action in _bytecode(actions.values(), python.site_packages, python.bytecode_tag):
            actions.setdefault(key(action.target), action)
    return PackageActions(record, tuple(actions.values()))


def _special_action(entry: PathEntry, target: str, *, windows: bool) -> PathAction:
    """The action for a path that is more than a file to be linked."""
    path, kind = entry.path, entry.path_type
    if kind == "softlink":
        return PathAction(How.SOFTLINK, path, target, entry, kind)
    if kind == "directory":
        return PathAction(How.DIRECTORY, path, target, entry, kind)
    if entry.prefix_placeholder and not (windows and entry.file_mode == "binary"):
        return PathAction(How.RENDER, path, target, entry, "hardlink")
    return PathAction(How.COPY if entry.no_link else How.LINK, path, target, entry, "hardlink")


def _check_paths(record: RepoDataRecord, actions: Collection[PathAction]) -> None:
    """Raise UnsafePath for a target outside the environment, or in a place of its own."""
    # Nearly every package passes this one search over all its paths; what it stops may still be fine.
    text = "\n".join([action.target for action in actions])
    if _SUSPICIOUS(text) is None and text.count("\n") < max(len(actions), 1):
        return
    for action in actions:
        if reason := why_unsafe(action.target):
            raise UnsafePath(record.dist, action.source, reason)


def _entry_points(
    record: RepoDataRecord, texts: Iterable[str], prefix: str, subdir: str, python: PythonInfo | None
) -> Iterable[PathAction]:
    if python is None:
        raise PythonMissing(record.dist)
    for text in texts:
        for script in entry_point_scripts(parse_entry_point(text, record.dist), prefix, python, subdir):
            yield PathAction(How.WRITE, "", script.path, None, script.path_type, script.content, script.mode)


def _bytecode(actions: Iterable[PathAction], site_packages: str, tag: str) -> list[PathAction]:
    """Bytecode for every module below site-packages; what a package brings itself is left to the caller."""
    below = site_packages + "/"
    found = []
    for action in actions:
        target = action.target
        if target.endswith(".py") and target.startswith(below) and action.how is not How.SOFTLINK:
            path = bytecode_path(target, tag)
            # Python leaves out what has no room for its longer name, too. A character has up to four bytes.
            if len(target) - target.rfind("/") < 50 or len(os.fsencode(path.rpartition("/")[2])) <= LONGEST_NAME:
                found.append(PathAction(How.BYTECODE, action.source, path, None, "pyc_file"))
    return found


def bytecode_path(module: str, tag: str) -> str:
    """Where python keeps the bytecode of a module file (PEP 3147)."""
    folder, slash, name = module.rpartition("/")
    return f"{folder}{slash}__pycache__/{name[:-3]}.{tag}.pyc"


def bytecode_source(path: str) -> str | None:
    """The module file that a file in `__pycache__` belongs to; None when it is no bytecode.

    >>> bytecode_source("lib/__pycache__/site.cpython-312.opt-1.pyc")
    'lib/site.py'
    """
    folder, _, name = path.rpartition("/")
    if not name.endswith(".pyc") or (folder != "__pycache__" and not folder.endswith("/__pycache__")):
        return None
    match = re.fullmatch(r"(.+?)\.(?:cpython|pypy|graalpy)-?[0-9]\w*(?:\.opt-[0-9a-z]+)?\.pyc", name)
    return None if match is None else folder[: -len("__pycache__")] + match[1] + ".py"
