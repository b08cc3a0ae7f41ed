"""Which environment a word means."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaa.errors import KaaError
from kaa.shell.location import EnvironmentLocationNotFound, EnvironmentNameNotFound, find_environment
from tests.shell.houses import make_environment


@pytest.fixture
def world(tmp_path: Path) -> Path:
    for name in ("root", "one/a", "two/a", "two/b", "home/e", "here", "here/sub"):
        make_environment(tmp_path / name)
    (tmp_path / "one" / "b").mkdir()
    (tmp_path / "link").symlink_to("here")
    return tmp_path


def find(word: str, world: Path) -> str:
    directories = [str(world / "one") + "/", str(world / "two"), str(world / "missing")]
    found = find_environment(
        word,
        root_prefix=str(world / "root"),
        directories=directories,
        cwd=str(world / "here"),
        home=str(world / "home"),
    )
    assert found.startswith(str(world))
    return found[len(str(world)) + 1 :]


@pytest.mark.parametrize(
    ("word", "place"),
    [
        ("base", "root"),
        ("root", "root"),
        ("a", "one/a"),
        ("b", "two/b"),
        ("./sub", "here/sub"),
        ("sub/", "here/sub"),
        ("./sub/../sub/.", "here/sub"),
        (".", "here"),
        ("../two/b", "two/b"),
        ("~/e", "home/e"),
        ("../link", "link"),
    ],
)
def test_words(world: Path, word: str, place: str) -> None:
    assert find(word, world) == place


def test_an_absolute_path(world: Path) -> None:
    assert find(str(world / "two" / "b"), world) == "two/b"


@pytest.mark.parametrize(
    ("word", "error", "said"),
    [
        ("nope", EnvironmentNameNotFound, "the environments are: a, b"),
        ("", EnvironmentNameNotFound, "the environments are"),
        ("sub", EnvironmentNameNotFound, "with a slash in it"),
        ("./nope", EnvironmentLocationNotFound, "here/nope"),
        ("..", EnvironmentLocationNotFound, "conda-meta"),
        ("~", EnvironmentLocationNotFound, "home"),
    ],
)
def test_errors(world: Path, word: str, error: type[KaaError], said: str) -> None:
    with pytest.raises(error) as raised:
        find(word, world)
    assert said in str(raised.value)
    assert raised.value.conda_name == error.__name__


def test_without_any_environment_the_error_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNameNotFound, match="kaa create --name x PACKAGES"):
        find_environment("x", root_prefix="/", directories=[str(tmp_path)], cwd="/", home="/")


def test_a_root_prefix_without_a_base_environment(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentLocationNotFound):
        find_environment("base", root_prefix=str(tmp_path), directories=[], cwd="/", home="/")
