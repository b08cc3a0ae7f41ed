"""Contradictions and repairs on worlds of a few packages, against brute force."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import RecordSource
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.reasons import Pinned, Requested
from kaa.solver.relaxation import Relaxation, relax
from kaa.solver.repair import changes_between, is_probably
from kaa.solver.request import SolveOptions, SolveRequest
from kaa.solver.solve import solve
from tests.solver.packages import LINUX, MAIN, OTHER, faults, package, packages, source, specs
from tests.solver.repairs import check_repairs
from tests.solver.test_worlds import requests, small_worlds

Failure = Unsolvable | PackagesNotFound


def failure_of(request: SolveRequest, where: RecordSource, **options: object) -> Failure | None:
    try:
        solve(request, where, repair_seconds=60, **options)  # type: ignore[arg-type]
    except (Unsolvable, PackagesNotFound) as error:
        return error
    return None


def can_hold(
    records: tuple[RepoDataRecord, ...], facts: tuple[Requested | Pinned, ...], present: tuple[RepoDataRecord, ...] = ()
) -> bool:
    """Whether any set of these records meets the facts, worked out by trying them all."""
    by_name: dict[str, list[RepoDataRecord | None]] = {}
    for record in {record.fn: record for record in (*records, *present)}.values():
        by_name.setdefault(record.name, [None]).append(record)
    wanted = [fact.spec for fact in facts if isinstance(fact, Requested)]
    pins = [fact.spec for fact in facts if isinstance(fact, Pinned)]
    for choice in itertools.product(*by_name.values()):
        chosen = [record for record in choice if record is not None]
        held = all(pin.matches(record) for pin in pins for record in chosen if record.name == pin.name)
        if held and not faults(chosen, wanted):
            return True
    return False


@given(small_worlds(), requests, requests)
@settings(max_examples=150, deadline=None)
def test_no_part_of_a_contradiction_can_be_spared(
    records: tuple[RepoDataRecord, ...], wanted: list[str], pins: list[str]
) -> None:
    request = SolveRequest(install=specs(*wanted), pins=specs(*pins), virtual_packages=LINUX)
    error = failure_of(request, RecordSource({MAIN: records}))
    if isinstance(error, Unsolvable):
        assert not can_hold(records, error.facts)
        for place in range(len(error.facts)):
            assert can_hold(records, error.facts[:place] + error.facts[place + 1 :])


@given(small_worlds(), requests, requests)
@settings(max_examples=150, deadline=None)
def test_repairs_keep_what_they_promise(
    records: tuple[RepoDataRecord, ...], wanted: list[str], pins: list[str]
) -> None:
    where = RecordSource({MAIN: records})
    request = SolveRequest(install=specs(*wanted), pins=specs(*pins), virtual_packages=LINUX)
    error = failure_of(request, where)
    if error is None:
        return
    for repair, solution in zip(error.repairs, check_repairs(error, request, where), strict=True):
        relaxed = relax(request, repair.relaxations)
        assert faults(solution.records, relaxed.install) == []


@given(small_worlds(), small_worlds(), requests, st.booleans())
@settings(max_examples=100, deadline=None)
def test_repairs_with_two_channels(
    first: tuple[RepoDataRecord, ...], second: tuple[RepoDataRecord, ...], wanted: list[str], flexible: bool
) -> None:
    moved = tuple(package(line_of(record), channel=OTHER) for record in second)
    where = RecordSource({MAIN: first, OTHER: moved})
    options = SolveOptions(channel_priority="flexible" if flexible else "strict")
    request = SolveRequest(install=specs(*wanted), virtual_packages=LINUX, options=options)
    error = failure_of(request, where)
    if error is not None:
        check_repairs(error, request, where)


def line_of(record: RepoDataRecord) -> str:
    needs = f"{'; '.join(record.depends)} / {'; '.join(record.constrains)}"
    return f"{record.name} {record.version} {record.build}: {needs}"


@given(small_worlds(), requests, requests, st.booleans())
@settings(max_examples=150, deadline=None)
def test_repairs_of_an_environment(
    records: tuple[RepoDataRecord, ...], first: list[str], second: list[str], frozen: bool
) -> None:
    where = RecordSource({MAIN: records})
    try:
        before = solve(SolveRequest(install=specs(*first), virtual_packages=LINUX), where)
    except (Unsolvable, PackagesNotFound):
        return
    request = SolveRequest(
        install=specs(*second),
        installed=before.records,
        history=specs(*first),
        freeze_installed=frozen,
        virtual_packages=LINUX,
    )
    error = failure_of(request, where)
    if error is None:
        return
    check_repairs(error, request, where)
    if isinstance(error, Unsolvable):
        assert not can_hold(records, error.facts, before.records)
        for place in range(len(error.facts)):
            assert can_hold(records, error.facts[:place] + error.facts[place + 1 :], before.records)


@given(small_worlds(), requests, st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_the_same_text_for_any_order_of_records(
    records: tuple[RepoDataRecord, ...], wanted: list[str], random: object
) -> None:
    request = SolveRequest(install=specs(*wanted), virtual_packages=LINUX)
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert str(failure_of(request, RecordSource({MAIN: records}))) == str(
        failure_of(request, RecordSource({MAIN: shuffled}))
    )


def test_no_repair_is_looked_for_without_time() -> None:
    where = source("a 1: x 1\na 2: x 2\nb 1: x 2\nx 1\nx 2")
    request = SolveRequest(install=specs("a 1", "b"), virtual_packages=LINUX)
    ticks = itertools.count()
    with pytest.raises(Unsolvable) as caught:
        solve(request, where, clock=lambda: float(next(ticks)), repair_seconds=0)
    assert caught.value.repairs == ()
    assert caught.value.requests == ["a==1", "b"]
    with pytest.raises(Unsolvable) as caught:
        solve(request, where, clock=lambda: 0.0, repair_seconds=1)
    assert [repair.specs for repair in caught.value.repairs] == [("a=2", "b"), ("a==1",)]


def test_several_contradictions_are_repaired_together() -> None:
    where = source("a 1: x 1\na 2: x 2\nb 1: x 2\nx 1\nx 2\nc 1: y 1\nc 2: y 2\nd 1: y 2\ny 1\ny 2")
    request = SolveRequest(install=specs("a 1", "b", "c 1", "d"), virtual_packages=LINUX)
    error = failure_of(request, where)
    assert error is not None
    assert [repair.specs for repair in error.repairs] == [("a=2", "b", "c=2", "d")]
    assert error.repairs[0].sentence == "ask for a=2 and c=2 instead of a==1 and c==1 (gives a 2, b 1, c 2 and d 1)"


@pytest.mark.parametrize(
    ("wanted", "offered"), [(["b", "a"], []), (["b", "a", "c"], ["leave out b and leave out a (gives c 1.0)"])]
)
def test_to_leave_out_everything_is_no_way_out(wanted: list[str], offered: list[str]) -> None:
    """b is nowhere, and a needs it."""
    where = source("a 1.0: b\nc 1.0")
    error = failure_of(SolveRequest(install=specs(*wanted)), where)
    assert isinstance(error, PackagesNotFound)
    assert [repair.sentence for repair in error.repairs] == offered


def test_a_package_to_update_can_be_let_go_with_others() -> None:
    where = source("a 1: x 1\na 2: x 2\nx 1\nx 2\nb 1: x 1\nb 2: x 2")
    request = SolveRequest(
        update=specs("a 2"),
        installed=tuple(packages("a 1: x 1\nb 1: x 1\nx 1")),
        history=specs("b 1"),
        virtual_packages=LINUX,
    )
    error = failure_of(request, where)
    assert error is not None
    assert [repair.kind for repair in error.repairs] == ["history", "version"]
    assert relax(request, error.repairs[0].relaxations).update == specs("a 2", "b")


@pytest.mark.parametrize(
    ("relaxation", "install", "pins"),
    [
        (Relaxation("version", "a==1", "a=2"), ["a=2", "b"], ["c<2"]),
        (Relaxation("channel", "", "other::c"), ["a==1", "b", "other::c"], ["c<2"]),
        (Relaxation("drop", "b"), ["a==1"], ["c<2"]),
        (Relaxation("pin", "c<2"), ["a==1", "b"], []),
        (Relaxation("history", "c=1", "c"), ["a==1", "b", "c"], ["c<2"]),
    ],
    ids=lambda value: value.kind if isinstance(value, Relaxation) else "",
)
def test_a_request_is_relaxed(relaxation: Relaxation, install: list[str], pins: list[str]) -> None:
    request = SolveRequest(install=specs("a==1", "b"), pins=specs("c<2"))
    relaxed = relax(request, [relaxation])
    assert relaxed.install == tuple(MatchSpec.parse(text) for text in install)
    assert relaxed.pins == tuple(MatchSpec.parse(text) for text in pins)


@pytest.mark.parametrize(
    ("name", "other", "likely"),
    [
        ("nmpy", "numpy", True),
        ("pytroch", "pytorch", True),
        ("sklearn", "scikit-learn", True),
        ("python_dateutil", "python-dateutil", True),
        ("pytorch-gpu", "pytorch", True),
        ("tqm", "tqdm", True),
        ("tensorflow", "xtensor", False),
        ("arrow-cpp", "reproc-cpp", False),
    ],
)
def test_what_somebody_meant(name: str, other: str, likely: bool) -> None:
    assert is_probably(name, other) == likely


@given(st.text("ab", max_size=6), st.text("ab", max_size=6))
def test_changes_between_texts(one: str, other: str) -> None:
    changes = changes_between(one, other)
    assert changes == changes_between(other, one)
    assert (changes == 0) == (one == other)
    assert abs(len(one) - len(other)) <= changes <= max(len(one), len(other))
