"""The shards of one channel subdir on a server (CEP 16): its shard index kept up to date, and single shards fetched.

The shard index is an entry of the repodata cache like any other document: conditional requests, Cache-Control, and an
absence that is remembered for a week. A shard is fetched once: it is called by its sha256, which is checked over the
bytes that the server sent, and what is kept of it is checked again whenever it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.events import Note, Reporter
from kaa.index.fetch import (
    NOT_THERE,
    SHARDS,
    ChannelUnreachable,
    IndexSettings,
    RepodataFetcher,
    is_fresh,
)
from kaa.index.kept_columns import KeptColumns
from kaa.index.repodata_cache import ALTERNATIVE_SECONDS, CacheEntry, CacheState, cannot_store
from kaa.index.shard_file import ShardFile
from kaa.index.shard_table import FORMAT, ShardTable, table_key
from kaa.index.subdir_index import DamagedIndex
from kaa.models.repodata import RepodataInvalid, Shard, shards_url
from kaa.net.client import BodyTooLarge, HttpClient, HttpStatusError
from kaa.net.transport import HostUnreachable, IncompleteBody

LARGEST_DOWNLOAD = 64 << 20
"""No shard may be larger than this as it is served."""
STALE_SECONDS = 30 * 24 * 3600.0
"""How long a shard stays here that the shard index lists no longer: offline runs may still use it."""
_REFUSED = NOT_THERE | {400, 405, 406, 501}
"""What servers say to a request for a shard index when they have never heard of one."""
_EXTENSION = ".msgpack.zst"


class ShardNotServed(KaaError):
    """The shard index lists a shard that the server does not have."""

    conda_name = "CondaHTTPError"

    def __init__(self, shown: str, name: str, url: str) -> None:
        self.package = name
        self.url = url
        super().__init__(
            f"{shown} lists records of {name} that its server does not have ({url})",
            hints=(
                "run the command again in a while: the channel may be in the middle of an update",
                "use --no-repodata-use-shards to read the whole repodata of the channel",
            ),
        )


class ShardInvalid(RepodataInvalid):
    """A shard is not what the shard index says; nothing of it was kept."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(
            source,
            reason,
            hints=(
                "run the command again in a while: the channel may be in the middle of an update",
                "use --no-repodata-use-shards to read the whole repodata of the channel",
                "check whether a proxy alters what it passes on",
            ),
        )


class OpenedShards(msgspec.Struct, frozen=True):
    """The shard index of a subdir, and the columns made from its shards."""

    table: ShardTable
    columns: KeptColumns
    source: ShardSource


class NotOffered(msgspec.Struct, frozen=True):
    """The subdir has no shards; `is_remembered` if the server was not asked about it just now."""

    is_remembered: bool = False


class ShardSource:
    """The shard index of one subdir, and its shards; `shown` names channel and subdir for people."""

    def __init__(
        self,
        directory: Path,
        url: str,
        subdir: str,
        shown: str,
        client: HttpClient,
        settings: IndexSettings,
        report: Reporter,
    ) -> None:
        self.url = url
        self.shown = shown
        self.offline = settings.offline
        self._subdir = subdir
        self._client = client
        self._settings = settings
        self._report = report
        self._entry = CacheEntry(directory, url, "shards")
        self._fetcher = RepodataFetcher(self._entry, client, settings, report, shown, (SHARDS,))
        self._folder = directory / f"{self._entry.name}.shards"
        self._folder_name = str(self._folder)

    # The shard index

    def read_state(self) -> CacheState | None:
        """What is known of the shard index."""
        return self._entry.read_state()

    def find_fresh(self) -> OpenedShards | NotOffered | None:
        """The answer, when it is on this machine and nobody need be asked."""
        state = self._entry.read_state()
        if state is None:
            return None
        if is_fresh(state, self._settings, time.time()):
            return NotOffered() if state.is_missing else self._find(state)
        return NotOffered(is_remembered=True) if _is_remembered(state) else None

    def find_opened(self) -> OpenedShards | None:
        """What is on this machine, however old."""
        state = self._entry.read_state()
        return None if state is None or state.is_missing else self._find(state)

    def open(self, *, remembered: bool = True) -> OpenedShards | NotOffered:
        """What the channel offers now, or may be taken to offer; slow.

        With `remembered` it is not asked again within a week of saying that there are no shards.
        """
        with self._entry.lock(self._report):
            state = self._entry.read_state()
            if state is None or not is_fresh(state, self._settings, time.time()):
                if remembered and state is not None and _is_remembered(state):
                    return NotOffered(is_remembered=True)
                state = self._renew(state)
            if state.is_missing:
                return NotOffered()
            return self._find(state) or self._build_again(state)

    def refresh(self, seen: ShardTable) -> OpenedShards | NotOffered:
        """The shard index after the one that was handed out proved to be out of date; asks the channel."""
        with self._entry.lock(self._report):
            found = self.find_opened()
            if found is not None and found.table.key != seen.key:
                return found
            state = self._renew(self._entry.read_state())
            if state.is_missing:
                return NotOffered()
            return self._find(state) or self._build_again(state)

    def _find(self, state: CacheState) -> OpenedShards | None:
        try:
            table = ShardTable(self._entry.index_path(state.content), self._key(state.content))
        except DamagedIndex:
            return None
        return OpenedShards(table, self._columns(), self)

    def _key(self, content: str) -> bytes:
        return hashlib.sha256(table_key(self.url, content).encode()).digest()

    def _columns(self) -> KeptColumns:
        key = hashlib.sha256(f"columns of shards {FORMAT}\n{self.url}".encode()).digest()
        return KeptColumns(self._entry.directory / f"{self._entry.name}.columns", key)

    def _renew(self, state: CacheState | None) -> CacheState:
        try:
            renewed = self._fetcher.renew(state, self._accept)
        except HttpStatusError as error:
            if error.status not in _REFUSED:
                raise
            renewed = CacheState(url=self.url, checked=time.time(), status=error.status)
        except (HostUnreachable, IncompleteBody) as error:
            cached = state is not None and self._entry.has_body(state)
            raise ChannelUnreachable(self.shown, error, cached=cached) from error
        self._entry.write_state(renewed)
        if not renewed.is_missing:
            self._entry.remove_others(renewed.content)
            if state is None or state.content != renewed.content:
                self._prune(renewed)
        return renewed

    def _build_again(self, state: CacheState) -> OpenedShards | NotOffered:
        """From the document in the cache; from the channel if that has suffered, too."""
        if self._entry.is_body_sound(state):
            self._accept(self._entry.body_path(state.content), state.document_url, state.content)
        elif self._settings.offline:
            reason = "what was fetched of it before is gone or damaged, and kaa works offline"
            raise RepodataInvalid(self.shown, reason, hints=("run the command once without --offline",))
        else:
            state = self._renew(None)
            if state.is_missing:
                return NotOffered()
        found = self._find(state)
        if found is None:
            reason = f"its shard index in {self._entry.directory} cannot be read back"
            raise RepodataInvalid(self.shown, reason, hints=("check the disk of that directory",))
        return found

    def _accept(self, document: Path, source: str, content: str) -> None:
        """Make the table of a shard index. Raises RepodataInvalid."""
        from kaa.index.shard_writer import read_shard_index, write_shard_table  # noqa: PLC0415

        index = read_shard_index(document, source, self.url, self._subdir)
        for remark in write_shard_table(self._entry.index_path(content), self._key(content), index):
            self._report(Note(f"{self.shown}: {remark}"))

    def _prune(self, state: CacheState) -> None:
        """Remove shards that are neither listed nor young, and columns of shards that others took the place of."""
        found = self._find(state)
        if found is None:
            return
        listed = {digest.hex() for digest in found.table.digests()}
        oldest = time.time() - STALE_SECONDS
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path.name not in listed and path.stat().st_mtime < oldest:
                    path.unlink()
        latest = {key.partition("/")[0]: key for key in found.columns.names()}
        kept = {key for key in found.columns.names() if key.partition("/")[2] in listed}.union(latest.values())
        if 2 * len(kept) < len(found.columns.names()):
            found.columns.keep_only(kept)

    # Shards

    def has(self, digest: bytes) -> bool:
        """Whether a shard is on this machine."""
        return bool(digest) and os.access(self._path(digest), os.R_OK)

    def find_kept(self) -> dict[str, bytes]:
        """The latest shard of every name that is on this machine."""
        found: dict[str, bytes] = {}
        with contextlib.suppress(OSError):
            paths = [path for path in self._folder.iterdir() if not path.name.startswith(".")]
            for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
                with contextlib.suppress(DamagedIndex, ValueError), self.open_shard(bytes.fromhex(path.name)) as shard:
                    if shard.count:
                        found[shard.file_name(0).rsplit("-", 2)[0]] = bytes.fromhex(path.name)
        return found

    def open_shard(self, digest: bytes) -> ShardFile:
        """The records of a shard on this machine. Raises DamagedIndex."""
        return ShardFile(self._path(digest), digest)

    def fetch(self, table: ShardTable, name: str, digest: bytes) -> Shard:
        """Fetch the shard of a name. Threads may call this at once.

        Raises ShardNotServed, ShardInvalid, and what the client raises.
        """
        from kaa.index.shard_writer import unpack_shard  # noqa: PLC0415

        url = f"{shards_url(self.url, table.facts.shards_base_url)}/{digest.hex()}{_EXTENSION}"
        return unpack_shard(self._download(url, name, digest), url)

    def keep(self, digest: bytes, shard: Shard) -> None:
        """Keep a shard on this machine. Raises CacheNotWritable."""
        from kaa.index.shard_writer import write_shard_file  # noqa: PLC0415

        try:
            self._folder.mkdir(exist_ok=True)
            remarks = write_shard_file(Path(self._path(digest)), digest, shard)
        except OSError as error:
            raise cannot_store(self._folder, error) from error
        for remark in remarks:
            self._report(Note(f"{self.shown}: {remark}"))

    def _download(self, url: str, name: str, digest: bytes) -> bytes:
        """The bytes of a shard. What is not what its name says is asked for once more: a cache may have been stale."""
        headers = {"Accept-Encoding": "identity"}
        found = ""
        for _ in range(2):
            try:
                document = self._client.get(url, headers=headers, limit=LARGEST_DOWNLOAD)
            except HttpStatusError as error:
                if error.status in NOT_THERE:
                    raise ShardNotServed(self.shown, name, url) from error
                raise
            except BodyTooLarge as error:
                raise ShardInvalid(url, f"it is larger than {error.limit} bytes") from error
            except (HostUnreachable, IncompleteBody) as error:
                raise ChannelUnreachable(self.shown, error, cached=True) from error
            if document.status != 200:
                raise ShardInvalid(url, f"the server answered with status {document.status}, which nobody asked for")
            found = hashlib.sha256(document.content).hexdigest()
            if found == digest.hex():
                return document.content
            headers["Cache-Control"] = "no-cache"
        raise ShardInvalid(url, f"its sha256 is {found}, and the shard index says {digest.hex()}")

    def _path(self, digest: bytes) -> str:
        return f"{self._folder_name}{os.sep}{digest.hex()}"


def _is_remembered(state: CacheState) -> bool:
    """Whether a server said within the last week that it has no shards."""
    return state.is_missing and 0 <= time.time() - state.checked < ALTERNATIVE_SECONDS
