"""What a spec means among the candidates of a name, against matching every record."""

from __future__ import annotations

import pytest

from kaa.models.match_spec import MatchSpec
from kaa.solver.ranges import Ranges
from kaa.solver.states import NameStates, query_of
from tests.solver.packages import OTHER, package, source

RECORDS = [
    package("tool 2.0 h1_0", flags=("gpu", "blas:mkl"), license="MIT"),
    package("tool 2.0 py39_1", flags=("gpu",)),
    package("tool 2.0.0 py310_1"),
    package("tool 10.0 h4_0", subdir="noarch"),
    package("tool 11.0 mkl_0", track_features="mkl"),
    package("tool 1.5 mkl_0", track_features="mkl"),
    package("tool 1.5rc1 h5_0", md5="0" * 32),
    package("tool 1!0.5 h5_0", channel=OTHER),
    package("tool 0.1 h5_0", channel=OTHER),
]

SPECS = (
    """
tool|tool 2.0|tool >=2|tool <2|tool 2.*|tool =2.0=py*|tool * *mkl*|tool 1.*.0|tool ^2.*$|tool >=1.5,<11|tool 1.5,2
tool !=2.0|tool 1.5 mkl_0|tool 2.0 H1_0|tool[build_number=1]|tool[build_number='>0']|tool[subdir=noarch]|tool >=5,<2
other::tool|main::tool >=2|https://conda.example.com/other::tool|tool[flags='gpu']|tool[flags=[gpu,'blas:*']]|tool[flags=cpu]
tool[license=mit]|tool[md5=00000000000000000000000000000000]|tool[fn='tool-2.0-h1_0.conda']|nowhere::tool|tool[track_features=mkl]
""".replace("\n", "|")
    .strip("|")
    .split("|")
)


def states_of_tool() -> NameStates:
    return NameStates("tool", source(*RECORDS).groups("tool"), Ranges())


@pytest.mark.parametrize("text", SPECS)
def test_a_spec_means_the_records_that_match_it(text: str) -> None:
    spec = MatchSpec.parse(text, lenient=True)
    states = states_of_tool()
    found = states.matching(query_of(spec))
    expected = {record.dist for record in RECORDS if spec.matches(record)}
    assert {states.record(1 << bit).dist for bit in range(1, len(RECORDS) + 1) if found >> bit & 1} == expected
    assert not found & 1
    rest = text.removeprefix("tool").strip()
    if text.startswith("tool"):
        assert states.matching_rest(rest) == found


def test_every_state_is_one_record() -> None:
    states = states_of_tool()
    assert states.universe == (2 << len(RECORDS)) - 1
    dists = [states.record(1 << bit).dist for bit in range(1, len(RECORDS) + 1)]
    assert sorted(dists) == sorted(record.dist for record in RECORDS)
    for bit in range(1, len(RECORDS) + 1):
        part = states.part_of(1 << bit)
        position = part.position_of(1 << bit)
        record = states.record(1 << bit)
        assert str(part.version_at(position)) == record.version
        assert part.build_at(position) == record.build
        number, tie = part.tie_of(position)
        assert number == record.build_number
        assert tie >> bit & 1


def test_a_record_is_found_among_the_candidates() -> None:
    states = states_of_tool()
    for record in RECORDS:
        assert states.record(states.find(record)) == record
    assert states.find(package("tool 2.0 h9_0")) == 0
    assert states.find(package("tool 2.0 h1_0", subdir="osx-64")) == 0
    assert states.find(package("tool 1.5rc1 h5_0", md5="1" * 32)) == 0


def test_distinct_versions_highest_first() -> None:
    states = states_of_tool()
    assert [str(version) for version in states.versions(states.universe)][:3] == ["1!0.5", "11.0", "10.0"]


def test_the_lowest_version_is_found_with_its_first_build() -> None:
    states = states_of_tool()
    part = states.part_of(states.find(RECORDS[0]))
    mine = part.plain & states.matching_rest(">=1.5")
    assert states.record(1 << (part.first_of_lowest_version(mine) + part.shift + 1)).dist == "tool-2.0-py39_1"
