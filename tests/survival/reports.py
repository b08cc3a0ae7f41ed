"""Running the programs of this folder in processes of their own, and what they report."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SEED = 1 if "CI" in os.environ else random.randrange(1 << 30)
"""Where the points lie: a check of a change is no place for luck, and local runs go on searching."""


def report_of(module: str, *words: str) -> Any:
    """What `python -m tests.survival.<module>` reports; a failure shows the whole command line, with its seed."""
    argv = [sys.executable, "-m", f"tests.survival.{module}", *words, f"--seed={SEED}"]
    root = Path(__file__).parents[2]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    # In a session of its own, and ended with its input: nothing of it outlives the test.
    done = subprocess.run(argv, cwd=root, env=environ, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    said = done.stderr.strip()[-4000:]
    assert done.returncode == 0, f"{' '.join(argv[1:])} ended with {done.returncode}:\n{said}"
    return json.loads(done.stdout)


def points_without_problems(module: str, *words: str) -> int:
    """Run scenes that must have no problems; how many points were tried. Skips where nothing could be."""
    reports = report_of(module, *words)
    problems = [problem for report in reports for problem in report["problems"]]
    assert not problems, f"seed {SEED}, {len(problems)} problems:\n\n" + "\n\n".join(problems)
    points: int = sum(sum(report["points"].values()) for report in reports)
    skipped = "; ".join({report["skipped"] for report in reports} - {""})
    print(f"{module} {' '.join(words)}: {points} points, seed {SEED}")
    if not points:
        pytest.skip(skipped)
    return points
