from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kaa.host.process import CannotRun, run


def test_output_exit_code_and_input(tmp_path: Path) -> None:
    program = "import sys, os; sys.stderr.write(os.getcwd()); sys.stdout.write(sys.stdin.read()[::-1]); sys.exit(7)"
    done = run([sys.executable, "-c", program], cwd=tmp_path, input=b"abc")
    assert (done.code, done.stdout, done.stderr.decode()) == (7, b"cba", str(tmp_path))


def test_what_cannot_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(CannotRun, match="no-such-program: No such file"):
        run([tmp_path / "no-such-program"])


def test_a_child_that_takes_too_long_is_ended() -> None:
    with pytest.raises(CannotRun, match=r"did not end within 0\.2 seconds"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], timeout=0.2)
