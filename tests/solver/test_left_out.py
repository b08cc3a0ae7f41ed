"""Candidates that may not be chosen: too new, or not on hand. Leaving them out is as if they were not there."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.models.cutoff import DAY, parse_cutoff
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import RecordSource, columns_of, decode_numbers
from kaa.solver.cutoffs import Cutoffs
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.left_out import left_out
from kaa.solver.opening import World
from kaa.solver.reasons import NotOnHand, TooNew
from kaa.solver.request import SolveOptions, SolveRequest, Strategy
from kaa.solver.solve import solve
from tests.solver.packages import LINUX, MAIN, OTHER, ask, package, shown, shown_with_builds, source, specs
from tests.solver.test_worlds import requests, small_worlds

SEPTEMBER = 1_788_220_800_000
"""1 September 2026."""


def built(text: str, day: int | None, indexed: int | None = None, *, channel: str = MAIN) -> RepoDataRecord:
    """A record that was built on a day of September, and came into its channel on another."""
    times = {"timestamp": day, "indexed_timestamp": indexed}
    known = {key: SEPTEMBER + (value - 1) * DAY for key, value in times.items() if value is not None}
    return msgspec.structs.replace(package(text, channel=channel), **known)


def until(day: int) -> int:
    cutoff = parse_cutoff(f"2026-09-{day:02}", 0)
    assert cutoff is not None
    return cutoff


TOOLS = (
    built("tool 4", 20),
    built("tool 3", 10),
    built("tool 2", 5),
    built("tool 1", None),
    built("lib 2: tool", 20),
    built("lib 1: tool", 1),
)

TABLE: list[tuple[str, Cutoffs, list[str], str]] = [
    ("none", Cutoffs(), ["tool"], "tool-4"),
    ("what is newer is left out", Cutoffs(until(12)), ["tool"], "tool-3"),
    ("the day itself counts", Cutoffs(until(10)), ["tool"], "tool-3"),
    ("the day before does not", Cutoffs(until(9)), ["tool"], "tool-2"),
    ("dependencies as well", Cutoffs(until(12)), ["lib"], "lib-1 tool-3"),
    ("one package alone", Cutoffs(packages={"tool": until(9)}), ["lib"], "lib-2 tool-2"),
    ("all but one package", Cutoffs(until(12), packages={"tool": None}), ["lib"], "lib-1 tool-4"),
    ("one package longer ago", Cutoffs(until(12), packages={"tool": until(6)}), ["lib"], "lib-1 tool-2"),
    ("one channel alone", Cutoffs(channels={MAIN: until(12)}), ["lib"], "lib-1 tool-3"),
    ("another channel", Cutoffs(channels={OTHER: until(12)}), ["lib"], "lib-2 tool-4"),
    ("a channel counts more than all", Cutoffs(until(6), channels={MAIN: until(12)}), ["lib"], "lib-1 tool-3"),
    ("all but one channel", Cutoffs(until(6), channels={MAIN: None}), ["lib"], "lib-2 tool-4"),
    (
        "a package counts more than a channel",
        Cutoffs(until(6), channels={MAIN: None}, packages={"tool": until(12)}),
        ["lib"],
        "lib-2 tool-3",
    ),
    ("of unknown age, when nothing is left out", Cutoffs(), ["tool 1"], "tool-1"),
    ("of unknown age, when it does not matter", Cutoffs(until(1), packages={"tool": None}), ["tool 1"], "tool-1"),
]


@pytest.mark.parametrize(("cutoffs", "wanted", "answer"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_cutoffs(cutoffs: Cutoffs, wanted: list[str], answer: str) -> None:
    assert shown(ask(source(*TOOLS), *wanted, cutoffs=cutoffs)) == answer


@pytest.mark.parametrize("wanted", [["tool 4"], ["tool 1"], ["lib 2"], ["lib", "tool >3"]])
def test_what_only_left_out_candidates_would_do(wanted: list[str]) -> None:
    with pytest.raises(Unsolvable) as caught:
        ask(source(*TOOLS), *wanted, cutoffs=Cutoffs(until(12)))
    assert "newer than the cut-off 2026-09-12" in caught.value.message


def test_unknown_age_is_left_out() -> None:
    with pytest.raises(Unsolvable) as caught:
        ask(source(built("tool 1", None)), "tool", cutoffs=Cutoffs(until(28)))
    assert "unknown age" in caught.value.message


def test_when_a_channel_had_it_counts_more_than_when_it_was_built() -> None:
    where = source(built("tool 3", 1, 20), built("tool 2", 20, 1), built("tool 1", 1))
    assert shown(ask(where, "tool", cutoffs=Cutoffs(until(12)))) == "tool-2"
    assert shown(ask(where, "tool", cutoffs=Cutoffs(until(25)))) == "tool-3"


@pytest.mark.parametrize("factor", [1, 1000])
def test_seconds_and_milliseconds(factor: int) -> None:
    """Old records count time in seconds; such a number taken for milliseconds would always be old enough."""
    text = {"name": "tool", "version": "2", "build": "0", "timestamp": SEPTEMBER // 1000 * factor}
    new = msgspec.convert({**text, "channel": MAIN, "subdir": "linux-64"}, RepoDataRecord)
    where = source(new, built("tool 1", -30))
    assert shown(ask(where, "tool", cutoffs=Cutoffs(SEPTEMBER - 1))) == "tool-1"
    assert shown(ask(where, "tool", cutoffs=Cutoffs(SEPTEMBER))) == "tool-2"


def test_what_is_installed_may_stay() -> None:
    newest = TOOLS[0]
    where = source(*TOOLS)
    late = Cutoffs(until(12))
    assert shown(ask(where, "lib", installed=(newest,), cutoffs=late)) == "lib-1 tool-4"
    assert shown(ask(where, "lib", installed=(newest,), freeze_installed=True, cutoffs=late)) == "lib-1 tool-4"
    assert shown(ask(where, update=["tool"], installed=(TOOLS[2],), cutoffs=late)) == "tool-3"
    unknown = built("gone 1", None)
    assert shown(ask(where, "lib", installed=(unknown,), cutoffs=late)) == "gone-1 lib-1 tool-3"


def test_strict_priority_is_not_lifted_by_a_cutoff() -> None:
    """A package that is too new in its own channel is not taken from another one, whoever put it there."""
    where = source(built("tool 2", 20), built("tool 1", 1, channel=OTHER))
    with pytest.raises(Unsolvable):
        ask(where, "tool", cutoffs=Cutoffs(until(12)))
    assert shown(ask(where, "tool", cutoffs=Cutoffs(until(12)), channel_priority="flexible")) == "tool-1"


def test_without_dependencies() -> None:
    assert shown(ask(source(*TOOLS), "lib", no_deps=True, cutoffs=Cutoffs(until(12)))) == "lib-1"
    lonely = source(built("lib 2: missing", 20), built("lib 1: missing", 1))
    assert shown(ask(lonely, "lib", no_deps=True, cutoffs=Cutoffs(until(12)))) == "lib-1"


def test_reasons_say_how_many() -> None:
    where = source(*TOOLS, built("tool 9", None, channel=OTHER))
    world = World(where, "flexible")
    states = world.states_of("tool")
    reasons = [reason for _, reason in left_out(states, Cutoffs(until(12)), None, None)]
    assert reasons == [TooNew("tool", MAIN, until(12), 2, 1), TooNew("tool", OTHER, until(12), 1, 1)]


def test_the_column_of_times() -> None:
    none = columns_of([built("a 1", 3)])
    some = columns_of([built("a 1", 3), built("a 2", 3, 4)])
    assert decode_numbers(none.indexed) == []
    assert decode_numbers(some.indexed) == [SEPTEMBER + 3 * DAY, 0]


# Only what is on hand


class Shelf:
    """Packages on hand, by dist string and content; it notes which records were looked at."""

    def __init__(self, *records: RepoDataRecord, channels: tuple[str, ...] = ()) -> None:
        self.records = {record.dist: record for record in records}
        self.channels = channels
        self.looked_at: list[str] = []

    def has_channel(self, channel: str) -> bool:
        return channel in self.channels

    def may_have(self, dist: str) -> bool:
        return dist in self.records

    def has(self, record: RepoDataRecord) -> bool:
        self.looked_at.append(record.dist)
        return self.records[record.dist].sha256 == record.sha256


def test_only_what_is_on_hand() -> None:
    shelf = Shelf(TOOLS[2], TOOLS[5])
    assert shown(ask(source(*TOOLS), "lib", on_hand=shelf)) == "lib-1 tool-2"
    assert sorted(shelf.looked_at) == ["lib-1-0", "tool-2-0"]
    assert shown(ask(source(*TOOLS), "lib", on_hand=Shelf(channels=(MAIN,)))) == "lib-2 tool-4"
    assert shown(ask(source(*TOOLS), "lib", on_hand=Shelf(TOOLS[5]), installed=(TOOLS[0],))) == "lib-1 tool-4"


def test_the_same_name_with_other_content_is_not_on_hand() -> None:
    here, there = package("tool 2", sha256="a" * 64), package("tool 2", sha256="b" * 64)
    older = package("tool 1")
    assert shown(ask(source(there, older), "tool", on_hand=Shelf(here, older))) == "tool-1"


def test_what_is_not_on_hand_is_told() -> None:
    with pytest.raises(Unsolvable) as caught:
        ask(source(*TOOLS), "lib", on_hand=Shelf(TOOLS[2]))
    assert "not in the package cache" in caught.value.message
    world = World(source(*TOOLS))
    assert [reason for _, reason in left_out(world.states_of("lib"), Cutoffs(), Shelf(), None)] == [NotOnHand("lib", 2)]


# As if they were not there


def outcome(
    request: SolveRequest, records: tuple[RepoDataRecord, ...], keep: Callable[[RepoDataRecord], bool] | None = None
) -> str:
    """The answer in one line, with the records that are kept; nothing if there is none."""
    left = [record for record in records if keep is None or keep(record)]
    try:
        return shown_with_builds(solve(request, RecordSource({MAIN: left})))
    except (Unsolvable, PackagesNotFound):
        return ""


days = st.none() | st.integers(1, 28)


@st.composite
def dated_worlds(draw: st.DrawFn) -> tuple[RepoDataRecord, ...]:
    """Small worlds with times of all kinds."""
    found = []
    for record in draw(small_worlds()):
        times = {"timestamp": draw(days), "indexed_timestamp": draw(st.none() | days)}
        known = {key: SEPTEMBER + (day - 1) * DAY for key, day in times.items() if day is not None}
        found.append(msgspec.structs.replace(record, **known))
    return tuple(found)


@given(
    dated_worlds(),
    requests,
    days,
    st.dictionaries(st.sampled_from("abc"), days, max_size=2),
    st.sampled_from(["highest", "lowest", "lowest-direct"]),
)
@settings(max_examples=300, deadline=None)
def test_a_cutoff_is_as_if_what_is_newer_was_not_there(
    records: tuple[RepoDataRecord, ...],
    wanted: list[str],
    day: int | None,
    packages: dict[str, int | None],
    strategy: Strategy,
) -> None:
    limits = {name: None if limit is None else until(limit) for name, limit in packages.items()}
    cutoffs = Cutoffs(None if day is None else until(day), packages=limits)
    request = SolveRequest(
        install=specs(*wanted), virtual_packages=LINUX, options=SolveOptions(strategy=strategy, cutoffs=cutoffs)
    )
    plain = SolveRequest(install=specs(*wanted), virtual_packages=LINUX, options=SolveOptions(strategy=strategy))

    def is_old_enough(record: RepoDataRecord) -> bool:
        limit = limits.get(record.name, cutoffs.everywhere)
        time = record.timestamp if record.indexed_timestamp is None else record.indexed_timestamp
        return limit is None or (time is not None and time <= limit)

    assert outcome(request, records) == outcome(plain, records, is_old_enough)


@given(small_worlds(), requests, st.data())
@settings(max_examples=200, deadline=None)
def test_being_offline_is_as_if_only_that_was_there(
    records: tuple[RepoDataRecord, ...], wanted: list[str], data: st.DataObject
) -> None:
    here = [record for record in records if data.draw(st.booleans())]
    request = SolveRequest(install=specs(*wanted), virtual_packages=LINUX)
    offline = msgspec.structs.replace(request, on_hand=Shelf(*here))
    assert outcome(offline, records) == outcome(request, tuple(here))
