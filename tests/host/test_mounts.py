from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.host.mounts import Mount, mount_of


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Path]:
    """A directory where something may be mounted; unmounted in the end."""
    where = tmp_path / "mount point"
    where.mkdir()
    yield where
    subprocess.run(["umount", str(where)], capture_output=True)


def mounted(*words: str) -> bool:
    """Mount something, where that is permitted."""
    return os.geteuid() == 0 and subprocess.run(["mount", *words], capture_output=True).returncode == 0


def test_the_root_is_always_there() -> None:
    assert mount_of(Path("/")) == Mount("/")
    assert mount_of(Path("/")).is_there()


def test_a_path_that_is_not_there_lies_where_its_directory_does(tmp_path: Path) -> None:
    assert mount_of(tmp_path / "a" / "b") == mount_of(tmp_path)
    assert mount_of(tmp_path).is_there()


def test_what_is_no_mount_point_is_not_there(tmp_path: Path) -> None:
    assert not Mount(str(tmp_path)).is_there()
    assert not Mount(str(tmp_path / "missing")).is_there()


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_a_file_system_comes_and_goes(tmp_path: Path, point: Path, kind: str) -> None:
    (tmp_path / "disk").mkdir()
    words = ["-t", "tmpfs", "tmpfs", str(point)] if kind == "tmpfs" else ["--bind", str(tmp_path / "disk"), str(point)]
    if not mounted(*words):
        pytest.skip("nothing can be mounted here")
    (point / "env").mkdir()
    mount = mount_of(point / "env")
    assert mount.point == str(point)
    assert mount.is_there()
    subprocess.run(["umount", str(point)], check=True)
    assert not mount.is_there()
    assert mount_of(point).point != str(point)


def test_another_file_system_at_the_same_point_is_another_one() -> None:
    assert not Mount("/", "0123").is_there()
