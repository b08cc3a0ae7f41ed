"""Packed version keys compare as versions do, and packed ranges hold what the ranges hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models.version import InvalidVersion, Version
from kaa.models.version_spec import InvalidVersionSpec, VersionSpec
from kaa.solver.ranges import Ranges, pack_key, pack_number, pack_version

VERSIONS = """
1.1dev1 1.1_ 1.1a1 1.1b1 1.1rc1 1.1.dev1 1.1.a1 1.1 1.1.0 1.1.post1 1.1.1dev1 1.1.1 1.1post1 1.2 v1.0 0 0.1
960923 2013a 2013b 2013 1!0.1 2!0 1.0a1.dev1 1.0alpha1 2.0dev1 2.0a0 2.0.dev1 2.0.0.1 1.2+dev 1.2+abc
1.2+local 1.2+0.local 1.2+1.local 1.2+1 1.2+1.1 1.3.dev0 9d 9e 9 10a 10 3.4a 3.4.0a 3.4.0.0a 3.4 1.0z 1.0.z
1.0.0a.1 256 255 65536 0.0.0.1
"""

RANGES = """
>=1.1 <1.1 >1.1 <=1.1 ==1.1 1.1 !=1.1 =1.1 1.1.* 1.1* !=1.1.* ~=1.1.1 >=1.0,<2.0a0 >=1,!=1.1,<2 1.1|>=2
(>=1,<1.2)|9 * >=1,<0 >=1.2.* ==1.2.* =1.2+1 1.*.1 ^1.* >=1.0.0a0,<1.1 <1.1.0a0 =2013a >1!0 =0 ==0 <=960923
"""


@pytest.mark.parametrize("one", VERSIONS.split())
def test_packed_keys_compare_as_versions(one: str) -> None:
    first = Version(one)
    for second in map(Version, VERSIONS.split()):
        assert (pack_key(first.key) < pack_key(second.key)) == (first < second), second
        assert (pack_key(first.key) == pack_key(second.key)) == (first == second), second


literals = st.from_regex(
    r"(?:[0-9]!)?[0-9]{1,3}(?:[._]?(?:[0-9]{1,3}|a|rc|post|dev)){0,4}(?:\+[0-9a-z]{1,2})?", fullmatch=True
)


@given(literals, literals)
def test_packed_keys_of_any_versions_compare_as_versions(one: str, other: str) -> None:
    try:
        first, second = Version(one), Version(other)
    except InvalidVersion:
        return
    assert (pack_key(first.key) < pack_key(second.key)) == (first < second)
    assert (pack_key(first.key) == pack_key(second.key)) == (first == second)


@given(st.integers(-(2**70), 2**70), st.integers(-(2**70), 2**70))
def test_packed_numbers_compare_as_numbers(one: int, other: int) -> None:
    assert (pack_number(one) < pack_number(other)) == (one < other)


@pytest.mark.parametrize("text", RANGES.split())
def test_a_packed_range_holds_what_the_range_holds(text: str) -> None:
    try:
        spec = VersionSpec(text)
    except InvalidVersionSpec:
        with pytest.raises(InvalidVersionSpec):
            Ranges().bounds(text)
        return
    bounds = Ranges().bounds(text)
    if spec.bounds is None:
        assert bounds is None
        return
    assert bounds is not None
    for version in map(Version, VERSIONS.split()):
        inside = sum(bound <= pack_key(version.key) for bound in bounds) % 2 == 1
        assert inside == spec.matches(version), version


@given(
    st.lists(st.sampled_from(["0", "00", "1", "01", "7", "84", "85", "86", "255", "2023", "999999999", "2147483647"]))
)
def test_versions_of_numbers_are_packed_without_parsing(parts: list[str]) -> None:
    text = ".".join(parts) or "0"
    known: dict[str, bytes] = {}
    for _ in range(2):
        assert pack_version(text, known) == pack_key(Version(text).key)


@pytest.mark.parametrize("text", ["1.0a1", "1!2.0", "1.0+3", "1_0", "2-1", "1.1.1w", "1.0_", "1.0.post1", "0.0.dev3"])
def test_other_versions_are_packed_as_well(text: str) -> None:
    assert pack_version(text, {}) == pack_key(Version(text).key)


def test_a_number_that_no_version_may_hold_is_not_packed() -> None:
    with pytest.raises(InvalidVersion):
        pack_version("1.99999999999999999999", {})
