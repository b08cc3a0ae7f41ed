"""All sorts of requests in tiny worlds, against all sets of packages that there are.

A world has two channels that share names, records with conditions, extras, flags and features, a machine, and perhaps
an environment with pins and earlier requests. For each the solver has to find a solution if and only if one of all sets
of records is one; what it finds must be valid and frugal, and in the order of its wishes nothing may be better.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import RecordSource
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveOptions, SolveRequest
from kaa.solver.solve import solve
from tests.solver.merits import better_than
from tests.solver.packages import LINUX, MAIN, OTHER, package, specs
from tests.solver.validity import Judge, channels_of

NAMES = ("python", "a", "b", "c")
VERSIONS = {"python": ("1.0", "1.0.2", "2")}
RANGES = ("", "", "", "", " 1", " 2", " <2", " >=2", " >1,<3", " !=2", " 1|3", " 2.*", " * *_1", " 2 h_*")
PINNED = (*NAMES, *NAMES, "other::b", "main::a")
BRACKETS = (
    "[when='c>=2']",
    "[version='>=2',when='b or c']",
    "[when='a<3 and __unix']",
    "[when='__win']",
    "[extras=[x]]",
    "[extras=[x],when='b']",
    "[flags=[fast]]",
    "[version='<3',flags=['blas:*']]",
)
CHANNELS = (MAIN, OTHER)


class World(msgspec.Struct, frozen=True):
    """The records of both channels, and what is asked."""

    records: tuple[RepoDataRecord, ...]
    request: SolveRequest

    @property
    def channels(self) -> dict[str, tuple[RepoDataRecord, ...]]:
        return {channel: tuple(one for one in self.records if one.channel == channel) for channel in CHANNELS}


def world_of(choose: random.Random) -> World:
    """A world and a request; the environment, if there is one, meets an earlier request, or is anything."""
    offered = records(choose)
    options = SolveOptions(channel_priority=choose.choice(("strict", "flexible", "disabled")))
    request = SolveRequest(
        install=specs(*requests(choose)),
        pins=specs(*(choose.choice(PINNED) + choose.choice(RANGES) for _ in range(choose.choice((0, 0, 1))))),
        virtual_packages=LINUX,
        options=options,
    )
    kind = choose.choice(("fresh", "after a request", "after a request", "after a request", "anything installed"))
    if kind == "fresh":
        return World(offered, request)
    earlier = specs(*requests(choose))
    if kind == "after a request":
        first = World(offered, SolveRequest(install=earlier, virtual_packages=LINUX, options=options))
        judge = Judge(first.request, channels_of(first.channels))
        possible = [found for found in every_solution(first, judge) if not judge.superfluous(found)]
        installed = choose.choice(possible) if possible else ()
    else:
        one_of_each = {one.name: one for one in offered}
        installed = tuple(one_of_each[name] for name in choose.sample(sorted(one_of_each), choose.randint(1, 2)))
    return with_job(choose, World(offered, msgspec.structs.replace(request, installed=installed, history=earlier)))


def with_job(choose: random.Random, world: World) -> World:
    """The same, and perhaps something is to be removed, updated or left alone."""
    job = choose.choice(("install", "install", "install", "freeze", "remove", "update", "update all"))
    there = sorted({one.name for one in world.request.installed})
    changed: dict[str, object] = {}
    if job == "freeze":
        changed = {"freeze_installed": True}
    elif job == "update all":
        changed = {"update_all": True}
    elif job == "remove" and there:
        changed = {"remove": specs(choose.choice(there))}
    elif job == "update" and there:
        changed = {"install": (), "update": specs(choose.choice(there) + choose.choice(("", "", " >=2")))}
    return World(world.records, msgspec.structs.replace(world.request, **changed))


def records(choose: random.Random) -> tuple[RepoDataRecord, ...]:
    """A few records of a few names, in one channel or the other or both."""
    found: dict[str, RepoDataRecord] = {}
    for name in NAMES[choose.randint(0, 1) :]:
        for _ in range(choose.randint(1, 3)):
            depends = "; ".join(asked(choose) for _ in range(choose.choice((0, 0, 0, 1, 1, 2))))
            constrains = "; ".join(asked(choose) for _ in range(choose.choice((0, 0, 0, 0, 1))))
            record = package(
                f"{name} {choose.choice(VERSIONS.get(name, '123'))} h_{choose.randint(0, 1)}: {depends} / {constrains}",
                channel=choose.choice(CHANNELS),
                track_features=choose.choice(("", "", "", "slow")),
                extra_depends=choose.choice(({}, {}, {"x": ("b",)}, {"x": ("c >=2", "a[extras=[x]]")})),
                flags=choose.choice(((), (), ("fast",), ("fast", "blas:mkl"))),
            )
            found[record.url] = record
    return tuple(found.values())


def asked(choose: random.Random) -> str:
    """A dependency string."""
    name = choose.choice((*NAMES, *NAMES, *NAMES, "missing", "__glibc", "main::b"))
    return name + choose.choice(RANGES if choose.randint(0, 2) else BRACKETS)


def requests(choose: random.Random) -> list[str]:
    names = (*NAMES, *NAMES, "other::a", "main::c")
    further = (*RANGES, "[extras=[x]]", "[flags=[fast]]")
    return [choose.choice(names) + choose.choice(further) for _ in range(choose.randint(1, 2))]


worlds = st.randoms(use_true_random=False).map(world_of)


def answer(world: World) -> tuple[RepoDataRecord, ...] | None:
    """What the solver finds."""
    try:
        return solve(world.request, RecordSource(world.channels)).records
    except (Unsolvable, PackagesNotFound) as error:
        assert str(error)
        return None


def every_solution(world: World, judge: Judge) -> Iterable[tuple[RepoDataRecord, ...]]:
    """All sets of records that are valid."""
    by_name: dict[str, dict[str, RepoDataRecord | None]] = {name: {"": None} for name in NAMES}
    for record in (*world.records, *world.request.installed):
        by_name[record.name][record.url] = record
    for choice in itertools.product(*(members.values() for members in by_name.values())):
        chosen = tuple(record for record in choice if record is not None)
        if not judge.invalid(chosen):
            yield chosen


def check(world: World) -> bool:
    """Compare the answer with all that there are; returns whether there is one."""
    judge = Judge(world.request, channels_of(world.channels))
    possible = list(every_solution(world, judge))
    found = answer(world)
    if found is None:
        assert possible == []
        return False
    assert judge.faults(found) == []
    frugal = (one for one in possible if not judge.superfluous(one))
    assert better_than(world.request, found, frugal, {channel: rank for rank, channel in enumerate(CHANNELS)}) is None
    return True


@given(worlds)
@settings(max_examples=500)
def test_the_answer_is_right(world: World) -> None:
    event(f"solvable: {check(world)}")


@pytest.mark.slow
def test_the_answer_is_right_in_thousands_of_worlds() -> None:
    solvable = sum(check(world_of(random.Random(seed))) for seed in range(6000))
    assert solvable > 1500


@given(worlds, st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_the_answer_does_not_depend_on_the_order_of_records(world: World, chance: random.Random) -> None:
    found = answer(world)
    shuffled = list(world.records)
    chance.shuffle(shuffled)
    installed = list(world.request.installed)
    chance.shuffle(installed)
    request = msgspec.structs.replace(world.request, installed=tuple(installed))
    assert answer(World(tuple(shuffled), request)) == found
    assert answer(world) == found


@given(worlds, st.data())
@settings(max_examples=200)
def test_a_package_that_is_there_in_both_formats_counts_once(world: World, data: st.DataObject) -> None:
    twice = data.draw(st.lists(st.sampled_from(world.records), max_size=4, unique_by=lambda one: one.url))
    older = tuple(
        msgspec.structs.replace(one, fn=one.dist + ".tar.bz2", url=one.url.replace(".conda", ".tar.bz2"))
        for one in twice
    )
    found, again = answer(world), answer(World(world.records + older, world.request))
    assert (found is None) == (again is None)
    assert {(one.channel, one.dist) for one in found or ()} == {(one.channel, one.dist) for one in again or ()}
