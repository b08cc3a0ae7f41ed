"""What differs between the lock that is there and a new one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kaa.api.lock_formats import parse_lock
from kaa.envfiles.lock import InvalidLock, Lock


class Present(msgspec.Struct, frozen=True):
    """A lock that is there; `lock` is None where it cannot be read."""

    text: str
    lock: Lock | None


class Differences(msgspec.Struct, frozen=True):
    """The packages of a platform that come, go, or become another version or build: old and new by name."""

    added: dict[str, str]
    removed: dict[str, str]
    changed: dict[str, tuple[str, str]]

    def as_json(self) -> dict[str, object]:
        return {
            "added": list(self.added.values()),
            "removed": list(self.removed.values()),
            "changed": [list(pair) for pair in self.changed.values()],
        }

    def lines(self, platform: str) -> Iterator[str]:
        """For people; nothing if nothing differs."""
        if self.added or self.removed or self.changed:
            yield f"  {platform}:"
        yield from (f"    + {dist}" for dist in self.added.values())
        yield from (f"    - {dist}" for dist in self.removed.values())
        yield from (f"    ~ {old} → {new}" for old, new in self.changed.values())


def read_present(path: Path) -> Present | None:
    """The lock at a path; None where nothing is."""
    try:
        text = path.read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return None
    try:
        return Present(text, parse_lock(text, str(path)))
    except InvalidLock:
        return Present(text, None)


def as_on_that_machine(lock: Lock, present: Present) -> Lock:
    """The lock with the virtual packages of the one that is there: another kernel alone makes no other lock."""
    if present.lock is None:
        return lock
    known = {platform.name: platform for platform in present.lock.platforms}
    return replace(lock, platforms=tuple(known.get(platform.name, platform) for platform in lock.platforms))


def differences_of(present: Present | None, lock: Lock) -> dict[str, Differences]:
    """By platform, what differs from the lock that is there; nothing where none is."""
    if present is None or present.lock is None:
        return {}
    old, new = _by_platform(present.lock), _by_platform(lock)
    return {name: _compare(old.get(name, {}), new.get(name, {})) for name in dict.fromkeys([*new, *old])}


class _Package(msgspec.Struct, frozen=True):
    dist: str
    digest: str | None


def _by_platform(lock: Lock) -> dict[str, dict[str, _Package]]:
    found: dict[str, dict[str, _Package]] = {}
    for environment in lock.environments[:1]:
        for platform, records in environment.conda.items():
            packages = {one.name: _Package(one.dist, one.sha256 or one.md5) for one in records}
            for wheel in environment.pypi.get(platform, ()):
                packages[f"pypi::{wheel.name}"] = _Package(f"{wheel.name}-{wheel.version} (pypi)", wheel.sha256)
            found[platform] = packages
    return found


def _compare(old: dict[str, _Package], new: dict[str, _Package]) -> Differences:
    both = [name for name in new if name in old]
    return Differences(
        added={name: new[name].dist for name in new if name not in old},
        removed={name: old[name].dist for name in old if name not in new},
        changed={name: (old[name].dist, new[name].dist) for name in both if old[name] != new[name]},
    )
