"""Generations within a change: noted before and after it, and taken back with it."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

from kaa.host.files import remove_tree
from kaa.prefix.generations import generation_file, generation_numbers, latest_generation, read_generations
from kaa.prefix.interruption import JOURNAL
from kaa.prefix.kept_distributions import kept_keys
from kaa.transaction.journal import recover
from tests.channels import Package
from tests.pypi.wheels import digest_text
from tests.transaction.test_rollback import FailAt, Injected
from tests.transaction.world import SITE, World, python_package, tree


@dataclass
class KillAt:
    """A checkpoint that ends its process at its n-th call."""

    number: int

    def __call__(self, step: str) -> None:
        self.number -= 1
        if not self.number:
            os.kill(os.getpid(), signal.SIGKILL)


LIB = Package("lib", "1.0", files={"lib/x": "1"})
LIB_2 = Package("lib", "2.0", files={"lib/x": "2"})
APP = Package(
    "app",
    "1.0",
    depends=["python"],
    files={f"{SITE}/app.py": "", f"{SITE}/app-1.0.dist-info/METADATA": "Name: app\nVersion: 1.0\n"},
)


def by_pip(prefix: Path, name: str = "demo", version: str = "1.0") -> None:
    """Put a distribution there as pip would."""
    info = f"{name}-{version}.dist-info"
    files = {f"{name}.py": b"x = 1\n", f"{info}/METADATA": f"Name: {name}\nVersion: {version}\n".encode()}
    lines = [f"{path},{digest_text(content)},{len(content)}" for path, content in files.items()]
    files[f"{info}/RECORD"] = "".join(f"{line}\n" for line in [*lines, f"{info}/RECORD,,"]).encode()
    for path, content in files.items():
        (prefix / SITE / path).parent.mkdir(parents=True, exist_ok=True)
        (prefix / SITE / path).unlink(missing_ok=True)
        (prefix / SITE / path).write_bytes(content)


def causes(world: World) -> list[tuple[str, int | None]]:
    return [(one.cause, one.parent) for one in read_generations(world.prefix)]


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "world")
    world.install(python_package(), LIB, APP)
    return world


def test_what_a_generation_says(world: World) -> None:
    generation = latest_generation(world.prefix)
    assert generation is not None
    assert (generation.number, generation.parent, generation.cause, generation.revision) == (1, None, "change", 0)
    assert generation.command == "kaa test"
    assert [record.dist for record in generation.packages][:2] == ["app-1.0-0", "lib-1.0-0"]
    assert (generation.distributions, generation.overwritten, generation.taken) == ((), {}, ())
    assert generation.packages == tuple(
        sorted((world.extracted[one.dist].record for one in generation.packages), key=lambda record: record.name)
    )


def test_what_others_did_is_noted_before_a_change(world: World) -> None:
    by_pip(world.prefix)
    world.install(python_package(), LIB_2, APP)
    assert causes(world) == [("change", None), ("found", 1), ("change", 2)]
    _, found, changed = read_generations(world.prefix)
    [demo] = found.distributions
    assert (demo.name, demo.version, found.command, changed.distributions) == ("demo", "1.0", "", (demo,))
    assert kept_keys(world.prefix) == (demo.key,)
    # The same again is nothing new.
    world.install(python_package(), LIB, APP)
    assert causes(world)[3:] == [("change", 3)]


def test_nothing_new_makes_no_generation(world: World) -> None:
    world.perform(world.plan(python_package(), LIB, APP, reinstall={"lib"}))
    assert generation_numbers(world.prefix) == (1,)


def test_every_distribution_is_kept_once(world: World) -> None:
    for version, package in (("1.0", LIB_2), ("2.0", LIB), ("1.0", LIB_2), ("2.0", LIB)):
        remove_tree(world.prefix / SITE / "demo-1.0.dist-info")
        remove_tree(world.prefix / SITE / "demo-2.0.dist-info")
        by_pip(world.prefix, version=version)
        world.install(python_package(), package, APP)
    assert len(kept_keys(world.prefix)) == 2
    assert len(generation_numbers(world.prefix)) == 9


@pytest.mark.parametrize(
    ("path", "content", "overwritten"),
    [
        ("app-1.0.dist-info", None, {"app": (f"{SITE}/app-1.0.dist-info/METADATA",)}),
        ("app.py", b"edited", {}),
        ("empty-1.0.dist-info/", b"", {}),
        ("~emo-1.0.dist-info/METADATA", b"Name: demo\nVersion: 1\n", {}),
    ],
)
def test_what_counts_as_taken_by_pip(
    world: World, path: str, content: bytes | None, overwritten: dict[str, tuple[str, ...]]
) -> None:
    place = world.prefix / SITE / path
    remove_tree(place)
    if path.endswith("/"):
        place.mkdir()
    elif content is not None:
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(content)
    world.install(python_package(), LIB_2, APP)
    latest = latest_generation(world.prefix)
    assert latest is not None
    assert latest.overwritten == overwritten
    assert latest.distributions == ()
    assert [cause for cause, _ in causes(world)] == (["change", "found", "change"] if overwritten else ["change"] * 2)


def test_a_broken_generation_is_in_nobodys_way(world: World) -> None:
    generation_file(world.prefix, 1).write_bytes(b"{")
    world.install(python_package(), LIB_2, APP)
    assert generation_numbers(world.prefix) == (1, 2, 3)
    generation_file(world.prefix, 1).unlink()
    assert causes(world) == [("found", 1), ("change", 2)]


STRIDES = [5, pytest.param(2, marks=pytest.mark.slow)]


@pytest.mark.parametrize("stride", STRIDES)
def test_failing_at_any_step_takes_the_generations_back(tmp_path: Path, stride: int) -> None:
    world = World(tmp_path / "world")
    world.install(python_package(), LIB, APP)
    by_pip(world.prefix)
    before = tree(world.prefix)
    number = 0
    while True:
        number += stride
        fail = FailAt(number, Injected)
        try:
            world.perform(world.plan(python_package(), LIB_2, APP), checkpoint=fail)
        except Injected:
            assert tree(world.prefix) == before, fail.step
        else:
            break
    assert number > 10
    assert causes(world) == [("change", None), ("found", 1), ("change", 2)]


@pytest.mark.parametrize("stride", STRIDES)
def test_killed_at_any_step(tmp_path: Path, stride: int) -> None:
    number = 0
    while True:
        number += stride
        world = World(tmp_path / f"world {number}")
        world.install(python_package(), LIB, APP)
        by_pip(world.prefix)
        before = tree(world.prefix)
        child = os.fork()
        if child == 0:
            try:
                world.perform(world.plan(python_package(), LIB_2, APP), checkpoint=KillAt(number))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
        interrupted = (world.prefix / JOURNAL).exists()
        outcome = recover(world.prefix)
        assert outcome == "nothing" or interrupted
        if outcome == "finished":
            assert causes(world) == [("change", None), ("found", 1), ("change", 2)]
        else:
            assert tree(world.prefix) == before
    assert number > 10
