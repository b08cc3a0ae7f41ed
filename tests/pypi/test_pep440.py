from __future__ import annotations

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version as PythonVersion

from kaa.models.version import Version
from kaa.models.version_spec import VersionSpec
from kaa.pypi.pep440 import (
    NotConvertible,
    agreeing_version_spec,
    conda_name,
    conda_version,
    conda_version_spec,
    names_prerelease,
)

VERSIONS = [
    ("1.0", "1.0"),
    ("v1.0", "1.0"),
    ("1.0-1", "1.0.post1"),
    ("1.0-RC.1", "1.0rc1"),
    ("1.0alpha2", "1.0a2"),
    ("1.0.dev", "1.0.dev0"),
    ("2!1.0.post3.dev4+Ubuntu-1", "2!1.0.post3.dev4+ubuntu.1"),
]

SPECS = [
    ("", ""),
    (">=1.0", ">=1.0"),
    (">1.7", ">1.7"),
    ("<=3.dev1", "<=3.dev1"),
    ("<2.0", "<2a0"),
    ("<1!2.0.0", "<1!2a0"),
    ("<3.10", "<3.10a0"),
    ("<2", "<2a0"),
    ("<2.0rc1", "<2.0rc1"),
    ("<2.0.post1", "<2.0.post1.dev0"),
    ("~=2.2", ">=2.2,2.*"),
    ("~=2.2.post3", ">=2.2.post3,2.*"),
    ("~=1.4.5a4", ">=1.4.5a4,1.4.*"),
    ("~=1!2.0.1", ">=1!2.0.1,1!2.0.*"),
    ("==1.2.*", "1.2.*"),
    ("!=1.2.*", "!=1.2.*"),
    ("==1.0+local", "==1.0+local"),
    ("===1.0-1", "==1.0.post1"),
    ("<3,>=1,!=2.5", ">=1,<3a0,!=2.5"),
]


@pytest.mark.parametrize(("text", "expected"), VERSIONS)
def test_versions(text: str, expected: str) -> None:
    assert conda_version(text) == expected
    assert str(Version(expected)) == expected


@pytest.mark.parametrize(("text", "expected"), SPECS)
def test_specs(text: str, expected: str) -> None:
    assert conda_version_spec(text) == expected
    if expected:
        VersionSpec(expected)


@pytest.mark.parametrize("text", ["1.0.x", "", "one", "===hello"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(NotConvertible, match="cannot be said in a conda package"):
        conda_version(text)


@pytest.mark.parametrize("text", [">dev", "~=1", "===hello", "1.0"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(NotConvertible):
        conda_version_spec(text)


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("Foo.Bar", "foo-bar"),
        ("typing_extensions", "typing-extensions"),
        ("A__b--c", "a-b-c"),
        ("zope.interface2", "zope-interface2"),
    ],
)
def test_names(project: str, name: str) -> None:
    assert conda_name(project) == name


def test_a_name_that_conda_cannot_have_is_refused() -> None:
    with pytest.raises(NotConvertible):
        conda_name("a" * 70)


releases = st.lists(st.integers(0, 12), min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts)))
suffixes = st.sampled_from(["", "", "", "a1", "b2", "rc1", "rc12"])
# Zeros before a suffix are one of the differences.
before_suffixes = releases.filter(lambda release: release.rpartition(".")[2] != "0")
versions = st.one_of(releases, st.builds("{}{}".format, before_suffixes, suffixes))


@st.composite
def clauses(draw: st.DrawFn) -> str:
    operator = draw(st.sampled_from([">=", ">", "<=", "<", "==", "!=", "~=", "==*", "!=*"]))
    if operator.endswith("*"):
        return f"{operator[:-1]}{draw(releases)}.*"
    if operator == "~=":
        return f"~={draw(releases)}.{draw(st.integers(1, 5))}{draw(suffixes)}"
    return f"{operator}{draw(versions)}"


@settings(deadline=None)
@given(clauses(), versions)
def test_a_range_admits_the_same_versions(clause: str, version: str) -> None:
    # `==1.2.0.*` and `1.2.*` treat missing zeros each in its own way: no difference between released versions.
    python = PythonVersion(version)
    assume(not clause.endswith(".*") or len(python.release) >= clause.count("."))
    expected = SpecifierSet(clause).contains(python, prereleases=True)
    assert VersionSpec(conda_version_spec(clause)).matches(conda_version(version)) == expected


@settings(deadline=None)
@given(st.lists(versions, min_size=2, max_size=2))
def test_releases_and_pre_releases_keep_their_order(pair: list[str]) -> None:
    first, second = pair
    python = PythonVersion(first) < PythonVersion(second)
    assert (Version(conda_version(first)) < Version(conda_version(second))) == python


@pytest.mark.parametrize("clause", ["<2", "<2.0", "<2.0.0"])
@pytest.mark.parametrize(
    "version", ["2a0", "2rc1", "2.0rc1", "2.0.0b3", "2.0.0.0a1", "2.0.dev1", "2", "2.0.1", "2.1rc1"]
)
def test_no_pre_release_of_the_end_is_let_in(clause: str, version: str) -> None:
    assert not VersionSpec(conda_version_spec(clause)).matches(conda_version(version))
    assert VersionSpec(conda_version_spec(clause)).matches("1.99.99.post3")


every_version = st.builds(
    "{}{}{}{}".format,
    releases,
    suffixes,
    st.sampled_from(["", "", ".post1", ".dev2", ".post2.dev1"]),
    st.sampled_from(["", "", "+cpu", "+1", "+1.x"]),
).map(conda_version)


@settings(deadline=None)
@given(st.lists(clauses(), max_size=3), st.lists(every_version, min_size=1, max_size=5))
def test_a_range_agrees_on_versions_that_are_known(parts: list[str], known: list[str]) -> None:
    text = ",".join(parts)
    meant = agreeing_version_spec(text, known)
    for version in known:
        admits = not meant or VersionSpec(meant).matches(version)
        assert admits == SpecifierSet(text).contains(version, prereleases=True)


@pytest.mark.parametrize(
    ("text", "expected"), [(">=1", False), (">=1rc1", True), ("==1.dev1", True), ("<2,>=1a1", True), ("!=1rc1", False)]
)
def test_ranges_that_name_a_pre_release(text: str, expected: bool) -> None:
    assert names_prerelease(text) == expected


@pytest.mark.parametrize(
    ("older_by_pep_440", "newer_by_pep_440"), [("1.0.post1", "1.0.0.1"), ("1.0.dev1", "1.0a1"), ("1.0", "1.0+x")]
)
def test_the_orders_differ_where_the_module_says(older_by_pep_440: str, newer_by_pep_440: str) -> None:
    assert PythonVersion(older_by_pep_440) < PythonVersion(newer_by_pep_440)
    assert Version(conda_version(older_by_pep_440)) > Version(conda_version(newer_by_pep_440))
