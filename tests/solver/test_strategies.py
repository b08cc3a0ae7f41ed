"""Which versions are preferred: the highest, the lowest, or the lowest of what is asked for alone."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.models.record import RepoDataRecord
from kaa.models.version import Version
from kaa.solver.candidates import RecordSource
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveOptions, SolveRequest, Strategy
from kaa.solver.solve import solve
from tests.solver.packages import LINUX, MAIN, ask, faults, package, packages, shown_with_builds, source, specs
from tests.solver.test_worlds import every_solution, requests, small_worlds

CHANNEL = """
    python 3.13.1
    python 3.12.7
    python 3.11.9
    numpy 2.1 py313_1: python 3.13.*; blas
    numpy 2.1 py312_0: python 3.12.*; blas
    numpy 1.26 py312_1: python 3.12.*; blas
    numpy 1.26 py312_0: python 3.12.*; blas
    numpy 1.26 py311_0: python 3.11.*; blas
    pandas 2.2: numpy >=1.26; tzdata
    pandas 2.0: numpy >=1.26; tzdata
    blas 2
    blas 1
    tzdata 2025
    tzdata 2024
"""

TABLE: list[tuple[str, list[str], str]] = [
    ("highest", ["pandas"], "blas-2-0 numpy-2.1-py313_1 pandas-2.2-0 python-3.13.1-0 tzdata-2025-0"),
    ("lowest", ["pandas"], "blas-1-0 numpy-1.26-py312_1 pandas-2.0-0 python-3.12.7-0 tzdata-2024-0"),
    ("lowest-direct", ["pandas"], "blas-2-0 numpy-2.1-py313_1 pandas-2.0-0 python-3.13.1-0 tzdata-2025-0"),
    ("lowest-direct", ["numpy"], "blas-2-0 numpy-1.26-py312_1 python-3.12.7-0"),
    ("lowest-direct", ["numpy >1.26", "blas"], "blas-1-0 numpy-2.1-py313_1 python-3.13.1-0"),
    ("lowest-direct", ["python", "numpy"], "blas-2-0 numpy-1.26-py311_0 python-3.11.9-0"),
    ("lowest", ["numpy"], "blas-1-0 numpy-1.26-py312_1 python-3.12.7-0"),
]


@pytest.mark.parametrize(("strategy", "wanted", "answer"), TABLE)
def test_strategies(strategy: Strategy, wanted: list[str], answer: str) -> None:
    assert shown_with_builds(ask(source(CHANNEL), *wanted, strategy=strategy)) == answer
    backwards = "\n".join(reversed(CHANNEL.splitlines()))
    assert shown_with_builds(ask(source(backwards), *wanted, strategy=strategy)) == answer


INSTALLED: list[tuple[str, dict[str, Any], str]] = [
    ("what is there is kept", {"install": ["numpy"]}, "blas-1-0 numpy-2.1-py312_0 python-3.12.7-0"),
    ("an update goes the other way", {"update": ["numpy"]}, "blas-1-0 numpy-1.26-py312_1 python-3.12.7-0"),
    ("an update of all, too", {"update_all": True}, "blas-1-0 numpy-1.26-py312_1 python-3.12.7-0"),
]


@pytest.mark.parametrize(("jobs", "answer"), [row[1:] for row in INSTALLED], ids=[row[0] for row in INSTALLED])
def test_the_lowest_in_an_environment(jobs: dict[str, Any], answer: str) -> None:
    known = {record.dist: record for record in packages(CHANNEL)}
    installed = tuple(known[dist] for dist in ("python-3.12.7-0", "numpy-2.1-py312_0", "blas-1-0"))
    found = ask(
        source(CHANNEL), *jobs.pop("install", ()), installed=installed, history=["numpy"], strategy="lowest", **jobs
    )
    assert shown_with_builds(found) == answer


def test_features_still_come_last() -> None:
    where = source(package("a 1", track_features="x"), package("a 2"), package("a 3"))
    assert shown_with_builds(ask(where, "a", strategy="lowest")) == "a-2-0"


@given(small_worlds(), requests, st.sampled_from(["lowest", "lowest-direct"]), st.randoms(use_true_random=False))
@settings(max_examples=300, deadline=None)
def test_the_lowest_of_what_was_asked_for(
    records: tuple[RepoDataRecord, ...], wanted: list[str], strategy: Strategy, random: object
) -> None:
    """Against brute force: no solution has a lower version of the first request, and so on."""
    request = SolveRequest(install=specs(*wanted), virtual_packages=LINUX, options=SolveOptions(strategy=strategy))
    possible = every_solution(records, wanted)
    try:
        solution = solve(request, RecordSource({MAIN: records}))
    except (Unsolvable, PackagesNotFound):
        assert possible == []
        return
    assert faults(solution.records, specs(*wanted)) == []
    direct = list(dict.fromkeys(spec.name or "" for spec in specs(*wanted)))

    def rank(chosen: dict[str, RepoDataRecord]) -> list[tuple[Version, int]]:
        return [(Version(chosen[name].version), -chosen[name].build_number) for name in direct]

    assert rank({record.name: record for record in solution.records}) == min(map(rank, possible))
    shuffled = list(records)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    again = solve(request, RecordSource({MAIN: shuffled}))
    assert shown_with_builds(again) == shown_with_builds(solution)


@given(small_worlds(), st.sampled_from("abcde"))
@settings(max_examples=200, deadline=None)
def test_the_highest_of_what_one_request_needs(records: tuple[RepoDataRecord, ...], name: str) -> None:
    """With lowest-direct a package that needs one other alone gets the highest version of that one."""
    try:
        request = SolveRequest(
            install=specs(name), virtual_packages=LINUX, options=SolveOptions(strategy="lowest-direct")
        )
        solution = solve(request, RecordSource({MAIN: records}))
    except (Unsolvable, PackagesNotFound):
        return
    if len(solution.records) != 2:
        return
    by_name = {record.name: record for record in solution.records}
    (other,) = set(by_name) - {name}
    possible = [
        chosen
        for chosen in every_solution(records, [name])
        if set(chosen) == set(by_name) and chosen[name] == by_name[name]
    ]
    highest = max(possible, key=lambda chosen: (Version(chosen[other].version), chosen[other].build_number))
    assert (highest[other].version, highest[other].build_number) == (
        by_name[other].version,
        by_name[other].build_number,
    )
