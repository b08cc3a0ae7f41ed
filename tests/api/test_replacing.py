"""Whole environments replaced and removed: killed at any step, refused, and by two at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kaa.api.environments import EnvironmentExists, plan_create
from kaa.api.execution import execute
from kaa.api.recovering import recover_environment
from kaa.api.removal import plan_environment_removal, remove_environment
from kaa.api.replacement import replace_environment
from kaa.api.replacing import find_replaced, plan_anew
from kaa.api.session import Session, open_session
from kaa.api.settling import settle
from kaa.errors import KaaError
from kaa.prefix.environments import read_registry
from kaa.prefix.interruption import LOCK, STAGING, aside_of, interruption, is_unsettled
from kaa.prefix.prefix import NotAnEnvironment, Prefix, open_prefix
from kaa.transaction.plan import EnvironmentChanged
from kaa.transaction.setting_aside import AsideDamaged, AsideInTheWay
from tests.channels import ChannelBuilder, File, Package
from tests.transaction.test_journal import in_child
from tests.transaction.world import tree


@pytest.fixture
def channel(tmp_path: Path) -> Path:
    builder = ChannelBuilder(tmp_path / "channel")
    leaving = File(b"#!/bin/sh\nrm $PREFIX/share/one/3; echo left >> $PREFIX/mine\n", mode=0o755)
    builder.add(
        Package("one", files={f"share/one/{n}": f"{n}" for n in range(5)}),
        Package("two", files={f"share/two/{n}": f"{n}" for n in range(5)}),
        Package("leaver", files={"bin/.leaver-pre-unlink.sh": leaving}),
    )
    builder.write()
    return tmp_path / "channel"


class Home:
    """A user with one environment."""

    def __init__(self, folder: Path, channel: Path) -> None:
        self.folder = folder
        self.channel = channel
        self.prefix = folder / "root" / "envs" / "demo"

    def session(self, checkpoint: Callable[[str], None] = lambda step: None) -> Session:
        environ = {"HOME": str(self.folder), "PATH": os.environ["PATH"]}
        return open_session(
            root_prefix=self.folder / "root",
            environ=environ,
            checkpoint=checkpoint,
            channels=[self.channel.as_uri()],
            subdir="linux-64",
            register_envs=True,
        )

    def make(self) -> None:
        with self.session() as session:
            execute(session, plan_create(session, self.prefix, ["one", "leaver"]))
        (self.prefix / "mine").write_text("mine")

    def replace(self, checkpoint: Callable[[str], None] = lambda step: None) -> None:
        with self.session(checkpoint) as session:
            replaced = find_replaced(session, self.prefix)
            assert replaced is not None
            plan = plan_anew(self.prefix, lambda place: plan_create(session, place, ["two"]))
            replace_environment(session, plan, replaced)

    def remove(self, checkpoint: Callable[[str], None] = lambda step: None) -> None:
        with self.session(checkpoint) as session:
            remove_environment(session, plan_environment_removal(session, self.prefix))

    def settle(self) -> None:
        with self.session() as session:
            settle(session, self.prefix)

    @property
    def packages(self) -> set[str]:
        return {record.name for record in Prefix(self.prefix).records()}

    @property
    def registered(self) -> bool:
        return self.prefix in read_registry(self.folder / ".conda" / "environments.txt")

    def check_nothing_is_stale(self) -> None:
        assert {path.name for path in self.prefix.parent.iterdir()} <= {"demo"}
        assert not is_unsettled(self.prefix)
        assert interruption(self.prefix) == ""


@pytest.fixture
def home(tmp_path: Path, channel: Path) -> Home:
    (tmp_path / "home").mkdir()
    return Home(tmp_path / "home", channel)


class KillAt:
    """A checkpoint at which the process ends itself."""

    def __init__(self, number: int) -> None:
        self.left = number

    def __call__(self, step: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def test_replacing_killed_at_any_step(home: Home) -> None:
    outcomes = []
    for number in range(1, 60, 2):
        home.make()
        before = tree(home.prefix)
        if in_child(lambda number=number: home.replace(KillAt(number))) == 0:  # type: ignore[misc]
            break
        if home.packages != {"one", "leaver"} and home.packages != {"two"}:
            assert "was interrupted; finish it" in interruption(home.prefix)
        home.settle()
        outcomes.append("old" if home.packages == {"one", "leaver"} else "new")
        if outcomes[-1] == "old":
            assert tree(home.prefix) == before
        else:
            assert home.packages == {"two"}
            assert not (home.prefix / "mine").exists()
        assert home.registered
        home.check_nothing_is_stale()
        home.remove()
    assert outcomes.count("old") > 5
    # Once it is the new one, it stays that.
    assert outcomes == sorted(outcomes, reverse=True)
    assert outcomes[-1] == "new"


def test_removal_killed_at_any_step(home: Home) -> None:
    outcomes = []
    for number in range(1, 20):
        if not home.prefix.exists():
            home.make()
        before = tree(home.prefix)
        if in_child(lambda number=number: home.remove(KillAt(number))) == 0:  # type: ignore[misc]
            break
        home.settle()
        outcomes.append("old" if home.prefix.exists() else "gone")
        if outcomes[-1] == "old":
            assert tree(home.prefix) == before
        assert home.registered == home.prefix.exists()
        home.check_nothing_is_stale()
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {"old", "gone"}


def test_a_replacement_that_fails_at_any_step(home: Home) -> None:
    home.make()
    before = tree(home.prefix)
    number = 0
    while True:
        number += 1
        left = number

        def fail(step: str) -> None:
            nonlocal left
            left -= 1
            if left == 0 and step not in ("committed", "replaced"):
                raise RuntimeError(step)

        try:
            home.replace(fail)
        except RuntimeError as error:
            assert tree(home.prefix) == before, str(error)
            home.check_nothing_is_stale()
            continue
        if left > 0:
            break
    assert number > 10
    assert home.packages == {"two"}
    home.check_nothing_is_stale()


def test_of_two_that_replace_one_environment_the_later_one_is_told(home: Home) -> None:
    home.make()
    errors: list[KaaError] = []
    meeting = threading.Barrier(2)

    def replace(name: str) -> None:
        with home.session() as session:
            replaced = find_replaced(session, home.prefix)
            assert replaced is not None
            plan = plan_anew(home.prefix, lambda place: plan_create(session, place, [name]))
            meeting.wait(60)
            try:
                replace_environment(session, plan, replaced)
            except KaaError as error:
                errors.append(error)

    threads = [threading.Thread(target=replace, args=(name,)) for name in ("two", "one")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(error) for error in errors] == [EnvironmentChanged]
    assert home.packages in ({"one"}, {"two"})
    home.check_nothing_is_stale()


def test_whoever_waited_for_a_replaced_environment_does_not_take_the_place_of_the_new_one(home: Home) -> None:
    """It waited for the lock of the old one, which was moved aside with that; there is another one at its path now."""
    home.make()
    # What makes a recovery look closely.
    (home.prefix / STAGING).mkdir()
    begun, waited = home.folder / "begun", home.folder / "waited"

    def pause(step: str) -> None:
        if step == "move aside":
            begun.touch()
            while not waited.exists():
                time.sleep(0.01)
        elif step == "moved aside":
            # The other one tries again and again.
            time.sleep(1)

    def work() -> None:
        signal.alarm(60)
        home.replace(pause)

    ended: list[int] = []
    replacing = threading.Thread(target=lambda: ended.append(in_child(work)))
    replacing.start()
    while not begun.exists():
        time.sleep(0.01)
    with home.session() as session:
        session.reporter = lambda event: waited.touch() if "waiting for" in str(event) else None
        assert recover_environment(session, home.prefix).outcome == "nothing"
    replacing.join()
    assert ended == [0]
    assert home.packages == {"two"}
    home.check_nothing_is_stale()


def test_an_environment_that_changed_since_it_was_asked_about_stays(home: Home) -> None:
    home.make()
    with home.session() as session:
        replaced = find_replaced(session, home.prefix)
        assert replaced is not None
        plan = plan_anew(home.prefix, lambda place: plan_create(session, place, ["two"]))
        with (home.prefix / "conda-meta/history").open("a") as stream:
            stream.write("# another change\n")
        with pytest.raises(EnvironmentChanged):
            replace_environment(session, plan, replaced)
    assert home.packages == {"one", "leaver"}
    home.check_nothing_is_stale()


def test_what_is_not_replaced(home: Home, tmp_path: Path) -> None:
    home.make()
    link = tmp_path / "link"
    link.symlink_to(home.prefix)
    with home.session() as session:
        assert find_replaced(session, tmp_path / "nothing") is None
        with pytest.raises(EnvironmentExists):
            find_replaced(session, link)


def test_something_in_the_way_of_the_old_environment_is_told(home: Home) -> None:
    home.make()
    assert in_child(lambda: home.replace(KillAt(2))) == -signal.SIGKILL
    aside = Path(aside_of(str(home.prefix)))
    assert aside.is_dir()
    home.prefix.mkdir(exist_ok=True)
    (home.prefix / "thesis.txt").write_text("x")
    with pytest.raises(NotAnEnvironment, match="was interrupted"):
        open_prefix(home.prefix)
    with pytest.raises(AsideInTheWay, match="something else is there"):
        home.settle()
    assert (home.prefix / "thesis.txt").read_text() == "x"
    (home.prefix / "thesis.txt").unlink()
    home.settle()
    assert home.packages == {"one", "leaver"}
    home.check_nothing_is_stale()


def test_a_note_of_somebody_else_is_not_acted_on(home: Home) -> None:
    home.make()
    aside = Path(aside_of(str(home.prefix)))
    (aside / "conda-meta").mkdir(parents=True)
    (aside / "conda-meta/.kaa-set-aside").write_text('{"purpose": "eaten"}')
    with pytest.raises(AsideDamaged):
        home.settle()
    assert home.packages == {"one", "leaver"}


def test_an_environment_that_cannot_leave_its_place_is_removed_where_it_is(home: Home) -> None:
    """A mount point cannot be renamed."""
    import subprocess

    home.prefix.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", home.prefix], capture_output=True).returncode != 0:
        pytest.skip("no permission to mount a file system here")
    try:
        home.make()
        steps: list[str] = []
        home.remove(steps.append)
        assert "remove" in steps
        assert list(home.prefix.iterdir()) == []
        home.make()
        assert in_child(lambda: home.remove(KillAt(steps.index("remove") + 1))) == -signal.SIGKILL
        assert (home.prefix / "share/one/1").exists()
        home.settle()
        assert list(home.prefix.iterdir()) == []
    finally:
        subprocess.run(["umount", home.prefix], check=True)


def test_the_first_moment_of_a_creation(home: Home) -> None:
    """Killed when there is a directory and a lock, and nothing else yet."""
    (home.prefix / "conda-meta").mkdir(parents=True)
    (home.prefix / LOCK).write_text("{}")
    with home.session() as session:
        recovery = recover_environment(session, home.prefix)
    assert (recovery.outcome, recovery.exists) == ("taken back", False)
    assert not home.prefix.exists()
