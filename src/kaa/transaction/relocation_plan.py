"""What becomes of every file of an environment that is cloned or gets another path, as values. Pure.

`relocation_survey` makes the plan from the disk, `relocation_build` carries it out beside the final place.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import msgspec

from kaa.errors import KaaError
from kaa.models.prefix_record import InstalledPath, PrefixRecord
from kaa.prefix.python_packages import PythonDistribution
from kaa.transaction.plan import PythonInfo
from kaa.transaction.relocation import PathChange

Kind: TypeAlias = Literal["clone", "rename", "move"]
SHOWN_MENTIONS = 200
"""How many files of the user that name the old path are looked for; the rest is only counted as files."""


class CannotRelocate(KaaError):
    """An environment cannot be cloned, renamed or moved like this; nothing was changed."""

    conda_name = "CondaEnvironmentError"

    def __init__(self, prefix: Path, reason: str, *hints: str) -> None:
        self.prefix = str(prefix)
        self.reason = reason
        super().__init__(f"{prefix} {reason}", hints=hints)


class How(enum.Enum):
    """What is done for a file."""

    SHARE = "share"
    """The new environment has the same file: a hard link, where one is possible."""
    OWN = "own"
    """A file of its own: a reflink or a copy."""
    RENDER = "render"
    """A file of a package with a placeholder: written for the new path."""
    TEXT = "text"
    """A text with the old path replaced."""
    BINARY = "binary"
    """A program with the old path replaced in its strings."""
    HEAD = "head"
    """A script of the user: its first line changes."""
    LINK = "link"
    """A symbolic link."""
    SPECIAL = "special"
    """A pipe or a socket."""


class Item(NamedTuple):
    """One path of the environment (a tuple: there are tens of thousands)."""

    path: str
    """Posix, below the environment."""
    how: How
    mode: int
    size: int
    links: int
    """How many names the file has."""
    inode: tuple[int, int]
    entry: InstalledPath | None = None
    """What the record of its package says of it."""


class Distribution(msgspec.Struct, frozen=True):
    """A distribution of pip whose files may change: its own, or the ones that a generation keeps."""

    metadata: str
    """Its metadata directory, below `root`."""
    files: frozenset[str]
    """The paths that it lists, below `root`."""
    root: str = ""
    """Empty for the environment; else the directory of kept files, with a slash at the end."""
    key: str = ""
    """The key of kept files."""


class Survey(msgspec.Struct):
    """What was found in an environment."""

    items: list[Item] = []
    directories: list[tuple[str, int]] = []
    """(path, mode), outer ones first."""
    distributions: list[Distribution] = []
    pip: list[PythonDistribution] = []
    dropped: list[str] = []
    """Bytecode of modules that change; it is compiled again where that is possible."""
    user_files: list[str] = []
    """Files of nobody, whether they are carried along or not."""
    mentions: list[str] = []
    """Files of the user that name the old path in their text; they are carried as they are."""
    stuck: list[str] = []
    """Programs of pip in which the old path is built in, and the new one has no room."""
    left_out: list[str] = []
    """Directories that are no part of the environment: other environments, package caches."""
    signature: str = ""
    """What the files were: a hash of paths, sizes and times."""


class RelocationPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A new environment that is to be made of the files of another one."""

    kind: Kind
    source: Path
    is_base: bool = False
    target: Path
    change: PathChange
    subdir: str
    python: PythonInfo | None
    records: tuple[PrefixRecord, ...]
    found: Survey
    with_user_files: bool
    other_disk: bool
    is_frozen: bool
    keep_frozen: bool
    copies_size: int
    """Bytes that are written anew."""
    command: str = ""
    replaces: bool = False
    """Whether an environment is at the target that goes."""

    @property
    def items(self) -> Sequence[Item]:
        return self.found.items

    @property
    def user_files(self) -> Sequence[str]:
        return self.found.user_files

    @property
    def left_out(self) -> Sequence[str]:
        return self.found.left_out

    @property
    def signature(self) -> str:
        return self.found.signature

    @property
    def size(self) -> int:
        """Bytes of all files that come along."""
        return sum(item.size for item in self.items)

    @property
    def has_link_scripts(self) -> bool:
        """Whether a package has a script that ran when it was installed, and may have made files."""
        return any(
            path.endswith(("-post-link.sh", "-post-link.bat", "-pre-link.sh", "-pre-link.bat"))
            for record in self.records
            for path in record.files
        )

    def count(self, *hows: How) -> int:
        """How many files are treated in one of these ways."""
        return sum(item.how in hows for item in self.items)
