"""Readers of what comes from elsewhere: for anything they give a value or an error of kaa's, and come to an end."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.mutations import Edit, edited, edits
from tests.fuzz.targets import TARGETS, Target, run, unpack

SECONDS = 10
"""Of the processor, for one input; most take a thousandth."""
GUIDED = (
    "tar",
    "repodata, split",
    "history",
    "match spec, lenient",
    "version",
    "version spec",
    "condarc",
    "environment.yml",
)
"""Readers with a grammar of their own, which are fuzzed by coverage."""
SHARED = Path(os.environ.get("KAA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "real-packages"
REAL = sorted(path for path in SHARED.glob("*/*") if path.name.endswith((".conda", ".tar.bz2")))
LARGEST_REAL = 1 << 20
GUIDED_SECONDS = 1


class Endless(BaseException):
    """A reader took too long."""


@contextlib.contextmanager
def deadline() -> Iterator[None]:
    """Raise Endless in the middle of whatever takes too much processor time."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Endless

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("name", TARGETS)
def test_sound_inputs_are_taken(name: str, tmp_path: Path) -> None:
    target = TARGETS[name]
    taken = [run(target, seed, tmp_path) for seed in target.seeds]
    assert any(taken)


def try_one(target: Target, seed: int, changes: list[Edit], directory: Path) -> None:
    with deadline():
        run(target, edited(target.seeds[seed % len(target.seeds)], changes), directory)


QUICK = settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
    database=None,
)


@pytest.mark.parametrize("name", TARGETS)
@QUICK
@given(seed=st.integers(0, 9), changes=edits)
def test_changed_inputs(name: str, seed: int, changes: list[Edit], tmp_path: Path) -> None:
    try_one(TARGETS[name], seed, changes, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 9), changes=edits)
def test_many_changed_inputs(name: str, seed: int, changes: list[Edit], tmp_path: Path) -> None:
    try_one(TARGETS[name], seed, changes, tmp_path)


TEXTS = (
    "match spec",
    "match spec, lenient",
    "version",
    "version spec",
    "environment.yml",
    "condarc",
    "history",
    "pins",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", TEXTS)
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=st.one_of(st.text(max_size=200), st.text(alphabet="[]{}()<>=!~*,|:&'\"#- \n.0123ab", max_size=60)))
def test_any_text(name: str, text: str, tmp_path: Path) -> None:
    with deadline():
        run(TARGETS[name], text.encode("utf-8", "surrogatepass"), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="there are no real packages here")
@settings(
    max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(choice=st.integers(0, 99), changes=edits)
def test_changed_real_packages(choice: int, changes: list[Edit], tmp_path: Path) -> None:
    small = [path for path in REAL if path.stat().st_size < LARGEST_REAL]
    content = small[choice % len(small)].read_bytes()
    with deadline():
        run(Target(unpack, (content,)), edited(content, changes), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
@pytest.mark.parametrize("name", GUIDED)
def test_inputs_found_by_coverage(name: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz.guided", name, str(tmp_path), str(GUIDED_SECONDS)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
