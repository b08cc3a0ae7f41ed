"""Commands on file systems without room say so and change nothing; `disks` says how it is seen."""

from __future__ import annotations

import pytest

from tests.survival.reports import points_without_problems


def test_a_disk_fills_up() -> None:
    assert points_without_problems("disks", "create-from-channel", "--size=2", "--filled=3", "--inodes=1")


@pytest.mark.slow
@pytest.mark.parametrize("scene", ["create", "create-from-channel", "update", "undo", "clone", "replace"])
def test_disks_fill_up_at_many_points(scene: str) -> None:
    assert points_without_problems("disks", scene, "--size=5", "--filled=7", "--inodes=4", "--limit=2")
