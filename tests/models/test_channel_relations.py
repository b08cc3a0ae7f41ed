from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models.channel_relations import (
    ChannelRelationCycle,
    ChannelRelationsTooDeep,
    InvalidChannelRelation,
    edges_of,
    find_related,
    order_channels,
    resolve_reference,
)
from kaa.models.repodata import ChannelRelations

REFERENCES = [
    ("https://host/bioconda", "../conda-forge", "https://host/conda-forge"),
    ("https://host/conda-forge/label/rc", "../..", "https://host/conda-forge"),
    ("https://host/conda-forge/label/rc", "../../", "https://host/conda-forge"),
    ("https://host/conda-forge/label/rc", "../main", "https://host/conda-forge"),
    ("https://host/a/b", "../c/d", "https://host/a/c/d"),
    ("https://host/a/b", "../c/../d", "https://host/a/d"),
    ("https://host/a", "../", "https://host"),
    ("https://host:8080/a", "../b/", "https://host:8080/b"),
    ("file:///chan/a%20b", "../c", "file:///chan/c"),
    ("file:///chan/a", "../b%20c", "file:///chan/b%20c"),
]


@pytest.mark.parametrize(("channel", "reference", "expected"), REFERENCES)
def test_what_a_reference_means(channel: str, reference: str, expected: str) -> None:
    assert resolve_reference(channel, reference) == expected


REFUSED = [
    ("https://host/a", "", "begins with"),
    ("https://host/a", "b", "begins with"),
    ("https://host/a", "./b", "begins with"),
    ("https://host/a", "/b", "begins with"),
    ("https://host/a", "..", "begins with"),
    ("https://host/a", "https://other/b", "begins with"),
    ("https://host/a", "//other/b", "begins with"),
    ("https://host/a", "..//other/b", "begins with"),
    ("https://host/a", "../b//c", "begins with"),
    ("https://host/a", "../b\n", "not part of a channel's name"),
    ("https://host/a", "../.hidden", "not part of a channel's name"),
    ("https://host/a", "../.", "not part of a channel's name"),
    ("https://host/a", "../~me", "not part of a channel's name"),
    ("https://host/a", "../b?x=1", "not part of a channel's name"),
    ("https://host/a", "../b#x", "not part of a channel's name"),
    ("https://host/a", "../user@b", "not part of a channel's name"),
    ("https://host/a", "../c:/b", "not part of a channel's name"),
    ("https://host/a", "..\\b", "begins with"),
    ("https://host/a", "../b\\c", "not part of a channel's name"),
    ("https://host/a", "../%2e%2e/b", "not part of a channel's name"),
    ("https://host/a", "../b%2Fc", "not part of a channel's name"),
    ("https://host/a", "../../b", "out of the server"),
    ("https://host/a", "../b/../../..", "out of the server"),
    ("file:///a", "../", "root of the disk"),
    ("https://host/a", "../a", "the channel itself"),
    ("https://host/a", "../a/label/main", "the channel itself"),
]


@pytest.mark.parametrize(("channel", "reference", "reason"), REFUSED)
def test_references_that_are_refused(channel: str, reference: str, reason: str) -> None:
    with pytest.raises(InvalidChannelRelation, match=reason) as caught:
        resolve_reference(channel, reference)
    assert caught.value.channel == channel
    assert caught.value.message.isprintable()


@given(st.text(max_size=30))
def test_a_reference_never_leaves_its_server(tail: str) -> None:
    try:
        found = resolve_reference("https://host/a/b", f"../{tail}")
    except InvalidChannelRelation as error:
        assert error.message.isprintable()
    else:
        assert found == "https://host" or found.startswith("https://host/")
        assert ".." not in found.split("/")


def test_a_long_reference_is_shown_in_part() -> None:
    with pytest.raises(InvalidChannelRelation) as caught:
        resolve_reference("https://host/a", "x" * 100_000)
    assert len(caught.value.message) < 500


def test_a_channel_cannot_be_above_and_below_another() -> None:
    with pytest.raises(InvalidChannelRelation, match="both above and below"):
        edges_of(url("a"), [ChannelRelations(base="../b", overrides="../../c/b/../../h/b")])


def url(name: str) -> str:
    return f"https://host/h/{name}"


def world(text: str) -> dict[str, list[ChannelRelations]]:
    """`a<b a>c d<c`: a has the base b and overrides c, d has the base c; what is said twice is said by two subdirs."""
    declared: dict[str, list[ChannelRelations]] = {}
    for word in text.split():
        name, kind, other = tuple(word)
        key = "base" if kind == "<" else "overrides"
        declared.setdefault(url(name), []).append(ChannelRelations(**{key: f"../{other}"}))
    return declared


ORDERS = [
    ("nothing is declared", "ab", "", "ab"),
    ("a base comes first", "b", "b<c", "cb"),
    ("what is overridden comes last", "r", "r>m", "rm"),
    ("both", "b", "b<c b>h", "cbh"),
    ("from one to the next", "m", "m<b b<c", "cbm"),
    ("the user's order agrees", "cb", "b<c", "cb"),
    ("the user's order wins over a base", "bc", "b<c", "bc"),
    ("the user's order wins over what is overridden", "mr", "r>m", "mr"),
    ("the user's order wins from afar", "bxc", "b<c", "bxc"),
    ("a base stands next to the one that names it", "abx", "b<c", "acbx"),
    ("what is overridden stands next to it", "rx", "r>m", "rmx"),
    ("two that share a base", "ab", "a<c b<c", "cab"),
    ("two that override the same", "pq", "p>m q>m", "pqm"),
    ("one in between", "pxq", "p>m q>m", "pxqm"),
    ("a base of what is overridden", "r", "r>m m<c", "rcm"),
    ("what a base overrides", "b", "b<c c>o", "cbo"),
    ("what follows from it", "rx", "r>m m>o", "rmox"),
    ("said by two subdirs", "b", "b<c b<c", "cb"),
    ("two subdirs say different things", "b", "b<c b<d", "cdb"),
    ("a base that is the user's channel, and has one itself", "ab", "b<a a<c", "cab"),
    ("relations of a channel that nobody wants do not count", "a", "x<a", "a"),
    ("a channel named twice", "aba", "b<c", "acb"),
]


@pytest.mark.parametrize(("users", "declared", "expected"), [row[1:] for row in ORDERS], ids=[row[0] for row in ORDERS])
def test_orders(users: str, declared: str, expected: str) -> None:
    assert order_channels(list(map(url, users)), world(declared)) == tuple(map(url, expected))
    assert order_channels(list(map(url, users)), world(declared), 0) == tuple(map(url, dict.fromkeys(users)))


CIRCLES = [
    ("a", "a<b b<a", {"a", "b"}),
    ("a", "a>b b>a", {"a", "b"}),
    ("a", "a<b b<c c<a", {"a", "b", "c"}),
    ("a", "a<b a>b", {"a", "b"}),
    ("x", "x<a a<b b<a", {"a", "b"}),
    ("ab", "b>n a<n", {"a", "b", "n"}),
]


@pytest.mark.parametrize(("users", "declared", "channels"), CIRCLES)
def test_circles(users: str, declared: str, channels: set[str]) -> None:
    with pytest.raises(ChannelRelationCycle) as caught:
        order_channels(list(map(url, users)), world(declared))
    assert set(caught.value.channels) == set(map(url, channels))
    # What the hint says helps.
    own = (*dict.fromkeys((*map(url, users), *sorted(caught.value.channels))),)
    assert order_channels(own, world(declared)) == own


def test_a_circle_is_told_in_its_order() -> None:
    with pytest.raises(ChannelRelationCycle) as caught:
        order_channels([url("a"), url("b")], world("b>n a<n"))
    told = [part.split(" comes before ") for part in caught.value.message.partition(": ")[2].split("; ")]
    pairs = [(before, after.partition(",")[0]) for before, after in told]
    assert all(first[1] == second[0] for first, second in pairwise([*pairs, pairs[0]]))
    assert "as you said" in caught.value.message


def test_depth() -> None:
    names = "abcdefghijkl"
    declared = world(" ".join(f"{first}<{second}" for first, second in pairwise(names)))
    assert order_channels([url("b")], declared, 10) == tuple(map(url, reversed(names[1:])))
    with pytest.raises(ChannelRelationsTooDeep, match="further than 10 steps") as caught:
        order_channels([url("a")], declared, 10)
    assert caught.value.path == tuple(map(url, names))
    assert len(order_channels([url("f"), url("a")], declared, 10)) == 12
    assert order_channels([url("a")], declared, 11) == tuple(map(url, reversed(names)))


def test_a_chain_of_thousands() -> None:
    declared = {url(str(n)): [ChannelRelations(base=f"../{n + 1}", overrides=f"../o{n}")] for n in range(3_000)}
    found = order_channels([url("0")], declared, 10_000)
    assert len(found) == 6_001
    assert found[:2] == (url("3000"), url("2999"))


def test_what_is_found_step_by_step() -> None:
    declared = world("a<b b>c")
    assert list(find_related([url("a")], {})) == []
    assert list(find_related([url("a")], {url("a"): declared[url("a")]})) == [url("b")]
    found = find_related([url("a")], declared)
    assert [(other, edge.declarer) for other, edge in found.items()] == [(url("b"), url("a")), (url("c"), url("b"))]


NAMES = st.sampled_from("abcdefg")
WORLDS = st.lists(st.tuples(NAMES, st.sampled_from("<>"), NAMES).filter(lambda row: row[0] != row[2]), max_size=9)


@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), WORLDS)
def test_every_order_is_one_that_all_agree_with(users: list[str], rows: list[tuple[str, str, str]]) -> None:
    declared = world(" ".join("".join(row) for row in rows))
    own = list(map(url, users))
    edges = {edge for channel in declared for edge in edges_of(channel, declared[channel])}
    reached = set(own) | set(find_related(own, declared))
    binding = {
        (edge.before, edge.after)
        for edge in edges
        if edge.declarer in reached
        and not (edge.before in own and edge.after in own and own.index(edge.before) > own.index(edge.after))
    }
    binding |= set(pairwise(own))
    try:
        found = order_channels(own, declared)
    except ChannelRelationCycle as error:
        circle = [*error.channels, error.channels[0]]
        assert all(pair in binding for pair in pairwise(circle))
        return
    assert len(found) == len(set(found)) and set(found) == reached
    assert [channel for channel in found if channel in own] == own
    assert all(found.index(before) < found.index(after) for before, after in binding)
    assert order_channels(own, dict(reversed(declared.items()))) == found
