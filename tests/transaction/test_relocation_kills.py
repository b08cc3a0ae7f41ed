"""Clones, renames and moves that are killed at every step: nothing is lost, nothing is left over."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from kaa.api.environments import plan_create, plan_remove
from kaa.api.execution import execute
from kaa.api.recovering import recover_environment
from kaa.api.relocating import plan_clone, plan_move, plan_rename, relocate
from kaa.api.session import Session, open_session
from kaa.api.verifying import verify_environment
from kaa.errors import KaaError
from kaa.host.locks import file_lock
from kaa.prefix.environments import read_registry, registry_file
from kaa.prefix.interruption import LOCK, is_relocating
from kaa.prefix.prefix import NotAnEnvironment
from kaa.transaction.plan import EnvironmentChanged
from kaa.transaction.relocation_execute import RelocationUnfinished
from kaa.transaction.relocation_plan import CannotRelocate, RelocationPlan
from tests.transaction.relocations import add_user_files, channel_of_all_kinds, pip_install

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks children to kill them")

MEMORY = Path("/dev/shm")


class Ground:
    """A user's home that is always at one path, and can be had again as it was."""

    def __init__(self, folder: Path, elsewhere: Path) -> None:
        self.home = folder / "home"
        self.template = folder / "template"
        self.elsewhere = elsewhere
        self.home.mkdir()
        with self.session() as session:
            channel = channel_of_all_kinds(folder / "channel")
            execute(session, plan_create(session, self.old, ["app"]))
            (self.old / "conda-meta/pinned").write_text("lib 1.*\n")
            pip_install(self.old, folder / "wheels")
            add_user_files(self.old)
            execute(session, plan_create(session, self.place("there"), ["lib"]))
            shutil.rmtree(channel.folder)
        subprocess.run(["cp", "-a", self.home, self.template], check=True)

    @property
    def old(self) -> Path:
        return self.place("old")

    def place(self, name: str) -> Path:
        return self.home / "root/envs" / name

    def reset(self) -> None:
        for folder in (self.home, self.elsewhere):
            shutil.rmtree(folder, ignore_errors=True)
        self.elsewhere.mkdir()
        subprocess.run(["cp", "-a", self.template, self.home], check=True)

    def session(self, checkpoint: Callable[[str], None] = lambda step: None) -> Session:
        environ = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        channel = (self.home.parent / "channel").as_uri()
        session = open_session(root_prefix=self.home / "root", environ=environ, channels=[channel])
        session.checkpoint = checkpoint
        return session


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    folder = tmp_path_factory.mktemp("kills")
    if not os.access(MEMORY, os.W_OK):
        yield Ground(folder, folder / "elsewhere")
        return
    # In memory, so that a thousand syncs wait for no disk; and the other place is on another file system.
    home = MEMORY / f"kaa-kills-{os.getpid()}"
    home.mkdir()
    yield Ground(home, folder / "elsewhere")
    shutil.rmtree(home)


class Case:
    """One kind of relocation: how it is planned, where to, and what else is there."""

    def __init__(self, ground: Ground, name: str) -> None:
        self.ground = ground
        self.name = name
        self.goes = name != "clone"
        self.target = ground.elsewhere / "far/env" if name == "move" else ground.place("new")
        if name == "replace":
            self.target = ground.place("there")

    def plan(self, session: Session) -> RelocationPlan:
        if self.name == "clone":
            return plan_clone(session, self.ground.old, self.target, with_user_files=True)
        if self.name == "move":
            return plan_move(session, self.ground.old, self.target)
        return plan_rename(session, self.ground.old, self.target, replace=self.name == "replace")

    def run(self, checkpoint: Callable[[str], None] = lambda step: None) -> None:
        with self.ground.session(checkpoint) as session:
            relocate(session, self.plan(session))

    def run_in_child(self, checkpoint: Callable[[str], None]) -> int:
        """The process that does the work, or dies of it."""
        child = os.fork()
        if child:
            return child
        with contextlib.suppress(BaseException):
            self.run(checkpoint)
        os._exit(0)


def pictures(prefix: Path) -> dict[str, tuple[int, bytes]]:
    """Modes and contents of an environment, without when things were done."""
    found = {}
    for path in sorted(prefix.rglob("*")):
        name = path.relative_to(prefix).as_posix()
        if path.is_symlink():
            found[name] = (0, os.fsencode(path.readlink()))
        elif path.is_dir():
            found[name] = (path.stat().st_mode, b"")
        elif name not in ("conda-meta/history", "conda-meta/created_at", "conda-meta/.kaa-lock"):
            found[name] = (path.stat().st_mode, b"" if path.suffix == ".pyc" else path.read_bytes())
    return found


class Expected:
    """What the environments are before a relocation, and after it."""

    def __init__(self, case: Case) -> None:
        case.ground.reset()
        self.case = case
        self.old = pictures(case.ground.old)
        self.there = pictures(case.ground.place("there"))
        self.steps: list[str] = []
        case.run(self.steps.append)
        self.new = pictures(case.target)

    def check(self, first: Path) -> str:
        """Recover by a command on one of the two paths first; say what became of it."""
        case, ground = self.case, self.case.ground
        with ground.session() as session:
            for prefix in (first, ground.old, case.target):
                # There may be no environment at one of the paths; anything else is an error.
                with contextlib.suppress(NotAnEnvironment):
                    recover_environment(session, prefix)
            made = pictures(case.target) == self.new
            if made and case.goes:
                assert not ground.old.exists()
            else:
                assert pictures(ground.old) == self.old
                assert verify_environment(session, ground.old).is_clean
            if made:
                assert verify_environment(session, case.target).is_clean
            elif case.name == "replace":
                assert pictures(case.target) == self.there
            else:
                assert not case.target.exists()
            names = {"there"} | ({case.target.name} if made and case.name != "move" else set())
            names |= set() if made and case.goes else {"old"}
            assert {path.name for path in ground.old.parent.iterdir()} == names
            left = [path.relative_to(ground.elsewhere).as_posix() for path in ground.elsewhere.glob("*/*")]
            assert left == (["far/env"] if made and case.name == "move" else [])
            assert not any(map(is_relocating, map(str, (ground.old, case.target))))
            registered = set(read_registry(registry_file(ground.home)))
            environments = {ground.place(name) for name in names} | ({case.target} if made else set())
            assert registered == environments
        return "new" if made else "old"


CASES = ["clone", "rename", "move", "replace"]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_killed_at_every_step(ground: Ground, name: str) -> None:
    case = Case(ground, name)
    expected = Expected(case)
    assert len(expected.steps) >= 50
    outcomes = []
    steps = expected.steps
    begin, end = steps.index("mark the new environment"), steps.index("compare")
    every = 1 if name in ("clone", "rename") else 4
    for number in [*range(begin), *range(begin, end, every), *range(end, len(steps))]:
        ground.reset()
        left = [number]

        def kill(step: str, left: list[int] = left) -> None:
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1

        _, status = os.waitpid(case.run_in_child(kill), 0)
        assert os.WIFSIGNALED(status), expected.steps[number]
        try:
            outcomes.append(expected.check((ground.old, case.target)[number % 2]))
        except AssertionError as error:
            raise AssertionError(f"killed before step {number}, {expected.steps[number]}") from error
    # Once the new one has its name it stays.
    assert outcomes == sorted(outcomes, reverse=True)
    assert set(outcomes) == {"old", "new"}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_killed_at_any_time(ground: Ground, name: str) -> None:
    case = Case(ground, name)
    expected = Expected(case)
    start = time.monotonic()
    ground.reset()
    os.waitpid(case.run_in_child(lambda step: None), 0)
    whole = time.monotonic() - start
    chance = random.Random(name)
    for number in range(10):
        ground.reset()
        child = case.run_in_child(lambda step: None)
        time.sleep(chance.uniform(0, whole))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        expected.check((ground.old, case.target)[number % 2])


def killing_at(wanted: str) -> Callable[[str], None]:
    """A checkpoint that ends its process at a step."""

    def kill(step: str) -> None:
        if step == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


class Stopped(KeyboardInterrupt):
    """What stops a relocation in the middle."""


@pytest.mark.parametrize("name", CASES)
def test_stopped_in_the_middle(ground: Ground, name: str) -> None:
    """By an interrupt: what has not its name yet is gone at once, without another command."""
    case = Case(ground, name)
    expected = Expected(case)
    named = expected.steps.index("give the name")
    points = [0, named // 2, named, *range(named + 1, len(expected.steps), 2)]
    for number in points:
        ground.reset()
        left = [number]

        def stop(step: str, left: list[int] = left) -> None:
            if not left[0]:
                raise Stopped
            left[0] -= 1

        with pytest.raises(Stopped):
            case.run(stop)
        if number <= named:
            assert pictures(ground.old) == expected.old
            assert not any(map(is_relocating, map(str, (ground.old, case.target))))
        assert expected.check(case.target) == ("old" if number <= named else "new")


def test_an_old_environment_that_changed_after_the_kill_stays(ground: Ground) -> None:
    """The new one is whole, and somebody went on with the old one: neither is removed."""
    case = Case(ground, "rename")
    ground.reset()

    def kill(step: str) -> None:
        if step == "take the old name":
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(case.run_in_child(kill), 0)
    (ground.old / "notes/later.txt").write_text("written after the kill")
    events: list[object] = []
    with ground.session() as session:
        session.reporter = events.append
        assert recover_environment(session, case.target).outcome == "finished"
        assert any("changed after" in str(event) and "stays" in str(event) for event in events)
        for prefix in (ground.old, case.target):
            assert not is_relocating(str(prefix))
            assert verify_environment(session, prefix).is_clean
        assert (ground.old / "notes/later.txt").read_text() == "written after the kill"
        assert recover_environment(session, ground.old).outcome == "nothing"


def test_a_source_that_changes_meanwhile_is_not_renamed(ground: Ground) -> None:
    case = Case(ground, "rename")
    expected = Expected(case)
    ground.reset()

    def change(step: str) -> None:
        if step == "compare":
            (ground.old / "bin/new-tool").write_text("installed by something else, in the middle")

    with pytest.raises(KaaError, match="changed since the plan was made"):
        case.run(change)
    (ground.old / "bin/new-tool").unlink()
    assert expected.check(ground.old) == "old"


def test_records_that_were_read_before_a_change_are_not_written_beside_the_files_after_it(ground: Ground) -> None:
    ground.reset()
    with ground.session() as session:
        before = plan_rename(session, ground.old, ground.place("new"))
        execute(session, plan_remove(session, ground.old, ["app"]))
        after = plan_rename(session, ground.old, ground.place("new"))
        # As when the change ended between the two halves of a look.
        with pytest.raises(EnvironmentChanged, match="app-"):
            relocate(session, msgspec.structs.replace(after, records=before.records))
        relocate(session, after)
        assert verify_environment(session, ground.place("new")).is_clean


def test_a_copy_that_is_not_right_is_not_taken(ground: Ground) -> None:
    """As on a disk that does not keep what is written to it."""
    case = Case(ground, "move")
    expected = Expected(case)
    for path, damage in (
        ("bin/program", lambda file: file.write_bytes(b"\0" * 300)),
        ("share/lib/table", lambda file: (file.unlink(), file.write_text("1 2 4"))),
        ("notes/plain.txt", lambda file: file.unlink()),
    ):
        ground.reset()

        def spoil(step: str, path: str = path, damage: Callable[[Path], object] = damage) -> None:
            if step == "compare":
                damage(case.target.with_name(".env.kaa-new") / path)

        with pytest.raises(KaaError, match=path):
            case.run(spoil)
        assert expected.check(ground.old) == "old"


def test_an_environment_that_took_the_old_name_after_the_kill_stays_registered(ground: Ground) -> None:
    """The rename only had to say that it was done; the name was free, and somebody used it."""
    case = Case(ground, "rename")
    ground.reset()

    os.waitpid(case.run_in_child(killing_at("register")), 0)
    subprocess.run(["cp", "-a", ground.place("there"), ground.old], check=True)
    with ground.session() as session:
        registry = registry_file(ground.home)
        assert ground.old in read_registry(registry)
        assert recover_environment(session, case.target).outcome == "finished"
        assert set(read_registry(registry)) == {ground.place("there"), ground.old, case.target}


def test_an_error_after_the_new_one_has_its_name_is_told_as_that(ground: Ground) -> None:
    for name in ("rename", "replace"):
        case = Case(ground, name)
        expected = Expected(case)
        for step in ("take the old name", "register", "unmark"):
            ground.reset()

            def fail(reached: str, step: str = step) -> None:
                if reached == step:
                    raise OSError(errno.EIO, os.strerror(errno.EIO))

            with pytest.raises(RelocationUnfinished, match="is whole"):
                case.run(fail)
            assert expected.check(case.target) == "new"


def test_a_relocation_to_a_path_at_which_another_one_was_killed_settles_that_one(ground: Ground) -> None:
    """It was killed after this one was planned, before anything had its name or after that."""
    case = Case(ground, "rename")
    for step in ("make conda-meta", "mark the new environment", "compare"):
        ground.reset()
        with ground.session() as session:
            plan = plan_clone(session, ground.place("there"), case.target)
            os.waitpid(case.run_in_child(killing_at(step)), 0)
            relocate(session, plan)
            recover_environment(session, ground.old)
            for prefix in (ground.old, case.target, ground.place("there")):
                assert verify_environment(session, prefix).is_clean
                assert not is_relocating(str(prefix))
    ground.reset()
    with ground.session() as session:
        plan = plan_clone(session, ground.place("there"), case.target)
        os.waitpid(case.run_in_child(killing_at("register")), 0)
        with pytest.raises(EnvironmentChanged, match="is an environment already"):
            relocate(session, plan)


def test_a_relocation_waits_for_another_one_to_the_same_path(ground: Ground) -> None:
    case = Case(ground, "rename")
    for stops_at in ("mark the new environment", "compare"):
        ground.reset()
        reached = ground.home / "reached"
        events: list[object] = []

        def wait(step: str, stops_at: str = stops_at, reached: Path = reached) -> None:
            if step == stops_at:
                reached.touch()
                time.sleep(0.5)

        with ground.session() as session:
            session.reporter = events.append
            plan = plan_clone(session, ground.place("there"), case.target)
            child = case.run_in_child(wait)
            while not reached.exists():
                time.sleep(0.01)
            with pytest.raises(EnvironmentChanged, match="is an environment already"):
                relocate(session, plan)
            assert os.waitpid(child, 0)[1] == 0
            assert verify_environment(session, case.target).is_clean
            assert not ground.old.exists()
        reached.unlink()


def test_what_is_of_no_relocation_is_not_waited_for(ground: Ground) -> None:
    ground.reset()
    with ground.session() as session:
        plan = plan_clone(session, ground.old, ground.place("new"))
        mine = ground.place(".new.kaa-new")
        mine.mkdir()
        (mine / "thesis.txt").write_text("mine")
        with pytest.raises(CannotRelocate, match="is there"):
            relocate(session, plan)
        assert (mine / "thesis.txt").read_text() == "mine"


def test_whoever_waited_for_the_lock_of_a_replaced_environment_does_not_take_its_place(ground: Ground) -> None:
    case = Case(ground, "replace")
    expected = Expected(case)
    ground.reset()

    def wait_in_vain(step: str) -> None:
        if step == "give the name":
            with file_lock(case.target / LOCK):
                pass

    case.run(wait_in_vain)
    assert expected.check(case.target) == "new"


def test_a_marker_goes_with_a_directory_that_was_copied_by_hand(ground: Ground) -> None:
    """`cp -a` while a rename is unfinished: the copy is an environment like any other, and nothing happens to it."""
    case = Case(ground, "rename")
    ground.reset()

    def kill(step: str) -> None:
        if step == "compare":
            os.kill(os.getpid(), signal.SIGKILL)

    os.waitpid(case.run_in_child(kill), 0)
    copy = ground.place("copy")
    subprocess.run(["cp", "-a", ground.old, copy], check=True)
    with ground.session() as session:
        assert recover_environment(session, copy).outcome == "nothing"
        assert not is_relocating(str(copy))
        assert is_relocating(str(ground.old))
        assert recover_environment(session, ground.old).outcome == "taken back"
    assert copy.is_dir()


@pytest.mark.parametrize("place", ["old", "new"])
def test_who_comes_while_a_rename_is_under_way_waits(ground: Ground, place: str) -> None:
    case = Case(ground, "rename")
    expected = Expected(case)
    ground.reset()
    here, there = os.pipe()

    def hold(step: str) -> None:
        if step == "compare":
            os.close(there)
            os.read(here, 1)

    renaming = case.run_in_child(hold)
    os.close(here)
    while not is_relocating(str(ground.old)) or not (ground.place(".new.kaa-new") / "conda-meta/.kaa-lock").exists():
        time.sleep(0.01)

    told: list[object] = []

    def released(event: object) -> None:
        if "waiting for" in str(event) and not told:
            # The rename reads the end of the pipe, and goes on.
            told.append(event)
            os.close(there)

    with ground.session() as session:
        session.reporter = released
        with contextlib.suppress(NotAnEnvironment):
            # It may come while the last traces go, and help with that.
            assert recover_environment(session, ground.place(place)).outcome in ("nothing", "finished")
    assert os.waitstatus_to_exitcode(os.waitpid(renaming, 0)[1]) == 0
    assert not ground.old.exists()
    assert expected.check(ground.old) == "new"
