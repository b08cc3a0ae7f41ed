"""What link scripts did to an environment is undone when the change does not come to be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from kaa.errors import KaaError
from kaa.prefix.interruption import JOURNAL, STAGING
from kaa.transaction.journal import recover
from kaa.transaction.script_traces import SCRIPTS
from kaa.transaction.undoing import JournalDamaged, RollbackFailed
from tests.channels import File, Package, Symlink
from tests.transaction.test_journal import in_child
from tests.transaction.test_rollback import FailAt, Injected
from tests.transaction.world import SITE, TAG, World, python_package, tree

BASE = Package(
    "base",
    files={
        "share/linked": "from the cache",
        "share/link": Symlink("linked"),
        "lib/deep/er/file": "x",
        "bin/tool": File(b"#!/bin/sh\n", mode=0o755),
    },
)

MISCHIEF = {
    "a file goes": "rm $PREFIX/share/linked",
    "a file of the user goes": "rm $PREFIX/mine",
    "a file is replaced": "echo new > $PREFIX/new && mv $PREFIX/new $PREFIX/share/linked",
    "a file is written to": "echo more >> $PREFIX/mine",
    "a file is written to, its time as before": "cp -p $PREFIX/mine $PREFIX/t; echo MORE > $PREFIX/mine; "
    "touch -r $PREFIX/t $PREFIX/mine; rm $PREFIX/t",
    "a mode": "chmod 600 $PREFIX/mine; chmod 700 $PREFIX/lib/deep",
    "a link goes elsewhere": "ln -sf nowhere $PREFIX/share/link",
    "a link becomes a file": "rm $PREFIX/share/link && echo x > $PREFIX/share/link",
    "a tree goes": "rm -r $PREFIX/lib",
    "a directory becomes a file": "rm -r $PREFIX/lib && echo x > $PREFIX/lib",
    "a file becomes a directory": "rm $PREFIX/mine && mkdir -p $PREFIX/mine/a/b && echo x > $PREFIX/mine/a/b/c",
    "files come": "mkdir -p $PREFIX/var/x/y && echo x > $PREFIX/var/x/y/z && ln -s z $PREFIX/var/x/y/w",
    "a tree moves": "mv $PREFIX/lib $PREFIX/moved",
    "what came before it": "rm $PREFIX/share/of-scripted $PREFIX/bin/came; echo x > $PREFIX/bin/came",
    "the history": "echo '# mine' >> $PREFIX/conda-meta/history; rm $PREFIX/conda-meta/base-1.0-0.json",
}


def scripted(action: str, text: str, end: str = "") -> Package:
    """A package whose script does something and then ends in some way."""
    script = File(f"{text}\n{end}\n".encode(), mode=0o755)
    return Package("scripted", files={f"bin/.scripted-{action}.sh": script, "share/of-scripted": "x", "bin/came": "x"})


def make_base(world: World, *more: Package) -> None:
    world.install(BASE, *more)
    (world.prefix / "mine").write_text("mine\n")


@pytest.mark.parametrize("text", MISCHIEF.values(), ids=MISCHIEF)
@pytest.mark.parametrize("action", ["pre-link", "post-link"])
def test_a_script_that_fails(world: World, action: str, text: str) -> None:
    make_base(world)
    before = tree(world.prefix)
    with pytest.raises(KaaError, match="ended with code 3"):
        world.install(BASE, scripted(action, text, "exit 3"))
    assert tree(world.prefix) == before


@pytest.mark.parametrize("text", MISCHIEF.values(), ids=MISCHIEF)
def test_a_change_that_fails_after_its_scripts(world: World, text: str) -> None:
    make_base(world, scripted("pre-unlink", text))
    before = tree(world.prefix)
    transaction = world.plan(BASE)

    def fail(step: str) -> None:
        if step == "commit":
            raise Injected

    with pytest.raises(Injected):
        world.perform(transaction, checkpoint=fail)
    assert tree(world.prefix) == before
    world.perform(transaction)
    assert not (world.prefix / "share/of-scripted").exists()


@pytest.mark.parametrize("text", MISCHIEF.values(), ids=MISCHIEF)
def test_killed_in_the_middle_of_a_script(world: World, text: str) -> None:
    make_base(world)
    before = tree(world.prefix)
    transaction = world.plan(BASE, scripted("post-link", text, "kill -9 $PPID; exit 3"))
    assert in_child(lambda: world.perform(transaction)) < 0
    assert (world.prefix / JOURNAL).exists()
    assert recover(world.prefix) == "taken back"
    assert tree(world.prefix) == before


def test_two_scripts_and_a_failure_at_any_step(world: World) -> None:
    before_all = "rm $PREFIX/share/linked; echo 1 > $PREFIX/one"
    make_base(world, scripted("pre-unlink", before_all))
    other = Package("other", files={"bin/.other-post-link.sh": File(b"mv $PREFIX/one $PREFIX/two; rm $PREFIX/mine\n")})
    before = tree(world.prefix)
    transaction = world.plan(BASE, other)
    for number in range(1, 100):
        fail = FailAt(number, Injected)
        try:
            world.perform(transaction, checkpoint=fail)
        except Injected:
            assert tree(world.prefix) == before, fail.step
        else:
            break
    assert number > 15
    assert world.text("two") == "1\n"
    assert not (world.prefix / STAGING).exists()


def test_files_of_the_cache_are_linked_and_not_copied(world: World) -> None:
    make_base(world)
    seen: dict[str, int] = {}

    def look(step: str) -> None:
        if step == "compile":
            for name in ("share/linked", "mine"):
                seen[name] = (world.prefix / STAGING / "before" / name).stat().st_ino
            seen["came"] = int((world.prefix / STAGING / "before/share/of-scripted").exists())
            raise Injected

    with pytest.raises(Injected):
        world.perform(world.plan(BASE, python_package(), scripted("post-link", "true")), checkpoint=look)
    assert seen["share/linked"] == (world.prefix / "share/linked").stat().st_ino
    assert seen["mine"] != (world.prefix / "mine").stat().st_ino
    # What comes with the change goes with it.
    assert seen["came"] == 0


def damage_nothing(folder: Path) -> None:
    shutil.rmtree(folder)


def write_nonsense(folder: Path) -> None:
    (folder / "0.json").write_text("{")


def lead_outside(folder: Path) -> None:
    (folder / "0.json").write_text('{"../outside": [33188, 1, 1, 1, 1]}')


@pytest.mark.parametrize("damage", [damage_nothing, write_nonsense, lead_outside])
def test_without_what_was_written_down_nothing_is_guessed(world: World, damage: Callable[[Path], None]) -> None:
    make_base(world)
    (world.prefix.parent / "outside").write_text("of somebody else")
    transaction = world.plan(BASE, scripted("post-link", "echo x > $PREFIX/came; kill -9 $PPID"))
    assert in_child(lambda: world.perform(transaction)) < 0
    damage(world.prefix / SCRIPTS)
    with pytest.raises((RollbackFailed, JournalDamaged)):
        recover(world.prefix)
    assert (world.prefix / "came").exists()
    assert (world.prefix.parent / "outside").read_text() == "of somebody else"


def test_a_script_that_leaves_what_python_left(world: World) -> None:
    """Bytecode that is there already when kaa brings its own is no obstacle."""

    made = f"{SITE}/__pycache__/module.{TAG}.pyc"
    script = File(f"echo stale > $PREFIX/{made}\n".encode(), mode=0o755)
    module = Package(
        "module",
        noarch="python",
        depends=["python"],
        files={"site-packages/module.py": "VALUE = 1\n", "bin/.module-post-link.sh": script},
    )
    world.install(python_package(), module)
    assert (world.prefix / made).read_bytes() != b"stale\n"
    assert made in world.record("module").files
    assert os.access(world.prefix / made, os.R_OK)
