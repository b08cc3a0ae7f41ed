"""Solving against brute force, on worlds of a few packages."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.models.record import RepoDataRecord
from kaa.models.version import Version
from kaa.solver.candidates import RecordSource
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveRequest
from kaa.solver.solve import solve
from tests.solver.packages import LINUX, MAIN, faults, package, shown_with_builds, specs

NAMES = "abcde"
RANGES = ["", " 1", " 2", " 3", " <2", " >=2", " <3", " >1,<3", " !=2", " 1|3", " 2.*", " * *_1"]
CONDITIONS = ["[when='c>=2']", "[version='>=2',when='b or d']", "[when='a<3 and __unix']", "[when='__win']"]


@st.composite
def small_worlds(draw: st.DrawFn) -> tuple[RepoDataRecord, ...]:
    """Up to five names with a few records each, and dependencies between them."""
    records = []
    names = NAMES[: draw(st.integers(2, len(NAMES)))]
    asked = st.sampled_from([*RANGES, *CONDITIONS, *CONDITIONS])
    needs = st.builds(str.__add__, st.sampled_from([*names, *names, "missing"]), asked)
    for name in names:
        versions = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 1)), max_size=4, unique=True))
        for version, number in versions:
            depends = "; ".join(draw(st.lists(needs, max_size=2)))
            constrains = "; ".join(draw(st.lists(needs, max_size=1)))
            records.append(package(f"{name} {version} h_{number}: {depends} / {constrains}"))
    return tuple(records)


requests = st.lists(
    st.builds(str.__add__, st.sampled_from(NAMES), st.sampled_from(RANGES)), min_size=1, max_size=3, unique=True
)


def every_solution(records: tuple[RepoDataRecord, ...], wanted: list[str]) -> list[dict[str, RepoDataRecord]]:
    """All sets of records that meet the request, also those with more than is needed."""
    by_name: dict[str, list[RepoDataRecord | None]] = {}
    for record in records:
        by_name.setdefault(record.name, [None]).append(record)
    found = []
    for choice in itertools.product(*by_name.values()):
        chosen = [record for record in choice if record is not None]
        if not faults(chosen, specs(*wanted)):
            found.append({record.name: record for record in chosen})
    return found


@given(small_worlds(), requests, st.randoms(use_true_random=False))
@settings(max_examples=400, deadline=None)
def test_the_answer_is_right(records: tuple[RepoDataRecord, ...], wanted: list[str], random: object) -> None:
    request = SolveRequest(install=specs(*wanted), virtual_packages=LINUX)
    possible = every_solution(records, wanted)
    try:
        solution = solve(request, RecordSource({MAIN: records}))
    except (Unsolvable, PackagesNotFound) as error:
        assert possible == []
        assert str(error)
        return
    assert faults(solution.records, specs(*wanted)) == []
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = solve(request, RecordSource({MAIN: shuffled}))
    assert shown_with_builds(again) == shown_with_builds(solution)
    direct = list(dict.fromkeys(spec.name or "" for spec in specs(*wanted)))

    def quality(chosen: dict[str, RepoDataRecord]) -> list[tuple[Version, int]]:
        return [(Version(chosen[name].version), chosen[name].build_number) for name in direct]

    best = max(map(quality, possible))
    assert quality({record.name: record for record in solution.records}) == best


@given(small_worlds(), requests)
@settings(max_examples=200, deadline=None)
def test_nothing_is_installed_that_nothing_needs(records: tuple[RepoDataRecord, ...], wanted: list[str]) -> None:
    try:
        solution = solve(SolveRequest(install=specs(*wanted), virtual_packages=LINUX), RecordSource({MAIN: records}))
    except (Unsolvable, PackagesNotFound):
        return
    needed = {spec.name for spec in specs(*wanted)}
    waiting = list(needed)
    while waiting:
        record = solution.find(waiting.pop() or "")
        assert record is not None
        for spec in specs(*record.depends):
            if spec.name not in needed and (spec.when is None or solution.find(spec.name or "") is not None):
                needed.add(spec.name)
                waiting.append(spec.name)
    assert {record.name for record in solution.records} == needed


@given(small_worlds(), st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True), requests)
@settings(max_examples=200, deadline=None)
def test_asking_again_for_what_is_there_changes_nothing(
    records: tuple[RepoDataRecord, ...], first: list[str], second: list[str]
) -> None:
    where = RecordSource({MAIN: records})
    try:
        before = solve(SolveRequest(install=specs(*first), virtual_packages=LINUX), where)
    except (Unsolvable, PackagesNotFound):
        return
    again = solve(
        SolveRequest(install=specs(*first), installed=before.records, history=specs(*first), virtual_packages=LINUX),
        where,
    )
    assert shown_with_builds(again) == shown_with_builds(before)
    try:
        after = solve(
            SolveRequest(
                install=specs(*second), installed=before.records, history=specs(*first), virtual_packages=LINUX
            ),
            where,
        )
    except (Unsolvable, PackagesNotFound):
        return
    named = {spec.name for spec in specs(*second)}
    held = [spec for spec in specs(*first) if spec.name not in named]
    assert faults(after.records, [*specs(*second), *held]) == []
    # Nothing changes without need: putting an old record back breaks something.
    for old in before.records:
        new = after.find(old.name)
        if new is not None and new != old and old.name not in named:
            others = [record for record in after.records if record.name != old.name]
            needs = {spec.name for spec in specs(*old.depends)}
            if needs <= {record.name for record in after.records}:
                assert faults([*others, old], [*specs(*second), *held]) != []
