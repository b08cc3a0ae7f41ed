"""What the disk has no room for is found before anything is changed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.errors import KaaError
from kaa.transaction.limits import PathTooLong
from kaa.transaction.placeholder import PrefixTooLong
from kaa.transaction.plan import FileChanges, PutFile
from kaa.transaction.prepare import NotEnoughSpace, NotWritable
from tests.channels import File, Package
from tests.transaction.world import SITE, TAG, World, python_package, tree

TOOL = Package("tool", files={"share/tool": "tool\n"})


def refused(world: World, expected: type[KaaError], *packages: Package, prefix: Path | None = None) -> KaaError:
    """Check that an installation is refused before it begins; gives the error."""
    steps: list[str] = []
    transaction = world.plan(*packages, prefix=prefix)
    before = tree(transaction.prefix)
    with pytest.raises(expected) as caught:
        world.perform(transaction, checkpoint=steps.append)
    assert steps == []
    assert tree(transaction.prefix) == before
    assert caught.value.hints
    return caught.value


def test_a_program_without_room_for_the_prefix(world: World) -> None:
    program = File(b"\x7fELF\0/short\0rest", placeholder="/short", binary=True, mode=0o755)
    error = refused(world, PrefixTooLong, TOOL, Package("program", files={"bin/program": program}))
    assert "at most 6 bytes" in error.hints[0]
    assert not world.prefix.parent.exists()


def test_a_path_that_is_too_long(world: World) -> None:
    limit = os.pathconf(world.folder, "PC_PATH_MAX") - 1
    folder = world.folder
    while limit - len(bytes(folder)) > 260:
        folder /= "d" * 200
    room = limit - len(bytes(folder))
    deep = Package("deep", files={f"share/{'e' * 100}/file": "x"})
    path = f"/share/{'e' * 100}/file"
    name = "é" * ((room - 1 - len(path)) // 2)
    # One byte more than there is room for, then none.
    error = refused(world, PathTooLong, deep, prefix=folder / (name + "xx"))
    assert isinstance(error, PathTooLong)
    assert error.limit == limit < error.length
    longest = int(error.hints[0].split()[-2])
    assert longest == limit - len(path)
    assert not folder.exists()


def test_a_put_file_with_a_name_that_is_too_long(world: World) -> None:
    world.install(TOOL)
    transaction = world.plan(TOOL, files=FileChanges(put=(PutFile("x" * 256, content=b""),)))
    with pytest.raises(PathTooLong) as caught:
        world.perform(transaction)
    assert (caught.value.length, caught.value.limit) == (256, 255)


def test_bytecode_with_a_name_that_is_too_long_is_left_out(world: World) -> None:
    """Python cannot write it either."""
    name, fits = "m" * 245, "f" * 215
    files: dict[str, str] = {f"site-packages/{one}.py": "VALUE = 1\n" for one in (name, fits)}
    module = Package("module", noarch="python", depends=["python"], files=files)
    world.install(python_package(), module)
    assert (world.prefix / SITE / f"{name}.py").exists()
    assert [path.name for path in (world.prefix / SITE / "__pycache__").iterdir()] == [f"{fits}.{TAG}.pyc"]


@pytest.fixture
def few_files(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 90 files."""
    folder = tmp_path / "few"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=90", "tmpfs", folder], capture_output=True)
    if mount.returncode != 0:
        pytest.skip("no permission to mount a small file system here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_with_room_for_few_files(world: World, few_files: Path) -> None:
    many = Package("many", files={f"share/{n}": "x" for n in range(60)})
    prefix = few_files / "env"
    transaction = world.plan(many, prefix=prefix)
    with pytest.raises(NotEnoughSpace, match=r"files needed, \d+ files free"):
        world.perform(transaction)
    assert list(few_files.iterdir()) == []


def test_a_disk_that_is_only_read(world: World, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], capture_output=True).returncode != 0:
        pytest.skip("no permission to mount a file system here")
    try:
        world.install(TOOL, prefix=folder / "env")
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        other = Package("other", files={"share/other": "x"})
        error = refused(world, NotWritable, TOOL, other, prefix=folder / "env")
        assert "reading only" in str(error)
    finally:
        subprocess.run(["umount", folder], check=True)
