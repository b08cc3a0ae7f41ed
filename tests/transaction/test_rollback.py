"""Whatever goes wrong at whatever step, the environment is what it was."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.errors import KaaError
from kaa.prefix.interruption import JOURNAL, LOCK, STAGING
from kaa.transaction.journal import Journal, recover
from kaa.transaction.plan import EnvironmentChanged
from kaa.transaction.undoing import JournalDamaged, RollbackFailed
from tests.channels import File, Package, Symlink
from tests.transaction.world import SITE, Tree, World, python_package, tree

PLACE = "/opt/place_of_the_builder_" + "x" * 200

OLD = (
    Package("alpha", files={"share/both": "alpha", "share/alpha/one": "1", "deep/er/file": "x"}),
    Package("beta", depends=["alpha"], files={"share/both": "beta", "becomes": "a file", "was/a": "directory"}),
    Package("gone", files={"lib/gone/a": "a", "lib/gone/b": Symlink("a"), "share/contested": "gone"}),
    Package("same", files={"share/same": "same", "share/contested": "same"}),
)
NEW = (
    Package("alpha", "2.0", files={"share/both": "alpha 2", "share/alpha/two": "2", "share/taken": "from the user"}),
    Package(
        "delta",
        depends=["alpha"],
        files={
            "share/both": "delta",
            "becomes/a": "directory",
            "was": "a file",
            "bin/tool": File(f"#!{PLACE}/bin/sh\n".encode(), mode=0o755, placeholder=PLACE),
            "lib/link": Symlink("../share"),
            "etc/copied": File(b"copied", no_link=True),
        },
    ),
    Package("same", files={"share/same": "same", "share/contested": "same"}),
    Package(
        "module",
        noarch="python",
        files={
            "site-packages/module.py": "VALUE = 1\n",
            "site-packages/placed.py": File(f"PLACE = '{PLACE}'\n".encode(), placeholder=PLACE),
        },
        entry_points=["module = module:main"],
    ),
)


class Injected(Exception):
    """What the tests let go wrong."""


@dataclass
class FailAt:
    """A checkpoint that raises at its n-th call."""

    number: int
    error: Callable[[], BaseException]
    calls: int = 0
    step: str = ""

    def __call__(self, step: str) -> None:
        self.calls += 1
        # After "committed" nothing is undone any more.
        if self.calls == self.number and step != "committed":
            self.step = step
            raise self.error()


def make_old(world: World) -> None:
    world.install(*OLD)
    (world.prefix / "share/taken").write_text("of the user")
    (world.prefix / "share/alpha/notes").write_text("of the user")
    python = world.plan(*NEW, python_package())
    assert len(python.operations) == 6


def steps_of(folder: Path) -> list[str]:
    """Every step of the change from OLD to NEW."""
    world = World(folder)
    make_old(world)
    steps: list[str] = []
    world.perform(world.plan(*NEW, python_package(), command="kaa test"), checkpoint=steps.append)
    return steps


def test_there_is_a_checkpoint_for_everything(tmp_path: Path) -> None:
    steps = set(steps_of(tmp_path))
    assert {
        "begin",
        "render delta-1.0-0",
        "unlink gone-1.0-0",
        "lib/gone/b",
        "was",
        "share/taken",
        "link delta-1.0-0",
        "bin/tool",
        "compile",
        f"{SITE}/module.py",
        "records",
        "record delta-1.0-0",
        "conda-meta/gone-1.0-0.json",
        "history",
        "commit",
    } <= steps
    assert len(steps) > 50


@pytest.mark.parametrize(
    ("error", "stride"),
    [(Injected, 1), (KeyboardInterrupt, 6), (lambda: OSError(errno.EIO, "bad disk"), 7)],
    ids=["error", "interrupt", "disk"],
)
def test_failure_at_any_step_changes_nothing(tmp_path: Path, error: Callable[[], BaseException], stride: int) -> None:
    world = World(tmp_path / "world")
    make_old(world)
    before = tree(world.prefix)
    transaction = world.plan(*NEW, python_package(), command="kaa test")
    number = 1 - stride
    while True:
        number += stride
        fail = FailAt(number, error)
        try:
            world.perform(transaction, checkpoint=fail)
        except (Injected, KeyboardInterrupt, KaaError):
            assert tree(world.prefix) == before, fail.step
            continue
        break
    assert number > 50
    # The same plan goes through after all those failures.
    assert tree(world.prefix) != before
    assert (world.prefix / "becomes/a").read_text() == "directory"


def test_failing_to_create_leaves_nothing(tmp_path: Path) -> None:
    world = World(tmp_path)
    transaction = world.plan(*NEW, python_package(), command="kaa test")
    number = 0
    while True:
        number += 1
        try:
            world.perform(transaction, checkpoint=FailAt(number, lambda: Injected()))
        except Injected:
            assert not (tmp_path / "envs").exists()
            continue
        break
    assert number > 25


def test_an_empty_directory_that_was_there_stays(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.prefix.mkdir(parents=True)
    with pytest.raises(Injected):
        world.perform(world.plan(*NEW, python_package()), checkpoint=FailAt(20, lambda: Injected()))
    assert list(world.prefix.iterdir()) == []


def test_a_file_that_somebody_makes_meanwhile_is_not_lost(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.install()

    def interfere(step: str) -> None:
        if step == "share/both":
            (world.prefix / "share/both").write_text("of somebody else")

    with pytest.raises(KaaError, match="share/both"):
        world.perform(world.plan(Package("one", files={"share/a": "a", "share/both": "b"})), checkpoint=interfere)
    assert (world.prefix / "share/both").read_text() == "of somebody else"
    assert not (world.prefix / "share/a").exists()


def test_interrupted_while_cleaning_up_the_new_environment_is_complete(tmp_path: Path) -> None:
    world = World(tmp_path)
    make_old(world)
    world.perform(world.plan(*NEW, python_package()))
    expected = tree(world.prefix, without=(LOCK, "conda-meta/history"))
    other = World(tmp_path / "other")
    make_old(other)

    def stop(step: str) -> None:
        if step == "committed":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        other.perform(other.plan(*NEW, python_package()), checkpoint=stop)
    left = tree(other.prefix, without=(LOCK, "conda-meta/history"))
    # Only the directories that lost their last file may still be there.
    assert files_of(left) == files_of(expected)


def files_of(found: Tree) -> set[str]:
    return {path for path, (kind, _, _) in found.items() if kind != "directory"}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.transaction.test_rollback import NEW, python_package
from tests.transaction.world import attach
folder, number = Path(sys.argv[1]), int(sys.argv[2])
world = attach(folder, [*NEW, python_package()])
count = 0
def checkpoint(step):
    global count
    count += 1
    if count == number:
        os.kill(os.getpid(), signal.SIGKILL)
world.perform(world.plan(*NEW, python_package(), command="kaa test"), checkpoint=checkpoint)
"""


@pytest.mark.parametrize("number", [4, 20, 35])
def test_killed_while_creating_the_next_creation_succeeds(tmp_path: Path, number: int) -> None:
    world = World(tmp_path / "world")
    for package in (*NEW, python_package()):
        world.unpack(package)
    kill_at(world, number)
    assert (world.prefix / JOURNAL).exists()
    world.install(*NEW, python_package())
    other = World(tmp_path / "other")
    other.install(*NEW, python_package())
    assert files_of(tree(world.prefix)) == files_of(tree(other.prefix))


def kill_at(world: World, number: int) -> None:
    """Let another process make the environment of NEW, and kill it at one of its steps."""
    root = Path(__file__).parent.parent.parent
    argv = [sys.executable, "-c", KILLED, str(world.folder), str(number)]
    done = subprocess.run(argv, cwd=root, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.mark.parametrize("number", [2, 9, 17, 24, 33, 41, 48, 55])
def test_killed_the_next_change_finds_the_old_environment(tmp_path: Path, number: int) -> None:
    world = World(tmp_path / "world")
    make_old(world)
    for package in (*NEW, python_package()):
        world.unpack(package)
    before = tree(world.prefix)
    kill_at(world, number)
    assert recover(world.prefix) == "taken back"
    assert tree(world.prefix) == before


def test_a_change_recovers_first(world: World) -> None:
    world.install(*OLD)
    before = tree(world.prefix)
    transaction = world.plan(*NEW, python_package())
    journal = Journal(world.prefix)
    journal.begin()
    journal.set_aside(["share/same", "lib/gone/a"])
    journal.will_create(["share/same"])
    journal.will_append("conda-meta/history")
    journal.barrier()
    (world.prefix / "share/same").write_text("half done")
    with (world.prefix / "conda-meta/history").open("a") as stream:
        stream.write("half a line")
    del journal
    with pytest.raises(Injected):
        world.perform(transaction, checkpoint=FailAt(1, lambda: Injected()))
    assert tree(world.prefix) == before
    assert any("interrupted change" in text for text in world.warnings())


def test_a_line_that_was_cut_short_had_not_been_acted_on(world: World) -> None:
    world.install(*OLD)
    before = tree(world.prefix)
    journal = Journal(world.prefix)
    journal.begin()
    journal.set_aside(["share/same"])
    with (world.prefix / JOURNAL).open("a") as stream:
        stream.write('["create",["share/both')
    assert recover(world.prefix) == "taken back"
    assert tree(world.prefix) == before


OUTSIDE = [
    ["create", ["../outside"]],
    ["create", ["/outside"]],
    ["create", ["lib/../../outside"]],
    ["create", ["", "lib"]],
    ["create", [7]],
    ["create", "lib"],
    ["mkdir", ["../outside"]],
    ["move", [["lib/a", "../outside"]]],
    ["move", [["../outside", "lib/a"]]],
    ["move", [["lib/a"]]],
    ["commit", ["../outside"]],
    ["script", -1],
    ["script", "0"],
    ["append", "../outside", 0],
    ["append", "lib", "0"],
    ["spare", "../outside"],
    ["burn", ["lib"]],
    ["commit", "now"],
    [],
    {},
    None,
    "create",
]


@pytest.mark.parametrize("line", OUTSIDE, ids=json.dumps)
def test_a_journal_of_somebody_else_is_not_acted_on(world: World, line: object) -> None:
    world.install(*OLD)
    outside = world.prefix.parent / "outside"
    outside.write_text("mine")
    before = tree(world.prefix)
    text = "\n".join(map(json.dumps, (["made", []], ["create", ["share/both"]], line, ["create", ["becomes"]]))) + "\n"
    (world.prefix / JOURNAL).write_text(text)
    with pytest.raises(JournalDamaged, match=r"line 3 of .*kaa-journal") as caught:
        recover(world.prefix)
    assert caught.value.line == 3
    assert outside.read_text() == "mine"
    (world.prefix / JOURNAL).unlink()
    assert tree(world.prefix) == before


@given(st.binary(max_size=200))
def test_no_journal_breaks_the_reader(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder)
        (prefix / JOURNAL).parent.mkdir()
        (prefix / JOURNAL).write_bytes(content)
        with contextlib.suppress(JournalDamaged):
            Journal.read(prefix)


def test_what_was_committed_is_finished(world: World) -> None:
    world.install(*OLD)
    journal = Journal(world.prefix)
    journal.begin()
    journal.set_aside(["share/same"])
    journal.declare_complete()
    assert recover(world.prefix) == "finished"
    assert not (world.prefix / "share/same").exists()
    assert not (world.prefix / STAGING).exists()
    assert recover(world.prefix) == "nothing"


def test_what_cannot_be_undone_is_told_and_tried_again(world: World) -> None:
    world.install(*OLD)
    before = tree(world.prefix)
    journal = Journal(world.prefix)
    journal.begin()
    journal.set_aside(["share/alpha/one"])
    shutil.rmtree(world.prefix / "share/alpha")
    (world.prefix / "share/alpha").write_text("in the way")
    with pytest.raises(RollbackFailed) as caught:
        journal.roll_back()
    assert "share/alpha/one" in str(caught.value)
    (world.prefix / "share/alpha").unlink()
    (world.prefix / "share/alpha").mkdir()
    assert recover(world.prefix) == "taken back"
    assert tree(world.prefix) == before


def test_a_plan_for_another_state_is_refused(world: World) -> None:
    world.install(*OLD)
    transaction = world.plan(*NEW, python_package())
    world.install(*OLD[:3])
    before = tree(world.prefix)
    with pytest.raises(EnvironmentChanged) as caught:
        world.perform(transaction)
    assert caught.value.differing == ("same-1.0-0",)
    assert tree(world.prefix) == before
