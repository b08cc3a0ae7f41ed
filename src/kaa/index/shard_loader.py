"""Fetches the shards that a search asks for, many at once, and ahead of it those that it is likely to ask for next.

A shard that arrives says what its newest records depend on. Those names are fetched too, while the solver looks at what
is there; so the time of a solve is not the sum of all round trips along the longest chain of dependencies.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from heapq import nlargest
from itertools import islice

import msgspec

from kaa.index.shard_source import ShardNotServed
from kaa.index.sharded_data import ShardedData
from kaa.index.subdir_data import ChannelSubdir
from kaa.models.repodata import Shard, make_decoders
from kaa.solver.candidates import split_dependency

AT_ONCE = 16
"""How many shards are fetched at the same time."""
_MOST_AHEAD = 1000
"""How many shards are fetched unasked in one run."""
_MOST_CHANGED = 200
"""How many shards that changed since an earlier run are fetched unasked."""
_IDLE_SECONDS = 2.0
"""How long a thread waits for more to do."""
_NEWEST = 8
"""How many records of a shard, the newest, are looked at for what will be wanted next."""


class ShardTraffic(msgspec.Struct):
    """What fetching came to."""

    fetched: int = 0
    """Shards that came."""
    ahead: int = 0
    """Those of them that nobody had asked for yet."""
    waits: int = 0
    """How often the search had to wait: the round trips that count."""


class _Job(msgspec.Struct, eq=False):
    data: ShardedData
    name: str
    started: bool = False
    done: bool = False
    error: Exception | None = None


class ShardLoader:
    """Fetches shards for the subdirs of one index; `ranks` are the places of their channels.

    Used by one thread; it runs others of its own while there is something to fetch.
    """

    def __init__(self, subdirs: Sequence[ChannelSubdir], ranks: Sequence[int], *, only_first_channel: bool) -> None:
        self.traffic = ShardTraffic()
        self._subdirs = list(zip(subdirs, ranks, strict=True))
        self._only_first_channel = only_first_channel
        self._turn = threading.Lock()
        self._more = threading.Condition(self._turn)
        self._finished = threading.Condition(self._turn)
        self._jobs: dict[tuple[int, str], _Job] = {}
        """Those that are not done."""
        self._urgent: deque[_Job] = deque()
        self._ahead: deque[_Job] = deque()
        self._seen_ahead: set[str] = set()
        self._closed = False
        self._keeping = 0
        """How many threads write what they fetched."""
        self._threads = 0
        self._idle = 0
        for data in self._sharded():
            data.get = self._get_from(data)

    def load(self, names: Iterable[str]) -> None:
        """Have the shards of all these names on this machine. Raises what `ShardedData.fetch` raises."""
        wanted = [pair for name in names for pair in self._lacking(name)]
        if wanted:
            self._fetch_all(wanted, self._changed())

    def load_everywhere(self, names: Collection[str], subdirs: Collection[ChannelSubdir] | None = None) -> None:
        """As `load`, from all channels, or from these subdirs."""
        chosen = [data for data in self._sharded() if subdirs is None or data in subdirs]
        wanted = [(data, name) for name in names for data in chosen if _can_be_fetched(data, name)]
        if wanted:
            self._fetch_all(wanted)

    def close(self) -> None:
        """Begin nothing more that nobody asked for, and write nothing more; what was asked for later is done."""
        with self._turn:
            self._closed = True
            self._ahead.clear()
            while self._keeping:
                self._finished.wait()

    def _get_from(self, data: ShardedData) -> Callable[[str], None]:
        return lambda name: self._fetch_all([(data, name)])

    def _sharded(self) -> Iterator[ShardedData]:
        return (data for data, _ in self._subdirs if isinstance(data, ShardedData))

    def _lacking(self, name: str) -> list[tuple[ShardedData, str]]:
        """Where the shard of a name has to come from."""
        found: list[tuple[ShardedData, str]] = []
        first: int | None = None
        for data, rank in self._subdirs:
            if first is not None and rank != first and self._only_first_channel:
                break
            if data.has(name):
                first = rank
                if isinstance(data, ShardedData) and _can_be_fetched(data, name):
                    found.append((data, name))
        return found

    def _changed(self) -> Collection[str]:
        """What earlier runs have looked at, and what has changed since; once in a run that has to wait anyway."""
        if self._seen_ahead:
            return ()
        return list(
            islice(dict.fromkeys(name for data in self._sharded() for name in data.changed_names()), _MOST_CHANGED)
        )

    def _fetch_all(self, wanted: Sequence[tuple[ShardedData, str]], ahead: Collection[str] = ()) -> None:
        """Fetch, and once more after the shard index was read anew, should it list what is not served."""
        refreshed: set[int] = set()
        while wanted:
            missing: list[tuple[ShardedData, str]] = []
            jobs = [self._demand(data, name) for data, name in wanted]
            self._foresee(ahead)
            for job in self._await(jobs):
                if job.error is None:
                    continue
                if not isinstance(job.error, ShardNotServed) or id(job.data) in refreshed:
                    raise job.error
                missing.append((job.data, job.name))
            for data in {id(data): data for data, _ in missing}.values():
                data.refresh()
                refreshed.add(id(data))
            wanted = [(data, name) for data, name in missing if data.has(name)]

    def _demand(self, data: ShardedData, name: str) -> _Job:
        with self._turn:
            self._closed = False
            key = (id(data), name)
            job = self._jobs.get(key)
            if job is None:
                job = self._jobs[key] = _Job(data, name)
            if not job.started:
                self._urgent.append(job)
                self._wake()
            return job

    def _await(self, jobs: Sequence[_Job]) -> Sequence[_Job]:
        self.traffic.waits += 1
        with self._turn:
            for job in jobs:
                while not job.done:
                    self._finished.wait()
        return jobs

    def _foresee(self, names: Collection[str]) -> None:
        """Fetch what is likely to be wanted, when nothing else is."""
        with self._turn:
            for name in names:
                if name in self._seen_ahead or not name or name.startswith("__"):
                    continue
                if self._closed or self.traffic.ahead >= _MOST_AHEAD:
                    return
                self._seen_ahead.add(name)
                for data, _ in self._lacking(name):
                    key = (id(data), name)
                    if key not in self._jobs:
                        self.traffic.ahead += 1
                        self._jobs[key] = job = _Job(data, name)
                        self._ahead.append(job)
                        self._wake()

    # Threads

    def _wake(self) -> None:
        if self._idle:
            self._more.notify()
        elif self._threads < AT_ONCE:
            if not self._threads:
                make_decoders(shards=True)
            self._threads += 1
            threading.Thread(target=self._work, name="kaa-shards", daemon=True).start()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            names: Collection[str] = ()
            try:
                fetched = job.data.fetch(job.name)
                if fetched is not None:
                    self._keep(job.data, *fetched)
                    names = names_ahead(fetched[1])
                    del fetched
            except Exception as error:  # Whoever waits for the shard raises it.
                job.error = error
            self._foresee(names)
            with self._turn:
                job.done = True
                self.traffic.fetched += job.error is None
                del self._jobs[id(job.data), job.name]
                self._finished.notify_all()

    def _keep(self, data: ShardedData, digest: bytes, shard: Shard) -> None:
        with self._turn:
            if self._closed:
                return
            self._keeping += 1
        try:
            data.keep(digest, shard)
        finally:
            with self._turn:
                self._keeping -= 1
                self._finished.notify_all()

    def _next(self) -> _Job | None:
        """The next thing to do; None when there is nothing for a while."""
        with self._turn:
            while True:
                for queue in (self._urgent, self._ahead):
                    while queue:
                        job = queue.popleft()
                        if not job.started:
                            job.started = True
                            return job
                self._idle += 1
                more = self._more.wait(_IDLE_SECONDS)
                self._idle -= 1
                if not more:
                    self._threads -= 1
                    return None


def _can_be_fetched(data: ShardedData, name: str) -> bool:
    return not data.offline and data.has(name) and data.lacks(name)


class _Dependencies(msgspec.Struct, frozen=True):
    """What of a record says which names are likely to be wanted next."""

    depends: tuple[str, ...] | None = ()
    timestamp: float | None = 0.0


_decoder = msgspec.msgpack.Decoder(_Dependencies)


def names_ahead(shard: Shard) -> list[str]:
    """The names that the newest records of a shard depend on."""
    found: list[_Dependencies] = []
    for section in shard.sections():
        for packed in section.records.values():
            # What cannot be read is for the reader of records to tell.
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                found.append(_decoder.decode(packed))
    newest = nlargest(_NEWEST, found, key=lambda record: record.timestamp or 0.0)
    return list(dict.fromkeys(split_dependency(text)[0] for record in newest for text in record.depends or ()))
