"""Names of packages and package files (CEP 26)."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.errors import KaaError
from kaa.models.artifact import (
    ArtifactName,
    InvalidArtifactName,
    InvalidPackageName,
    check_build,
    check_package_name,
    dist_string,
    extension_of,
    parse_file_name,
    wheel_name,
)
from tests.models.slice import read_slice

GOOD_NAMES = [
    "a",
    "7zip",
    "_libgcc_mutex",
    "__glibc",
    "__archspec",
    "ruamel.yaml",
    "a-b_c.d",
    "a-",
    "ab_",
    "x" * 64,
    "_7",
]

BAD_NAMES = [
    # name, place of the fault
    ("", 0),
    ("_", 1),
    ("__", 2),
    ("ab--c", 3),
    ("a_-b", 2),
    ("__x__y", 4),
    ("___x", 2),
    (".a", 0),
    ("-a", 0),
    ("_-a", 1),
    ("a..", 2),
    ("A", 0),
    ("numPy", 3),
    ("a\n", 1),
    ("a/b", 1),
    ("..", 0),
    ("é", 0),
    ("a b", 1),
    ("x" * 65, 64),
    ("__anaconda__core", 11),
]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names(name: str) -> None:
    check_package_name(name)


@pytest.mark.parametrize(("name", "position"), BAD_NAMES)
def test_bad_names(name: str, position: int) -> None:
    with pytest.raises(InvalidPackageName) as caught:
        check_package_name(name)
    assert caught.value.position == position


def test_names_in_capitals_get_a_hint() -> None:
    with pytest.raises(InvalidPackageName) as caught:
        check_package_name("NumPy")
    assert str(caught.value) == (
        "invalid package name: 'N' cannot stand in a package name\n  NumPy\n  ^\n  try: write numpy"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zlib-1.3.1-hb9d3cd8_2.conda", ("zlib", "1.3.1", "hb9d3cd8_2", ".conda")),
        ("a-b-c-1.0-0.tar.bz2", ("a-b-c", "1.0", "0", ".tar.bz2")),
        ("x264-1!164.3095-h166bdaf_2.tar.bz2", ("x264", "1!164.3095", "h166bdaf_2", ".tar.bz2")),
        ("pytorch-2.1+cpu-py3_0.conda", ("pytorch", "2.1+cpu", "py3_0", ".conda")),
        ("_libgcc_mutex-0.1-conda_forge.tar.bz2", ("_libgcc_mutex", "0.1", "conda_forge", ".tar.bz2")),
    ],
)
def test_file_names(text: str, expected: tuple[str, str, str, str]) -> None:
    artifact = parse_file_name(text)
    assert artifact == ArtifactName(*expected)
    assert str(artifact) == text
    assert artifact.dist == dist_string(*expected[:3]) == text.removesuffix(expected[3])


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("zlib-1.3.1-0.zip", 16),
        ("zlib-1.3.1-0", 12),
        ("six-1.17.0-py3-none-any.whl", 27),
        ("zlib-1.3.1.conda", 0),
        (".conda", 0),
        ("--.conda", 0),
        ("zlib--0.conda", 5),
        ("zlib-1..3-0.conda", 7),
        ("zlib-1.3-.conda", 9),
        ("zlib-1.3-a b.conda", 10),
        ("Zlib-1.3-0.conda", 0),
        ("../zlib-1.3-0.conda", 2),
        ("zlib-1/../3-0.conda", 6),
        ("zlib-1.3-../0.conda", 11),
        ("zlib-1.3-0\x00.conda", 10),
        ("z" * 64 + "-1-" + "b" * 200 + ".conda", 211),
    ],
)
def test_bad_file_names(text: str, position: int) -> None:
    with pytest.raises(InvalidArtifactName) as caught:
        parse_file_name(text)
    assert (caught.value.text, caught.value.position) == (text, position)
    assert isinstance(caught.value, KaaError)


@given(st.text(alphabet="ab1._-/\\+!~\n:*?C", max_size=14).flatmap(lambda text: st.just(text + ".conda")))
def test_a_file_name_that_parses_is_safe_as_a_path(text: str) -> None:
    try:
        artifact = parse_file_name(text)
    except InvalidArtifactName:
        return
    assert str(artifact) == text
    assert posixpath.normpath(artifact.dist) == artifact.dist == posixpath.basename(artifact.dist)
    assert not set(text) & set('/\\\n:*?"<>|')


@pytest.mark.parametrize("build", ["0", "py27_0", "h1_0", "a.b+c"])
def test_good_builds(build: str) -> None:
    check_build(build)


@pytest.mark.parametrize(("build", "position"), [("", 0), ("a-b", 1), ("a\n", 1), ("*", 0), ("é", 0)])
def test_bad_builds(build: str, position: int) -> None:
    with pytest.raises(InvalidArtifactName) as caught:
        check_build(build)
    assert caught.value.position == position


def test_extensions() -> None:
    assert extension_of("a.conda") == ".conda"
    assert extension_of("a.tar.bz2") == ".tar.bz2"
    assert extension_of("a.whl") == ".whl"
    assert extension_of("a.bz2") is None


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("six-1.17.0-py2.py3-none-any.whl", "six"),
        ("Ruamel.YAML_clib-0.2-1-cp311-cp311-linux_x86_64.whl", "ruamel-yaml-clib"),
        ("six-1.17.0.whl", None),
        ("six--py3-none-any.whl", None),
        ("six-1.17.0-py3-none-any.zip", None),
    ],
)
def test_wheel_names(text: str, name: str | None) -> None:
    assert wheel_name(text) == name


def test_every_real_file_name_is_made_of_its_record() -> None:
    for records in read_slice().values():
        for file_name, record in records.items():
            artifact = parse_file_name(file_name)
            assert artifact.dist == dist_string(record["name"], record["version"], record["build"])
