"""What stands in an environment before it is changed, asked of the disk once per directory."""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH112, PTH114, PTH118
from __future__ import annotations

import os
import stat
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from kaa.transaction.actions import UnsafePath


class DiskView:
    """The directories of an environment as they are now; paths are posix and below the prefix.

    `owned` are the paths that packages brought or will bring: a symbolic link among them must not lead out of the
    environment where something is to be written through it. Links that the user made may lead anywhere.
    `vanishing` are the paths that will have gone when new files come.
    """

    def __init__(
        self, prefix: Path, key: Callable[[str], str], owned: Collection[str], vanishing: Collection[str]
    ) -> None:
        self.prefix = prefix
        self._root = f"{prefix}{os.sep}"
        self._real = os.path.realpath(prefix)
        self._key = key
        self._owned = owned
        self._vanishing = vanishing
        self._exists: dict[str, bool] = {"": prefix.is_dir()}
        self._entries: dict[str, Mapping[str, tuple[str, bool]]] = {}
        self._outside: tuple[str, ...] = ()
        """Links that lead out of the environment, with a slash behind them."""

    def directory_exists(self, path: str) -> bool:
        """Whether `path` is a directory that stays; raises UnsafePath where a link of a package leads outside."""
        known = self._exists.get(path)
        if known is None:
            known = self._exists[path] = self._look(path)
        return known

    def _look(self, path: str) -> bool:
        if not self.directory_exists(path.rpartition("/")[0]):
            return False
        try:
            mode = os.lstat(self._root + path).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return False
        if stat.S_ISDIR(mode):
            return True
        if not stat.S_ISLNK(mode) or path in self._vanishing:
            return False
        real = os.path.realpath(self._root + path)
        if not (real + os.sep).startswith(self._real.rstrip(os.sep) + os.sep):
            if path in self._owned:
                raise UnsafePath(path, path, f"is a link to {real}, out of the environment")
            self._outside += (f"{path}/",)
        return os.path.isdir(self._root + path)

    def leads_out(self, path: str) -> bool:
        """Whether a path below the environment's own directory lies elsewhere, by way of a link of the user."""
        return bool(self._outside) and self.directory_exists(path.rpartition("/")[0]) and path.startswith(self._outside)

    def entries(self, directory: str) -> Mapping[str, tuple[str, bool]]:
        """Name as the target platform compares it → (name as it stands there, whether it is a real directory)."""
        known = self._entries.get(directory)
        if known is None:
            known = {}
            if self.directory_exists(directory):
                with os.scandir(self._root + directory) as found:
                    known = {self._key(one.name): (one.name, one.is_dir(follow_symlinks=False)) for one in found}
            self._entries[directory] = known
        return known

    def find(self, path: str) -> tuple[str, bool] | None:
        """What stands at `path`: the path in its spelling on disk, and whether it is a real directory."""
        directory, slash, name = path.rpartition("/")
        entry = self.entries(directory).get(self._key(name))
        return None if entry is None else (directory + slash + entry[0], entry[1])

    def emptied(self, path: str) -> list[str] | None:
        """The directories at and below `path`, inner ones first, when they hold nothing that stays; else None."""
        found: list[str] = []
        for folder, folders, files in os.walk(self._root + path, topdown=False):
            relative = folder[len(self._root) :].replace(os.sep, "/")
            links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
            if any(f"{relative}/{name}" not in self._vanishing for name in (*files, *links)):
                return None
            found.append(relative)
        return found
