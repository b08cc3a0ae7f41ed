"""Candidates of which a part is known at once and the rest when they are read: the answers are the same."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kaa.errors import KaaError
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import CandidateNeeds
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.lazy_records import LazyRecordGroup
from kaa.solver.problem import decode_problem, encode_problem
from kaa.solver.reading import BATCHES
from kaa.solver.request import SolveOptions, SolveRequest
from kaa.solver.snapshot import problem_of, record, replay
from kaa.solver.solution import Solution
from kaa.solver.solve import solve
from tests.solver import conda_forge
from tests.solver.lazy import Known, LazyRecordSource, as_of_wheels, by_chance, is_whole
from tests.solver.merits import better_than
from tests.solver.packages import LINUX, MAIN, OTHER, packages, shown, shown_with_builds, specs
from tests.solver.scenarios import channels, scenario
from tests.solver.test_brute_force import CHANNELS, World, answer, every_solution, world_of
from tests.solver.validity import Judge, channels_of


def nothing(record: RepoDataRecord, text: str) -> bool:
    return False


def lazy(text: str = "", other: str = "", known: Known = as_of_wheels, **options: Any) -> LazyRecordSource:
    """A source of one channel, or two, with records in lines."""
    return LazyRecordSource({MAIN: packages(text), OTHER: packages(other, channel=OTHER)}, known, **options)


def ask(where: LazyRecordSource, *install: str, **jobs: Any) -> Solution:
    options = SolveOptions(**{key: jobs.pop(key) for key in ("channel_priority", "strategy") if key in jobs})
    for key in ("remove", "update", "history", "pins"):
        if key in jobs:
            jobs[key] = specs(*jobs[key])
    return solve(SolveRequest(install=specs(*install), options=options, virtual_packages=LINUX, **jobs), where)


# -- the same answers -------------------------------------------------------------------------------------------------


def lazy_answer(world: World, known: Known) -> tuple[RepoDataRecord, ...] | None:
    """What the solver finds when it has to read; the records as the world has them."""
    try:
        found = solve(world.request, LazyRecordSource(world.channels, known)).records
    except (Unsolvable, PackagesNotFound) as error:
        assert str(error)
        return None
    originals = {one.url: one for one in (*world.records, *world.request.installed)}
    assert [one.dist for one in found if not is_whole(one, originals[one.url])] == []
    return tuple(originals[one.url] for one in found)


def check(world: World, known: Known) -> bool:
    """Whether there is an answer; it must be as good as any, and the one that is found where everything is known."""
    found = lazy_answer(world, known)
    eager = answer(world)
    assert (found is None) == (eager is None)
    if found is None or eager is None:
        return False
    judge = Judge(world.request, channels_of(world.channels))
    assert judge.faults(found) == []
    possible = (one for one in every_solution(world, judge) if not judge.superfluous(one))
    assert (
        better_than(world.request, found, possible, {channel: place for place, channel in enumerate(CHANNELS)}) is None
    )
    assert {one.url for one in found} == {one.url for one in eager}
    return True


@given(st.randoms(use_true_random=False), st.sampled_from([as_of_wheels, nothing, by_chance(1), by_chance(2)]))
@settings(max_examples=300)
def test_the_answer_is_the_same_whatever_has_to_be_read(chance: random.Random, known: Known) -> None:
    check(world_of(chance), known)


@pytest.mark.slow
@pytest.mark.parametrize("known", [as_of_wheels, nothing, by_chance(3)], ids=["wheels", "nothing", "by chance"])
def test_the_answer_is_the_same_in_thousands_of_worlds(known: Known) -> None:
    assert sum(check(world_of(random.Random(seed)), known) for seed in range(3000)) > 700


@conda_forge.needs_records
@pytest.mark.parametrize("number", range(24))
def test_real_records_give_what_was_asked_for_in_the_same_version(number: int) -> None:
    case = scenario(number)
    offered = channels(case.platform, case.layout)
    request = SolveRequest(
        install=specs(*case.install),
        pins=specs(*case.pins),
        virtual_packages=case.machine,
        options=SolveOptions(channel_priority=case.priority),
    )
    found, eager = attempt(request, offered, False), attempt(request, offered, True)
    assert (found is None) == (eager is None)
    if found is not None and eager is not None:
        named = {spec.name for spec in request.install}
        assert not Judge(request, channels_of(offered)).invalid(found)
        assert {one.dist for one in found if one.name in named} == {one.dist for one in eager if one.name in named}


def attempt(
    request: SolveRequest, offered: Mapping[str, Sequence[RepoDataRecord]], everything: bool
) -> Sequence[RepoDataRecord] | None:
    """The solution from records that are all known, or of which only the python is."""
    where = LazyRecordSource(offered, as_of_wheels, eager=lambda record: everything)
    try:
        return solve(request, where).records
    except (Unsolvable, PackagesNotFound):
        return None


@given(st.randoms(use_true_random=False), st.sampled_from([as_of_wheels, nothing, by_chance(4)]))
@settings(max_examples=150)
def test_a_problem_that_is_written_down_remembers_what_was_read(chance: random.Random, known: Known) -> None:
    world = world_of(chance)
    unusable = {one.dist: "its metadata is damaged" for one in world.records if chance.random() < 0.15}
    request, recording = record(world.request, LazyRecordSource(world.channels, known, unusable=unusable))
    outcome: Solution | KaaError
    try:
        outcome = solve(request, recording)
    except KaaError as error:
        outcome = error
    written = encode_problem(problem_of(request, recording, outcome, kaa="1.2.3"))
    problem = decode_problem(written, "problem.json")
    again = replay(problem, "problem.json")[1]
    assert problem.outcome is not None
    assert again.agrees_with(problem.outcome)


# -- what is read, and when -------------------------------------------------------------------------------------------

APPLICATIONS = """
    python 3.13
    python 3.12
    app 2: python >=3.12; web >=2; tools
    app 1: python >=3.12; web
    web 2: python; http >=1
    web 1: python
    tools 1: http
    http 1: bytes
    bytes 1
    unrelated 1: app
"""


def test_only_what_is_likely_to_be_chosen_is_read_in_as_many_rounds_as_needs_are_deep() -> None:
    where = lazy(APPLICATIONS)
    assert shown(ask(where, "app")) == "app-2 bytes-1 http-1 python-3.13 tools-1 web-2"
    assert [sorted(batch) for batch in where.batches] == [
        ["app-2-0", "python-3.13-0"],
        ["tools-1-0", "web-2-0"],
        ["http-1-0"],
        ["bytes-1-0"],
    ]
    assert sorted(where.reads) == sorted(dist for batch in where.batches for dist in batch)


def test_what_has_one_candidate_left_is_read_at_once_with_the_others() -> None:
    where = lazy("a 1: x; y\n b 1: y\n c 2: x\n c 1: x\n x 1\n y 1\n y 2")
    assert shown(ask(where, "a", "b", "c")) == "a-1 b-1 c-2 x-1 y-2"
    assert [sorted(batch) for batch in where.batches] == [["a-1-0", "b-1-0", "c-2-0"], ["x-1-0", "y-2-0"]]


def test_what_everything_is_known_of_is_not_read() -> None:
    where = lazy("a 1: b\n b 2: c\n b 1\n c 1", eager=lambda one: one.name != "b")
    assert shown(ask(where, "a")) == "a-1 b-2 c-1"
    assert where.reads == ["b-2-0"]


def test_without_dependencies_nothing_is_read() -> None:
    where = lazy("a 2: b\n a 1")
    assert shown(ask(where, "a", no_deps=True)) == "a-2"
    assert where.reads == []
    assert where.batches == []


def test_what_is_installed_is_not_read() -> None:
    text = "a 2: b\n a 1: b\n b 2\n b 1: c\n c 1\n new 1: b"
    installed = tuple(one for one in packages(text) if one.dist in ("a-1-0", "b-1-0", "c-1-0"))
    where = lazy(text)
    found = ask(where, "new", installed=installed)
    assert shown(found) == "a-1 b-1 c-1 new-1"
    assert where.reads == ["new-1-0"]
    assert [one for one in found.records if one.name != "new"] == sorted(installed, key=lambda one: one.name)[::-1]
    assert shown(ask(lazy(text), "new", installed=installed, freeze_installed=True)) == "a-1 b-1 c-1 new-1"
    assert shown(ask(lazy(text), update_all=True, installed=installed, history=["a"])) == "a-2 b-2 c-1"


def test_what_is_installed_stays_unread_where_something_else_has_to_change() -> None:
    text = "a 2\n a 1\n b 2\n b 1\n new 1: b >=2"
    installed = tuple(one for one in packages(text) if one.version == "1" and one.name != "new")
    where = lazy(text)
    assert shown(ask(where, "new", installed=installed)) == "a-1 b-2 new-1"
    assert sorted(where.reads) == ["b-2-0", "new-1-0"]


def test_a_removed_package_is_not_read_again() -> None:
    text = "a 1: b\n b 1\n c 1: b"
    installed = tuple(packages(text))
    where = lazy(text)
    assert shown(ask(where, "c", remove=["a"], installed=installed)) == "b-1 c-1"
    assert where.reads == []


@pytest.mark.parametrize("strategy", ["highest", "lowest"])
def test_a_name_that_is_refused_again_and_again_is_fetched_in_growing_batches(strategy: str) -> None:
    fits = 3 if strategy == "highest" else 198
    lines = [f"big 1.{minor}: old {'<' if minor == fits else '>='}2" for minor in range(1, 201)]
    where = lazy("\n".join([*lines, "old 1", "old 2"]))
    assert shown(ask(where, "old=1", "big", strategy=strategy)) == f"big-1.{fits} old-1"
    reads = [dist for dist in where.reads if dist.startswith("big")]
    assert len(reads) == len(set(reads)) == 198
    sizes = [len(found) for batch in where.batches if (found := [dist for dist in batch if dist.startswith("big")])]
    assert tuple(sizes[: len(BATCHES)]) == BATCHES
    assert len(sizes) == 9
    assert set(sizes[len(BATCHES) : -1]) == {BATCHES[-1]}


def test_a_conflict_further_down_is_learnt_from_what_was_read() -> None:
    lines = [f"big 1.{minor}: low ={minor}\n low {minor}: base ={minor}\n base {minor}" for minor in range(1, 41)]
    where = lazy("\n".join([*lines, "other 1: base <5"]))
    assert shown(ask(where, "big", "other")) == "base-4 big-1.4 low-4 other-1"
    assert len(where.batches) < 16


# -- what may be in it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("world", "install", "expected"),
    [
        ("a 2: b <2\n a 1\n b 2\n b 1", ("a", "b"), "a-2 b-1"),
        ("a 2: b <1\n a 1\n b 2", ("a", "b"), "a-1 b-2"),
        ("a 2: / b <2\n a 1\n b 2\n b 1\n c 1: b", ("c", "a"), "a-2 b-1 c-1"),
        ("a 2: / b <2\n a 1\n b 2", ("b", "a"), "a-1 b-2"),
        ("a 2: missing\n a 1", ("a",), "a-1"),
        ("a 2: __win\n a 1", ("a",), "a-1"),
        ("a 2: a <2\n a 1: a", ("a",), "a-1"),
        ("a 2: b !!\n a 1", ("a",), "a-1"),
        ("a 2: b[when='c']; c\n b 1\n c 1", ("a",), "a-2 b-1 c-1"),
        ("a 2: b[when='c>=2']; c\n b 1\n c 1", ("a",), "a-2 c-1"),
        ("a 2: b[when='c'];\n b 1\n c 1", ("a", "c"), "a-2 b-1 c-1"),
        ("a 2: main::b\n b 1", ("a",), "a-2 b-1"),
        ("a 2: python <3\n a 1: python\n python 3.12", ("a",), "a-1 python-3.12"),
    ],
)
@pytest.mark.parametrize("known", [nothing, as_of_wheels], ids=["nothing known", "python known"])
def test_all_kinds_of_needs_may_have_to_be_read(
    world: str, install: tuple[str, ...], expected: str, known: Known
) -> None:
    assert shown(ask(lazy(world, known=known), *install)) == expected


def needing(dist: str, extras: Mapping[str, tuple[str, ...]]) -> RepoDataRecord:
    [one] = packages(dist)
    return replace(one, extra_depends=extras)


@pytest.mark.parametrize("install", [("web[extras=[tls]]",), ("web", "user"), ("user", "web")], ids=repr)
def test_an_extra_may_be_known_only_from_what_is_read(install: tuple[str, ...]) -> None:
    web = needing(
        "web 1: base", {"tls": ("crypto >=2", "web[extras=[core]]"), "core": ("kernel",), "docs": ("sphinx",)}
    )
    rest = packages("user 1: web[extras=[tls]]\n crypto 2\n crypto 1\n base 1\n kernel 1\n sphinx 1")
    where = LazyRecordSource({MAIN: [web, *rest]}, nothing)
    found = ask(where, *install)
    with_user = " user-1" if "user" in install else ""
    assert shown(found) == f"base-1 crypto-2 kernel-1{with_user} web-1"
    assert is_whole(found.find("web") or rest[0], web)


def test_an_extra_may_make_a_candidate_impossible() -> None:
    new = needing("web 2", {"tls": ("missing",)})
    old = needing("web 1", {"tls": ("crypto",)})
    where = LazyRecordSource({MAIN: [new, old, *packages("crypto 1")]}, nothing)
    assert shown(ask(where, "web[extras=[tls]]")) == "crypto-1 web-1"
    assert shown(ask(LazyRecordSource({MAIN: [new, old]}, nothing), "web")) == "web-2"


def test_a_name_may_be_known_in_one_channel_and_to_be_read_in_another() -> None:
    where = lazy(
        "a 1: b >=2\n b 1",
        "a 2: b >=3\n b 2: c\n c 1",
        known=nothing,
        eager=lambda one: one.channel == MAIN,
    )
    assert shown(ask(where, "a", channel_priority="disabled")) == "a-1 b-2 c-1"
    assert sorted(where.reads) == ["a-2-0", "b-2-0", "c-1-0"]
    with pytest.raises(Unsolvable):
        ask(lazy("a 1: b >=2\n b 1", "b 2", known=nothing), "a")


def test_equal_candidates_are_told_apart_by_what_is_known_whatever_was_read() -> None:
    text = """
        python 3.13
        python 3.12
        numpy 2 cp312_0: python 3.12.*; libs >=2
        numpy 2 cp313_0: python 3.13.*; libs >=1
        libs 2
        libs 1
    """
    assert shown_with_builds(ask(lazy(text), "numpy")) == "libs-2-0 numpy-2-cp313_0 python-3.13-0"
    older, newer = (replace(one, timestamp=time) for time, one in enumerate(packages("x 1 b_0: y\n x 1 a_0: y"), 1))
    where = LazyRecordSource({MAIN: [older, newer, *packages("y 1")]}, nothing)
    assert shown_with_builds(ask(where, "x")) == "x-1-a_0 y-1-0"
    assert where.reads == ["x-1-a_0", "y-1-0"]


# -- what goes wrong --------------------------------------------------------------------------------------------------


def test_an_unusable_candidate_gives_way_to_another() -> None:
    where = lazy("a 3\n a 2\n a 1", unusable={"a-3-0": "its metadata is damaged"})
    assert shown(ask(where, "a")) == "a-2"
    assert where.reads == ["a-3-0", "a-2-0"]


def test_it_is_told_why_candidates_cannot_be_used() -> None:
    why = "its metadata is damaged"
    where = lazy("app 1: a >=2\n a 3\n a 2\n a 1", unusable={"a-3-0": why, "a-2-0": why})
    with pytest.raises(Unsolvable) as failure:
        ask(where, "app")
    assert str(failure.value).splitlines() == [
        "app cannot be installed.",
        "app needs a >=2",
        "└─ there is a 2 to 3, which cannot be used: its metadata is damaged",
        "  try: ask for another version of a, or take it from another channel",
    ]
    with pytest.raises(Unsolvable, match="there is a 3, which cannot be used: its metadata is damaged"):
        ask(lazy("a 3", unusable={"a-3-0": why}), "a")


def test_an_unusable_candidate_at_the_end_of_many_branches_is_told() -> None:
    chain = [f"{name}{level} 1: {name}{level + 1}; x{level}" for name in "abc" for level in range(6)]
    ends = [f"{name}6 1: bad" for name in "abc"] + [f"x{level} 1" for level in range(6)]
    where = lazy("\n".join([*chain, *ends, "bad 1"]), unusable={"bad-1-0": "its metadata is damaged"})
    with pytest.raises(Unsolvable) as failure:
        ask(where, "a0", "b0", "c0")
    assert "bad 1, which cannot be used: its metadata is damaged" in str(failure.value)


def test_what_was_read_is_in_the_explanation_and_ways_out_are_tried_with_it() -> None:
    where = lazy("app 2: web >=2\n app 1: web\n web 2: python >=3\n web 1\n python 3.9\n tool 1: web <2")
    request = SolveRequest(install=specs("app=2", "tool"), virtual_packages=LINUX)
    with pytest.raises(Unsolvable) as failure:
        solve(request, where, repair_seconds=1.0)
    assert str(failure.value).splitlines()[:3] == [
        "app=2 and tool cannot be installed together.",
        "app=2 needs web >=2",
        "tool needs web <2, but app 2 needs web 2",
    ]
    assert next(iter(failure.value.repairs)).sentence.startswith("ask for app=1")


class Unreachable(KaaError):
    """A server that does not answer."""


class UnreachableGroup(LazyRecordGroup):
    def read(self, position: int) -> CandidateNeeds:
        raise Unreachable("the server does not answer")


def test_any_other_error_ends_the_solve() -> None:
    class Source(LazyRecordSource):
        def groups(self, name: str) -> Sequence[LazyRecordGroup]:
            return [UnreachableGroup(name, MAIN, "noarch", 0, packages("a 1"), {0: CandidateNeeds()})]

    with pytest.raises(Unreachable):
        ask(Source({}), "a")
