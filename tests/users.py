"""Doing things as other users of this machine, really: in a child that gives up root's rights."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as other users"
)


@dataclass(frozen=True)
class User:
    """A user by numbers: nobody needs to know the name."""

    uid: int
    groups: tuple[int, ...] = ()
    umask: int = 0o022

    def own(self, path: Path, mode: int | None = None) -> Path:
        """Make a path this user's (and its first group's)."""
        os.chown(path, self.uid, self.groups[0] if self.groups else self.uid)
        if mode is not None:
            path.chmod(mode)
        return path

    def directory(self, path: Path, mode: int = 0o755) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        return self.own(path, mode)

    def become(self) -> None:
        """From here on this process is the user's; there is no way back."""
        os.setgroups(list(self.groups))
        os.setgid(self.groups[0] if self.groups else self.uid)
        os.setuid(self.uid)
        os.umask(self.umask)

    def does(self, work: Callable[[], T]) -> T:
        """What `work` gives, or raises, when this user does it."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(reader)
                self.become()
                try:
                    answer: tuple[bool, object] = (True, work())
                except BaseException as error:
                    answer = (False, f"{type(error).__name__}: {error}")
                with os.fdopen(writer, "wb") as stream:
                    pickle.dump(answer, stream)
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            data = stream.read()
        os.waitpid(child, 0)
        good, value = pickle.loads(data)
        if not good:
            raise AssertionError(f"as user {self.uid}: {value}")
        return value  # type: ignore[no-any-return]


def let_others_in(folder: Path) -> None:
    """Let all users through to a temporary directory of pytest's, which are root's alone."""
    for directory in (folder, *folder.parents):
        mode = directory.stat().st_mode
        if mode & 0o005 != 0o005 and directory.owner() == "root":
            directory.chmod(mode | 0o055)


ALICE = User(20001)
BOB = User(20002)
CAROL = User(20003)
