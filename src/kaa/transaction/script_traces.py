"""What link scripts do to an environment, found by looking before and after, and undone.

A script may do anything, so everything is looked at. Before the first script of a transaction, what is there and was
not made by the transaction itself is linked into the staging directory; files that only the environment has, and that
could be written to in place, are copied. `scripts/<number>.json` holds what stood there before a script,
`scripts/<number>.after.json` what stood there after it; where the latter is missing, the script was interrupted.
"""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH101, PTH102, PTH103, PTH105, PTH106, PTH108, PTH112, PTH114, PTH115, PTH120, PTH123, PTH211
from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeAlias

from kaa.host.files import copy_file, reflink
from kaa.prefix.interruption import JOURNAL, LOCK, STAGING
from kaa.transaction.actions import is_below

BEFORE = f"{STAGING}/before"
"""Links to what was there before the first script, by path."""
SCRIPTS = f"{STAGING}/scripts"

COPIED_SIZE = 1 << 24
"""Larger files are linked although a script could write to them in place: nearly always they are packages' files."""

State: TypeAlias = tuple[int, int, int, int, int]
"""Mode, size, modification, change, inode; of directories the mode alone counts."""
Trace: TypeAlias = dict[str, State]


def look(prefix: Path) -> Trace:
    """Every path below an environment and its state, outer ones first; without what kaa keeps there for the moment."""
    found: Trace = {}
    root = f"{prefix}/"
    folders = [""]
    while folders:
        folder = folders.pop()
        with contextlib.suppress(FileNotFoundError, PermissionError), os.scandir(root + folder) as entries:
            for entry in entries:
                path = folder + entry.name
                if path in (STAGING, JOURNAL, LOCK):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    state = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(state.st_mode):
                        found[path] = (state.st_mode, 0, 0, 0, 0)
                        folders.append(f"{path}/")
                    else:
                        times = state.st_mtime_ns, state.st_ctime_ns
                        found[path] = (state.st_mode, state.st_size, *times, state.st_ino)
    return found


def keep_before(prefix: Path, own: Collection[str]) -> None:
    """Link or copy everything that is there; `own` are the paths that the transaction made itself."""
    root, kept = f"{prefix}/", f"{prefix}/{BEFORE}/"
    os.mkdir(kept)
    known = {""}
    for path, (mode, *_) in look(prefix).items():
        if stat.S_ISDIR(mode) or path in own:
            continue
        folder = path.rpartition("/")[0]
        if folder not in known:
            os.makedirs(kept + folder, exist_ok=True)
            known.add(folder)
        # What has gone meanwhile was somebody else's to remove.
        with contextlib.suppress(FileNotFoundError):
            _keep(root + path, kept + path)


def _keep(path: str, kept: str) -> None:
    state = os.lstat(path)
    if stat.S_ISLNK(state.st_mode):
        os.symlink(os.readlink(path), kept)
        return
    if not stat.S_ISREG(state.st_mode):
        return
    if state.st_nlink > 1 or state.st_size > COPIED_SIZE:
        with contextlib.suppress(OSError):
            os.link(path, kept)
            return
    try:
        reflink(Path(path), Path(kept))
    except FileNotFoundError:
        raise
    except OSError:
        copy_file(Path(path), Path(kept))


def write_trace(prefix: Path, name: str, trace: Trace) -> None:
    """Write down what stands in an environment, whole or not at all."""
    target = f"{prefix}/{SCRIPTS}/{name}.json"
    with open(f"{target}.partial", "w", encoding="ascii") as stream:
        json.dump(trace, stream)
    os.replace(f"{target}.partial", target)


def read_trace(prefix: Path, name: str) -> Trace | None:
    """What was written down; None when it was not, or not whole."""
    try:
        with open(f"{prefix}/{SCRIPTS}/{name}.json", encoding="ascii") as stream:
            content = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return None
    found: Trace = {}
    for path, state in content.items() if isinstance(content, dict) else ():
        match state:
            case [int(mode), int(size), int(modified), int(changed), int(inode)] if is_below(path):
                found[path] = (mode, size, modified, changed, inode)
            case _:
                return None
    return found or None


def undo_script(prefix: Path, number: int) -> Iterator[str]:
    """Undo what script `number` did; gives what went wrong. Doing it again changes nothing."""
    before = read_trace(prefix, str(number))
    if before is None:
        # It is on the disk before the script runs.
        yield f"{SCRIPTS}/{number}.json: cannot be read"
        return
    after = read_trace(prefix, f"{number}.after") or look(prefix)
    made = [path for path, state in after.items() if not _same_kind(before.get(path), state)]
    for path in reversed(made):
        yield from _attempt(path, _remove, f"{prefix}/{path}")
    for path, state in before.items():
        if after.get(path) != state:
            yield from _attempt(path, _restore, prefix, path, state)


def _same_kind(before: State | None, after: State) -> bool:
    return before is not None and stat.S_IFMT(before[0]) == stat.S_IFMT(after[0])


def _remove(path: str) -> None:
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            os.rmdir(path)
        else:
            os.unlink(path)
    except OSError as error:
        # Somebody else put something there meanwhile; it stays.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST):
            raise


def _restore(prefix: Path, path: str, state: State) -> None:
    target, kept = f"{prefix}/{path}", f"{prefix}/{BEFORE}/{path}"
    mode = stat.S_IMODE(state[0])
    if stat.S_ISDIR(state[0]):
        os.makedirs(target, exist_ok=True)
        os.chmod(target, mode)
        return
    # What is not kept was made by the transaction, and goes with it; or it has been restored already.
    if os.path.lexists(kept):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.replace(kept, target)
    if stat.S_ISREG(state[0]):
        with contextlib.suppress(FileNotFoundError):
            if stat.S_IMODE(os.lstat(target).st_mode) != mode:
                os.chmod(target, mode)


def _attempt(path: str, undo_one: object, *arguments: object) -> Iterator[str]:
    assert callable(undo_one)
    try:
        undo_one(*arguments)
    except OSError as error:
        yield f"{path}: {error.strerror or error}"
