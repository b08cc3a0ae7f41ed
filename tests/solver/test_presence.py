"""Why a package is among others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models.record import RepoDataRecord
from kaa.solver.presence import presence_of
from tests.solver.packages import package, packages

WORLD = """
    numpy 2.1: python >=3.12; blas; python
    pandas 2.2: python >=3.12; numpy >=1.26; dateutil
    dateutil 2.9: python; six >=1.5
    six 1.17: python
    python 3.12: libffi >=3.4,<4; __glibc >=2.17 / six >=1.10
    libffi 3.4
    blas 2: ring
    ring 1: gnir
    gnir 1: ring
    forgotten 1: libffi
"""


def way(name: str, requests: dict[str, str], origin: str) -> list[str]:
    return [need.text for need in presence_of(name, packages(WORLD), requests).way_from(origin)]


def test_ways_go_from_what_was_asked_for_to_the_package() -> None:
    found = presence_of("libffi", packages(WORLD), {"pandas": "pandas", "numpy": "numpy>=2"})
    assert found.requested is None
    assert [need.source for need in found.direct] == ["forgotten", "python"]
    assert found.origins == ("pandas", "numpy", "forgotten")
    assert [need.text for need in found.way_from("pandas")] == ["python >=3.12", "libffi >=3.4,<4"]
    assert [(need.source, need.target) for need in found.shortest()] == [
        ("forgotten", "libffi"),
        ("python", "libffi"),
        ("numpy", "python"),
        ("pandas", "python"),
    ]
    assert {need.source for need in found.needs} == {"forgotten", "python", "numpy", "pandas", "dateutil", "six"}


@pytest.mark.parametrize(
    ("name", "requests", "requested", "origins"),
    [
        ("pandas", {"pandas": "pandas=2"}, "pandas=2", ()),
        ("pandas", {}, None, ()),
        ("numpy", {"numpy": "numpy", "pandas": "pandas"}, "numpy", ("pandas",)),
        # Nobody wants what needs it.
        ("six", {"numpy": "numpy"}, None, ("pandas",)),
        # Of packages that need each other, the way from outside counts.
        ("gnir", {}, None, ("pandas",)),
    ],
)
def test_origins(name: str, requests: dict[str, str], requested: str | None, origins: tuple[str, ...]) -> None:
    found = presence_of(name, packages(WORLD), requests)
    assert found.requested == requested
    assert set(found.origins) == set(origins)


def test_a_circle_has_an_origin() -> None:
    circle = packages("a 1: b\nb 1: a\nc 1")
    assert presence_of("a", circle, {}).origins == ("b",)
    found = presence_of("c", [*packages("a 1: b\nb 1: a; c"), package("c 1")], {})
    assert found.origins == ("a",)
    assert [need.text for need in found.way_from("a")] == ["b", "c"]


def test_constraints_are_told_apart_from_needs() -> None:
    found = presence_of("six", packages(WORLD), {})
    assert [(need.source, need.text) for need in found.constrains] == [("python", "six >=1.10")]


def test_virtual_packages_are_needed_too() -> None:
    found = presence_of("__glibc", packages(WORLD), {"python": "python"})
    assert [(need.source, need.text) for need in found.direct] == [("python", "__glibc >=2.17")]


def test_conditions_and_extras_count_when_they_hold() -> None:
    records = [
        package(
            "app 1: lib[when='old'], other[when='new']".replace(", ", "; "), extra_depends={"fast": ("speed >=1",)}
        ),
        *packages("lib 1\nother 1\nnew 1\nspeed 1"),
    ]
    assert presence_of("lib", records, {}).direct == ()
    assert [need.text for need in presence_of("other", records, {}).direct] == ["other[when='new']"]
    assert presence_of("speed", records, {"app": "app"}).direct == ()
    assert [need.text for need in presence_of("speed", records, {"app": "app[extras=[fast]]"}).direct] == ["speed >=1"]


def test_noarch_python_needs_python_without_saying_so() -> None:
    records = [*packages("python 3.12"), package("tool 1", noarch="python")]
    assert [(need.source, need.text) for need in presence_of("python", records, {}).direct] == [("tool", "python")]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[RepoDataRecord], dict[str, str]]:
    names = "abcdefgh"[: draw(st.integers(1, 8))]
    some = st.lists(st.sampled_from(names), max_size=3, unique=True)
    records = [package(f"{name} 1: {'; '.join(draw(some))}") for name in names]
    return records, {name: name for name in draw(some)}


@given(graphs())
def test_everything_that_needs_it_is_on_a_way(world: tuple[list[RepoDataRecord], dict[str, str]]) -> None:
    records, requests = world
    found = presence_of("a", records, requests)
    onward: dict[str, set[str]] = {}
    for need in found.needs:
        onward.setdefault(need.source, set()).add(need.target)
    met = set(found.origins)
    for _ in records:
        met |= {target for source in met for target in onward.get(source, ())}
    assert {need.source for need in found.needs} <= met | {"a"}
    for origin in found.origins:
        steps = found.way_from(origin)
        assert steps[0].source == origin
        assert steps[-1].target == "a"
        assert [step.target for step in steps[:-1]] == [step.source for step in steps[1:]]
    assert set(found.shortest()) <= set(found.needs)
