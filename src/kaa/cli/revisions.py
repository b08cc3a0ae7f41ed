"""The revisions of an environment: what each change brought and took away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from kaa.models.version import InvalidVersion, Version
from kaa.prefix.history import History, Revision, read_history
from kaa.prefix.prefix import Prefix


def revisions_json(prefix: Path) -> list[dict[str, object]]:
    """The shape of `conda list --revisions --json`."""
    return [_revision_json(number, *change) for number, change in enumerate(_changes(read_history(Prefix(prefix))))]


def revisions_text(prefix: Path) -> list[str]:
    """The revisions with one line per package: what came, what went, what was replaced by what."""
    return list(_lines(read_history(Prefix(prefix))))


def _changes(history: History) -> Iterator[tuple[Revision, Mapping[str, str], Mapping[str, str]]]:
    """Every revision with what went and what came, dist strings by package name."""
    for number, revision in enumerate(history.revisions):
        before = history.state(number - 1) if number else frozenset[str]()
        after = history.state(number)
        old = {_parts(dist)[0]: dist for dist in before - after}
        new = {_parts(dist)[0]: dist for dist in after - before}
        yield revision, old, new


def _revision_json(
    number: int, revision: Revision, old: Mapping[str, str], new: Mapping[str, str]
) -> dict[str, object]:
    both = sorted(old.keys() & new.keys())
    downgraded = [name for name in both if _is_older(new[name], old[name])]
    return {
        "date": revision.date,
        "rev": number,
        "install": [_joined(new[name]) for name in sorted(new.keys() - old.keys())],
        "remove": [_joined(old[name]) for name in sorted(old.keys() - new.keys())],
        "upgrade": [_pair(old[name], new[name]) for name in both if name not in downgraded],
        "downgrade": [_pair(old[name], new[name]) for name in downgraded],
    }


def _pair(old: str, new: str) -> dict[str, str]:
    return {"old": _joined(old), "new": _joined(new)}


def _lines(history: History) -> Iterator[str]:
    for number, (revision, old, new) in enumerate(_changes(history)):
        yield f"{revision.date}  (rev {number})"
        for name in sorted(old.keys() | new.keys()):
            if name in old and name in new:
                yield f"     {_shown(old[name])} -> {_shown(new[name])}"
            else:
                yield f"    +{_shown(new[name])}" if name in new else f"    -{_shown(old[name])}"
        yield ""


def _parts(dist: str) -> tuple[str, str, str, str]:
    """Name, version, build, and `channel/subdir` (or nothing) of a line of the history."""
    channel, _, rest = dist.rpartition("::")
    name, version, build = (["", "", *rest.rsplit("-", 2)])[-3:]
    return name, version, build, channel


def _joined(dist: str) -> str:
    """`name-version-build-channel/subdir`, as conda's JSON has it."""
    name, version, build, channel = _parts(dist)
    return "-".join(part for part in (name, version, build, channel) if part)


def _shown(dist: str) -> str:
    name, version, build, channel = _parts(dist)
    return f"{name} {version} {build}" + (f" ({channel})" if channel else "")


def _is_older(new: str, old: str) -> bool:
    try:
        return Version(_parts(new)[1]) < Version(_parts(old)[1])
    except InvalidVersion:
        return False
