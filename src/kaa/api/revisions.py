"""Go back to a revision of `conda-meta/history`, by the numbers that `kaa list --revisions` shows.

From the first change that kaa made on, the revisions are generations too, and going back restores those
(`kaa.api.going_back`). What came before is known by the names of its packages alone, which are looked for in the
environment, in the package cache and in the channels they came from.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from kaa.api.environments import subdir_of
from kaa.api.lost_packages import packages_called
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.errors import KaaError
from kaa.models.artifact import parse_file_name
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.package_cache.cache import EXTENSIONS
from kaa.prefix.environments import absolute_location
from kaa.prefix.generations import read_outlines
from kaa.prefix.history import History, read_history
from kaa.prefix.prefix import open_prefix
from kaa.transaction.plan import Transaction, plan_transaction


class NoSuchRevision(KaaError):
    """The history of an environment does not go as far."""

    conda_name = "CondaIndexError"

    def __init__(self, prefix: Path, number: int, count: int) -> None:
        self.prefix = str(prefix)
        self.revision = number
        known = f"there are 0 to {count - 1}" if count else "there are none yet"
        super().__init__(
            f"{prefix} has no revision {number}; {known}",
            hints=(f"see them: kaa list --revisions --prefix {shlex.quote(str(prefix))}",),
        )


class RevisionLost(KaaError):
    """Packages of a revision are nowhere to be had."""

    conda_name = "PackagesNotFoundError"

    def __init__(self, number: int, dists: Sequence[str]) -> None:
        self.revision = number
        self.packages = list(dists)
        super().__init__(
            f"revision {number} cannot be had again: its packages {', '.join(dists)} are neither in the environment, "
            "nor in the package cache, nor in the channels they came from",
            hints=("name a channel that has them with --channel", "install other builds of them with `kaa install`"),
        )


def find_generation_of(session: Session, prefix: Path, number: int) -> int | None:
    """The generation that a revision made; None for one from before the generations. Raises NoSuchRevision."""
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    count = len(read_history(open_prefix(prefix)).revisions)
    if number >= count:
        raise NoSuchRevision(prefix, number, count)
    return next((one.number for one in read_outlines(prefix) if one.revision == number), None)


def plan_earlier_revision(session: Session, prefix: Path, number: int, *, command: str = "") -> Transaction:
    """The way to a revision from before the generations; raises RevisionLost."""
    prefix = absolute_location(prefix, session.cwd)
    environment = open_prefix(prefix)
    current, history = environment.records(), read_history(environment)
    subdir = subdir_of(session, current)
    present = {record.dist: record for record in current}
    found: list[RepoDataRecord] = []
    lost: list[str] = []
    for line in sorted(history.state(number)):
        origin, _, dist = line.rpartition("::")
        record = present.get(dist) or _find(session, dist, origin.rpartition("/")[0], subdir)
        found += [record] if record is not None else []
        lost += [dist] if record is None else []
    if lost:
        raise RevisionLost(number, lost)
    asked = History(history.revisions[: number + 1]).requested_specs(record.name for record in found)
    gone = [name for name in history.requested_specs() if name not in asked]
    return plan_transaction(prefix, subdir, current, found, requested_specs=asked, removed_specs=gone, command=command)


def _find(session: Session, dist: str, origin: str, subdir: str) -> RepoDataRecord | None:
    """A package by its name, version and build: out of the cache, else out of its channel or the configured ones."""
    cached = packages_called(session.package_cache, dist)
    if cached:
        return cached[0].record
    name = parse_file_name(dist + EXTENSIONS[0])
    spec = MatchSpec.parse(f"{name.name}=={name.version}={name.build}")
    channels = session.channels([*([origin] if origin else []), *session.config.channels])
    with session.open_index(channels, subdir) as index:
        return next((record for record in index.query(spec) if record.dist == dist), None)
