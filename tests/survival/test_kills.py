"""Commands that are killed, or whose writes fail, leave the old or the new environment; `kills` says how it is seen."""

from __future__ import annotations

import pytest

from tests.survival.kills import REAL
from tests.survival.reports import points_without_problems
from tests.survival.scenes import SCENES


@pytest.mark.parametrize("scenes", [("create", "update"), ("undo", "rename")], ids=" ".join)
def test_killed_at_a_few_points(scenes: tuple[str, ...]) -> None:
    points = points_without_problems("kills", *scenes, "--seam=4", "--call=5", "--short=1", "--error=1", "--errors=1")
    assert points


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_killed_at_many_points(scene: str) -> None:
    if scene.startswith(REAL):
        ways = {"seam": 2, "alone": 1, "call": 4, "power": 1}
    else:
        ways = {"seam": 7, "alone": 3, "call": 17, "short": 4, "power": 3, "time": 4}
    assert points_without_problems("kills", scene, *(f"--{way}={count}" for way, count in ways.items()))


@pytest.mark.slow
@pytest.mark.parametrize("scene", [scene for scene in SCENES if not scene.startswith(REAL)])
def test_writes_that_fail(scene: str) -> None:
    assert points_without_problems("kills", scene, "--error=8", "--errors=4")
