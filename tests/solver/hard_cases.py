"""Worlds that are hard for solvers, as records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kaa.models.record import RepoDataRecord
from tests.solver.packages import package

EASY = "530070000600195000098000060800060003400803001700020006060000280000419005000080079"
EASY_SOLVED = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
HARD = "000000010400000000020000000000050407008000300001090000300400200050100000000806000"
"""Seventeen digits are given, the fewest that can be."""
HARD_SOLVED = "693784512487512936125963874932651487568247391741398625319475268856129743274836159"
IMPOSSIBLE = "5168497323.76.5...8.97...65135.6.9.7472591..696837..5.253186.746842.75..791.5.6.8".replace(".", "0")
"""A digit for every cell is left at the beginning, and there is no solution."""


def cell(place: int) -> str:
    return f"cell{place // 9 + 1}{place % 9 + 1}"


def neighbours(place: int) -> list[int]:
    """The other cells of a cell's row, column and box."""
    row, column = divmod(place, 9)
    return [
        other
        for other in range(81)
        if other != place
        and (other // 9 == row or other % 9 == column or (other // 27 == place // 27 and other % 9 // 3 == column // 3))
    ]


def sudoku(*, depends: bool) -> Iterator[RepoDataRecord]:
    """A package for every cell, a version for every digit; `board` needs them all.

    A cell keeps its digit to itself by what it depends on, or by what it constrains.
    """
    yield package("board 1: " + "; ".join(cell(place) for place in range(81)))
    for place in range(81):
        for digit in range(1, 10):
            exclusions = "; ".join(f"{cell(other)} !={digit}" for other in neighbours(place))
            yield package(f"{cell(place)} {digit}: " + (exclusions if depends else f"/ {exclusions}"))


def clues(board: str) -> list[str]:
    """What is asked for."""
    return ["board", *(f"{cell(place)} {digit}" for place, digit in enumerate(board) if digit != "0")]


def board_of(records: Sequence[RepoDataRecord]) -> str:
    digits = {record.name: record.version for record in records}
    return "".join(digits[cell(place)] for place in range(81))


def chain(length: int, end: str = "") -> Iterator[RepoDataRecord]:
    """Each package needs the next one; the last one needs `end`."""
    for number in range(length):
        following = f"link{number + 1}" if number + 1 < length else end
        yield package(f"link{number} 1: {following}")
        yield package(f"link{number} 2: {following}")


def many_builds(count: int) -> Iterator[RepoDataRecord]:
    """Builds of one version that need one thing each, of which only the last one exists."""
    for number in range(count):
        yield package(f"many 1 h{count - number:05}_{number}: lib ==1 h{number}", timestamp=count - number)
    yield package("lib 1 h0")


def many_versions(count: int) -> Iterator[RepoDataRecord]:
    """Versions that need one version of a library each, of which only the oldest goes with the other request."""
    for number in range(count):
        yield package(f"many {number}: lib {number}")
        yield package(f"lib {number}: base {'<2' if number == 0 else '>=2'}")
    yield package("base 1")
    yield package("base 2")


def ring(length: int, versions: int) -> Iterator[RepoDataRecord]:
    """A circle of packages that all need to be of one version; the last one goes with the oldest only."""
    for number in range(length):
        for version in range(1, versions + 1):
            more = "; stopper" if number == length - 1 and version > 1 else ""
            yield package(f"ring{number} {version}: ring{(number + 1) % length} {version}{more}")


def loose_bounds(releases: int) -> Iterator[RepoDataRecord]:
    """A client and its core, released together hundreds of times, and a library that only old ones go with.

    The oldest clients were not strict about their core, and so go with any.
    """
    for number in range(releases):
        loose = number < 3
        bounds = "core" if loose else f"core >=1.{number},<1.{number + 1}"
        yield package(f"client 1.{number}: {bounds}; python")
        yield package(f"core 1.{number}: http >=1.20,<2; dates; python")
        yield package(f"transfer 0.{number}: core >=1.{max(0, number - 5)},<2")
    for version in ("1.20", "1.26", "2.0", "2.6"):
        yield package(f"http {version}: python")
    yield package("dates 1")
    yield package("python 3")


def pigeons(count: int) -> Iterator[RepoDataRecord]:
    """One hole less than there are pigeons."""
    for pigeon in range(count):
        for hole in range(1, count):
            others = "; ".join(f"pigeon{other} !={hole}" for other in range(count) if other != pigeon)
            yield package(f"pigeon{pigeon} {hole}: / {others}")


def diamond(width: int, versions: int, *, meets: bool) -> Iterator[RepoDataRecord]:
    """Many packages between one on top and one below, of which the oldest versions alone agree on that, or not even."""
    yield package("top 1: " + "; ".join(f"side{number}" for number in range(width)))
    yield package("bottom 1")
    for number in range(width):
        for version in range(1, versions + 1):
            own = (version - 1) * width + number + 2
            agrees = version == 1 and (meets or number)
            yield package(f"side{number} {version}: bottom {1 if agrees else own}")
            yield package(f"bottom {own}")
