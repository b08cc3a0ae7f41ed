"""What specs mean to the solver, which never parses them, beside what they mean to `MatchSpec`."""

from __future__ import annotations

import pytest

from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import Ask, dependency_text
from kaa.solver.opening import World
from kaa.solver.states import NameStates
from tests.solver.conda_forge import PLATFORMS, needs_records, records, where

pytestmark = [pytest.mark.slow, needs_records]


def asked_on(platform: str) -> dict[str, dict[str, Ask]]:
    """By name, what follows it in the dependency strings of a platform, with what the columns say that it asks."""
    found: dict[str, dict[str, Ask]] = {}
    source = where(platform)
    for name in sorted({record.name for record in records(platform)}):
        states = World(source).states_of(name)
        for part in states.parts:
            for need in (*part.depends, *part.constrains):
                found.setdefault(need.name, {}).update((rest, ask) for _, rest, ask in need.rows)
    return found


def members(states: NameStates) -> list[tuple[int, RepoDataRecord]]:
    """All candidates of a name, each with its state."""
    return [
        (1 << (position + part.shift + 1), part.group.record(position))
        for part in states.parts
        for position in range(part.columns.count)
    ]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_states_of_a_dependency_are_the_records_that_it_matches(platform: str) -> None:
    compared = 0
    for name, texts in asked_on(platform).items():
        assert name
        states = World(where(platform)).states_of(name)
        candidates = members(states)
        for rest, ask in texts.items():
            spec = MatchSpec.parse(dependency_text(name, rest), lenient=True)
            expected = sum(state for state, record in candidates if spec.matches(record))
            assert states.matching_ask(rest, ask) == expected, (name, rest)
            compared += len(candidates)
    assert compared > 200_000
