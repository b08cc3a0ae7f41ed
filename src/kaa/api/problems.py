"""Problem files: what a solve saw, written to one small file, and solved again without anything else.

Loaded only by who writes or solves one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kaa import __version__
from kaa.errors import KaaError
from kaa.host.files import write_atomic
from kaa.index.decompress import read_document
from kaa.models.repodata import RepodataInvalid
from kaa.solver.candidates import CandidateSource
from kaa.solver.problem import InvalidProblem, Outcome, Problem, decode_problem, encode_problem
from kaa.solver.request import SolveRequest
from kaa.solver.snapshot import RecordingSource, problem_of, record, replay
from kaa.solver.solution import Solution
from kaa.solver.solve import solve

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import zstandard

LARGEST = 1 << 30
"""No problem may unpack to more bytes than this."""
LEVEL = 10
"""How hard zstd tries: 19 would make files a tenth smaller, and take ten times as long."""
COMPRESSED = ".zst"


class ProblemNotWritten(KaaError):
    """A problem file cannot be written where it should be."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(
            f"the problem cannot be written to {path}: {reason}",
            hints=("name a file in a directory that you can write to, as in --save-problem problem.json.zst",),
        )


class ProblemWriter:
    """`solve`, that writes what it saw to a file, however it ends; for `ChangeOptions.solver`."""

    def __init__(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise ProblemNotWritten(path, "there is no such directory")
        if path.is_dir():
            raise ProblemNotWritten(path, "it is a directory")
        self._path = path

    def __call__(
        self,
        request: SolveRequest,
        source: CandidateSource,
        *,
        clock: Callable[[], float] | None = None,
        repair_seconds: float | None = None,
    ) -> Solution:
        """Solve, and write the problem; raises what solving raises, and ProblemNotWritten."""
        request, recording = record(request, source)
        try:
            solution = solve(request, recording, clock=clock, repair_seconds=repair_seconds)
        except BaseException as error:
            # Also when it was interrupted, or failed in a way that it must not: then the file is worth most.
            self._write(request, recording, error, repair_seconds)
            raise
        self._write(request, recording, solution, repair_seconds)
        return solution

    def _write(
        self,
        request: SolveRequest,
        recording: RecordingSource,
        outcome: Solution | BaseException,
        repair_seconds: float | None,
    ) -> None:
        problem = problem_of(request, recording, outcome, kaa=__version__, repair_seconds=repair_seconds)
        if not self._is_faithful(problem):
            # A request that asks for what is usually left out.
            problem = problem_of(
                request, recording, outcome, kaa=__version__, repair_seconds=repair_seconds, whole=True
            )
        write_problem(self._path, problem)

    def _is_faithful(self, problem: Problem) -> bool:
        """Whether solving the problem ends as it did here; true also where that cannot be expected."""
        if problem.outcome is None or not problem.outcome.is_reproducible:
            return True
        without_repairs = replace(problem, repair_seconds=None)
        return replay(without_repairs, str(self._path), clock=time.monotonic)[1].agrees_with(problem.outcome)


class Replay(msgspec.Struct, frozen=True):
    """A problem that was solved again."""

    problem: Problem
    result: Solution | KaaError
    outcome: Outcome
    seconds: float

    @property
    def is_as_recorded(self) -> bool | None:
        """Whether it ended as the file says; None when the file does not say, or says that it was broken off."""
        recorded = self.problem.outcome
        return None if recorded is None or not recorded.is_reproducible else recorded.agrees_with(self.outcome)


def write_problem(path: Path, problem: Problem) -> None:
    """Write a problem, compressed when the name of the file ends in `.zst`; raises ProblemNotWritten."""
    content = encode_problem(problem)
    if path.suffix == COMPRESSED:
        content = compress(content)
    try:
        write_atomic(path, content)
    except OSError as error:
        raise ProblemNotWritten(path, error.strerror or str(error)) from error


def compress(content: bytes) -> bytes:
    """One zstd frame with its size and a checksum."""
    if sys.version_info >= (3, 14):
        parameter = zstd.CompressionParameter
        return zstd.compress(content, options={parameter.compression_level: LEVEL, parameter.checksum_flag: 1})
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(content)


def read_problem_file(path: Path) -> Problem:
    """The problem in a file, compressed or not; raises InvalidProblem."""
    try:
        content = read_document(path, path.name, largest=LARGEST)
    except RepodataInvalid as error:
        raise InvalidProblem(str(path), error.reason) from error
    except OSError as error:
        raise InvalidProblem(str(path), error.strerror or str(error), hints=("give the path of a file",)) from error
    return decode_problem(content, str(path))


def solve_problem(path: Path) -> Replay:
    """Solve the problem in a file with nothing but the file; raises InvalidProblem."""
    problem = read_problem_file(path)
    started = time.monotonic()
    result, outcome = replay(problem, str(path), clock=time.monotonic)
    return Replay(problem, result, outcome, time.monotonic() - started)
