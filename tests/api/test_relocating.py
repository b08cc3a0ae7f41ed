"""Clones and moves between users, and with a real python, numpy and pip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from kaa.api.environments import plan_create
from kaa.api.execution import execute
from kaa.api.relocating import plan_clone, plan_move, plan_rename, relocate
from kaa.api.session import Session, open_session
from kaa.api.verifying import verify_environment
from kaa.channels.index import index_channel
from kaa.events import Event, Note
from kaa.pypi.interpreters.bundled_pip import package_pip
from kaa.pypi.interpreters.interpreter import ask_interpreter
from kaa.pypi.interpreters.packaging import package_python
from tests.pypi.wheels import build_wheel
from tests.transaction.relocations import add_user_files, channel_of_all_kinds, files_naming, run_in
from tests.users import ALICE, let_others_in, needs_root


def session_of(home: Path, channel: Path, reporter: Callable[[Event], None] = lambda event: None) -> Session:
    environ = {"HOME": str(home), "PATH": os.environ["PATH"]}
    return open_session(reporter, root_prefix=home / "root", environ=environ, channels=[channel.as_uri()])


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """An environment of root's that everybody can read."""
    let_others_in(tmp_path)
    channel = channel_of_all_kinds(tmp_path / "channel").folder
    prefix = tmp_path / "shared/env"
    with session_of(tmp_path / "home", channel) as session:
        execute(session, plan_create(session, prefix, ["lib"]))
        (prefix / "mine.txt").write_text("mine")
        # Once as root: what is loaded when it is first needed is loaded then, others cannot read this python.
        relocate(session, plan_clone(session, prefix, tmp_path / "warm"))
        verify_environment(session, tmp_path / "warm")
    return prefix


@needs_root
def test_an_environment_of_another_user_is_cloned_by_copying(shared: Path, tmp_path: Path) -> None:
    home = ALICE.directory(tmp_path / "alice")
    before = {path: path.lstat() for path in shared.rglob("*")}

    def clone() -> tuple[list[str], bool]:
        events: list[Event] = []
        with session_of(home, tmp_path / "channel", events.append) as session:
            relocate(session, plan_clone(session, shared, home / "env", with_user_files=True))
            is_clean = verify_environment(session, home / "env").is_clean
        return [event.text for event in events if isinstance(event, Note)], is_clean

    notes, is_clean = ALICE.does(clone)
    assert is_clean
    assert len([note for note in notes if "is a copy, a link was not possible" in note]) == 1
    assert {path.lstat().st_uid for path in (home / "env").rglob("*")} == {ALICE.uid}
    for path, state in before.items():
        assert (path.lstat().st_ino, path.lstat().st_nlink, path.lstat().st_mtime_ns) == (
            state.st_ino,
            state.st_nlink,
            state.st_mtime_ns,
        )


@needs_root
def test_what_cannot_be_read_or_moved_by_another_user(shared: Path, tmp_path: Path) -> None:
    home = ALICE.directory(tmp_path / "alice")

    def attempt(work: Callable[[Session], object]) -> Callable[[], str]:
        def run() -> str:
            with session_of(home, tmp_path / "channel") as session:
                try:
                    work(session)
                except Exception as error:
                    return f"{type(error).__name__}: {error}"
            return "done"

        return run

    message = ALICE.does(attempt(lambda session: plan_rename(session, shared, home / "env")))
    assert message.startswith("NotWritable")
    (shared / "mine.txt").chmod(0o600)

    def clone(session: Session) -> None:
        relocate(session, plan_clone(session, shared, home / "env", with_user_files=True))

    message = ALICE.does(attempt(clone))
    assert message.startswith("RelocationFailed")
    assert "mine.txt: Permission denied" in message
    assert sorted(home.glob("*env*")) == []
    assert shared.is_dir()


@needs_root
def test_files_stay_with_their_owner_when_root_moves_them(shared: Path, tmp_path: Path) -> None:
    for path in (shared, *shared.rglob("*")):
        if path.lstat().st_nlink == 1 or path.is_dir():
            os.chown(path, ALICE.uid, ALICE.uid, follow_symlinks=False)
    owners = {path.relative_to(shared).as_posix(): path.lstat().st_uid for path in shared.rglob("*")}
    with session_of(tmp_path / "home", tmp_path / "channel") as session:
        relocate(session, plan_move(session, shared, tmp_path / "moved"))
    found = {
        path.relative_to(tmp_path / "moved").as_posix(): path.lstat().st_uid for path in (tmp_path / "moved").rglob("*")
    }
    links = {name for name in owners if (tmp_path / "moved" / name).is_symlink()}
    assert {name: uid for name, uid in found.items() if name not in links and not name.startswith("conda-meta/")} == {
        name: uid for name, uid in owners.items() if name not in links and not name.startswith("conda-meta/")
    }
    assert found["bin/script"] == ALICE.uid


# -- a real python ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel with this machine's python and its pip as packages."""
    channel = tmp_path_factory.mktemp("real") / "channel"
    original = ask_interpreter(Path(sys.executable))
    packaged = package_python(Path(sys.executable), channel, environ={"SOURCE_DATE_EPOCH": "1700000000"}, level=1)
    package_pip(original, channel, subdir=packaged.path.parent.name, level=1)
    index_channel(channel)
    return channel


def pip(prefix: Path, *words: str) -> None:
    """Run the environment's own pip, as this machine is configured for it."""
    command = [str(prefix / "bin/python"), "-m", "pip", "install", "-q", "--disable-pip-version-check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason"]
        pytest.skip(f"pip cannot install {words[-1]} here: {lines[-1]}")


NUMBERS = "import numpy; print(int(numpy.linalg.inv(numpy.eye(3)).sum()), numpy.__file__)"


@pytest.mark.slow
def test_python_numpy_commands_and_files_of_the_user(real: Path, tmp_path: Path) -> None:
    old, other = tmp_path / "old", tmp_path / "a much longer place with spaces" / "env"
    code = "import sys\ndef main():\n    print(sys.prefix)\n"
    wheel = build_wheel(tmp_path, "tool", files={"tool.py": code}, entry_points="[console_scripts]\ntool = tool:main\n")
    with session_of(tmp_path / "home", real) as session:
        execute(session, plan_create(session, old, ["python", "pip"]))
        pip(old, str(wheel))
        pip(old, "numpy")
        add_user_files(old)
        place = old
        places = [tmp_path / "b", other]
        if os.access("/dev/shm", os.W_OK):
            places.append(Path(f"/dev/shm/kaa-real-{os.getpid()}/env"))
        try:
            for target in [*places, old]:
                relocate(session, plan_move(session, place, target))
                check_real(session, target, place)
                place = target
        finally:
            shutil.rmtree(f"/dev/shm/kaa-real-{os.getpid()}", ignore_errors=True)
        relocate(session, plan_clone(session, old, other, with_user_files=True))
        shutil.rmtree(old)
        check_real(session, other, old)


def check_real(session: Session, prefix: Path, before: Path) -> None:
    """Everything works in its place, is what it should be, and does not name the place where it was."""
    assert run_in(prefix, "bin/python", "-c", NUMBERS).split(maxsplit=1)[0] == "3"
    assert str(prefix) in run_in(prefix, "bin/python", "-c", NUMBERS)
    assert run_in(prefix, "bin/tool") == f"{prefix}\n"
    assert run_in(prefix, "bin/mine") == "mine\n"
    assert run_in(prefix, "bin/pip", "--version").split(" from ")[1].startswith(f"{prefix}/lib/")
    check = "import sysconfig; print(sysconfig.get_path('purelib'), sysconfig.get_config_var('prefix'))"
    assert str(before) not in run_in(prefix, "bin/python", "-c", check)
    found = verify_environment(session, prefix)
    assert (found.damaged, found.broken_records, found.problems) == ((), (), 0)
    assert files_naming(prefix, str(before)) <= {"notes/paths.txt", "notes/data.bin"}
