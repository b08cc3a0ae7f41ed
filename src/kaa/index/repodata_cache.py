"""What is on this disk of the repodata of channels: documents as they were served, what we know of them, their indexes.

One entry per subdir, under a name made from its (credential-free) address, and one more for its shards:

    <entry>.state              where the document came from, its ETag, when it was last checked, formats not offered
    <entry>-<content>.body     the document as it was served
    <entry>-<content>.index    see `subdir_index`;  .columns beside it, see `kept_columns`. Of shards: see `shard_table`
    <entry>.shards/<sha256>    the records of one shard, see `shard_file`
    <entry>.columns            the columns made from shards

`<content>` stands for the content of the document, so that files of one state never meet files of another. Every file
is written under a temporary name and renamed; the state comes last. A state that cannot be read counts as none.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.events import Note, Reporter
from kaa.host.files import write_atomic
from kaa.host.hashing import hash_file
from kaa.host.locks import LockHolder, file_lock
from kaa.host.room import FULL, room_left
from kaa.index.subdir_index import FORMAT

ALTERNATIVE_SECONDS = 7 * 24 * 3600.0
"""How long it is remembered that a channel does not offer a format."""


class CacheNotWritable(KaaError):
    """The index of a channel cannot be stored."""

    conda_name = "NoWritablePkgsDirError"

    def __init__(self, directory: Path, reason: str) -> None:
        self.directory = str(directory)
        self.reason = reason
        super().__init__(
            f"the channel cache {directory} cannot be written: {reason}",
            hints=(
                "free some space, or make the directory writable",
                "set pkgs_dirs (or CONDA_PKGS_DIRS) to a directory of your own",
            ),
        )


class CacheDiskFull(CacheNotWritable):
    """The index of a channel cannot be stored, because the disk is full."""

    conda_name = "NoSpaceLeftError"

    def __init__(self, directory: Path, reason: str) -> None:
        super().__init__(directory, f"{reason} ({room_left(directory)})")
        self.hints = (
            "remove cached packages that nothing uses with `kaa clean --all`",
            "set pkgs_dirs (or CONDA_PKGS_DIRS) to a directory on a larger disk",
        )


def cannot_store(directory: Path, error: OSError) -> CacheNotWritable:
    """The error for an index that cannot be stored."""
    kind = CacheDiskFull if error.errno in FULL else CacheNotWritable
    return kind(directory, error.strerror or str(error))


class CacheState(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of the repodata at one address; times are in seconds since the epoch."""

    url: str
    document_url: str = ""
    """The address that the document came from, in the format that was offered."""
    content: str = ""
    """sha256 of the document as served; empty when there is none at that address."""
    size: int = 0
    etag: str | None = None
    last_modified: str | None = None
    cache_control: str | None = None
    checked: float = 0.0
    status: int = 200
    """What the server last said for an address without a document."""
    not_offered: dict[str, float] = {}
    """Formats that were asked for in vain, and when."""

    @property
    def is_missing(self) -> bool:
        """Whether the channel said that it has no such subdir."""
        return not self.content


_state_decoder = msgspec.json.Decoder(CacheState)


class CacheEntry:
    """The files of one subdir in the cache; those of a `variant` of its repodata are apart."""

    def __init__(self, directory: Path, url: str, variant: str = "") -> None:
        self.directory = directory
        self.url = url
        self.name = hashlib.sha256(f"{url}\n{variant}".encode() if variant else url.encode()).hexdigest()[:16]
        self.state_path = directory / f"{self.name}.state"

    def index_key(self, content: str) -> bytes:
        """The key of the index of a document: its content, its address, the format, and the order of bytes here."""
        return hashlib.sha256(f"{FORMAT}\n{sys.byteorder}\n{self.url}\n{content}".encode()).digest()

    def body_path(self, content: str) -> Path:
        return self.directory / f"{self.name}-{content[:16]}.body"

    def index_path(self, content: str) -> Path:
        return self.directory / f"{self.name}-{content[:16]}.index"

    def columns_path(self, content: str) -> Path:
        return self.directory / f"{self.name}-{content[:16]}.columns"

    def read_state(self) -> CacheState | None:
        """The state, when there is a readable one for this address."""
        try:
            state = _state_decoder.decode(self.state_path.read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        return state if state.url == self.url else None

    def write_state(self, state: CacheState) -> None:
        write_atomic(self.state_path, msgspec.json.encode(state))

    def has_body(self, state: CacheState) -> bool:
        """Whether the document of a state is there, in full length."""
        try:
            return not state.is_missing and self.body_path(state.content).stat().st_size == state.size
        except OSError:
            return False

    def is_body_sound(self, state: CacheState) -> bool:
        """Whether the document of a state is there, byte for byte."""
        if not self.has_body(state):
            return False
        return hash_file(self.body_path(state.content)) == state.content

    def remove_others(self, content: str) -> None:
        """Remove the files of earlier documents and of writers that were killed; only for who holds the lock."""
        kept = f"{self.name}-{content[:16]}."
        for path in self.directory.glob(f"*{self.name}[-.]*"):
            if path.name.startswith((f"{self.name}-", f".{self.name}")) and not path.name.startswith(kept):
                with contextlib.suppress(OSError):
                    path.unlink()

    @contextlib.contextmanager
    def lock(self, reporter: Reporter) -> Iterator[None]:
        """Be the only one to renew this entry."""

        def tell(holder: LockHolder | None) -> None:
            reporter(Note(f"waiting for the index of {self.url}, which {holder or 'another process'} is renewing"))

        try:
            self.directory.mkdir(mode=0o775, parents=True, exist_ok=True)
            lock = self.directory / f"{self.name}.lock"
            with file_lock(lock, waiting=tell, fallback=lambda text: reporter(Note(text))):
                yield
        except OSError as error:
            raise cannot_store(self.directory, error) from error
