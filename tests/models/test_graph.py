"""The record graph: order, cycles, closures and orphans."""

from __future__ import annotations

import doctest
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models import graph as graph_module
from kaa.models.graph import RecordGraph
from kaa.models.record import PackageRecord


def record(name: str, *depends: str, noarch: str | None = None, **fields: object) -> PackageRecord:
    return PackageRecord(name=name, version="1", build="0", depends=depends, noarch=noarch, **fields)  # type: ignore[arg-type]


def names(records: tuple[PackageRecord, ...]) -> list[str]:
    return [record.name for record in records]


ORDERS = [
    ("a chain", [record("c", "b"), record("b", "a"), record("a")], "a b c"),
    ("nothing in common: by name", [record("c"), record("a"), record("b")], "a b c"),
    ("unknown names are no edges", [record("b", "__glibc >=2.17", "gone"), record("a", "b")], "b a"),
    ("itself", [record("a", "a")], "a"),
    ("versions, builds, brackets", [record("a", "c >=1,<2 h*", 'b[version=">=1"]'), record("b"), record("c")], "b c a"),
    ("with a channel", [record("a", "conda-forge::b >=1"), record("b")], "b a"),
    ("python and pip", [record("pip", "python", noarch="python"), record("python", "pip")], "python pip"),
    (
        "python's own needs go first, pip's go after it",
        [
            record("python", "pip", "openssl"),
            record("pip", "setuptools", "python", noarch="python"),
            record("setuptools", "python", noarch="python"),
            record("openssl", "ca-certificates"),
            record("ca-certificates"),
        ],
        "ca-certificates openssl python setuptools pip",
    ),
    ("noarch python without saying so", [record("a", noarch="python"), record("python")], "python a"),
    ("noarch generic needs no python", [record("a", noarch="generic"), record("python")], "a python"),
    ("a cycle of two: by name", [record("b", "a"), record("a", "b")], "a b"),
    ("a cycle: the least needy first", [record("a", "b", "c"), record("b", "a"), record("c", "a")], "b a c"),
    ("extras", [record("a", extra_depends={"x": ("b >=1",)}), record("b")], "b a"),
    ("conditions", [record("a", 'b[when="__unix"]'), record("b")], "b a"),
]


@pytest.mark.parametrize(("records", "expected"), [row[1:] for row in ORDERS], ids=[row[0] for row in ORDERS])
def test_order(records: list[PackageRecord], expected: str) -> None:
    assert names(RecordGraph(records).order()) == expected.split()
    assert names(RecordGraph(reversed(records)).order()) == expected.split()


SAMPLE = [
    record("app", "python", "lib"),
    record("python", "openssl", "pip"),
    record("pip", "python"),
    record("lib", "zlib"),
    record("zlib"),
    record("openssl"),
    record("tool", "zlib"),
]


def test_direct_neighbours() -> None:
    graph = RecordGraph(SAMPLE)
    assert names(graph.dependencies("app")) == ["lib", "python"]
    assert names(graph.dependents("zlib")) == ["lib", "tool"]
    assert names(graph.dependents("app")) == []
    assert len(graph) == 7
    assert "app" in graph and "gone" not in graph
    assert graph["zlib"].name == "zlib"
    assert names(graph.records) == sorted(record.name for record in SAMPLE)


@pytest.mark.parametrize(
    ("roots", "closure", "orphans"),
    [
        ([], "", "app lib openssl pip python tool zlib"),
        (["app"], "app lib openssl pip python zlib", "tool"),
        (["pip"], "openssl pip python", "app lib tool zlib"),
        (["tool", "gone"], "tool zlib", "app lib openssl pip python"),
        (["tool", "app"], "app lib openssl pip python tool zlib", ""),
    ],
)
def test_closure_and_orphans(roots: list[str], closure: str, orphans: str) -> None:
    graph = RecordGraph(SAMPLE)
    assert names(graph.closure(roots)) == closure.split()
    assert names(graph.orphans(roots)) == orphans.split()


def test_all_dependents() -> None:
    graph = RecordGraph(SAMPLE)
    assert names(graph.all_dependents(["zlib"])) == ["app", "lib", "tool", "zlib"]
    assert names(graph.all_dependents(["openssl"])) == ["app", "openssl", "pip", "python"]


def test_two_records_of_a_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two records named a"):
        RecordGraph([record("a"), record("a")])


def test_a_long_chain_needs_no_stack() -> None:
    count = 5000
    chain = [record(f"p{number:05}", f"p{(number + 1) % count:05}") for number in range(count)]
    order = names(RecordGraph(chain).order())
    assert order[0] == "p00000"
    assert order[1:] == [f"p{number:05}" for number in range(count - 1, 0, -1)]


NAMES = [*"abcdef", "python"]
WORLDS = st.dictionaries(
    st.sampled_from(NAMES), st.tuples(st.lists(st.sampled_from(NAMES), max_size=4), st.booleans()), max_size=7
)


@given(WORLDS, st.randoms())
def test_laws_of_the_order(world: Mapping[str, tuple[list[str], bool]], shuffler: object) -> None:
    records = [
        record(name, *needs, noarch="python" if pure and name != "python" else None)
        for name, (needs, pure) in world.items()
    ]
    graph = RecordGraph(records)
    order = names(graph.order())
    assert sorted(order) == sorted(world)
    shuffler.shuffle(records)  # type: ignore[attr-defined]
    assert names(RecordGraph(records).order()) == order
    place = {name: number for number, name in enumerate(order)}
    for name in world:
        for needed in names(graph.dependencies(name)):
            in_a_cycle = name in names(graph.closure([needed]))
            assert place[needed] < place[name] or in_a_cycle
            if needed == "python":
                assert place["python"] < place[name], "whoever needs python comes after it"
        direct = set(names(graph.dependencies(name)))
        assert set(names(graph.closure([name]))) == {name}.union(*(names(graph.closure([one])) for one in direct))


def test_examples() -> None:
    assert doctest.testmod(graph_module).failed == 0
