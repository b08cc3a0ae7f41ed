from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kaa.host.locks import LockHolder, LockTimeout, file_lock

HOLD = """
import sys, time
from pathlib import Path
from kaa.host.locks import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_waits_says_for_whom_and_a_dead_holder_blocks_nobody(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    told: list[LockHolder | None] = []
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"held\n"
        with pytest.raises(LockTimeout) as failure, file_lock(path, timeout=0.05, waiting=told.append):
            pass
        assert [holder.process for holder in told if holder] == [child.pid]
        assert f"process {child.pid} on" in str(failure.value)
        child.send_signal(signal.SIGKILL)
        child.wait()
    with file_lock(path, timeout=5):
        assert str(os.getpid()) in path.read_text()


def test_a_lock_can_be_taken_again_after_it_was_let_go(tmp_path: Path) -> None:
    for _ in range(3):
        with file_lock(tmp_path / "new" / "lock", timeout=0):
            pass


def test_a_shared_lock_keeps_only_exclusive_ones_out(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with pytest.raises(FileNotFoundError), file_lock(lock, shared=True):
        pass
    lock.touch(mode=0o444)
    with file_lock(lock, shared=True), file_lock(lock, shared=True, timeout=0):
        with pytest.raises(LockTimeout), file_lock(lock, timeout=0):
            pass
    with file_lock(lock, timeout=0), pytest.raises(LockTimeout), file_lock(lock, shared=True, timeout=0):
        pass
    note = lock.read_text()
    with file_lock(lock, shared=True):
        assert lock.read_text() == note
