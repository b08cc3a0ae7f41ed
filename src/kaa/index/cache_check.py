"""Which files of the index cache cannot be used any more: of an older format, cut short, or left by a writer that died.

Nothing depends on such files: they are fetched or made again. What other programs keep beside them is passed over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kaa.index import kept_columns, subdir_index
from kaa.index.repodata_cache import CacheState

LEFT_SECONDS = 24 * 3600.0
"""After so long a temporary file is no writer's any more."""
_HEADS = {
    ".index": subdir_index.MAGIC + subdir_index.FORMAT.to_bytes(4, "little"),
    ".columns": kept_columns.MAGIC + kept_columns.FORMAT.to_bytes(4, "little"),
}


class UnusableFile(msgspec.Struct, frozen=True):
    """A file that does nobody any good."""

    path: Path
    reason: str


def find_unusable(directory: Path) -> list[UnusableFile]:
    """The files of a cache of indexes that are of no use; raises OSError where the directory cannot be read."""
    if not directory.is_dir():
        return []
    found: list[UnusableFile] = []
    for path in sorted(directory.iterdir()):
        found += (UnusableFile(path, reason) for reason in _reasons(path))
    return found


def _reasons(path: Path) -> Iterator[str]:
    try:
        if path.name.startswith(".") and time.time() - path.lstat().st_mtime > LEFT_SECONDS:
            yield "a writer left it unfinished"
        elif path.suffix == ".state":
            yield from _why_no_state(path)
        elif path.suffix in _HEADS and not path.name.startswith("."):
            head = _HEADS[path.suffix]
            with path.open("rb") as stream:
                if stream.read(len(head)) != head:
                    yield "it has another format than this kaa's"
    except OSError as error:
        yield f"it cannot be read: {error.strerror or error}"


def _why_no_state(path: Path) -> Iterator[str]:
    try:
        state = msgspec.json.decode(path.read_bytes(), type=CacheState)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        yield "it says nothing that kaa understands"
        return
    if state.is_missing:
        return
    body = path.with_name(f"{path.stem}-{state.content[:16]}.body")
    size = body.stat().st_size if body.is_file() else None
    if size is not None and size != state.size:
        yield f"its document has {size} bytes instead of {state.size}"
