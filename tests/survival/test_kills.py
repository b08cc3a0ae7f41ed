"""Commands that are killed, or whose writes fail, leave the old or the new environment; `kills` says how it is seen."""

from __future__ import annotations

import pytest

from tests.survival.kills import REAL
from tests.survival.reports import points_without_problems
from tests.survival.scenes import SCENES


@pytest.mark.parametrize("scene", ["update", "rename"])
def test_killed_at_a_few_points(scene: str) -> None:
    ways = {"seam": 4, "call": 10, "short": 2, "power": 2, "error": 2}
    assert points_without_problems("kills", scene, "--brief", *(f"--{way}={count}" for way, count in ways.items()))


@pytest.mark.slow
@pytest.mark.parametrize("scene", SCENES)
def test_killed_at_many_points(scene: str) -> None:
    if scene.startswith(REAL):
        ways = {"seam": 1, "call": 3, "power": 1}
    else:
        ways = {"seam": 6, "alone": 3, "call": 16, "short": 3, "power": 3, "time": 4}
    assert points_without_problems("kills", scene, *(f"--{way}={count}" for way, count in ways.items()))


@pytest.mark.slow
@pytest.mark.parametrize("scene", [scene for scene in SCENES if not scene.startswith(REAL)])
def test_writes_that_fail(scene: str) -> None:
    assert points_without_problems("kills", scene, "--error=8", "--errors=4")
