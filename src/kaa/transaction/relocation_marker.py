"""What is under way when an environment gets another path: `conda-meta/.kaa-relocation`, and the places beside it.

    .NAME.kaa-new        beside the target: the new environment while it is made
    .NAME.kaa-old        beside the source: the old one when the new one is in its place, while it is removed
    .NAME.kaa-replaced   beside the target: the environment there whose place the new one takes

The marker is in the new environment from its first moment, and in the old one of a rename or a move. It is synced
before anything else is done, and removed last.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.host.files import read_regular_file, remove_tree
from kaa.host.syncing import sync_descriptor, sync_path
from kaa.prefix.interruption import LOCK
from kaa.prefix.interruption import RELOCATION as MARKER
from kaa.transaction.relocation_plan import Kind

TEMPORARY = MARKER + ".new"


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """One relocation, as both of its environments know it."""

    id: str
    kind: Kind
    source: str
    target: str
    complete: bool = False
    """Whether the new environment is whole, and on the disk."""
    signature: str = ""
    """What the files of the source were."""
    replaces: bool = False
    made: tuple[str, ...] = ()
    """Directories above the target that exist only since then, outermost first."""
    version: int = 1


class MarkerDamaged(KaaError):
    """A marker says something that kaa does not write."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, path: Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(
            f"{path}, the note of an unfinished rename or clone, cannot be what kaa wrote: {reason}",
            hints=(
                "compare the environments that took part with `kaa verify`",
                "remove that file once it is clear which of them is to stay",
            ),
        )


def staging_of(target: Path) -> Path:
    """Where the environment is made that is to be at `target`."""
    return target.with_name(f".{target.name[:200]}.kaa-new")


def aside_of(source: Path) -> Path:
    """Where the old environment is while it is removed."""
    return source.with_name(f".{source.name[:200]}.kaa-old")


def replaced_of(target: Path) -> Path:
    """Where the environment is that was at `target`, while it is replaced."""
    return target.with_name(f".{target.name[:200]}.kaa-replaced")


def read_marker(directory: Path) -> Marker | None:
    """The marker in an environment; None where there is none. Raises MarkerDamaged."""
    path = directory / MARKER
    try:
        return msgspec.json.decode(read_regular_file(path), type=Marker)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MarkerDamaged(path, str(error)) from error


def write_marker(directory: Path, marker: Marker) -> None:
    """Put a marker into an environment, at once or not at all, and onto the disk."""
    temporary = directory / TEMPORARY
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o644)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(msgspec.json.encode(marker))
            stream.flush()
            sync_descriptor(stream.fileno())
        temporary.replace(directory / MARKER)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_path(directory / "conda-meta")


def remove_marker(directory: Path) -> None:
    """Take the marker out of an environment; a missing one is fine."""
    (directory / TEMPORARY).unlink(missing_ok=True)
    (directory / MARKER).unlink(missing_ok=True)


def remove_environment(directory: Path) -> None:
    """Remove a directory of a relocation, its marker last: whatever stops this, it is known what the rest is."""
    if not directory.is_dir() or directory.is_symlink():
        return
    # Without it nobody takes the directory for an environment any more.
    with contextlib.suppress(NotADirectoryError):
        (directory / "conda-meta/history").unlink(missing_ok=True)
    for child in sorted(directory.iterdir()):
        if child.name != "conda-meta":
            remove_tree(child)
    meta = directory / "conda-meta"
    if meta.is_dir() and not meta.is_symlink():
        for child in sorted(meta.iterdir()):
            if child != directory / MARKER:
                remove_tree(child)
    remove_marker(directory)
    remove_tree(directory)


def is_ours(directory: Path, marker: Marker) -> bool:
    """Whether a directory with one of the names above belongs to a relocation: it says so, or holds nothing."""
    found = read_marker(directory)
    return found.id == marker.id if found is not None else is_bare(directory)


def belongs_to_relocation(directory: Path) -> bool:
    """Whether a directory with one of the names above is one of a relocation: it says so, is bare, or has just gone."""
    return read_marker(directory) is not None or is_bare(directory) or not os.path.lexists(directory)


def is_bare(directory: Path) -> bool:
    """Whether a directory holds nothing but what the first or the last moment of a relocation leaves."""
    if directory.is_symlink() or not directory.is_dir():
        return False
    with contextlib.suppress(OSError):
        found = {path.relative_to(directory).as_posix() for path in directory.rglob("*")} - {"conda-meta"}
        # Locks, and what is on its way to be one.
        return MARKER not in found and all(
            path.startswith((LOCK, f"conda-meta/.{Path(LOCK).name}")) or path == TEMPORARY for path in found
        )
    return False
