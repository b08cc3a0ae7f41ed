"""Child processes whose output kaa reads."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from kaa.errors import KaaError


class Completed(msgspec.Struct, frozen=True):
    """What a child process left: its exit code (negative: the signal that ended it) and its output."""

    code: int
    stdout: bytes
    stderr: bytes


class CannotRun(KaaError):
    """A program could not be started at all."""

    def __init__(self, program: str, reason: str) -> None:
        self.program = program
        self.reason = reason
        super().__init__(f"cannot run {program}: {reason}")


def run_logged(argv: Sequence[str | Path], log: Path, *, environ: Mapping[str, str], cwd: Path) -> int:
    """Run a program to its end, all of its output into the file `log`; its exit code is answered.

    Should this process stop waiting for it (Ctrl-C), it is killed with all that it has started.
    """
    subprocess = importlib.import_module("subprocess")
    words = [str(word) for word in argv]
    with log.open("ab") as stream:
        try:
            child = subprocess.Popen(
                words,
                env=environ,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=os.name == "posix",
            )
        except OSError as error:
            raise CannotRun(words[0], error.strerror or str(error)) from error
    try:
        return int(child.wait())
    except BaseException:
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()
        child.wait()
        raise


def run(
    argv: Sequence[str | Path],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    input: bytes = b"",
    timeout: float | None = None,
) -> Completed:
    """Run a program to its end and keep its output; `timeout` is in seconds.

    Raises CannotRun when it cannot be started or takes longer than `timeout` (it is killed then).
    """
    subprocess = importlib.import_module("subprocess")
    program = str(argv[0])
    try:
        done = subprocess.run(
            [str(word) for word in argv], env=environ, cwd=cwd, input=input, capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        raise CannotRun(program, f"it did not end within {timeout:g} seconds") from None
    except OSError as error:
        raise CannotRun(program, error.strerror or str(error)) from error
    return Completed(done.returncode, done.stdout, done.stderr)
