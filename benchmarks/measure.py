"""Time programs and functions in turn, and print the medians side by side."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """What one run took: CPU and wall time in seconds, peak memory of the largest process in MiB (0: not measured)."""

    cpu: float
    wall: float
    memory: float = 0.0


def run_program(
    argv: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    prepare: Callable[[], None] = lambda: None,
    codes: Sequence[int] = (0,),
) -> Figure:
    """Run a program once; another exit code than `codes` ends the benchmark with what the program printed."""
    prepare()
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        child = subprocess.Popen(argv, env=environ, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in codes:
            output.seek(0)
            sys.exit(f"benchmark failed: {' '.join(argv)}\n{output.read().decode(errors='replace')[-3000:]}")
    return Figure(used.ru_utime + used.ru_stime, wall, used.ru_maxrss / 1024)


def run_function(function: Callable[[], object]) -> Figure:
    """Call a function once, in this process."""
    before = resource.getrusage(resource.RUSAGE_SELF)
    start = time.perf_counter()
    function()
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Figure(cpu, wall)


def in_turn(contestants: Mapping[str, Callable[[], Figure]], *, rounds: int = 7, warm_up: int = 1) -> dict[str, Figure]:
    """The medians of each contestant, run in turn so that the machine's moods meet all of them."""
    figures: dict[str, list[Figure]] = {name: [] for name in contestants}
    for turn in range(warm_up + rounds):
        for name, contestant in contestants.items():
            figure = contestant()
            if turn >= warm_up:
                figures[name].append(figure)
    return {
        name: Figure(
            statistics.median(figure.cpu for figure in found),
            statistics.median(figure.wall for figure in found),
            statistics.median(figure.memory for figure in found),
        )
        for name, found in figures.items()
    }


def show(title: str, medians: Mapping[str, Figure], *, note: str = "") -> None:
    """Print the medians; ratios are to the first contestant, which is kaa."""
    print(f"\n### {title}\n")
    if note:
        print(f"{note}\n")
    print("| | CPU s | wall s | peak MiB | wall, as a multiple of kaa's |")
    print("|---|---|---|---|---|")
    first = next(iter(medians.values()))
    for name, figure in medians.items():
        memory = f"{figure.memory:.0f}" if figure.memory else "–"
        ratio = f"{figure.wall / first.wall:.2f}" if first.wall else "–"
        print(f"| {name} | {figure.cpu:.3f} | {figure.wall:.3f} | {memory} | {ratio} |")
    sys.stdout.flush()


def shared_data() -> Path | None:
    """Where real conda-forge records are, when they are there: `$KAA_SHARED_DATA`, else beside the checkout."""
    named = os.environ.get("KAA_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    return folder if folder.is_dir() else None


def have_rattler() -> bool:
    """Whether the peer can be imported here."""
    try:
        import rattler  # noqa: F401
    except ImportError:
        return False
    return True
