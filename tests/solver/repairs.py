"""Repairs held against what they promise: applied to the request, solved, and compared."""

from __future__ import annotations

from kaa.models.match_spec import MatchSpec
from kaa.solver.candidates import CandidateSource
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.relaxation import Repair, relax
from kaa.solver.request import SolveRequest
from kaa.solver.solution import Solution
from kaa.solver.solve import solve


def check_repairs(
    error: Unsolvable | PackagesNotFound, request: SolveRequest, where: CandidateSource
) -> list[Solution]:
    """Run every repair of an error; returns what came out."""
    assert len({repair.sentence for repair in error.repairs}) == len(error.repairs)
    return [check_repair(repair, request, where) for repair in error.repairs]


def check_repair(repair: Repair, request: SolveRequest, where: CandidateSource) -> Solution:
    """Run one repair."""
    relaxed = relax(request, repair.relaxations)
    assert tuple(MatchSpec.parse(text) for text in repair.specs) == (*relaxed.install, *relaxed.update)
    solution = solve(relaxed, where)
    versions = {record.name: record.version for record in solution.records}
    for given in repair.gives:
        name, _, version = given.partition(" ")
        assert versions[name] == version
    before = {record.name: record for record in request.installed}
    after = {record.name: record for record in solution.records}
    changed = {
        name: (record.version, after[name].version if name in after else "")
        for name, record in before.items()
        if name not in after or (after[name].version, after[name].build) != (record.version, record.build)
    }
    assert changed == {change.name: (change.before, change.after) for change in repair.changes}
    return solution
