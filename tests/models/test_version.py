"""Versions: the order, the equal and the rejected (CEP 33)."""

from __future__ import annotations

import copy
import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

import kaa
from kaa.errors import KaaError
from kaa.models.version import InvalidVersion, Segment, Version
from tests.models.slice import slice_versions
from tests.models.strategies import versions

CHAINS = """
1.1dev1 < 1.1_ < 1.1a1 < 1.1b1 < 1.1rc1 < 1.1.dev1 < 1.1.a1 < 1.1.rc1 < 1.1 < 1.1.post1 < 1.1.1dev1 < 1.1.1 < 1.1post1
1.1post1 < 1.2
1.0.1dev < 1.0.1_ < 1.0.1a < 1.0.1b < 1.0.1r < 1.0.1rc < 1.0.1rc1 < 1.0.1rc2 < 1.0.1s < 1.0.1 < 1.0.1post.a < 1.0.2
v1.0 < 0 < 0.1 < 0.9.6 < 0.960923 < 1.0 < 9 < 9.1 < 1996.07.12 < 2013a < 2013b < 2013 < 1!0.1 < 2!0
1.0a1.dev1 < 1.0a1 < 1.0a1.post1 < 1.0a2 < 1.0alpha1 < 1.0b1 < 1.0c1 < 1.0rc1 < 1.0rc10 < 1.0
2.0dev1 < 2.0a0 < 2.0rc1 < 2.0.dev1 < 2.0.a0 < 2.0 < 2.0.0.1
1.2+dev < 1.2+abc < 1.2+local < 1.2+0.local < 1.2 < 1.2+1.local < 1.2+1 < 1.2+1.1 < 1.2+2 < 1.3.dev0
2.2be.ta29 < 2.2be5ta29 < 2.2beta29 < 2.2 < 2.2.0.1
9d < 9e < 9 < 10a < 10
3.4a < 3.4.0a < 3.4.0.0a < 3.4
1.0post1.dev1 < 1.0post1 < 1.1
1.0.0.0.0a < 1.0
1.0rc.2 < 1.0rc2
1.0.0a.1 < 1.0.0a1
1.0z < 1.0.z < 1.0
1.2+abc123def < 1.2+abc123
2g6 < 2.0
2.0b1pr0 < 2.0
0.5 < 0.5_5
1_ < 1__ < 1
1.0.0beta < 1.0.0-beta
1.0.0.post105+699b871 < 1.0.0.post106+2b4e689
1!1.0 < 2!0.5
99999 < 1!0.1
1.8.0dev < 1.8.0
1.0.0.0.1 < 1.0.0.1 < 1.0.0post1.1 < 1.0.1
1dev < 1._ < 1.0dev_ < 1.0.dev < 1.0.0._ < 1 < 1.0.0.0.post < 1.0.0.post < 1.0.post < 1.post
""".strip()

EQUAL = [
    ("1.1", "1.1.0", "1.1.0.0"),
    ("1.1.rc1", "1.1.0rc1"),
    ("1.1.post1", "1.1.0post1"),
    ("1.0_1", "1.0-1", "1.0.1"),
    ("01.02", "1.2"),
    ("2024.01", "2024.1"),
    ("0!1.0", "1.0", "00!1"),
    ("1.2.3+0", "1.2.3", "1.2.3+0.0_0"),
    ("1.0A", "1.0a"),
    ("1.0-a", "1.0.a"),
    ("1.0-", "1.0_"),
    ("1.0a0", "1.0a"),
    ("1.0a.0.0", "1.0a"),
    ("0", "0.0", "00000000000000000000000"),
    ("1.0+a.0", "1.0+a"),
    ("1.1.POST1", "1.1.post1"),
]

REJECTED = [
    # text, position of the fault
    ("1..2", 2),
    ("1.2.", 4),
    ("1._2", 2),
    ("1.0__1", 4),
    ("_1", 0),
    ("-1", 0),
    ("1.0+", 4),
    ("+1", 0),
    ("1+2+3", 3),
    ("1!2!3", 3),
    ("a!1", 0),
    ("!1", 0),
    ("1!", 2),
    ("", 0),
    ("1.0 1", 3),
    (" 1.0", 0),
    ("1.0\n", 3),
    ("1.0é", 3),
    ("１.0", 0),
    ("1.2_3-4", 5),
    ("1-2+3_4", 5),
    ("1.*", 2),
    ("*", 0),
    ("_", 0),
    ("1+_", 2),
    ("1+a_", 4),
    ("1.2147483648", 2),
    ("99999999999999999999999999999999999999999999", 0),
    ("1.0:1", 3),
]


@pytest.mark.parametrize("chain", CHAINS.splitlines())
def test_order_of_every_pair_of_a_chain(chain: str) -> None:
    ordered = [Version(text) for text in chain.split(" < ")]
    for lower, higher in itertools.combinations(ordered, 2):
        assert lower < higher, (lower, higher)
        assert lower <= higher
        assert higher > lower
        assert higher >= lower
        assert lower != higher
        assert not higher < lower


@pytest.mark.parametrize("texts", EQUAL)
def test_equal_versions_are_equal_in_hash_too(texts: tuple[str, ...]) -> None:
    assert len({Version(text) for text in texts}) == 1
    for left, right in itertools.permutations(map(Version, texts), 2):
        assert left == right
        assert hash(left) == hash(right)
        assert left <= right
        assert not left < right


@pytest.mark.parametrize(("text", "position"), REJECTED)
def test_rejected_with_the_place(text: str, position: int) -> None:
    with pytest.raises(InvalidVersion) as caught:
        Version(text)
    assert (caught.value.text, caught.value.position) == (text, position)
    assert caught.value.reason


def test_an_error_draws_the_place() -> None:
    with pytest.raises(InvalidVersion) as caught:
        Version(">=1.2")
    assert str(caught.value) == (
        "invalid version: '>' cannot stand in a version\n"
        "  >=1.2\n"
        "  ^\n"
        "  try: write a version range where a range is expected; this is one exact version"
    )
    assert isinstance(caught.value, KaaError)
    assert isinstance(caught.value, ValueError)
    assert caught.value.fields() == {"text": ">=1.2", "position": 0, "reason": "'>' cannot stand in a version"}


def test_a_line_break_does_not_break_the_drawing() -> None:
    with pytest.raises(InvalidVersion) as caught:
        Version("1\n2")
    assert caught.value.message.splitlines()[1:] == ["  1�2", "   ^"]


def test_the_largest_number() -> None:
    assert Version("1.2147483647") > Version("1.2147483646")
    assert Version("0000000000000000000001.2") == Version("1.2")


@pytest.mark.parametrize(
    ("text", "epoch", "segments", "local"),
    [
        ("1.2g.beta15.rc", 0, ((1,), (2, "g"), (0, "beta", 15), (0, "rc")), ()),
        ("1!2.15.1_ALPHA", 1, ((2,), (15,), (1,), (0, "alpha")), ()),
        ("1!2.15.1alpha_", 1, ((2,), (15,), (1, "alpha_")), ()),
        ("1.0+a1_2", 0, ((1,), (0,)), ((0, "a", 1), (2,))),
        ("1__", 0, ((1,), (0, "_")), ()),
    ],
)
def test_parts(text: str, epoch: int, segments: tuple[object, ...], local: tuple[object, ...]) -> None:
    version = Version(text)
    assert (version.epoch, version.segments, version.local) == (epoch, segments, local)


@given(versions())
def test_the_spelling_is_kept(text: str) -> None:
    assert str(Version(text)) == text
    assert Version(text) == Version(text.upper())
    assert repr(Version(text)) == f"Version({text!r})"
    assert pickle.loads(pickle.dumps(Version(text))) == copy.deepcopy(Version(text))


@given(st.lists(versions(), min_size=3, max_size=3))
def test_the_order_is_total(texts: list[str]) -> None:
    first, second, third = sorted(map(Version, texts))
    assert first <= second <= third
    assert (first < second) + (first == second) + (first > second) == 1
    assert first <= third
    assert (first == second) == (hash(first) == hash(second) and first.key == second.key)


class Naive:
    """CEP 33 word by word: segments filled up with 0, then compared part by part."""

    def __init__(self, version: Version) -> None:
        epoch: tuple[Segment, ...] = ((version.epoch,),)
        self.lists = epoch, version.segments, version.local

    def compare(self, other: Naive) -> int:
        zero: Segment = (0,)
        for left, right in zip(self.lists, other.lists, strict=True):
            for mine, theirs in itertools.zip_longest(left, right, fillvalue=zero):
                for one, two in itertools.zip_longest(mine, theirs, fillvalue=0):
                    if rank(one) != rank(two):
                        return -1 if rank(one) < rank(two) else 1
        return 0


def rank(part: int | str) -> tuple[int, int, str]:
    if isinstance(part, int):
        return 2, part, ""
    return {"dev": (0, 0, ""), "post": (3, 0, "")}.get(part, (1, 0, part))


@given(versions(), versions())
def test_the_key_orders_as_the_standard_says(left: str, right: str) -> None:
    one, two = Version(left), Version(right)
    expected = Naive(one).compare(Naive(two))
    assert ((one > two) - (one < two), one == two) == (expected, expected == 0)


@given(st.text(alphabet="01a.-_+! \n*é", max_size=8))
def test_any_text_is_a_version_or_refused_within_it(text: str) -> None:
    try:
        version = Version(text)
    except InvalidVersion as error:
        assert 0 <= error.position <= len(text)
    else:
        assert version.key
        assert set(text) <= set("01a.-_+!")


def test_other_types_do_not_compare() -> None:
    one: object = Version("1")
    assert one != "1"
    for other in ("1", 1, None):
        with pytest.raises(TypeError):
            _ = one < other  # type: ignore[operator]
        with pytest.raises(TypeError):
            _ = one <= other  # type: ignore[operator]
        with pytest.raises(TypeError):
            _ = one > other  # type: ignore[operator]
        with pytest.raises(TypeError):
            _ = one >= other  # type: ignore[operator]


def test_only_its_own_attributes() -> None:
    with pytest.raises(AttributeError, match="no attribute 'major'"):
        _ = Version("1").major
    assert kaa.Version is Version
    assert kaa.InvalidVersion is InvalidVersion


def test_every_real_version_parses() -> None:
    for text in slice_versions():
        assert Version(text).key


@pytest.mark.peers
def test_real_versions_in_the_order_of_the_peer() -> None:
    rattler = pytest.importorskip("rattler")
    texts = sorted(slice_versions())
    ours = sorted((Version(text) for text in texts), key=lambda version: version.key)
    theirs = [rattler.Version(str(version)) for version in ours]
    for index, (lower, higher) in enumerate(itertools.pairwise(theirs)):
        assert lower <= higher, (lower, higher)
        assert (lower == higher) == (ours[index] == ours[index + 1]), (lower, higher)
