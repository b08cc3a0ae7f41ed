"""The names of the packages of a channel subdir, as far as they are on this machine, at the price of mapping one file.

For who types a name and wants the rest of it: nobody is asked, nothing is renewed, and how old the index is does not
matter. So the key of an index is taken from the file itself; that the file is sound is checked as ever.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from kaa.index.repodata_cache import CacheEntry
from kaa.index.shard_table import ShardTable
from kaa.index.subdir_index import DamagedIndex, SubdirIndex

_KEY = slice(12, 44)
"""Where both kinds of index have their key: behind the magic and the format."""


def find_cached_names(directory: Path, url: str, prefix: str = "") -> list[str]:
    """The names that begin with `prefix`, sorted, of what was last fetched from the subdir at `url`."""
    for _, path, kind in sorted(_iter_indexes(directory, url), reverse=True):
        try:
            with path.open("rb") as stream:
                key = stream.read(_KEY.stop)[_KEY]
            names: Sequence[str] = (SubdirIndex if kind == "whole" else ShardTable)(path, key).names()
        except (OSError, DamagedIndex, ValueError):
            continue
        start = bisect_left(names, prefix)
        return list(takewhile(lambda name: name.startswith(prefix), names[start:]))
    return []


def _iter_indexes(directory: Path, url: str) -> Iterator[tuple[float, Path, str]]:
    for variant, kind in (("", "whole"), ("shards", "shards")):
        for path in directory.glob(f"{CacheEntry(directory, url, variant).name}-*.index"):
            try:
                yield path.stat().st_mtime, path, kind
            except OSError:
                continue
