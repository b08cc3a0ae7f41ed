"""Moving a whole environment aside: while another one takes its place, or to remove it.

    .NAME.kaa-aside               beside the environment: what was there before
    conda-meta/.kaa-set-aside     why, in the old environment, and in a new one until the old one has gone

The note is on the disk before the environment is moved, and goes last. What is to be done after a kill follows from
what is there alone:

- Removed: as soon as the environment has been moved aside it goes; before that, nothing has happened.
- Replaced: if the new environment is whole, the old one goes; if not, what is there of the new one goes, and the old
  one gets its place back.
- Where an environment cannot be moved (a mounted disk, a closed directory above it) it is removed where it is, once the
  note says so.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from kaa.errors import KaaError
from kaa.events import Reporter, Warned, silent
from kaa.host.files import remove_tree
from kaa.host.syncing import sync_descriptor, sync_path
from kaa.prefix.interruption import LOCK, SET_ASIDE, aside_of
from kaa.prefix.prefix import Prefix
from kaa.transaction.plan import EnvironmentChanged

Purpose: TypeAlias = Literal["replaced", "removed"]
CANNOT_MOVE = frozenset({errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS})


class Reason(msgspec.Struct, frozen=True):
    """Why an environment is moved aside."""

    id: str
    purpose: Purpose
    in_place: bool = False
    """Whether it is removed where it is."""
    is_new: bool = False
    """Whether this is in the environment that comes."""


class AsideInTheWay(KaaError):
    """An environment was moved aside earlier, and something else has its place now."""

    def __init__(self, prefix: Path, aside: Path, reason: str) -> None:
        self.prefix = str(prefix)
        self.aside = str(aside)
        self.reason = reason
        super().__init__(
            f"the environment that was at {prefix} lies in {aside}, and cannot be put back: {reason}",
            hints=(f"move away what is at {prefix}, and run `kaa recover --prefix {prefix}`",),
        )


class AsideDamaged(KaaError):
    """The note of a directory that was set aside cannot be what kaa wrote."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, path: Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(
            f"{path}, the note of an unfinished removal or replacement, cannot be what kaa wrote: {reason}",
            hints=(
                "see what is in that environment with `kaa verify`",
                "remove that file, and it is kept",
            ),
        )


def place_aside(prefix: Path) -> Path:
    """Where the environment of a path is while it is aside."""
    return Path(aside_of(str(prefix)))


def write_reason(directory: Path, reason: Reason) -> None:
    """Put the note into an environment, at once or not at all, and onto the disk."""
    temporary = directory / f"{SET_ASIDE}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o644)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode(reason))
            stream.flush()
            sync_descriptor(stream.fileno())
        temporary.replace(directory / SET_ASIDE)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_path(directory / "conda-meta")


def read_reason(directory: Path) -> Reason | None:
    """The note in an environment; None where there is none. Raises AsideDamaged."""
    path = directory / SET_ASIDE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Reason)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise AsideDamaged(path, str(error)) from error


def remove_reason(directory: Path) -> None:
    """Take the note out of an environment; a missing one is fine."""
    for name in (f"{SET_ASIDE}.new", SET_ASIDE):
        (directory / name).unlink(missing_ok=True)


def move_aside(prefix: Path, purpose: Purpose) -> Path:
    """Move an environment aside; the caller holds its lock. Gives where it is: `prefix` itself if it cannot be moved.

    Raises OSError, with nothing done, where an environment to be replaced cannot be moved, or the disk fails.
    """
    aside = place_aside(prefix)
    if os.path.lexists(aside):
        if read_reason(aside) is None and not _is_bare(aside):
            raise AsideInTheWay(prefix, aside, "that directory is in the way")
        # Begun by somebody else since this was planned; the next plan settles it first.
        raise EnvironmentChanged(prefix, ["what was there before is still being removed"])
    try:
        return _move(prefix, aside, Reason(os.urandom(16).hex(), purpose))
    except OSError:
        # What cannot be taken back now is settled by the next command.
        with contextlib.suppress(OSError):
            if not os.path.lexists(prefix):
                aside.rename(prefix)
            remove_reason(prefix)
        raise


def _move(prefix: Path, aside: Path, reason: Reason) -> Path:
    write_reason(prefix, reason)
    try:
        prefix.rename(aside)
    except OSError as error:
        if reason.purpose == "removed" and error.errno in CANNOT_MOVE:
            write_reason(prefix, msgspec.structs.replace(reason, in_place=True))
            return prefix
        raise
    sync_path(prefix.parent)
    return aside


def begin_in_place(prefix: Path) -> None:
    """Make the directory of the environment that comes, and note in it what it takes the place of."""
    reason = read_reason(place_aside(prefix))
    if reason is not None:
        (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
        write_reason(prefix, msgspec.structs.replace(reason, is_new=True))


def remove_left_over(directory: Path, reporter: Reporter) -> None:
    """Remove an environment that has no place any more; what does not go is told, and left to the next command."""
    try:
        with contextlib.suppress(OSError):
            remove_environment(directory)
            return
        # What failed once may go the second time.
        remove_environment(directory)
    except OSError as error:
        where = error.filename or directory
        reporter(Warned(f"{directory} is left over, until the next command: {where}: {error.strerror or error}"))


def remove_environment(directory: Path) -> None:
    """Remove an environment, its note last: whatever stops this, it is known what the rest is."""
    if directory.is_symlink() or not directory.is_dir():
        return
    meta = directory / "conda-meta"
    children = [child for child in directory.iterdir() if child != meta]
    if meta.is_dir() and not meta.is_symlink():
        # Nor the lock: who waits for it would take another one, and work on what is going.
        children += [child for child in meta.iterdir() if child != directory / SET_ASIDE and not _is_lock(child)]
    for child in sorted(children, key=lambda child: child.parent == meta):
        remove_tree(child)
    remove_reason(directory)
    remove_tree(meta)
    try:
        directory.rmdir()
    except OSError as error:
        # The directory itself stays where the one above it is closed, or a disk is mounted on it.
        if error.errno not in CANNOT_MOVE:
            raise


def settle_aside(prefix: Path, reporter: Reporter = silent) -> Literal["nothing", "finished", "taken back"]:
    """Finish or take back what was begun with an environment, and say which; the caller holds the locks.

    A change of the environment at `prefix` itself has been recovered before.
    """
    aside = place_aside(prefix)
    reason, own = read_reason(aside), read_reason(prefix)
    if reason is None:
        if _is_bare(aside):
            remove_environment(aside)
        if own is None:
            # A note that was not written to its end.
            remove_reason(prefix)
            return "nothing"
        if own.purpose == "removed" and own.in_place:
            remove_environment(prefix)
            return "finished"
        # It was not moved yet, or what was moved has gone already.
        remove_reason(prefix)
        return "finished" if own.is_new else "taken back"
    if reason.purpose == "removed" or (own is not None and own.id == reason.id and Prefix(prefix).is_environment()):
        remove_left_over(aside, reporter)
        # It says to whom the rest belongs, as long as there is one.
        if own is not None and not os.path.lexists(aside):
            remove_reason(prefix)
        return "finished"
    _put_back(prefix, aside)
    return "taken back"


def _put_back(prefix: Path, aside: Path) -> None:
    clear_away(prefix, [prefix / "conda-meta", prefix])
    if os.path.lexists(prefix):
        raise AsideInTheWay(prefix, aside, "something else is there now")
    aside.rename(prefix)
    sync_path(prefix.parent)
    remove_reason(prefix)


def check_there(prefix: Path) -> None:
    """Raise EnvironmentChanged for an environment that went while its lock was waited for; the caller holds that one.

    A lock needs a directory to be in: what was made for it goes as well.
    """
    if Prefix(prefix).is_environment():
        return
    if _is_bare(prefix):
        clear_away(prefix, [prefix / "conda-meta", prefix])
    raise EnvironmentChanged(prefix, ["it is gone"])


def clear_away(prefix: Path, made: Sequence[Path]) -> None:
    """Remove what is left of an environment that did not come to be: kaa's own files, and `made` inner ones first.

    Directories stay that hold anything else.
    """
    remove_reason(prefix)
    with contextlib.suppress(OSError):
        for child in (prefix / "conda-meta").iterdir():
            if child.name.startswith(Path(LOCK).name):
                child.unlink()
    for directory in made:
        with contextlib.suppress(OSError):
            directory.rmdir()


def _is_bare(directory: Path) -> bool:
    """Whether a directory holds nothing but what the last moment of a removal leaves."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    # Somebody may remove it at this moment: what is not there any more is passed over.
    found = [Path(folder, name) for folder, folders, files in os.walk(directory) for name in (*folders, *files)]
    return all(path == directory / "conda-meta" or _is_lock(path) for path in found)


def _is_lock(path: Path) -> bool:
    return path.parent.name == "conda-meta" and path.name.startswith(Path(LOCK).name)
