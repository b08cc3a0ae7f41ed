"""Keeping what is installed without a search is a shortcut: it comes to what the whole search does, or to nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from hypothesis import event, given, settings

from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import CandidateSource, RecordSource
from kaa.solver.failures import PackagesNotFound
from kaa.solver.keeping import may_keep, solve_keeping
from kaa.solver.request import SolveRequest
from kaa.solver.search import NoSolution
from kaa.solver.solve import solve
from kaa.solver.solving import Solving
from tests.solver.conda_forge import MACHINE, needs_records, records, where
from tests.solver.packages import LINUX, packages, shown, source, specs
from tests.solver.test_brute_force import World, worlds

CHANNEL = """
    python 3.13.1
    python 3.12.7
    numpy 2.1 py313_0: python 3.13.*
    numpy 2.1 py312_0: python 3.12.*
    numpy 1.26 py312_0: python 3.12.*
    scipy 1.15 py313_0: python 3.13.*; numpy >=2
    scipy 1.15 py312_0: python 3.12.*; numpy >=2
    scipy 1.14 py312_0: python 3.12.*; numpy
    extra 2: helper
    extra 1
    helper 1 0: / extra <2
    lone 1: helper 1.*
"""
INSTALLED = "python-3.12.7-0", "numpy-1.26-py312_0"


def request(*install: str, installed: Sequence[str] = INSTALLED) -> SolveRequest:
    there = tuple(record for record in packages(CHANNEL) if record.dist in installed)
    return SolveRequest(install=specs(*install), installed=there, virtual_packages=LINUX)


def both(asked: SolveRequest, where: CandidateSource) -> tuple[bool, object, object]:
    """Whether the shortcut comes to something, to what (if it does), and what the whole search comes to."""
    solving = Solving(asked, where, lambda: None)
    short = solve_keeping(solving)
    try:
        whole = Solving(asked, where, lambda: None).solve()
    except (NoSolution, PackagesNotFound):
        return short is not None, short, None
    return short is not None, short, whole


@pytest.mark.parametrize(
    ("install", "is_short"),
    [
        (["numpy"], True),
        (["extra 1"], True),
        (["lone"], True),
        (["numpy >=2"], True),
        # The newest of all goes with this python, but not with this numpy: that is for the whole search to weigh.
        (["scipy"], False),
        (["scipy 1.14"], True),
        # Nothing has to give way, but the newest cannot be had.
        (["extra"], False),
        (["python 3.13"], False),
        (["nothing"], False),
        (["scipy 1.15", "numpy <2"], False),
    ],
)
def test_when_it_comes_to_something(install: list[str], is_short: bool) -> None:
    found, short, whole = both(request(*install), source(CHANNEL))
    assert found == is_short
    assert not found or short == whole


def test_the_whole_search_follows_when_the_shortcut_comes_to_nothing() -> None:
    assert shown(solve(request("scipy"), source(CHANNEL))) == "numpy-2.1 python-3.12.7 scipy-1.15"


@given(worlds)
@settings(max_examples=600)
def test_both_come_to_the_same(world: World) -> None:
    if may_keep(world.request):
        found, short, whole = both(world.request, RecordSource(world.channels))
        event(f"short: {found}")
        assert not found or short == whole


@pytest.mark.slow
@needs_records
@pytest.mark.parametrize("seed", range(60))
def test_both_come_to_the_same_on_conda_forge(seed: int) -> None:
    choose = random.Random(seed)
    names = sorted({record.name for record in records()})
    before = environment(choose, names)
    asked = SolveRequest(install=specs(*choose.sample(names, 2)), installed=before, virtual_packages=MACHINE)
    found, short, whole = both(asked, where())
    assert not found or short == whole


def environment(choose: random.Random, names: Sequence[str]) -> tuple[RepoDataRecord, ...]:
    """What some names and a python need, chosen so that it has a solution."""
    while True:
        wanted = [f"python {choose.choice(['3.11', '3.12', '3.13'])}.*", *choose.sample(names, 3)]
        try:
            return (
                Solving(SolveRequest(install=specs(*wanted), virtual_packages=MACHINE), where(), lambda: None)
                .solve()
                .records
            )
        except (NoSolution, PackagesNotFound):
            continue
