"""Looking at an environment that is to be cloned, renamed or moved: whose is each file, and does it hold the old path.

Nothing is changed. Files that packages brought are not read here: their records tell what is in them.
"""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH118, PTH123
from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from kaa.models.prefix_record import InstalledPath, PrefixRecord
from kaa.prefix.damage import UNKNOWN, expected_hash, recorded_paths
from kaa.prefix.distribution_files import files_of_distributions, read_distributions
from kaa.prefix.generations import BrokenGeneration, read_outlines
from kaa.prefix.kept_distributions import KEPT, kept_directory
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import PythonDistribution
from kaa.transaction.actions import bytecode_source, why_unsafe
from kaa.transaction.relocation import NoRoom, PathChange, mentions, moved_binary, moved_head
from kaa.transaction.relocation_plan import SHOWN_MENTIONS, Distribution, How, Item, Kind, Survey

CONDA_META = "conda-meta/"
CONFIGURATION = (".condarc", "condarc", "condarc.d")
"""The configuration of an environment, at its top."""
OWN_MARK = ".kaa-"
"""What kaa keeps in conda-meta for the moment begins with this."""
OF_THE_ROOT = ("pkgs", "envs", "condabin", *CONFIGURATION)
"""What lies in the root prefix without being a part of the environment `base`."""
TEXT_LIMIT = 4 << 20
PROGRAM_LIMIT = 64 << 20
USER_LIMIT = 1 << 20
CACHE_FILE = "urls.txt"


class Surveyor:
    """One look at one environment."""

    def __init__(
        self,
        environment: Prefix,
        records: Sequence[PrefixRecord],
        change: PathChange,
        kind: Kind,
        *,
        is_base: bool = False,
        with_user_files: bool = False,
        always_copy: bool = False,
        keep_frozen: bool = False,
    ) -> None:
        self.environment = environment
        self.root = f"{environment.path}{os.sep}"
        self.change = change
        self.kind = kind
        self.is_base = is_base
        self.with_user_files = with_user_files or kind != "clone"
        self.always_copy = always_copy
        self.keep_frozen = keep_frozen
        self.found = Survey()
        self.records = {f"{record.dist}.json" for record in records}
        """They are written anew, as the history is, which makes a directory an environment."""
        self.owned = _owned(records)
        distributions = read_distributions(environment, records, _changed_lists(environment, self.owned))
        self.found.pip = list(distributions)
        self.found.distributions = [Distribution(one.metadata, files) for one, files in distributions.items()]
        self.of_pip = {path for files in distributions.values() for path in files}
        self.metadata = {one.metadata for one in distributions}

    def look(self) -> Survey:
        """Everything that the new environment is to hold, and what it is not."""
        found = self.found
        paths, directories, found.left_out = list_tree(self.environment.path, is_base=self.is_base)
        found.signature = signature(paths)
        self._add_kept_distributions()
        for path, state in paths:
            if path.startswith(CONDA_META):
                self._look_at_own(path, state)
            elif stat.S_ISLNK(state.st_mode):
                self._add_unless_users(path, How.LINK, state)
            elif not stat.S_ISREG(state.st_mode):
                self._add_unless_users(path, How.SPECIAL, state)
            elif path.partition("/")[0] in CONFIGURATION:
                self._add(path, self._as_it_is(state, None), state)
            else:
                self._look_at_file(path, state)
        self._drop_bytecode()
        found.directories = self._wanted(directories)
        return found

    # One file

    def _look_at_file(self, path: str, state: os.stat_result) -> None:
        entry = self.owned.get(path)
        if entry is not None and entry.prefix_placeholder and entry.path_type not in ("softlink", "directory"):
            self._add(path, How.RENDER, state, entry)
        elif path in self.of_pip or path.rpartition("/")[0] in self.metadata or path in self.metadata:
            self._look_at_pip(path, state, entry)
        elif entry is not None:
            generated = expected_hash(entry) is None or entry.path_type not in ("hardlink", UNKNOWN)
            is_text = generated and entry.path_type != "pyc_file" and self._holds_old(path, state, TEXT_LIMIT)
            self._add(path, How.TEXT if is_text else self._as_it_is(state, entry), state, entry)
        elif (source := bytecode_source(path)) is not None and (source in self.owned or source in self.of_pip):
            self._add(path, How.SHARE if self.kind != "clone" else How.OWN, state)
        else:
            self._look_at_users(path, state)

    def _look_at_pip(self, path: str, state: os.stat_result, entry: InstalledPath | None) -> None:
        how = self._as_it_is(state, None)
        if not path.endswith(".pyc") and self._holds_old(path, state, PROGRAM_LIMIT):
            data = self._read(path)
            how = How.TEXT
            if b"\0" in data:
                how = How.BINARY
                try:
                    moved_binary(data, self.change)
                except NoRoom:
                    self.found.stuck.append(path)
                    how = self._as_it_is(state, None)
        self._add(path, how, state, entry)

    def _look_at_users(self, path: str, state: os.stat_result) -> None:
        self.found.user_files.append(path)
        if not self.with_user_files:
            return
        how = self._as_it_is(state, None)
        if self._holds_old(path, state, USER_LIMIT) and b"\0" not in (data := self._read(path)):
            if is_kernel_file(path):
                how = How.TEXT
            elif moved_head(data, self.change) != data:
                how = How.HEAD
            if how is not How.TEXT and len(self.found.mentions) < SHOWN_MENTIONS:
                moved = moved_head(data, self.change)
                self.found.mentions += [path] * mentions(moved, self.change)
        self._add(path, how, state)

    def _look_at_own(self, path: str, state: os.stat_result) -> None:
        """A file of conda-meta; records are written anew in any case."""
        name = path[len(CONDA_META) :]
        if name.startswith(OWN_MARK) or name in self.records or name == "history":
            return
        if self.kind == "clone" and (name == "created_at" or (name == "frozen" and not self.keep_frozen)):
            return
        if stat.S_ISLNK(state.st_mode):
            self._add(path, How.LINK, state)
        elif not stat.S_ISREG(state.st_mode):
            self._add(path, How.SPECIAL, state)
        elif path.startswith(f"{KEPT}/"):
            self._look_at_pip(path, state, None)
        else:
            # What is appended to or written in place must not be the file of the source.
            self._add(path, How.OWN if "/" not in name else self._as_it_is(state, None), state)

    def _add_unless_users(self, path: str, how: How, state: os.stat_result) -> None:
        if path not in self.owned and path not in self.of_pip:
            self.found.user_files.append(path)
            if not self.with_user_files:
                return
        self._add(path, how, state, self.owned.get(path))

    def _add(self, path: str, how: How, state: os.stat_result, entry: InstalledPath | None = None) -> None:
        inode = (state.st_dev, state.st_ino)
        size = state.st_size
        self.found.items.append(Item(path, how, state.st_mode, size, state.st_nlink, inode, entry))

    def _as_it_is(self, state: os.stat_result, entry: InstalledPath | None) -> How:
        """Whether a file may be one and the same in both environments.

        Where the old one goes, always. A clone shares files of packages that nobody writes to, or that are shared with
        the package cache already: what is written in one environment never changes another.
        """
        if self.kind != "clone":
            return How.SHARE
        if entry is None or entry.no_link or self.always_copy:
            return How.OWN
        return How.SHARE if state.st_nlink > 1 or not state.st_mode & 0o222 else How.OWN

    def _holds_old(self, path: str, state: os.stat_result, limit: int) -> bool:
        if state.st_size > limit or not state.st_size:
            return False
        try:
            return mentions(self._read(path), self.change)
        except OSError:
            # Reading it will be tried again when it is its turn, and then it is an error.
            return False

    def _read(self, path: str) -> bytes:
        with open(self.root + path, "rb") as stream:
            return stream.read()

    # What follows from the whole

    def _add_kept_distributions(self) -> None:
        """The distributions of which generations keep the files: these change as those in place do."""
        try:
            outlines = read_outlines(self.environment.path)
        except BrokenGeneration:
            # It is carried as it is; going back to it is refused here as there.
            return
        kept = {one.key: one.metadata for outline in outlines for one in outline.distributions if one.key}
        for key, metadata in kept.items():
            directory = kept_directory(self.environment.path, key)
            if directory.is_dir() and not why_unsafe(metadata):
                [files] = files_of_distributions(directory, [PythonDistribution("", "", metadata)]).values()
                self.found.distributions.append(Distribution(metadata, files, f"{KEPT}/{key}/", key))

    def _drop_bytecode(self) -> None:
        """Leave out the bytecode of modules that change: its source gets another time."""
        changing = {
            item.path
            for item in self.found.items
            if item.how in (How.RENDER, How.TEXT, How.HEAD) and item.path.endswith(".py")
        }
        kept = []
        for item in self.found.items:
            is_cache = item.entry is None or item.entry.path_type == "pyc_file"
            source = bytecode_source(item.path) if is_cache and changing else None
            if source is not None and source in changing:
                self.found.dropped.append(item.path)
            else:
                kept.append(item)
        self.found.items = kept

    def _wanted(self, directories: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """The directories of the source that come along: all but those that held files of the user alone."""
        if self.with_user_files:
            return directories
        paths = [item.path for item in self.found.items]
        paths += [f"{path}/" for path, entry in self.owned.items() if entry.path_type == "directory"]
        wanted = _parents([*paths, CONDA_META])
        return [(path, mode) for path, mode in directories if path in wanted]


def _parents(paths: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for path in paths:
        folder = path.rpartition("/")[0]
        while folder and folder not in found:
            found.add(folder)
            folder = folder.rpartition("/")[0]
    return found


def is_kernel_file(path: str) -> bool:
    """Whether a file is how Jupyter starts a kernel: programs write it, with the path of the environment in it."""
    return path.startswith("share/jupyter/kernels/") and path.endswith("/kernel.json")


def _owned(records: Sequence[PrefixRecord]) -> dict[str, InstalledPath]:
    """The recorded paths; where packages share one, that with a placeholder counts."""
    found: dict[str, InstalledPath] = {}
    for record in records:
        for path, entry in recorded_paths(record).items():
            known = found.get(path)
            if known is None or (entry.prefix_placeholder and not known.prefix_placeholder):
                found[path] = entry
    return found


def _changed_lists(environment: Prefix, owned: Mapping[str, InstalledPath]) -> set[str]:
    """The RECORDs of packages' metadata that pip wrote over."""
    changed = set()
    for path, entry in owned.items():
        if path.endswith(".dist-info/RECORD") and (expected := expected_hash(entry)) is not None:
            try:
                data = (environment.path / path).read_bytes()
            except OSError:
                continue
            if hashlib.sha256(data).hexdigest() != expected:
                changed.add(path)
    return changed


# -- the tree ---------------------------------------------------------------------------------------------------------


def list_tree(
    prefix: Path, *, is_base: bool = False
) -> tuple[list[tuple[str, os.stat_result]], list[tuple[str, int]], list[str]]:
    """Every file and link below an environment; its directories with their modes; what is no part of it.

    No part of it are other environments and package caches below it, and what belongs to the root prefix.
    """
    files: list[tuple[str, os.stat_result]] = []
    directories: list[tuple[str, int]] = []
    left_out: list[str] = []
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        inner = []
        with os.scandir(os.path.join(prefix, folder) if folder else prefix) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                path = f"{folder}/{entry.name}" if folder else entry.name
                state = entry.stat(follow_symlinks=False)
                if is_base and not folder and entry.name in OF_THE_ROOT:
                    left_out.append(path)
                elif not stat.S_ISDIR(state.st_mode):
                    files.append((path, state))
                elif is_elsewhere(os.path.join(prefix, path)):
                    left_out.append(path)
                elif not (folder == "conda-meta" and entry.name.startswith(OWN_MARK)):
                    directories.append((path, stat.S_IMODE(state.st_mode)))
                    inner.append(path)
        waiting += reversed(inner)
    return files, directories, left_out


def is_elsewhere(directory: str) -> bool:
    """Whether a directory below an environment is an environment or a package cache of its own."""
    if os.path.lexists(os.path.join(directory, "conda-meta", "history")):
        return True
    return os.path.basename(directory) == "pkgs" and os.path.lexists(os.path.join(directory, CACHE_FILE))  # noqa: PTH119


def signature(files: Collection[tuple[str, os.stat_result]]) -> str:
    """A hash of what files there are, how long they are and when they were written.

    Left out is what running a program leaves behind (bytecode), and what kaa keeps in conda-meta for the moment.
    """
    digest = hashlib.sha256()
    for path, state in sorted(files, key=lambda one: one[0]):
        if not (path.startswith(CONDA_META + OWN_MARK) or path.endswith(".pyc")):
            text = f"{path}\0{state.st_mode}\0{state.st_size}\0{state.st_mtime_ns}\n"
            digest.update(text.encode(errors="surrogateescape"))
    return digest.hexdigest()
