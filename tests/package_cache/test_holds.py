"""What running work holds is not removed, whoever runs it; what dead processes held is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.host.locks import LockTimeout
from kaa.models.record import PackageRecord
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.holds import GATE, HOLDS, hold, read_holds, removing

HOLD = """
import os, sys
from pathlib import Path
from kaa.models.record import PackageRecord
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.holds import hold
directory, *names = sys.argv[1:]
records = [PackageRecord(name=name, version="1", build="0", build_number=0) for name in names] or None
with hold(PackageCache([Path(directory)]), records):
    print("held", flush=True)
    sys.stdin.read()
"""


def record(name: str) -> PackageRecord:
    return PackageRecord(name=name, version="1", build="0", build_number=0)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "pkgs").mkdir()
    return tmp_path / "pkgs"


@pytest.fixture
def other(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds `a` and `b`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory), "a", "b"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process
        if process.poll() is None:
            process.communicate(b"")


def test_a_hold_lasts_as_long_as_its_block(directory: Path) -> None:
    cache = PackageCache([directory])
    with hold(cache, [record("a")]):
        [held] = read_holds(directory)
        assert held.names == {"a-1-0"}
        assert held.holder is not None
        assert held.holder.process == os.getpid()
    assert {path.name for path in (directory / HOLDS).iterdir()} <= {GATE}
    with pytest.raises(RuntimeError), hold(cache, [record("a")]):
        raise RuntimeError
    assert read_holds(directory) == ()


NAMES = [
    # name of something in the cache, whether a hold of `a.b-1-0` keeps it
    ("a.b-1-0", True),
    ("a.b-1-0-1a2b3c4d", True),
    ("a.b-1-0.conda", True),
    ("a.b-1-0-1a2b3c4d.tar.bz2", True),
    ("a.b-1-0.conda.partial", True),
    (".a.b-1-0.12345678.kaa~", True),
    ("..a.b-1-0.12345678.kaa~.23456789.kaa~", True),
    ("a.b-1-01", False),
    ("a.b-1", False),
    ("a", False),
    ("b-1-0", False),
]


@pytest.mark.parametrize(("name", "kept"), NAMES)
def test_what_belongs_to_a_held_package(directory: Path, name: str, kept: bool) -> None:
    with hold(PackageCache([directory]), [record("a.b")]):
        [held] = read_holds(directory)
        assert held.needs(name) is kept
    with hold(PackageCache([directory]), None):
        [everything] = read_holds(directory)
        assert everything.needs(name)


def test_holding_nothing_leaves_nothing(tmp_path: Path) -> None:
    with hold(PackageCache([tmp_path / "pkgs"]), []):
        assert not (tmp_path / "pkgs").exists()


def test_what_will_be_fetched_is_held_where_it_will_be(tmp_path: Path) -> None:
    with hold(PackageCache([tmp_path / "pkgs"]), [record("a")]):
        assert [held.names for held in read_holds(tmp_path / "pkgs")] == [{"a-1-0"}]


def test_the_holds_of_others_are_seen_and_those_of_dead_ones_go(
    directory: Path, other: subprocess.Popen[bytes]
) -> None:
    with removing(directory) as gate:
        found = gate.holder_of("b-1-0")
        assert found is not None
        assert found.holder is not None
        assert found.holder.process == other.pid
        assert gate.holder_of("c-1-0") is None
    other.send_signal(signal.SIGKILL)
    other.wait()
    left = set((directory / HOLDS).iterdir())
    assert len(left) > 1
    assert read_holds(directory) == ()
    assert set((directory / HOLDS).iterdir()) == left, "only who is alone behind the gate may remove them"
    with removing(directory) as gate:
        assert gate.holder_of("b-1-0") is None
    assert {path.name for path in (directory / HOLDS).iterdir()} == {GATE}


def test_nobody_begins_to_hold_while_something_is_removed(directory: Path) -> None:
    begun = threading.Event()

    def begin() -> None:
        with hold(PackageCache([directory]), [record("a")]):
            begun.set()

    with removing(directory):
        thread = threading.Thread(target=begin)
        thread.start()
        assert not begun.wait(0.1)
    assert begun.wait(10)
    thread.join()


def test_who_cannot_write_keeps_everything(directory: Path) -> None:
    with removing(directory):
        pass
    reading, end = os.pipe()
    done, stop = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if os.geteuid() == 0:
                for parent in (directory, *directory.parents[:3]):
                    parent.chmod(parent.stat().st_mode | 0o755)
                os.setuid(65534)
            else:
                directory.chmod(0o555)
            with hold(PackageCache([directory]), [record("a")]):
                os.write(end, b"x")
                os.read(done, 1)
            status = 0
        finally:
            os._exit(status)
    assert os.read(reading, 1) == b"x"
    directory.chmod(0o755)
    assert read_holds(directory) == ()
    with pytest.raises(LockTimeout), removing(directory, timeout=0.05):
        pass
    os.write(stop, b"x")
    assert os.waitpid(child, 0)[1] == 0
    with removing(directory, timeout=0.05):
        pass


def test_a_hold_that_cannot_be_read_keeps_everything(directory: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can act as two users")
    with hold(PackageCache([directory]), [record("a")]):
        for path in (directory / HOLDS).iterdir():
            path.chmod(0o600)
        for parent in (directory, *directory.parents[:3]):
            parent.chmod(parent.stat().st_mode | 0o755)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setuid(65534)
                [found] = read_holds(directory)
                status = 0 if found.needs("z-1-0") else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0


def test_holding_costs_no_more_than_a_few_files(directory: Path) -> None:
    cache = PackageCache([directory])
    records = [record(f"package-{number}") for number in range(250)]
    with hold(cache, records):
        assert len(list((directory / HOLDS).iterdir())) == 3
        [found] = read_holds(directory)
        assert len(found.names) == 250
