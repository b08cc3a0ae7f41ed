from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker as PackagingMarker
from packaging.version import Version

from kaa.models.condition import Condition, parse_condition
from kaa.models.match_spec import MatchSpec
from kaa.models.record import PackageRecord
from kaa.pypi.markers import All, Any, Comparison, Inexpressible, Target, condition_text, decide, parse_marker
from kaa.pypi.pep440 import NotConvertible

SUBDIRS = ["linux-64", "linux-aarch64", "osx-arm64", "osx-64", "win-64"]
PYTHONS = ["2.7.18", "3.6.0", "3.7.9", "3.8.10", "3.9.0", "3.10.2", "3.11.0", "3.11.7", "3.12.1", "3.13.0", "3.14.0"]


def environment(python: str, subdir: str, extra: str = "") -> dict[str, str]:
    """What packaging calls the environment of a Python on a platform, written out by hand."""
    system, machine = subdir.split("-")
    machines = {
        ("linux", "64"): "x86_64",
        ("osx", "64"): "x86_64",
        ("win", "64"): "AMD64",
        ("linux", "aarch64"): "aarch64",
        ("osx", "arm64"): "arm64",
    }
    return {
        "implementation_name": "cpython",
        "implementation_version": python,
        "os_name": "nt" if system == "win" else "posix",
        "platform_machine": machines[system, machine],
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_version": "",
        "platform_system": {"linux": "Linux", "osx": "Darwin", "win": "Windows"}[system],
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": {"linux": "linux", "osx": "darwin", "win": "win32"}[system],
        "extra": extra,
    }


def by_packaging(text: str, python: str, subdir: str, extra: str = "") -> bool:
    return PackagingMarker(text).evaluate(dict(environment(python, subdir, extra)))


def holds(condition: Condition, python: str, subdir: str) -> bool:
    """Whether a condition holds beside that python and the platform's virtual packages."""
    system = subdir.split("-")[0]
    names = {"linux": ["__linux", "__unix"], "osx": ["__osx", "__unix"], "win": ["__win"]}[system]
    records = [PackageRecord(name=name, version="0", build="0") for name in names]
    records.append(PackageRecord(name="python", version=python, build="0"))
    return condition.holds(lambda spec: any(spec.matches(record) for record in records))


comparisons = st.one_of(
    st.builds(
        "python_version {} '{}'".format,
        st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "~=", "==="]),
        st.sampled_from(["3.6", "3.7", "3.10", "3.11", "3.12", "3.8.1"]),
    ),
    st.builds("python_version {} '3.8.*'".format, st.sampled_from(["==", "!="])),
    st.builds("python_version {} '3.7 3.8, 3.11'".format, st.sampled_from(["in", "not in"])),
    st.builds("'{}' {} python_version".format, st.sampled_from(["3.7", "3.11"]), st.sampled_from(["<", "<=", ">="])),
    st.builds(
        "python_full_version {} '{}'".format,
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        st.sampled_from(["3.8", "3.10.2", "3.11.0", "3.12.0rc1"]),
    ),
    st.builds(
        "sys_platform {} '{}'".format,
        st.sampled_from(["==", "!="]),
        st.sampled_from(["linux", "win32", "darwin", "cygwin"]),
    ),
    st.builds("os_name {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(["nt", "posix", "java"])),
    st.builds("platform_system {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(["Windows", "Linux"])),
    st.builds("sys_platform {} 'linux darwin'".format, st.sampled_from(["in", "not in"])),
    st.just("'linux' in sys_platform"),
    st.builds("implementation_name {} 'cpython'".format, st.sampled_from(["==", "!="])),
    st.just("platform_python_implementation == 'PyPy'"),
)
static = st.one_of(
    comparisons,
    st.builds(
        "platform_machine {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from(["x86_64", "arm64", "AMD64"])
    ),
    st.builds("extra == '{}'".format, st.sampled_from(["Test_A", "test-a", "docs"])),
)


def markers(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.recursive(
        leaves,
        lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from(["and", "or"]), inner),
        max_leaves=5,
    )


@settings(deadline=None)
@given(markers(static), st.sampled_from(PYTHONS), st.sampled_from(SUBDIRS), st.sampled_from(["", "test-a", "docs"]))
def test_a_complete_target_decides_as_packaging_does(text: str, python: str, subdir: str, extra: str) -> None:
    decided = decide(parse_marker(text), Target(Version(python), subdir), extra)
    assert decided is by_packaging(text, python, subdir, extra)


@settings(deadline=None)
@given(markers(comparisons))
def test_a_condition_holds_where_the_marker_does(text: str) -> None:
    left = decide(parse_marker(text), Target())
    for python in PYTHONS:
        for subdir in ("linux-64", "osx-arm64", "win-64"):
            expected = by_packaging(text, python, subdir)
            if isinstance(left, bool):
                assert left is expected
            else:
                written = parse_condition(condition_text(left), MatchSpec.parse)
                assert holds(written, python, subdir) is expected, (condition_text(left), python, subdir)


@settings(deadline=None)
@given(markers(comparisons), st.sampled_from(PYTHONS))
def test_a_known_python_leaves_only_the_platform_open(text: str, python: str) -> None:
    left = decide(parse_marker(text), Target(Version(python)))
    if not isinstance(left, bool):
        assert "python" not in condition_text(left)


CONDITIONS = [
    ("python_version < '3.11'", "python<3.11a0"),
    ("python_version > '3.9'", "python>=3.10"),
    ("python_version == '3.8'", "python>=3.8 and python<3.9a0"),
    ("python_version != '3.8'", "python<3.8a0 or python>=3.9"),
    ("python_version < '3.10.2'", "python<3.11a0"),
    ("python_full_version < '3.11.0a7'", "python<3.11.0a7"),
    ("sys_platform == 'win32'", "__win"),
    ("sys_platform != 'win32'", "__unix"),
    ("sys_platform != 'linux'", "__osx or __win"),
    ("os_name == 'posix' and python_version >= '3.9'", "__unix and python>=3.9"),
    ("(sys_platform != 'linux') and python_version >= '3.9'", "(__osx or __win) and python>=3.9"),
]


@pytest.mark.parametrize(("marker", "expected"), CONDITIONS)
def test_conditions_as_text(marker: str, expected: str) -> None:
    assert condition_text(decide(parse_marker(marker), Target())) == expected


@pytest.mark.parametrize("variable", ["platform_machine", "platform_release", "platform_version"])
def test_what_no_condition_can_say(variable: str) -> None:
    with pytest.raises(Inexpressible, match=variable):
        condition_text(decide(parse_marker(f"{variable} == 'x'"), Target()))


def test_the_tree() -> None:
    assert parse_marker("os.name == 'nt' and (extra == 'a' or '3' in python_version)") == All(
        (
            Comparison("os_name", "==", "nt"),
            Any((Comparison("extra", "==", "a"), Comparison("python_version", "in", "3", reversed=True))),
        )
    )


@pytest.mark.parametrize("text", ["python_version", "'a' == 'b'", "os_name = 'nt'", "nonsense == 'x'"])
def test_what_is_no_marker_is_refused(text: str) -> None:
    with pytest.raises(NotConvertible):
        parse_marker(text)
