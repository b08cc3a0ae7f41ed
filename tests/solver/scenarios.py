"""Random requests on the records of conda-forge, the same every time.

Each is drawn from its own number, so that the first so many are a fair sample of all: a platform and one of its
machines; one channel, or two that overlap, in either order and under any channel priority; a fresh environment, or one
that another random request made; and perhaps pins.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from kaa.models.record import RepoDataRecord
from kaa.models.version import Version
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.request import ChannelPriority
from tests.solver.conda_forge import CHANNEL, FIRST, MACHINES, PLATFORMS, SECOND, records, two_channels

SEED = 20260

Layout: TypeAlias = Literal["one", "two", "swapped"]
"""One channel; FIRST before SECOND, which mostly has newer versions; SECOND before FIRST."""

Installed: TypeAlias = Literal["nothing", "kept", "pinned", "frozen"]
"""What the environment holds: nothing; packages to be kept where possible; packages some of which must not change, or
none of which."""


class Scenario(msgspec.Struct, frozen=True):
    """One request; `earlier` is what the environment was made for before, if it is not a fresh one."""

    number: int
    platform: str
    machine: tuple[VirtualPackage, ...]
    layout: Layout
    priority: ChannelPriority
    installed: Installed
    earlier: tuple[str, ...]
    install: tuple[str, ...]
    pins: tuple[str, ...]

    @property
    def kind(self) -> str:
        """What sort of request this is."""
        channels = "one channel" if self.layout == "one" else f"two channels, {self.priority}"
        environment = "fresh" if self.installed == "nothing" else self.installed
        return ", ".join((channels, environment, *(["pins"] if self.pins else [])))


def scenario(number: int) -> Scenario:
    """The scenario with this number."""
    choose = random.Random(f"{SEED}-{number}")
    platform = PLATFORMS[number % len(PLATFORMS)]
    machines = MACHINES[platform]
    layout: Layout = choose.choices(("one", "two", "swapped"), (50, 30, 20))[0]
    priority: ChannelPriority = "strict" if layout == "one" else choose.choice(("strict", "flexible", "disabled"))
    installed: Installed = choose.choices(("nothing", "kept", "pinned", "frozen"), (50, 30, 10, 10))[0]
    return Scenario(
        number,
        platform,
        choose.choices(machines, (3, *(1 for _ in machines[1:])))[0],
        layout,
        priority,
        installed,
        () if installed == "nothing" else specs(choose, platform, layout, choose.randint(1, 3)),
        specs(choose, platform, layout, choose.randint(1, 6)),
        pins(choose, platform) if choose.random() < 0.2 else (),
    )


@functools.cache
def by_name(platform: str) -> tuple[Sequence[str], Mapping[str, Sequence[RepoDataRecord]]]:
    """The records of a platform by name, and the names in order."""
    found: dict[str, list[RepoDataRecord]] = {}
    for record in records(platform):
        found.setdefault(record.name, []).append(record)
    return sorted(found), found


def specs(choose: random.Random, platform: str, layout: Layout, count: int) -> tuple[str, ...]:
    """Requests as people make them: names, some with versions or builds, often a python."""
    names, found = by_name(platform)
    wanted = []
    for name in choose.sample(names, count):
        text = one_spec(choose, found[name])
        if choose.random() < (0.02 if layout == "one" else 0.1):
            channel = CHANNEL if layout == "one" else choose.choice((FIRST, SECOND))
            text = f"{channel.rpartition('/')[2]}::{text}"
        wanted.append(text)
    if choose.random() < 0.4:
        python = choose.choice(("python 3.10.*", "python=3.11", "python 3.12.*", "python=3.13", "python >=3.11,<3.14"))
        wanted = [text for text in wanted if not text.startswith("python ")]
        wanted.insert(choose.randint(0, len(wanted)), python)
    return tuple(wanted)


def one_spec(choose: random.Random, members: Sequence[RepoDataRecord]) -> str:
    """A spec that some of the records of a name meet."""
    record = choose.choice(members)
    name, version, build = record.name, record.version, record.build
    others = len({member.version for member in members}) > 1
    older = any(Version(member.version) < Version(version) for member in members)
    parts = version.split(".")
    minor = ".".join(parts[:2])
    number_end = build.rpartition("_")[2]
    shapes = {
        name: 70,
        f"{name}={minor}": 8,
        f"{name} {minor}.*": 6,
        f"{name} >={minor}": 9,
        f"{name} <{version}": 7 * older,
        f"{name} >={parts[0]},<={version}": 5,
        f"{name} >{minor}|<{parts[0]}": 2 * others,
        f"{name} !={version}": 3 * others,
        f"{name} =={version}": 4,
        f"{name} ~={minor}": 2 if len(parts) > 1 and parts[0].isdecimal() and parts[1].isdecimal() else 0,
        f"{name} * *_{number_end}": 3,
        f"{name} {minor}.* {build[:4]}*": 3,
        f"{name} {version} {build}": 3,
    }
    return choose.choices(list(shapes), list(shapes.values()))[0]


def pins(choose: random.Random, platform: str) -> tuple[str, ...]:
    """Pins as people set them: on what much depends on, or on anything."""
    names, found = by_name(platform)
    common = (
        "python 3.11.*",
        "python <3.13",
        "numpy <2.3",
        "openssl 3.5.*",
        "libblas * *openblas",
        "icu <76",
        "hdf5 1.14.*",
    )
    some = [*choose.sample(common, choose.randint(0, 2))]
    if not some or choose.random() < 0.3:
        some.append(one_spec(choose, found[choose.choice(names)]))
    return tuple(some)


@functools.cache
def channels(platform: str, layout: Layout) -> Mapping[str, Sequence[RepoDataRecord]]:
    """The channels of a platform in their order, and what they offer."""
    if layout == "one":
        return {CHANNEL: records(platform)}
    two = two_channels(platform)
    return {channel: two[channel] for channel in ((FIRST, SECOND) if layout == "two" else (SECOND, FIRST))}
