"""What cannot work says so before anything changes, and what to do about it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.errors import KaaError
from kaa.host.locks import LockTimeout, file_lock
from kaa.models.entry_point import InvalidEntryPoint
from kaa.prefix.interruption import LOCK
from kaa.prefix.prefix import BrokenPrefixRecord, DirectoryIsNoEnvironment
from kaa.prefix.state import EnvironmentFrozen
from kaa.transaction.actions import UnsafePath
from kaa.transaction.execute import TransactionFailed
from kaa.transaction.noarch_python import PythonMissing
from kaa.transaction.prepare import DamagedPackage, NotEnoughSpace, NotWritable, PackageNotExtracted
from tests.channels import File, Package, Symlink
from tests.transaction.world import World, contents, python_package, tree

TOOL = Package("tool", files={"share/tool": "tool\n", "bin/tool": "#!/bin/sh\n"})


def refuse(world: World, expected: type[KaaError], *packages: Package, **options: object) -> KaaError:
    """Check that an installation is refused with everything as it was; gives the error."""
    before = tree(world.folder / "envs")
    with pytest.raises(expected) as caught:
        world.install(*packages, **options)  # type: ignore[arg-type]
    after = tree(world.folder / "envs")
    assert {path: what for path, what in after.items() if not path.endswith(LOCK)} == {
        path: what for path, what in before.items() if not path.endswith(LOCK)
    }
    assert caught.value.hints
    return caught.value


def test_a_damaged_package(world: World) -> None:
    world.unpack(TOOL)
    (world.cache / TOOL.dist / "share/tool").write_text("cut")
    error = refuse(world, DamagedPackage, TOOL)
    assert "tool-1.0-0 is damaged: share/tool has 3 bytes instead of 5" in str(error)


@pytest.mark.parametrize(
    ("checks", "extra", "refused"),
    [("enabled", True, True), ("enabled", False, False), ("warn", True, False), ("disabled", True, True)],
)
def test_how_closely_packages_are_looked_at(world: World, checks: str, extra: bool, refused: bool) -> None:
    world.unpack(TOOL)
    path = world.cache / TOOL.dist / "share/tool"
    path.write_text("TOOL\n")
    if refused and checks == "enabled":
        refuse(world, DamagedPackage, TOOL, safety_checks=checks, extra_safety_checks=extra)
        return
    world.install(TOOL, safety_checks=checks, extra_safety_checks=extra)
    assert bool(world.warnings()) is extra


def test_a_wrong_size_may_only_be_told_of(world: World) -> None:
    world.unpack(TOOL)
    (world.cache / TOOL.dist / "share/tool").write_text("another size")
    world.install(TOOL, safety_checks="warn")
    assert any("12 bytes instead of 5" in warning for warning in world.warnings())


def test_files_that_were_just_checked_are_not_asked_for_again(world: World) -> None:
    world.unpack(TOOL)
    (world.cache / TOOL.dist / "share/tool").write_text("another size")
    world.install(TOOL, files_checked=True)
    assert world.text("share/tool") == "another size"
    world.install()
    # Hashes are looked at whoever looked at the sizes.
    refuse(world, DamagedPackage, TOOL, files_checked=True, extra_safety_checks=True)
    (world.cache / TOOL.dist / "share/tool").unlink()
    refuse(world, TransactionFailed, TOOL, files_checked=True)


def test_a_missing_file_of_a_package(world: World) -> None:
    world.unpack(TOOL)
    (world.cache / TOOL.dist / "bin/tool").unlink()
    assert "bin/tool is missing" in str(refuse(world, DamagedPackage, TOOL, safety_checks="disabled"))


def test_a_directory_for_a_file_of_a_package(world: World) -> None:
    world.unpack(TOOL)
    (world.cache / TOOL.dist / "bin/tool").unlink()
    (world.cache / TOOL.dist / "bin/tool").mkdir()
    refuse(world, DamagedPackage, TOOL)


def test_a_package_that_was_not_handed_over(world: World) -> None:
    transaction = world.plan(TOOL)
    world.extracted.clear()
    with pytest.raises(PackageNotExtracted):
        world.perform(transaction)
    assert not (world.folder / "envs").exists()


def test_python_packages_need_python(world: World) -> None:
    refuse(world, PythonMissing, Package("pure", noarch="python", files={"site-packages/a.py": ""}))


@pytest.mark.parametrize("text", ["../evil = a:b", "tool = a:b\nimport os", "tool = a"])
def test_hostile_entry_points(world: World, text: str) -> None:
    refuse(world, InvalidEntryPoint, python_package(), Package("pure", noarch="python", entry_points=[text]))


@pytest.mark.parametrize("path", ["../../outside", "/outside", "lib/../../../outside"])
def test_site_packages_outside(world: World, path: str, tmp_path: Path) -> None:
    python = python_package(index_extra={"python_site_packages_path": path})
    refuse(world, UnsafePath, python, Package("pure", noarch="python", files={"site-packages/a.py": ""}))
    assert not list(tmp_path.glob("**/outside"))


def test_writing_through_a_link_of_a_package(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    bait = Package("bait", files={"share/bait": "x"})
    world.install(bait)
    # The extraction refuses such a link already; an environment of another program may have it.
    (world.prefix / "share/bait").unlink()
    (world.prefix / "share/bait").symlink_to(outside)
    error = refuse(world, KaaError, bait, Package("evil", files={"share/bait/passwd": "x"}))
    assert "directory for the other" in str(error) or "out of the environment" in str(error)
    assert list(outside.iterdir()) == []
    world.install()
    assert outside.is_dir()


def test_removing_through_a_link_of_a_package(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    world.install(Package("bait", files={"share/bait/precious": "x", "share/bait/more": "y"}))
    for path in ("precious", "more"):
        (world.prefix / "share/bait" / path).unlink()
    (world.prefix / "share/bait").rmdir()
    (world.prefix / "share/bait").symlink_to(outside)
    record = world.record("bait")
    file = world.prefix / "conda-meta" / f"{record.dist}.json"
    file.write_text(file.read_text().replace('"share/bait/more"', '"share/bait"'))
    world.install()
    assert (outside / "precious").read_text() == "precious"
    assert any("is left alone" in warning for warning in world.warnings())


@pytest.mark.parametrize("path", ["../../precious", "/precious", "share/../../../precious", "conda-meta/history"])
def test_a_hostile_record_removes_nothing_outside(world: World, tmp_path: Path, path: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    world.install(TOOL)
    if path == "/precious":
        path = str(precious)
    file = world.prefix / "conda-meta" / "tool-1.0-0.json"
    file.write_text(file.read_text().replace('"share/tool"', f'"{path}"'))
    world.install()
    assert precious.read_text() == "precious"
    assert (world.prefix / "conda-meta/history").is_file()
    assert any("it is left alone" in warning for warning in world.warnings())


def test_a_link_of_the_user_is_followed(world: World, tmp_path: Path) -> None:
    outside = tmp_path / "other-disk"
    outside.mkdir()
    world.install()
    (world.prefix / "share").symlink_to(outside)
    world.install(TOOL)
    assert (outside / "tool").read_text() == "tool\n"
    world.install()
    assert list(outside.iterdir()) == []
    assert (world.prefix / "share").is_symlink()


def test_links_that_lead_out_are_told_of(world: World) -> None:
    package = Package("linker", files={"share/out": Symlink("nowhere"), "share/x": "x"})
    world.unpack(package)
    link = world.cache / package.dist / "share/out"
    link.unlink()
    link.symlink_to("/etc/hostname")
    world.install(package)
    assert any("out of the environment" in note for note in world.notes())


@pytest.mark.parametrize(
    "content", ["", '{"message": "ask Ada"}', "{", '{"message": 3}', "[]", '{"message": "a\\u001b[2Jsk Ada"}']
)
def test_a_frozen_environment(world: World, content: str) -> None:
    world.install(TOOL)
    (world.prefix / "conda-meta" / "frozen").write_text(content)
    error = refuse(world, EnvironmentFrozen)
    assert "--override-frozen" in str(error)
    assert ("ask Ada" in str(error)) is ("Ada" in content)
    world.install(override_frozen=True)
    assert contents(world.prefix) == {}


def test_a_broken_record(world: World) -> None:
    world.install(TOOL)
    (world.prefix / "conda-meta" / "tool-1.0-0.json").write_text("{")
    error = refuse(world, BrokenPrefixRecord, TOOL)
    assert "tool-1.0-0.json" in str(error)


def test_a_directory_with_other_things(world: World) -> None:
    world.prefix.mkdir(parents=True)
    (world.prefix / "thesis.txt").write_text("x")
    error = refuse(world, DirectoryIsNoEnvironment, TOOL)
    assert "thesis.txt" in str(error)
    # The root prefix holds caches and environments before it is one.
    world.install(TOOL, root_prefix=world.prefix)
    assert world.text("share/tool") == "tool\n"


def test_a_file_or_a_dangling_link_in_the_place_of_the_environment(world: World) -> None:
    world.prefix.parent.mkdir()
    world.prefix.write_text("x")
    refuse(world, DirectoryIsNoEnvironment, TOOL)
    world.prefix.unlink()
    world.prefix.symlink_to("nowhere")
    refuse(world, DirectoryIsNoEnvironment, TOOL)


def test_somebody_else_is_changing_it(world: World) -> None:
    world.install(TOOL)
    with file_lock(world.prefix / LOCK):
        error = refuse(world, LockTimeout, lock_timeout=0.05)
    assert str(os.getpid()) in str(error)
    assert any("waiting for" in note for note in world.notes())


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 200 kB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", folder], capture_output=True)
    if mount.returncode != 0:
        pytest.skip("no permission to mount a small file system here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_the_room_is_looked_at_before(world: World, tiny_disk: Path) -> None:
    big = Package("big", files={f"share/{n}": File(os.urandom(50_000)) for n in range(10)})
    with pytest.raises(NotEnoughSpace) as caught:
        world.install(big, prefix=tiny_disk / "env")
    assert caught.value.needed is not None
    assert caught.value.free is not None
    assert caught.value.needed > 500_000 > caught.value.free
    assert list(tiny_disk.iterdir()) == []
    assert any("on different file systems" in note for note in world.notes())


def test_a_disk_that_fills_up_meanwhile(world: World, tiny_disk: Path) -> None:
    prefix = tiny_disk / "env"
    world.install(Package("old", files={"share/old": "old"}), prefix=prefix)
    before = tree(prefix)
    big = Package("big", files={f"share/{n}": File(os.urandom(30_000)) for n in range(3)})
    transaction = world.plan(big, prefix=prefix)

    def fill(step: str) -> None:
        if step == "share/0":
            with (tiny_disk / "filler").open("wb") as stream, pytest.raises(OSError, match="No space"):
                while True:
                    stream.write(b"x" * 1000)
                    stream.flush()

    with pytest.raises(NotEnoughSpace, match="no space left"):
        world.perform(transaction, checkpoint=fill)
    (tiny_disk / "filler").unlink()
    assert tree(prefix) == before


def test_undoing_needs_no_space(world: World, tiny_disk: Path) -> None:
    """The disk is full from some step on, whichever, and while everything is undone."""
    prefix, filler = tiny_disk / "env", tiny_disk / "filler"
    old = Package("tool", files={f"share/old/{n}": f"old {n}" for n in range(6)} | {"etc/tool/conf": "old"})
    new = Package("tool", "2.0", files={f"share/new/{n}": f"new {n}" for n in range(6)} | {"etc/tool": "new"})
    world.install(old, prefix=prefix)
    before = tree(prefix)
    transaction = world.plan(new, prefix=prefix)
    refused = 0
    for number in range(1, 60):
        left = number

        def fill(step: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                fill_up(filler)

        try:
            world.perform(transaction, checkpoint=fill)
        except NotEnoughSpace:
            refused += 1
            assert tree(prefix) == before, number
            filler.unlink()
            continue
        # What is left to do needs no space, either.
        assert (prefix / "share/new/5").read_text() == "new 5"
        break
    assert refused > 10


def fill_up(filler: Path) -> None:
    with filler.open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space"):
        while True:
            stream.write(b"x" * 512)


def test_a_directory_without_write_permission(world: World) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    world.install(TOOL)
    (world.prefix / "share").chmod(0o500)
    try:
        error = refuse(world, NotWritable)
        assert "share" in str(error)
    finally:
        (world.prefix / "share").chmod(0o700)


def test_without_write_permission_as_another_user(world: World, tmp_path: Path) -> None:
    """Root may write everywhere, so it asks as nobody whether the check sees what it should."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    world.install(TOOL)
    for folder in (world.folder, *world.folder.parents):
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
    transaction = world.plan()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgid(65534)
            os.setuid(65534)
            world.perform(transaction)
        except NotWritable:
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert world.text("share/tool") == "tool\n"


def test_other_refusals_of_the_system_say_where(world: World) -> None:
    world.install()

    def refuse_it(step: str) -> None:
        if step == "share/tool":
            raise OSError(5, "Input/output error", "/the/place")

    with pytest.raises(TransactionFailed, match="/the/place: Input/output error"):
        world.perform(world.plan(TOOL), checkpoint=refuse_it)
    assert contents(world.prefix) == {}
