"""Thousands of random requests on real conda-forge records, beside py-rattler: the spread of the solve alone.

Requests as people make them: one to six names, some with versions or builds, four of ten with a python. A third of them
have no solution; kaa then says why, py-rattler as well.
"""

from __future__ import annotations

import asyncio
import functools
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.measure import have_rattler, shared_data
from benchmarks.solve import ours, theirs
from benchmarks.worlds import open_folder
from kaa.models.record import RepoDataRecord

REQUESTS = 2000
SEED = 20260
MOST_SPECS = 6
PYTHONS = ("3.10", "3.11", "3.12", "3.13")


def random_requests(records: Mapping[str, Sequence[RepoDataRecord]]) -> list[list[str]]:
    """The same requests every time."""
    choose = random.Random(SEED)
    names = sorted(records)
    made = []
    for _ in range(REQUESTS):
        wanted = [random_spec(choose, records[name]) for name in choose.sample(names, choose.randint(1, MOST_SPECS))]
        if choose.random() < 0.4:
            wanted.insert(choose.randint(0, len(wanted)), f"python {choose.choice(PYTHONS)}.*")
        made.append(wanted)
    return made


def random_spec(choose: random.Random, records: Sequence[RepoDataRecord]) -> str:
    record = choose.choice(records)
    minor = ".".join(record.version.split(".")[:2])
    shape = choose.random()
    if shape < 0.6:
        return record.name
    if shape < 0.75:
        return f"{record.name} >={minor}"
    if shape < 0.87:
        return f"{record.name} {minor}.*"
    if shape < 0.95:
        return f"{record.name} <{record.version}"
    return f"{record.name} {record.version} {record.build}"


def show(title: str, times: Mapping[str, Sequence[float]]) -> None:
    """The spread of the times, in milliseconds."""
    print(f"\n### {title}\n")
    print("| CPU ms | median | 90th percentile | 99th | worst | all |")
    print("|---|---|---|---|---|---|")
    for name, found in times.items():
        ordered = sorted(1000 * seconds for seconds in found)
        spread = [ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.9, 0.99, 1)]
        print(f"| {name} | {' | '.join(f'{each:.1f}' for each in (*spread, sum(ordered)))} |")
    if len(times) == 2:
        ratios = [mine / other for mine, other in zip(*times.values(), strict=True)]
        print(f"\nOf one request: {statistics.median(ratios):.2f} of py-rattler's time at the median.")
    sys.stdout.flush()


def main() -> None:
    data = shared_data()
    if data is None:
        print("\nrandom_solves: skipped, the conda-forge records are not here")
        return
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        world = open_folder(data / "conda-forge-slice", Path(folder))
        index = world.index
        requests = random_requests({name: index.records(name) for name in sorted(index.names())})
        for name in index.names():
            # The columns are made when a name is first asked for, and kept: that is no part of a solve.
            for group in index.groups(name):
                assert group.columns.count >= 0
        contestants: dict[str, Callable[[Sequence[str]], Sequence[object]]] = {"kaa": functools.partial(ours, index)}
        if have_rattler():
            contestants["py-rattler"] = theirs(world.folder, runner)
        times: dict[str, list[float]] = {name: [] for name in contestants}
        answers: dict[str, list[bool]] = {name: [] for name in contestants}
        for wanted in requests:
            for name, contestant in contestants.items():
                start = time.process_time()
                found = contestant(wanted)
                times[name].append(time.process_time() - start)
                answers[name].append(bool(found))
        assert len(set(map(tuple, answers.values()))) == 1, "they do not agree on what can be solved"
        solved = answers["kaa"]
        for title, kind in (("with a solution", True), ("without one", False)):
            part = {
                name: [seconds for seconds, is_solved in zip(seen, solved, strict=True) if is_solved == kind]
                for name, seen in times.items()
            }
            show(f"{solved.count(kind)} random requests {title}", part)
        show(f"All {len(requests)} random requests", times)


if __name__ == "__main__":
    main()
