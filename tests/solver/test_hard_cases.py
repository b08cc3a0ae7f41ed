"""Worlds that are hard for solvers: each has the right answer, or the right explanation, and soon enough.

How long each takes is in docs/design/0012-solver-speed.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

import pytest

from kaa.models.record import RepoDataRecord
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.request import SolveRequest
from kaa.solver.solution import Solution
from kaa.solver.solve import solve
from tests.solver import hard_cases as hard
from tests.solver.conda_forge import MACHINE, needs_records, where
from tests.solver.packages import LINUX, faults, packages, shown, source, specs


def answer(records: Iterable[RepoDataRecord], wanted: Sequence[str]) -> Solution:
    """The solution, which is checked."""
    solution = solve(SolveRequest(install=specs(*wanted), virtual_packages=LINUX), source(*records))
    assert faults(solution.records, specs(*wanted), LINUX) == []
    return solution


def contradiction(records: Iterable[RepoDataRecord], wanted: Sequence[str]) -> Unsolvable:
    with pytest.raises(Unsolvable) as caught:
        answer(records, wanted)
    return caught.value


# Sudoku


@pytest.mark.parametrize("depends", [True, False], ids=["depends", "constrains"])
@pytest.mark.parametrize(
    ("board", "solved"), [(hard.EASY, hard.EASY_SOLVED), (hard.HARD, hard.HARD_SOLVED)], ids=["easy", "hard"]
)
def test_sudoku(board: str, solved: str, depends: bool) -> None:
    assert hard.board_of(answer(hard.sudoku(depends=depends), hard.clues(board)).records[:-1]) == solved


@pytest.mark.slow
def test_sudoku_cell_by_cell() -> None:
    """Everything is asked for by name: what is asked for first is decided first, however little is known about it."""
    every_cell = [hard.cell(place) for place in range(81)]
    solution = answer(hard.sudoku(depends=False), [*hard.clues(hard.HARD)[1:], *every_cell])
    assert hard.board_of(solution.records) == hard.HARD_SOLVED


@pytest.mark.parametrize("depends", [True, False], ids=["depends", "constrains"])
@pytest.mark.parametrize("board", [hard.IMPOSSIBLE, "5" + hard.HARD[1:]], ids=["for one cell", "in the end"])
def test_a_sudoku_without_a_solution(board: str, depends: bool) -> None:
    told = contradiction(hard.sudoku(depends=depends), hard.clues(board))
    assert 1 < len(told.requests) < len(hard.clues(board))
    # What is told contradicts itself, and nothing in it can be spared.
    contradiction(hard.sudoku(depends=depends), told.requests)
    for spared in told.requests:
        answer(hard.sudoku(depends=depends), [spec for spec in told.requests if spec != spared])


# Chains and circles


def test_a_long_chain() -> None:
    assert len(answer(hard.chain(5000), ["link0"]).records) == 5000


@pytest.mark.parametrize(
    ("end", "others", "wanted", "said"),
    [
        ("missing", "", ["link0"], "no channel offers it"),
        ("end <2", "end 1\nend 2", ["link0", "end >=2"], "in the end end <2, but end>=2 was asked for"),
    ],
    ids=["missing", "contradicted"],
)
def test_a_long_chain_that_fails_at_its_end(end: str, others: str, wanted: list[str], said: str) -> None:
    told = contradiction([*hard.chain(5000, end), *packages(others)], wanted)
    assert told.requests == [spec.replace(" ", "") for spec in wanted]
    assert said in told.message
    assert len(told.message.splitlines()) < 12


@pytest.mark.parametrize(("length", "versions"), [(1000, 5), (30, 50)])
def test_a_ring(length: int, versions: int) -> None:
    solution = answer(hard.ring(length, versions), ["ring0"])
    assert len(solution.records) == length
    assert {record.version for record in solution.records} == {"1"}


# Much to choose from


def test_of_thousands_of_builds_only_the_last_one_works() -> None:
    assert shown(answer(hard.many_builds(5000), ["many"])) == "lib-1 many-1"


def test_of_many_versions_only_the_oldest_one_works() -> None:
    assert shown(answer(hard.many_versions(1500), ["many", "base <2"])) == "base-1 lib-0 many-0"


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        (["client", "http <2"], "client-1.399 core-1.399 dates-1 http-1.26 python-3"),
        (["transfer", "client <1.200"], "client-1.2 core-1.399 dates-1 http-1.26 python-3 transfer-0.399"),
        (["client >=1.3", "http >=2"], None),
        (["transfer", "client", "http >=2"], None),
    ],
)
def test_releases_that_move_together(wanted: list[str], chosen: str | None) -> None:
    world = partial(hard.loose_bounds, 400)
    if chosen is not None:
        assert shown(answer(world(), wanted)) == chosen
    else:
        assert contradiction(world(), wanted).requests[-1] == "http>=2"


@pytest.mark.parametrize("count", [6, 7, 8, pytest.param(10, marks=pytest.mark.slow)])
def test_pigeons(count: int) -> None:
    wanted = [f"pigeon{number}" for number in range(count)]
    assert sorted(contradiction(hard.pigeons(count), wanted).requests) == wanted
    assert len(answer(hard.pigeons(count), wanted[1:]).records) == count - 1


@pytest.mark.parametrize("meets", [True, False])
def test_a_wide_diamond(meets: bool) -> None:
    world = partial(hard.diamond, 300, 20, meets=meets)
    if meets:
        assert "bottom-1" in shown(answer(world(), ["top"]))
    else:
        assert contradiction(world(), ["top"]).requests == ["top"]


# The real world


@needs_records
@pytest.mark.parametrize("wanted", [["python=2.7", "numpy"], ["python<3.8", "jupyterlab"]], ids=" ".join)
def test_a_python_that_is_no_longer_offered(wanted: list[str]) -> None:
    with pytest.raises(PackagesNotFound) as caught:
        solve(SolveRequest(install=specs(*wanted), virtual_packages=MACHINE), where())
    assert [spec.name for spec in caught.value.specs] == ["python"]


@needs_records
@pytest.mark.parametrize(
    ("wanted", "solvable"),
    [
        (["python=3.9", "numpy", "pandas", "scipy"], True),
        (["python=3.8", "gdal", "geopandas", "xarray", "dask"], False),
        (["python=3.8", "jupyterlab", "numpy>=2"], False),
        (["python=3.8", "pandas>=2.2", "scipy>=1.14", "matplotlib"], False),
    ],
)
def test_an_old_python(wanted: list[str], solvable: bool) -> None:
    request = SolveRequest(install=specs(*wanted), virtual_packages=MACHINE)
    if solvable:
        assert faults(solve(request, where()).records, specs(*wanted), MACHINE) == []
    else:
        with pytest.raises(Unsolvable) as caught:
            solve(request, where())
        assert "python=3.8" in caught.value.requests
        assert len(caught.value.requests) == 2
