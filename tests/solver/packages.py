"""Worlds of packages in a few lines, and an independent judge of solutions.

    "numpy 1.26 py39_0: python 3.9.*; libblas >=3 / scipy >=1.9"

is a record with a name, a version, a build string (whose end is the build number), what it depends on and, after the
slash, what it constrains.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.candidates import RecordSource
from kaa.solver.request import SolveOptions, SolveRequest
from kaa.solver.solution import Solution
from kaa.solver.solve import solve

MAIN = "https://conda.example.com/main"
OTHER = "https://conda.example.com/other"

LINUX = (
    VirtualPackage("__archspec", "1", "x86_64_v3"),
    VirtualPackage("__glibc", "2.35"),
    VirtualPackage("__linux", "5.15"),
    VirtualPackage("__unix", "0"),
)


def package(text: str, *, channel: str = MAIN, subdir: str = "linux-64", **fields: Any) -> RepoDataRecord:
    """The record that one line describes."""
    head, _, needs = text.partition(":")
    depends, _, constrains = needs.partition("/")
    name, version, *build = head.split()
    given = build[0] if build else "0"
    number = re.search(r"(\d+)$", given)
    fn = f"{name}-{version}-{given}.conda"
    return RepoDataRecord(
        **{
            "name": name,
            "version": version,
            "build": given,
            "build_number": int(number[1]) if number else 0,
            "depends": parts_of(depends),
            "constrains": parts_of(constrains),
            "subdir": subdir,
            "channel": channel,
            "fn": fn,
            "url": f"{channel}/{subdir}/{fn}",
            **fields,
        }
    )


def parts_of(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(";") if part.strip())


def packages(text: str, *, channel: str = MAIN) -> list[RepoDataRecord]:
    """The records of several lines."""
    return [package(line, channel=channel) for line in text.splitlines() if line.strip()]


def source(*records: RepoDataRecord | str) -> RecordSource:
    """A source of records, by channel in the order in which they come up; texts stand for lines of records."""
    channels: dict[str, list[RepoDataRecord]] = {}
    for record in records:
        for one in packages(record) if isinstance(record, str) else [record]:
            channels.setdefault(one.channel, []).append(one)
    return RecordSource(channels)


def specs(*texts: str) -> tuple[MatchSpec, ...]:
    return tuple(MatchSpec.parse(text, lenient=True) for text in texts)


def ask(where: RecordSource, *install: str, **jobs: Any) -> Solution:
    """Solve for these specs; jobs given as texts become specs, what is an option of a solve becomes one."""
    options = SolveOptions(**{key: jobs.pop(key) for key in ("channel_priority", "strategy", "cutoffs") if key in jobs})
    for key in ("remove", "update", "history", "pins"):
        if key in jobs:
            jobs[key] = specs(*jobs[key])
    jobs.setdefault("virtual_packages", LINUX)
    return solve(SolveRequest(install=specs(*install), options=options, **jobs), where)


def shown(solution: Solution) -> str:
    """A solution in one line, by name."""
    return " ".join(sorted(f"{record.name}-{record.version}" for record in solution.records))


def shown_with_builds(solution: Solution) -> str:
    return " ".join(sorted(record.dist for record in solution.records))


def faults(
    records: Sequence[RepoDataRecord],
    requested: Iterable[MatchSpec],
    virtual_packages: Iterable[VirtualPackage] = LINUX,
) -> list[str]:
    """What is wrong with a solution, worked out from the records alone."""
    found: list[str] = []
    present: dict[str, RepoDataRecord] = {package.name: package.record() for package in virtual_packages}
    for record in records:
        if record.name in present:
            found.append(f"two records of {record.name}")
        present[record.name] = record
    for spec in requested:
        if not meets(present, spec):
            found.append(f"{spec} was asked for")
    for record in records:
        for text in record.depends:
            if not meets(present, MatchSpec.parse(text, lenient=True)):
                found.append(f"{record.dist} needs {text}")
        for text in record.constrains:
            spec = MatchSpec.parse(text, lenient=True)
            if spec.name in present and not meets(present, spec):
                found.append(f"{record.dist} goes only with {text}")
    return found


def meets(present: Mapping[str, RepoDataRecord], spec: MatchSpec) -> bool:
    if spec.when is not None and not spec.when.holds(lambda leaf: meets(present, leaf)):
        return True
    record = present.get(spec.name or "")
    return record is not None and spec.matches(record)
