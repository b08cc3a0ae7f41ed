"""Locks between real processes, by every method, on this machine's file system; others are told by methods that refuse
as such file systems do."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from kaa.host.leases import Lease, lease_of
from kaa.host.lock_methods import Flock, LockMethod, RecordLock, Release
from kaa.host.locks import METHODS, LockHolder, LockTimeout, file_lock, read_holder
from tests.users import ALICE, BOB, User, let_others_in, needs_root

HOLD = """
import sys, time
from pathlib import Path
from kaa.host.locks import METHODS, file_lock
methods = [one for one in METHODS if one.name == sys.argv[2]]
with file_lock(Path(sys.argv[1]), methods=methods):
    print("held", flush=True)
    time.sleep(60)
"""
COUNT = """
import sys
from pathlib import Path
from kaa.host.locks import METHODS, file_lock
methods = [one for one in METHODS if one.name == sys.argv[2]]
counter = Path(sys.argv[3])
for _ in range(4):
    with file_lock(Path(sys.argv[1]), methods=methods):
        number = int(counter.read_text())
        for _ in range(3000):
            pass
        counter.write_text(str(number + 1))
"""
WAIT = """
import sys
from pathlib import Path
from kaa.host.locks import file_lock
def waiting(holder):
    print("waiting", flush=True)
try:
    with file_lock(Path(sys.argv[1]), waiting=waiting):
        print("held")
except KeyboardInterrupt:
    print("interrupted")
"""
BY_NAME = {method.name: method for method in METHODS}
every_method = pytest.mark.parametrize("name", BY_NAME)


def start(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def line_of(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().decode().strip()


@every_method
def test_a_second_process_waits_says_for_whom_and_a_dead_holder_blocks_nobody(tmp_path: Path, name: str) -> None:
    path = tmp_path / "lock"
    methods = [BY_NAME[name]]
    told: list[LockHolder | None] = []
    with start(HOLD, path, name) as child:
        assert line_of(child) == "held"
        with (
            pytest.raises(LockTimeout) as failure,
            file_lock(path, timeout=0.05, waiting=told.append, methods=methods),
        ):
            pass
        assert [holder.process for holder in told if holder] == [child.pid]
        assert f"process {child.pid} on {os.uname().nodename}, since 20" in str(failure.value)
        child.send_signal(signal.SIGKILL)
        # It is not waited for here: its parent may be busy with something else.
        with file_lock(path, timeout=5, methods=methods):
            holder = read_holder(path)
            assert holder is not None
            assert holder.process == os.getpid()
        child.wait()
    assert read_holder(path) is None


@every_method
def test_only_one_at_a_time(tmp_path: Path, name: str) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    children = [start(COUNT, tmp_path / "lock", name, counter) for _ in range(3)]
    for child in children:
        assert child.communicate()[0] == b""
    assert counter.read_text() == "12"


@every_method
def test_threads_of_a_process_are_kept_apart_too(tmp_path: Path, name: str) -> None:
    if name == RecordLock.name and sys.platform != "linux":
        pytest.skip("here the process owns the lock")
    inside = 0
    most = 0

    def work() -> None:
        nonlocal inside, most
        with file_lock(tmp_path / "lock", methods=[BY_NAME[name]]):
            inside += 1
            most = max(most, inside)
            time.sleep(0.005)
            inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


@every_method
def test_a_lock_can_be_taken_again_after_it_was_let_go(tmp_path: Path, name: str) -> None:
    for _ in range(3):
        with file_lock(tmp_path / "new" / "lock", timeout=0, methods=[BY_NAME[name]]):
            pass
    assert not lease_of(tmp_path / "new" / "lock").exists()


@pytest.mark.parametrize("name", [Flock.name, RecordLock.name])
def test_a_shared_lock_keeps_only_exclusive_ones_out(tmp_path: Path, name: str) -> None:
    lock = tmp_path / "lock"
    methods = [BY_NAME[name]]
    with pytest.raises(FileNotFoundError), file_lock(lock, shared=True, methods=methods):
        pass
    lock.touch(mode=0o444)
    with (
        file_lock(lock, shared=True, methods=methods),
        file_lock(lock, shared=True, timeout=0, methods=methods),
        pytest.raises(LockTimeout),
        file_lock(lock, timeout=0, methods=methods),
    ):
        pass
    with (
        file_lock(lock, timeout=0, methods=methods),
        pytest.raises(LockTimeout),
        file_lock(lock, shared=True, timeout=0, methods=methods),
    ):
        pass
    lock.write_text("note")
    with file_lock(lock, shared=True, methods=methods):
        assert lock.read_text() == "note"
    assert lock.read_text() == "note"


def test_a_lease_cannot_be_shared(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    with pytest.raises(OSError, match="cannot be shared"), file_lock(tmp_path / "lock", shared=True, methods=[Lease()]):
        pass


# --- waiting


def test_waiting_is_told_again(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    told: list[LockHolder | None] = []
    with (
        file_lock(path),
        pytest.raises(LockTimeout),
        file_lock(path, timeout=0.5, waiting=told.append, tell_after=0.05),
    ):
        pass
    assert 2 <= len(told) <= 5


def test_what_the_poll_raises_ends_the_waiting(tmp_path: Path) -> None:
    def poll() -> None:
        raise InterruptedError

    with file_lock(tmp_path / "lock"), pytest.raises(InterruptedError), file_lock(tmp_path / "lock", poll=poll):
        pass


def test_an_interrupt_ends_the_waiting(tmp_path: Path) -> None:
    with file_lock(tmp_path / "lock"), start(WAIT, tmp_path / "lock") as child:
        assert line_of(child) == "waiting"
        child.send_signal(signal.SIGINT)
        assert child.communicate()[0] == b"interrupted\n"


def test_a_lock_file_that_its_holder_removed_locks_nobody_out_and_nobody_in(tmp_path: Path) -> None:
    path = tmp_path / "place" / "lock"
    with file_lock(path), start(WAIT, path) as child:
        assert line_of(child) == "waiting"
        path.unlink()
        path.parent.rmdir()
        assert child.communicate()[0] == b"held\n"
    assert path.exists()


# --- file systems that refuse


class Refusing:
    """A lock that the file system does not offer."""

    def __init__(self, name: str, error: int) -> None:
        self.name = name
        self.error = error

    def take(self, path: Path, *, shared: bool = False) -> Release | None:
        raise OSError(self.error, os.strerror(self.error), str(path))


REFUSED = [
    ([Refusing("flock", errno.ENOLCK)], "flock (No locks available)", RecordLock.name),
    ([Refusing("flock", errno.ENOSYS)], "flock (Function not implemented)", RecordLock.name),
    (
        [Refusing("flock", errno.EOPNOTSUPP), Refusing("fcntl record lock", errno.ENOLCK)],
        "flock (Operation not supported) and fcntl record lock (No locks available)",
        Lease.name,
    ),
]


@pytest.mark.parametrize(("refusing", "words", "used"), REFUSED, ids=["record", "record too", "lease"])
def test_where_a_lock_is_refused_the_next_one_is_used_and_told(
    tmp_path: Path, refusing: Sequence[LockMethod], words: str, used: str
) -> None:
    path = tmp_path / "lock"
    methods = [*refusing, *METHODS[len(refusing) :]]
    told: list[str] = []
    with file_lock(path, methods=methods, fallback=told.append):
        assert told == [f"the file system of {tmp_path} refuses {words}; using a {used}"]
        assert lease_of(path).exists() is (used == Lease.name)
        with pytest.raises(LockTimeout), file_lock(path, timeout=0, methods=methods):
            pass
        with start(HOLD, path, used) as child:
            with pytest.raises(subprocess.TimeoutExpired):
                child.wait(0.3)
            child.kill()
            assert line_of(child) == ""


def test_other_errors_are_no_refusals(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="No space left"),
        file_lock(tmp_path / "lock", methods=[Refusing("flock", errno.ENOSPC), *METHODS]),
    ):
        pass


# --- leases


def lease_note(**changes: object) -> bytes:
    note = {"process": os.getpid(), "host": "elsewhere", "since": 1e9, "started": "1", "machine": "elsewhere/1/2"}
    return json.dumps(note | changes).encode()


@pytest.mark.parametrize(
    ("content", "age", "free"),
    [
        (lease_note(), 0, False),
        (lease_note(), 100, False),
        (lease_note(), 130, True),
        (b"", 0, False),
        (b"", 20, True),
        (b"no note at all", 20, True),
        (b"[" * 100_000, 20, True),
    ],
    ids=["fresh", "silent", "abandoned", "being made", "never made", "no note", "deep"],
)
def test_a_lease_of_another_machine_lives_by_its_signs(tmp_path: Path, content: bytes, age: float, free: bool) -> None:
    path = tmp_path / "lock"
    lease_of(path).write_bytes(content)
    then = time.time() - age
    os.utime(lease_of(path), (then, then))
    if free:
        with file_lock(path, timeout=0, methods=[Lease()]):
            pass
        assert not lease_of(path).exists()
    else:
        with pytest.raises(LockTimeout), file_lock(path, timeout=0, methods=[Lease()]):
            pass
        assert lease_of(path).read_bytes() == content
    assert [one.name for one in tmp_path.iterdir() if one.name.startswith(".")] == []


def test_a_number_that_another_process_has_now_holds_no_lease(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with file_lock(path, methods=[Lease()]):
        mine = json.loads(lease_of(path).read_bytes())
    lease_of(path).write_text(json.dumps(mine))
    with pytest.raises(LockTimeout), file_lock(path, timeout=0, methods=[Lease()]):
        pass
    lease_of(path).write_text(json.dumps(mine | {"started": "1"}))
    with file_lock(path, timeout=0, methods=[Lease()]):
        pass


def test_a_lease_shows_signs_of_life_and_is_left_alone_when_it_was_lost(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lease = lease_of(path)
    with file_lock(path, methods=[Lease(heartbeat=0.02)]):
        os.utime(lease, (1e9, 1e9))
        deadline = time.monotonic() + 5
        while lease.stat().st_mtime == 1e9 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert lease.stat().st_mtime > 1e9
        lease.write_bytes(b"of another")
    assert lease.read_bytes() == b"of another"


def test_a_remover_that_died_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    lease = lease_of(path)
    for file in (lease, lease.with_name(f"{lease.name}.ending")):
        file.write_bytes(lease_note())
        os.utime(file, (1e9, 1e9))
    with file_lock(path, timeout=5, methods=[Lease()]):
        pass
    assert sorted(one.name for one in tmp_path.iterdir()) == []


# --- other users


@needs_root
@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o664), (0o002, 0o664), (0o022, 0o644), (0o077, 0o600)])
@every_method
def test_nobody_makes_a_lock_that_everybody_may_write_to(tmp_path: Path, name: str, umask: int, mode: int) -> None:
    let_others_in(tmp_path)
    path = ALICE.directory(tmp_path / "here") / "deeper" / "lock"

    def make() -> list[int]:
        with file_lock(path, methods=[BY_NAME[name]]):
            files = path.parent.iterdir()
            return [file.stat().st_mode & 0o7777 for file in (*files, path.parent)]

    assert set(User(ALICE.uid, umask=umask).does(make)) == {mode, 0o775 & ~umask}


@needs_root
def test_the_lock_file_of_another_user_locks_but_not_out(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    group = 30001
    alice, bob = User(ALICE.uid, (group,)), User(BOB.uid, (group,))
    path = alice.directory(tmp_path / "shared", 0o2775) / "lock"

    def take() -> str:
        with file_lock(path, timeout=0):
            return path.read_text()

    assert str(alice.uid) in alice.does(take)
    assert path.stat().st_mode & 0o777 == 0o644
    assert bob.does(take) == ""

    def both() -> tuple[str, LockHolder | None]:
        with file_lock(path):
            child = os.fork()
            if child == 0:
                os._exit(0)
            os.waitpid(child, 0)
            try:
                with file_lock(path, timeout=0):
                    return "taken twice", None
            except LockTimeout as error:
                return error.holder, read_holder(path)

    words, holder = bob.does(both)
    assert holder is not None
    assert holder.user == bob.uid
    assert words.startswith(f"process {holder.process} on")


@needs_root
def test_a_lock_file_that_cannot_be_opened_is_an_error_and_no_lock(tmp_path: Path) -> None:
    let_others_in(tmp_path)
    path = ALICE.directory(tmp_path / "shared", 0o777) / "lock"
    ALICE.does(path.touch)
    path.chmod(0o600)

    def take() -> str:
        try:
            with file_lock(path, timeout=0):
                return "taken"
        except PermissionError:
            return "refused"

    assert BOB.does(take) == "refused"


@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_a_lock_is_a_file_and_nothing_else(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    if kind == "link":
        path.symlink_to(tmp_path / "of-somebody-else")
    else:
        os.mkfifo(path)
    with pytest.raises(OSError, match="lock"), file_lock(path, timeout=0, methods=[Flock()]):
        pass
    assert not (tmp_path / "of-somebody-else").exists()
