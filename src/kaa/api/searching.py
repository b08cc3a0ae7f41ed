"""What the channels offer."""

from __future__ import annotations

from collections.abc import Sequence

from kaa.api.session import Session
from kaa.api.specs import channels_named, read_specs
from kaa.errors import KaaError
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord


class PackagesNotOffered(KaaError):
    """No channel offers what was searched for."""

    conda_name = "PackagesNotFoundInChannelsError"

    def __init__(self, spec: str, channels: Sequence[str], near: Sequence[str]) -> None:
        self.packages = [spec]
        self.channel_urls = list(channels)
        self.near_names = list(near)
        hints = [f"look for one of these: {', '.join(near)}"] if near else []
        hints.append("search with a pattern, as in `kaa search '*numpy*'`, or in another channel with -c")
        super().__init__(f"no channel offers {spec}; searched {', '.join(channels)}", hints=tuple(hints))


class NoNameGiven(KaaError):
    """What depends on a package is asked for by its name alone."""

    conda_name = "CondaValueError"

    def __init__(self, spec: str) -> None:
        super().__init__(
            f"what depends on a package is found by its name, and {spec} says more or less than a name",
            hints=("kaa search --reverse-dependency NAME",),
        )
        self.spec = spec


class NoDependents(KaaError):
    """No package of any channel depends on one."""

    conda_name = "PackagesNotFoundInChannelsError"

    def __init__(self, name: str, channels: Sequence[str]) -> None:
        self.packages = [name]
        self.channel_urls = list(channels)
        super().__init__(f"no package depends on {name}; searched {', '.join(channels)}")


def search_dependents(session: Session, spec: MatchSpec) -> dict[str, list[RepoDataRecord]]:
    """The records that name a package among their dependencies, by name, oldest first.

    Raises NoNameGiven, NoDependents.
    """
    if spec.name is None or str(spec) != spec.name:
        raise NoNameGiven(str(spec))
    channels = session.channels(session.config.channels)
    found: dict[str, list[RepoDataRecord]] = {}
    with session.open_index(channels, session.subdir) as index:
        for record in index.query(MatchSpec.parse("*")):
            # The name ends where a version or a condition begins.
            if any(MatchSpec.parse(text).name == spec.name for text in record.depends if text.startswith(spec.name)):
                found.setdefault(record.name, []).append(record)
    if not found:
        raise NoDependents(spec.name, [channel.base_url for channel in channels])
    return found


def search_packages(session: Session, spec: str | MatchSpec) -> dict[str, list[RepoDataRecord]]:
    """The records that match a spec, by name, oldest first; the name may be a pattern (`*`).

    Raises PackagesNotOffered, InvalidMatchSpec.
    """
    [spec] = read_specs(session, [spec])
    channels = session.channels([*session.config.channels, *channels_named([spec])])
    with session.open_index(channels, session.subdir) as index:
        records = index.query(spec)
        if not records:
            near = index.near_names(spec.name) if spec.name else ()
            raise PackagesNotOffered(str(spec), [channel.base_url for channel in channels], near)
    found: dict[str, list[RepoDataRecord]] = {}
    for record in records:
        found.setdefault(record.name, []).append(record)
    return found
