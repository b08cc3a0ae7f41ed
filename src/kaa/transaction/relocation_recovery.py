"""The last steps of a rename, move or clone, and taking one back: by whoever began it, or by the next command.

What is to be done follows from what is there alone:

- The new environment does not have its name yet: it is removed, and the old one is as it was.
- It has: it is whole and on the disk, and what is left of the old one goes. An old one that something changed meanwhile
  stays, and that is told.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from kaa.events import Note, Reporter, Warned, silent
from kaa.host.locks import LockHolder, LockTimeout, file_lock
from kaa.host.syncing import sync_path
from kaa.prefix.interruption import LOCK
from kaa.transaction.journal import Outcome
from kaa.transaction.relocation_marker import (
    TEMPORARY,
    Marker,
    aside_of,
    is_bare,
    is_ours,
    read_marker,
    remove_environment,
    remove_marker,
    replaced_of,
    staging_of,
)
from kaa.transaction.relocation_survey import list_tree, signature

Registrar: TypeAlias = Callable[[Path | None, Path | None], None]
"""Told of the path that is no environment any more, and of the one that is."""
Checkpoint: TypeAlias = Callable[[str], None]


def nothing(step: str) -> None:
    """The checkpoint at which nothing happens."""


def unregistered(old: Path | None, new: Path | None) -> None:
    """The registrar of environments that are registered nowhere."""


def recover_relocation(
    prefix: Path,
    reporter: Reporter = silent,
    registrar: Registrar = unregistered,
    *,
    timeout: float = 600.0,
) -> Outcome:
    """Finish or take back a rename, move or clone that was stopped, from or to a path, and say which.

    Locks both environments itself: the caller holds none of them. One that is under way is waited for.
    """
    outcome: Outcome = "nothing"
    while outcome == "nothing" and (marker := _find_marker(prefix)) is not None:
        source, target = Path(marker.source), Path(marker.target)
        with _locked(marker, reporter, timeout):
            found = _find_marker(prefix)
            # Whoever was at work may have ended well, and another one be under way, with other locks.
            if found is not None and found.id == marker.id:
                if _has(target, found):
                    finish(found, reporter, registrar)
                    outcome = "finished"
                else:
                    take_back(found)
                    outcome = "taken back"
        # To wait for a lock takes a directory for it, and that had got its other name meanwhile.
        if (source / "conda-meta").is_dir():
            remove_bare(source)
        clear_leftovers(target)
    clear_leftovers(prefix)
    return outcome


def clear_leftovers(prefix: Path) -> None:
    """Remove what a relocation leaves that is stopped before its first marker is written, or after its last is gone."""
    for directory in (staging_of(prefix), aside_of(prefix), replaced_of(prefix)):
        remove_bare(directory)
    if os.path.lexists(prefix / TEMPORARY):
        with contextlib.suppress(LockTimeout, OSError), file_lock(prefix / LOCK, timeout=0):
            (prefix / TEMPORARY).unlink(missing_ok=True)


def remove_bare(directory: Path) -> None:
    """Remove a directory of a relocation in which there is nothing, unless somebody is just about to fill it."""
    if is_bare(directory):
        # Who is has its lock.
        with contextlib.suppress(LockTimeout, OSError), file_lock(directory / LOCK, timeout=0):
            if is_bare(directory):
                remove_environment(directory)


def _find_marker(prefix: Path) -> Marker | None:
    """The relocation that a path takes part in, as the old environment or as the new one."""
    found = read_marker(prefix)
    if found is None:
        return read_marker(staging_of(prefix)) or read_marker(aside_of(prefix))
    if not any(_same(prefix, Path(path)) for path in (found.source, found.target)):
        # A directory that somebody moved or copied by hand: the marker says nothing of what is here.
        remove_marker(prefix)
        return None
    return found


def _same(path: Path, other: Path) -> bool:
    with contextlib.suppress(OSError):
        return path == other or path.samefile(other)
    return False


def _has(directory: Path, marker: Marker) -> bool:
    found = read_marker(directory)
    return found is not None and found.id == marker.id


@contextlib.contextmanager
def _locked(marker: Marker, reporter: Reporter, timeout: float) -> Iterator[None]:
    """Hold the locks of both environments, in the order in which a relocation takes them."""
    source, target = Path(marker.source), Path(marker.target)

    def find_places() -> list[Path]:
        places = [place for place in (source, target, staging_of(target)) if _has(place, marker)]
        return [place for place in places if (place / "conda-meta").is_dir()]

    def tell(holder: LockHolder | None) -> None:
        reporter(Note(f"waiting for {source} and {target}: {holder or 'another process'} is at work there"))

    while True:
        with contextlib.ExitStack() as stack:
            places = find_places()
            for place in places:
                stack.enter_context(file_lock(place / LOCK, timeout=timeout, waiting=tell))
            if set(find_places()) <= set(places):
                yield
                return
        # While a lock was waited for, the directory that it was in got its other name.


def take_back(marker: Marker, *, has_staging: bool = True) -> None:
    """Remove the new environment, which has not got its name yet; the old one is as it was.

    Without `has_staging` it was not begun: what is at its place is somebody else's.
    """
    target = Path(marker.target)
    if has_staging:
        if marker.replaces and replaced_of(target).is_dir():
            # Whoever waited for the lock of what was there may have made its directory again.
            remove_bare(target)
            if not os.path.lexists(target):
                replaced_of(target).rename(target)
        if is_ours(staging_of(target), marker):
            remove_environment(staging_of(target))
    for directory in reversed(marker.made):
        if Path(directory) in target.parents:
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
    if _has(Path(marker.source), marker):
        remove_marker(Path(marker.source))


def finish(
    marker: Marker,
    reporter: Reporter,
    registrar: Registrar,
    *,
    checkpoint: Checkpoint = nothing,
    compared: bool = False,
) -> None:
    """Let the old environment go, now that the new one has its name; `compared`: it was looked at just before."""
    source, target = Path(marker.source), Path(marker.target)
    gone = None
    if marker.kind != "clone" and _let_go(marker, reporter, checkpoint, compared=compared):
        gone = source
    if marker.replaces:
        checkpoint("remove the replaced environment")
        _remove(replaced_of(target), reporter)
    checkpoint("register")
    registrar(gone, target)
    if any(is_ours(path, marker) for path in (aside_of(source), replaced_of(target))):
        # The next command that is about this environment tries again.
        return
    checkpoint("unmark")
    remove_marker(target)


def _let_go(marker: Marker, reporter: Reporter, checkpoint: Checkpoint, *, compared: bool) -> bool:
    """Take the old environment's name, and remove it; False where it stays, because it is not what it was."""
    source, aside = Path(marker.source), aside_of(Path(marker.source))
    if _has(source, marker):
        if not compared and signature(list_tree(source)[0]) != marker.signature:
            reporter(Warned(f"{source} changed after {marker.target} was made of it, and stays: remove one of them"))
            remove_marker(source)
            return False
        checkpoint("take the old name")
        source.rename(aside)
        sync_path(source.parent)
    if is_ours(aside, marker):
        checkpoint("remove the old environment")
        _remove(aside, reporter)
    return True


def _remove(directory: Path, reporter: Reporter) -> None:
    try:
        remove_environment(directory)
    except OSError as error:
        reporter(Warned(f"{directory} is left over, and removed later: {error.strerror or error}"))
