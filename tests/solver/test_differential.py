"""The same questions to kaa and to py-rattler, on the real records of conda-forge.

Both have to agree on whether there is a solution, kaa's has to be one, and in the first thing in which the two differ
of all that kaa wishes for, kaa's must be the better. What remains are differences in taste; docs/design/0011 counts
them. Every check of a change asks the first scenarios; with KAA_ALL_SCENARIOS set to anything it is all of them.
"""

from __future__ import annotations

import os

import pytest

from tests.solver.conda_forge import needs_records

pytest.importorskip("rattler", reason="py-rattler is not installed")

from tests.solver.differences import ALL, SAMPLE, Tally, outcomes, told

pytestmark = [pytest.mark.peers, needs_records]


def test_both_agree() -> None:
    tally = Tally()
    worse = []
    count = ALL if os.environ.get("KAA_ALL_SCENARIOS") else SAMPLE
    for outcome in outcomes(range(count)):
        found = tally.add(outcome)
        assert not outcome.our_faults, (told(outcome.case), outcome.our_faults)
        if found.answered or found.merit.endswith("there"):
            worse.append((told(outcome.case), found.cause, found.detail))
    assert worse == []
    assert tally.answers["kaa solved, py-rattler solved"] > count // 2
    assert tally.answers["kaa unsolvable, py-rattler unsolvable"] > count // 20
    # Most solutions are the same package by package; a change that makes others of them is to be looked at.
    assert tally.causes["no difference"] > 0.75 * sum(tally.causes.values()), tally.report()
