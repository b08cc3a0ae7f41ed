from __future__ import annotations

import pytest
from packaging.version import Version

from kaa.models.match_spec import MatchSpec
from kaa.pypi.pep440 import NotConvertible
from kaa.pypi.requirements import (
    PlatformMatters,
    Requirements,
    conditional_dependencies,
    parse_requirements,
    plain_dependencies,
    python_ranges_of,
    python_spec,
)


def requirements(*dists: str, python: str = "", extras: tuple[str, ...] = ()) -> Requirements:
    return parse_requirements("tool", dists, python, extras)


def plain(needs: Requirements, tag: str = ">=3", subdir: str | None = None) -> dict[str, list[str]]:
    """The dependencies of every package without conditions, by their spec of python."""
    parts = python_ranges_of(needs, tag, split=True)
    found = {}
    for part in parts:
        spec = python_spec(needs, tag, part)
        found[spec] = plain_dependencies(needs, spec, part, subdir).depends
    return found


PLAIN = [
    ((), "", {">=3": []}),
    (("a", "b>=1,<2"), ">=3.8", {">=3.8": ["a", "b >=1,<2a0"]}),
    (
        ("tomli>=1; python_version<'3.11'", "x"),
        ">=3.8",
        {">=3.8,<3.11a0": ["tomli >=1", "x"], ">=3.11": ["x"]},
    ),
    (("old; python_version<'3.7'", "x"), ">=3.8", {">=3.8": ["x"]}),
    (("new; python_version>='3.7'", "x"), ">=3.8", {">=3.8": ["new", "x"]}),
    (
        (
            "n<2; python_version<'3.9'",
            "n>=2; python_version>='3.9' and python_version<'3.12'",
            "n>=3; python_version>='3.12'",
        ),
        "",
        {">=3,<3.9a0": ["n <2a0"], ">=3.9,<3.12a0": ["n >=2"], ">=3.12": ["n >=3"]},
    ),
    (("x; python_full_version<'3.10.4'",), ">=3.10", {">=3.10,<3.10.4a0": ["x"], ">=3.10.4": []}),
    (("x; python_version == '3.9'",), ">=3.8", {">=3.8,<3.9a0": [], ">=3.9,<3.10a0": ["x"], ">=3.10": []}),
    (("x; implementation_name == 'pypy'", "y; platform_python_implementation == 'CPython'"), "", {">=3": ["y"]}),
    (("Foo_Bar; extra == 'x'",), "", {">=3": []}),
    (("a", "a"), "!=3.9.*,>=3.8", {">=3.8,!=3.9.*": ["a"]}),
]


@pytest.mark.parametrize(("dists", "python", "expected"), PLAIN)
def test_plain_dependencies(dists: tuple[str, ...], python: str, expected: dict[str, list[str]]) -> None:
    assert plain(requirements(*dists, python=python, extras=("x",))) == expected


def test_a_wheel_for_one_python_needs_no_ranges() -> None:
    needs = requirements("tomli; python_version<'3.11'", "x; python_version>='3.8'", python=">=3.8")
    assert plain(needs, "3.12.*", "linux-64") == {"3.12.*": ["x"]}
    assert plain(needs, "3.10.*", "linux-64") == {"3.10.*": ["tomli", "x"]}


def test_a_python_that_the_wheel_is_not_for() -> None:
    with pytest.raises(NotConvertible, match=r"3\.9"):
        python_ranges_of(requirements(python=">=3.10"), "3.9.*", split=True)


@pytest.mark.parametrize(
    ("subdir", "expected"),
    [("linux-64", ["uvloop"]), ("osx-arm64", ["uvloop", "arm"]), ("win-64", ["colorama"])],
)
def test_dependencies_of_one_platform(subdir: str, expected: list[str]) -> None:
    needs = requirements(
        "colorama; sys_platform=='win32'", "uvloop; sys_platform!='win32'", "arm; platform_machine=='arm64'"
    )
    assert plain(needs, ">=3.8", subdir) == {">=3.8": expected}


@pytest.mark.parametrize("marker", ["sys_platform=='win32'", "os_name!='nt'", "platform_machine=='x86_64'"])
def test_dependencies_that_differ_between_platforms_are_not_for_all(marker: str) -> None:
    with pytest.raises(PlatformMatters):
        plain(requirements(f"x; {marker}"))


def test_a_marker_that_says_the_same_everywhere_is_for_all() -> None:
    assert plain(requirements("x; sys_platform != 'cygwin'", "y; os_name == 'java'")) == {">=3": ["x"]}


def specs(texts: list[str]) -> list[MatchSpec]:
    return [MatchSpec.parse(text) for text in texts]


CONDITIONAL = [
    ("tomli>=1.1; python_version<'3.11'", "tomli[version='>=1.1',when='python<3.11a0']"),
    ("colorama; sys_platform=='win32'", "colorama[when='__win']"),
    ("x; sys_platform!='win32' and python_version>='3.12'", "x[when='__unix and python>=3.12']"),
    ("foo[b,A_c]>=1", "foo[version='>=1',extras=[a-c,b]]"),
    ("old; python_version<'3.7'", None),
    ("new; python_version>='3.7'", "new"),
]


@pytest.mark.parametrize(("dist", "expected"), CONDITIONAL)
def test_conditional_dependencies(dist: str, expected: str | None) -> None:
    needs = requirements(dist, python=">=3.8")
    found = conditional_dependencies(needs, ">=3.8", ">=3", None)
    assert specs(found.depends) == ([] if expected is None else specs([expected]))
    assert found.uses_v3 == ("[" in (expected or ""))


def test_extras() -> None:
    needs = requirements(
        "base",
        "pytest>=7; extra=='Test_It'",
        "tomli; extra=='test-it' and python_version<'3.11'",
        "tool[test-it,docs]; extra=='all'",
        "sphinx; extra=='docs' or python_version<'3.9'",
        extras=("Test_It", "docs", "all", "empty"),
        python=">=3.8",
    )
    found = conditional_dependencies(needs, ">=3.8", ">=3", None)
    assert specs(found.depends) == specs(["base", "sphinx[when='python<3.9a0']"])
    assert {extra: specs(group) for extra, group in found.extra_depends.items()} == {
        "test-it": specs(["pytest[version='>=7']", "tomli[when='python<3.11a0']"]),
        "docs": specs(["sphinx"]),
        "all": specs(["sphinx", "pytest[version='>=7']", "tomli[when='python<3.11a0']"]),
    }


def test_extras_that_name_each_other_end() -> None:
    needs = requirements("tool[b]; extra=='a'", "tool[a]; extra=='b'", "x; extra=='b'", extras=("a", "b"))
    assert conditional_dependencies(needs, ">=3", ">=3", None).extra_depends == {"a": ["x"], "b": ["x"]}


def test_what_is_lost_is_told() -> None:
    needs = requirements(
        "pytest; extra=='test'",
        "foo[bar]",
        "baz @ https://user:secret@example.org/baz.whl",
        "kernel; platform_release>='5'",
        extras=("test",),
    )
    [part] = python_ranges_of(needs, ">=3", split=True)
    notes = "\n".join(plain_dependencies(needs, ">=3", part, "linux-64").notes)
    for word in ("extras test", "extras bar of foo", "baz is wanted from a URL", "kernel is always needed"):
        assert word in notes
    assert "secret" not in notes


@pytest.mark.parametrize("dist", ["foo bar", "foo>=", "foo (>dev)", "a; nonsense=='x'"])
def test_a_requirement_that_is_none_is_refused(dist: str) -> None:
    with pytest.raises(NotConvertible):
        plain(requirements(dist))


def test_ranges_have_a_python_in_them() -> None:
    needs = requirements("x; python_version<'3.9'", "y; python_full_version>='3.12.3'", python=">=3.7,!=3.8.*")
    for part in python_ranges_of(needs, ">=3", split=True):
        assert part.least is None or part.sample >= part.least
        assert part.end is None or part.sample < part.end
        assert needs.python.contains(part.sample)
        assert isinstance(part.sample, Version)
