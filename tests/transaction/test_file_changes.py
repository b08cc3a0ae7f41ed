"""Files beside those of packages that a transaction removes, keeps and puts."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaa.transaction.actions import UnsafePath
from kaa.transaction.clobber import PathConflictError
from kaa.transaction.file_changes import FileNotKept
from kaa.transaction.plan import FileChanges, PutFile, Transaction
from tests.channels import Package
from tests.transaction.test_rollback import FailAt, Injected
from tests.transaction.world import World, contents, tree

NUMPY = Package("numpy", files={"lib/numpy/core": "conda's", "lib/numpy/gone": "conda's", "bin/f2py": "conda's"})


@pytest.fixture
def overwritten(world: World) -> World:
    """An environment in which another installer wrote over a package."""
    world.install(NUMPY)
    (world.prefix / "lib/numpy/core").unlink()
    (world.prefix / "lib/numpy/core").write_text("pip's")
    (world.prefix / "lib/numpy/gone").unlink()
    (world.prefix / "lib/numpy-2.dist-info").mkdir()
    (world.prefix / "lib/numpy-2.dist-info/RECORD").write_text("pip's")
    return world


def repair(world: World) -> Transaction:
    """conda's numpy again, without pip's; what the user changed is kept."""
    kept = world.folder / "kept"
    kept.write_text("kept before")
    kept.chmod(0o640)
    link = world.folder / "link"
    if not link.is_symlink():
        link.symlink_to("kept")
    files = FileChanges(
        remove=("lib/numpy/core", "lib/numpy-2.dist-info/RECORD", "lib/never/was", "bin/f2py/nor/this"),
        keep=(("bin/f2py", "conda-meta/replaced/now/bin/f2py"),),
        put=(
            PutFile("new/place/linked", str(kept)),
            PutFile("new/place/copied", str(kept), mode=0o755),
            PutFile("new/place/link", str(link)),
            PutFile("conda-meta/state", content=b"{}"),
            PutFile("conda-meta/generations/1.json", content=b"one", mode=0o600),
            PutFile("lib/numpy/gone", content=b"pip's again"),
        ),
    )
    return world.plan(NUMPY, reinstall=["numpy"], files=files)


def test_files_go_are_kept_and_come(overwritten: World) -> None:
    world = overwritten
    world.perform(repair(world))
    assert contents(world.prefix) == {
        "bin/f2py": "conda's",
        "lib/numpy/core": "conda's",
        "lib/numpy/gone": "pip's again",
        "new/place/linked": "kept before",
        "new/place/copied": "kept before",
        "new/place/link": "link",
    }
    assert (world.prefix / "new/place/link").readlink() == Path("kept")
    assert (world.prefix / "new/place/linked").stat().st_ino == (world.folder / "kept").stat().st_ino
    assert (world.prefix / "new/place/copied").stat().st_mode & 0o777 == 0o755
    assert (world.folder / "kept").stat().st_mode & 0o777 == 0o640
    assert world.text("conda-meta/replaced/now/bin/f2py") == "conda's"
    assert world.text("conda-meta/state") == "{}"
    assert (world.prefix / "conda-meta/generations/1.json").stat().st_mode & 0o777 == 0o600
    # What lost its last file went, too.
    assert not (world.prefix / "lib/numpy-2.dist-info").exists()


def test_a_failure_at_any_step_leaves_all_files_as_they_were(overwritten: World) -> None:
    world = overwritten
    transaction = repair(world)
    before = tree(world.prefix)
    for number in range(1, 100):
        fail = FailAt(number, Injected)
        try:
            world.perform(transaction, checkpoint=fail)
        except Injected:
            assert tree(world.prefix) == before, fail.step
        else:
            break
    assert number > 20
    assert world.text("lib/numpy/gone") == "pip's again"


def test_a_change_of_files_alone_is_a_change(world: World) -> None:
    world.install(NUMPY)
    transaction = world.plan(NUMPY, files=FileChanges(put=(PutFile("bin/f2py", content=b"mine"),)))
    assert not transaction.is_empty
    assert world.plan(NUMPY).is_empty
    world.perform(transaction)
    assert world.text("bin/f2py") == "mine"


UNSAFE = [
    FileChanges(remove=("../outside",)),
    FileChanges(remove=("/etc/passwd",)),
    FileChanges(remove=("conda-meta/history",)),
    FileChanges(remove=("conda-meta/generations/../history",)),
    FileChanges(remove=("away/file",)),
    FileChanges(keep=(("lib/numpy/core", "away/core"),)),
    FileChanges(keep=(("lib/numpy/core", "../core"),)),
    FileChanges(put=(PutFile("away/file", content=b""),)),
    FileChanges(put=(PutFile("conda-meta/history", content=b""),)),
    FileChanges(put=(PutFile("lib/./numpy", content=b""),)),
]


@pytest.mark.parametrize("files", UNSAFE, ids=str)
def test_no_way_out_of_the_environment(world: World, files: FileChanges) -> None:
    world.install(NUMPY)
    outside = world.folder / "outside"
    outside.mkdir()
    (outside / "file").write_text("of somebody else")
    (world.prefix / "away").symlink_to(outside)
    before = tree(world.folder)
    with pytest.raises(UnsafePath):
        world.perform(world.plan(NUMPY, files=files))
    assert tree(world.folder, without=("envs/demo/conda-meta/.kaa-lock",)) == {
        path: picture for path, picture in before.items() if path != "envs/demo/conda-meta/.kaa-lock"
    }


def test_no_way_out_through_a_link_that_comes_meanwhile(world: World) -> None:
    world.install(NUMPY)
    outside = world.folder / "outside"
    outside.mkdir()

    def interfere(step: str) -> None:
        if step == "link extra-1.0-0":
            (world.prefix / "away").symlink_to(outside)

    extra = Package("extra", files={"share/x": "x"})
    transaction = world.plan(NUMPY, extra, files=FileChanges(put=(PutFile("away/file", content=b""),)))
    with pytest.raises(UnsafePath):
        world.perform(transaction, checkpoint=interfere)
    assert list(outside.iterdir()) == []
    assert not (world.prefix / "share").exists()


def test_what_cannot_be_done_is_found_before_anything_changes(world: World) -> None:
    world.install(NUMPY)
    before = tree(world.prefix)
    with pytest.raises(PathConflictError):
        world.perform(world.plan(NUMPY, files=FileChanges(keep=(("bin/f2py", "lib/numpy/core"),))))
    with pytest.raises(PathConflictError):
        world.perform(world.plan(NUMPY, files=FileChanges(put=(PutFile("lib/numpy", content=b""),))))
    with pytest.raises(FileNotKept, match="nowhere"):
        world.perform(world.plan(NUMPY, files=FileChanges(put=(PutFile("a", str(world.folder / "nowhere")),))))
    assert tree(world.prefix) == before


def test_a_directory_that_empties_makes_room_for_a_file(world: World) -> None:
    world.install(NUMPY)
    (world.prefix / "mine").mkdir()
    (world.prefix / "mine/file").write_text("x")
    world.perform(world.plan(NUMPY, files=FileChanges(remove=("mine/file",), put=(PutFile("mine", content=b"y"),))))
    assert world.text("mine") == "y"
