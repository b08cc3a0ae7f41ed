"""What the tests of the index share: a client that does not wait, a place for events, and ways to open a channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kaa.events import Event, Note, Warned
from kaa.index.fetch import IndexSettings
from kaa.index.index import Index, open_index
from kaa.index.relations import RelatedChannels
from kaa.models.channel import ChannelConfig
from kaa.net.auth import Credentials
from kaa.net.client import HttpClient
from kaa.net.settings import HttpSettings

SUBDIRS = ("linux-64", "noarch")


@dataclass
class Reader:
    """Opens channels with one cache directory, and keeps the events."""

    cache: Path
    use_shards: bool = True
    timeout: float = 5
    events: list[Event] = field(default_factory=list)

    @contextmanager
    def open(
        self,
        *channels: str,
        subdirs: Sequence[str] = SUBDIRS,
        ttl: int = 0,
        offline: bool = False,
        use_zst: bool = True,
        only_first_channel: bool = False,
        related_channels: RelatedChannels | None = None,
    ) -> Iterator[Index]:
        self.events.clear()
        credentials = Credentials()
        resolved = [one for text in channels for one in ChannelConfig().resolve(text, "/")]
        for one in resolved:
            if one.credential is not None:
                credentials.add(one.base_url, one.credential)
        settings = HttpSettings(
            max_retries=1,
            backoff_factor=0,
            max_retry_after=0.01,
            offline=offline,
            connect_timeout=self.timeout,
            read_timeout=self.timeout,
        )
        with (
            HttpClient(settings, credentials, self.events.append, environ={}) as client,
            open_index(
                resolved,
                subdirs,
                cache_directory=self.cache,
                client=client,
                reporter=self.events.append,
                settings=IndexSettings(
                    offline=offline,
                    use_zst=use_zst,
                    use_shards=self.use_shards,
                    only_first_channel=only_first_channel,
                    local_repodata_ttl=ttl,
                ),
                related_channels=related_channels,
            ) as index,
        ):
            yield index

    def dists(self, *channels: str, **options: Any) -> list[str]:
        """All dists of the channels, sorted."""
        with self.open(*channels, **options) as index:
            return all_dists(index)

    @property
    def remarks(self) -> list[str]:
        """The texts of notes and warnings so far."""
        return [event.text for event in self.events if isinstance(event, Note | Warned)]


def all_dists(index: Index) -> list[str]:
    return sorted(record.dist for name in index.names() for record in index.records(name))


def record(name: str, version: str = "1", build: str = "0", **fields: Any) -> dict[str, Any]:
    """A record as repodata.json holds it."""
    return {"name": name, "version": version, "build": build, "build_number": 0, "depends": [], **fields}
