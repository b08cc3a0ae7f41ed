from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from kaa.prefix.environments import (
    EnvironmentDirectories,
    EnvironmentNotFound,
    InvalidEnvironmentName,
    NoWritableDirectory,
    check_environment_name,
    read_registry,
    register,
    registry_file,
    unregister,
)
from kaa.prefix.interruption import SET_ASIDE


def make(path: Path) -> Path:
    (path / "conda-meta").mkdir(parents=True)
    (path / "conda-meta" / "history").touch()
    return path


@pytest.fixture
def places(tmp_path: Path) -> EnvironmentDirectories:
    return EnvironmentDirectories(tmp_path / "root", (tmp_path / "root/envs", tmp_path / "home/envs"))


def test_names_and_paths(places: EnvironmentDirectories) -> None:
    first, second = places.directories
    make(second / "demo")
    assert places.get("demo") == second / "demo"
    assert places.place("demo") == second / "demo"
    assert places.place("new") == first / "new"
    assert places.find("new") is None
    make(first / "demo")
    assert places.get("demo") == first / "demo"
    for name in ("base", "root"):
        assert places.get(name) == places.place(name) == places.root_prefix
    assert places.name_of(places.root_prefix) == "base"
    assert places.name_of(first / "demo") == "demo"
    # The other one has no name: that name means the first.
    assert places.name_of(second / "demo") == str(second / "demo")
    assert places.name_of(Path("/elsewhere/demo")) == "/elsewhere/demo"


def test_a_name_without_environment(places: EnvironmentDirectories) -> None:
    with pytest.raises(EnvironmentNotFound, match="kaa create --name demo"):
        places.get("demo")


@pytest.mark.parametrize("name", ["demo", "py3.12", "a-b_c", "ümläut", ".hidden", "a@b"])
def test_good_names(name: str) -> None:
    check_environment_name(name)


@pytest.mark.parametrize(
    "name", ["", "a/b", "a b", "a:b", "a#b", "a\\b", "..", ".", "~", "~user", "a\nb", "a\0b", "base", "root"]
)
def test_bad_names(name: str, places: EnvironmentDirectories) -> None:
    with pytest.raises(InvalidEnvironmentName):
        check_environment_name(name)
    if name not in ("base", "root"):
        with pytest.raises(InvalidEnvironmentName):
            places.place(name)


def test_nowhere_to_write(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    places = EnvironmentDirectories(tmp_path, (tmp_path / "file" / "envs",))
    with pytest.raises(NoWritableDirectory, match="envs_dirs"):
        places.place("demo")


def test_all_environments(places: EnvironmentDirectories, tmp_path: Path) -> None:
    assert places.list() == ()
    root, first = make(places.root_prefix), places.directories[0]
    make(first / "b")
    make(first / "a")
    (first / "no-environment").mkdir()
    own = make(tmp_path / "project/.kaa")
    assert places.list([own, tmp_path / "gone", first / "a"]) == (root, first / "a", first / "b", own)


def test_the_registry(tmp_path: Path) -> None:
    registry = registry_file(tmp_path / "home")
    one, two = make(tmp_path / "one"), make(tmp_path / "two")
    assert read_registry(registry) == ()
    assert unregister(registry, one)
    assert not registry.exists()
    for _ in range(2):
        assert register(registry, one)
        assert register(registry, two)
    assert registry.read_text() == f"{one}\n{two}\n"
    # It is still there, or again: another process made it since.
    assert unregister(registry, one)
    assert read_registry(registry) == (one, two)
    # Where it cannot be moved it is removed in its place, bit by bit.
    (one / SET_ASIDE).touch()
    assert unregister(registry, one)
    assert read_registry(registry) == (two,)


def test_gone_environments_are_forgotten_and_unmounted_ones_are_not(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"
    one, gone = make(tmp_path / "one"), tmp_path / "gone"
    away = tmp_path / "unmounted" / "disk" / "env"
    registry.write_text(f"{one}\n{gone}\n\n  {away}  \n{one}\n")
    assert unregister(registry, Path("/no/such/environment"))
    assert registry.read_text() == f"{one}\n{away}\n"


def test_builders_are_not_registered(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"
    assert register(registry, tmp_path / ("placehold_pl" * 10))
    assert not registry.exists()


def test_a_registry_that_cannot_be_written_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / ".conda").write_text("a file")
    assert not register(tmp_path / ".conda" / "environments.txt", tmp_path / "one")


def test_paths_of_any_bytes(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"
    odd = make(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xc3\xa9")))
    assert register(registry, odd)
    assert read_registry(registry) == (odd,)


def enter(registry: Path, start: int) -> None:
    for number in range(start, start + 10):
        assert register(registry, Path(f"/env/{number}"))


def test_several_at_once(tmp_path: Path) -> None:
    registry = tmp_path / "environments.txt"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=enter, args=(registry, start)) for start in (0, 10, 20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {path.name for path in read_registry(registry)} == {str(number) for number in range(30)}
