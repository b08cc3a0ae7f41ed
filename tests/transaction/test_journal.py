"""The journal on the disk: cut short, written to a full disk, undone twice; the environment is the old one."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaa.errors import KaaError
from kaa.prefix.interruption import JOURNAL, STAGING
from kaa.transaction.journal import Journal, recover
from kaa.transaction.plan import Transaction
from kaa.transaction.undoing import Entry, RollbackFailed, parse_journal, undo
from tests.channels import Package
from tests.transaction.test_rollback import NEW, make_old
from tests.transaction.world import Tree, World, python_package, tree

# Long paths: the journal is longer than any other file that is written before it.
LONG = Package("long", files={f"share/{'long' * 20}/{number}": "linked" for number in range(30)})
OTHER = Package("long", "2.0", files={f"share/{'long' * 20}/{number}": "changed" for number in range(5, 40)})


def in_child(work: Callable[[], None], *, limit: int | None = None) -> int:
    """Do something in a process of its own, which may write files of `limit` bytes; gives how it ended."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if limit is not None:
                # Python lets the write fail instead; here the process is to die in the middle of it.
                signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def journal_of(world: World, transaction: Transaction) -> bytes:
    """The journal of a change, as it is right before the commit."""
    written = b""

    def look(step: str) -> None:
        nonlocal written
        if step == "commit":
            written = (world.prefix / JOURNAL).read_bytes()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        world.perform(transaction, checkpoint=look)
    return written


@pytest.mark.parametrize("stride", [211, pytest.param(29, marks=pytest.mark.slow)])
def test_killed_in_the_middle_of_any_line(tmp_path: Path, stride: int) -> None:
    world = World(tmp_path)
    world.install(LONG)
    before = tree(world.prefix)
    transaction = world.plan(OTHER)
    whole = journal_of(world, transaction)
    ends = [position for position, byte in enumerate(whole) if byte == ord("\n")][:: 1 + stride // 100]
    cuts = sorted({*range(0, len(whole), stride), *ends, *(end + 1 for end in ends)})
    taken_back = 0
    for cut in cuts:
        assert in_child(lambda: world.perform(transaction), limit=cut) == -signal.SIGXFSZ
        # The lock holds a note that is longer than the first line; cut there, nothing has begun.
        outcome = recover(world.prefix)
        taken_back += outcome == "taken back"
        assert tree(world.prefix) == before, cut
    assert taken_back > len(cuts) * 0.8


def test_a_line_that_does_not_go_to_the_disk_whole(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.install(LONG)
    before = tree(world.prefix)
    transaction = world.plan(OTHER)
    whole = journal_of(world, transaction)

    def fails_at(limit: int) -> Callable[[], None]:
        def work() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            with pytest.raises(KaaError, match="kaa-journal"):
                world.perform(transaction)

        return work

    for limit in range(200, len(whole), 797):
        assert in_child(fails_at(limit)) == 0
        assert tree(world.prefix) == before, limit


def test_creation_killed_before_its_first_line_is_no_obstacle(tmp_path: Path) -> None:
    world = World(tmp_path)
    transaction = world.plan(LONG)
    for cut in (0, 5, 40):
        assert in_child(lambda: world.perform(transaction), limit=cut) == -signal.SIGXFSZ
        recover(world.prefix)
        assert [path.name for path in (world.prefix / "conda-meta").iterdir()] == [".kaa-lock"]
        world.perform(transaction)
        shutil.rmtree(world.prefix)


def killed_before_the_commit(folder: Path) -> tuple[World, Tree]:
    """A change that was killed when all was done but the commit; the environment as it was before."""
    world = World(folder)
    make_old(world)
    before = tree(world.prefix)
    transaction = world.plan(*NEW, python_package(), command="kaa test")

    def die(step: str) -> None:
        if step == "commit":
            os.kill(os.getpid(), signal.SIGKILL)

    assert in_child(lambda: world.perform(transaction, checkpoint=die)) == -signal.SIGKILL
    assert tree(world.prefix) != before
    return world, before


def test_undoing_that_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    world, before = killed_before_the_commit(tmp_path / "world")
    data = (world.prefix / JOURNAL).read_bytes()
    lines = parse_journal(data, world.prefix / JOURNAL)
    kinds = [entry.line[0] for entry in lines]
    # Two groups: what goes and the directories, then what comes.
    assert kinds.index("move") < kinds.index("create")
    for count in range(1, len(lines)):
        copy = tmp_path / f"copy-{count}"
        shutil.copytree(world.folder, copy, symlinks=True)
        other = World(copy / "unused")
        other.folder = copy
        undo_some(other.prefix, lines[-count:])
        assert recover(other.prefix) == "taken back"
        assert tree(other.prefix) == before, count


def undo_some(prefix: Path, entries: Sequence[Entry]) -> None:
    """Undo the last lines of a journal, as a recovery does that is stopped after them."""
    descriptor = os.open(prefix / JOURNAL, os.O_RDWR)
    try:
        undo(prefix, entries, descriptor)
    finally:
        os.close(descriptor)


def test_undoing_a_line_twice_is_undoing_it_once(tmp_path: Path) -> None:
    """A recovery may be killed between the last step of a line and the mark that it was undone."""
    world, before = killed_before_the_commit(tmp_path / "world")
    path = world.prefix / JOURNAL
    for entry in reversed(parse_journal(path.read_bytes(), path)):
        data = path.read_bytes()
        undo_some(world.prefix, [entry])
        path.write_bytes(data)
        undo_some(world.prefix, [entry])
    assert recover(world.prefix) == "taken back"
    assert tree(world.prefix) == before


def test_what_the_power_leaves_behind_the_last_synced_line(tmp_path: Path) -> None:
    world, before = killed_before_the_commit(tmp_path / "world")
    # A file system may have promised room for a line, and then have no content for it.
    with (world.prefix / JOURNAL).open("ab") as stream:
        stream.write(b"\0" * 4000 + b'["create",["bin/tool"]]\n')
    assert recover(world.prefix) == "taken back"
    assert tree(world.prefix) == before


paths = st.lists(st.sampled_from(["a", "b", "c/d", "c/e", "c"]), unique=True, max_size=4)


@given(moved=paths, made=paths, done=st.integers(0, 12))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_part_of_what_was_announced(
    tmp_path_factory: pytest.TempPathFactory, moved: list[str], made: list[str], done: int
) -> None:
    """Some files go, others come in their places or not; whatever was done of that is undone."""
    prefix = tmp_path_factory.mktemp("prefix")
    (prefix / "conda-meta").mkdir()
    (prefix / "c").mkdir()
    for name in ("a", "b", "c/d", "c/e"):
        (prefix / name).write_text(f"old {name}")
    before = tree(prefix)
    moved = [path for path in moved if path != "c"]
    present = {"a", "b", "c/d", "c/e"} - set(moved)
    made = [path for path in made if path not in present and path != "c"]
    steps = 0

    def stop(step: str) -> None:
        nonlocal steps
        if steps == done:
            raise KeyboardInterrupt
        steps += 1

    journal = Journal(prefix, stop)
    journal.begin()
    try:
        journal.set_aside(moved)
        journal.will_create(made)
        journal.barrier()
        for path in made:
            stop(path)
            (prefix / path).write_text("new")
    except KeyboardInterrupt:
        pass
    del journal
    assert recover(prefix) == "taken back"
    assert tree(prefix) == before


def test_a_commit_that_does_not_reach_the_disk_is_taken_back(tmp_path: Path) -> None:
    """The line itself does not fit any more; what was written before it does."""
    world = World(tmp_path)
    world.install(LONG)
    before = tree(world.prefix)

    def no_more(step: str) -> None:
        if step == "commit":
            size = (world.prefix / JOURNAL).stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + 3, size + 3))

    def work() -> None:
        with pytest.raises(KaaError, match="kaa-journal"):
            world.perform(world.plan(OTHER), checkpoint=no_more)

    assert in_child(work) == 0
    assert not (world.prefix / JOURNAL).exists()
    assert tree(world.prefix) == before


def test_undoing_stops_at_what_it_cannot_undo(world: World) -> None:
    world.install(Package("one", files={"share/deep/one": "1"}))
    before = tree(world.prefix)
    journal = Journal(world.prefix)
    journal.begin()
    journal.set_aside(["share/deep/one"])
    journal.will_create(["new"])
    journal.barrier()
    (world.prefix / "new").write_text("new")
    (world.prefix / "share/deep").rmdir()
    (world.prefix / "share/deep").write_text("in the way")
    with pytest.raises(RollbackFailed, match="share/deep/one"):
        journal.roll_back()
    # What came later is undone; the rest waits.
    assert not (world.prefix / "new").exists()
    left = [entry.line[0] for entry in parse_journal((world.prefix / JOURNAL).read_bytes(), world.prefix / JOURNAL)]
    assert left == ["made", "move"]
    (world.prefix / "share/deep").unlink()
    assert recover(world.prefix) == "taken back"
    assert tree(world.prefix) == before


def test_nothing_is_waited_for_when_that_is_switched_off(world: World) -> None:
    world.install(LONG, sync=False)
    world.install(OTHER, sync=False)
    assert not (world.prefix / JOURNAL).exists()
    assert not (world.prefix / STAGING).exists()
    assert json.loads((world.prefix / "conda-meta/long-2.0-0.json").read_text())["version"] == "2.0"
