"""From a conflict to a lesson: resolve it with the reasons on the trail until it says something new, or nothing.

The lesson is an incompatibility with one single term that came to hold at the present level; one level earlier it
is a plain fact about that name. An incompatibility without terms says that there is no solution; the resolved
incompatibilities that led to it are the proof.
"""

from __future__ import annotations

import msgspec

from kaa.solver.incompatibility import Incompatibility
from kaa.solver.partial_solution import PartialSolution

LEARNT = "learnt"
"""The reason of an incompatibility that follows from its causes."""


class Lesson(msgspec.Struct, frozen=True):
    """What was learnt; go back to `level`, where it forbids states of `name` (-1: it has no terms, all is lost)."""

    learnt: Incompatibility
    level: int
    name: int
    other: int
    """The name whose term came to hold last among the others (-1: there is no other)."""


def analyze(partial: PartialSolution, conflict: Incompatibility) -> Lesson:
    """The lesson of an incompatibility all of whose terms hold."""
    causes = [conflict]
    terms: dict[int, int] = {}
    places: dict[int, int] = {}
    merge(partial, terms, places, conflict, without=-1)
    while terms:
        last = max(places, key=places.__getitem__)
        place = places[last]
        level = partial.level_of(place)
        reason = partial.reasons[place]
        other, other_place = -1, -1
        for name, found in places.items():
            if name != last and found > other_place:
                other, other_place = name, found
        if reason is None or (level > 0 and partial.level_of(other_place) < level):
            learnt = conflict if len(causes) == 1 else Incompatibility(terms, LEARNT, tuple(causes))
            return Lesson(learnt, partial.level_of(other_place) if other >= 0 else 0, last, other)
        states = terms.pop(last)
        del places[last]
        cause = reason.explain(last, partial.before[place] & ~states)
        causes.append(cause)
        states |= cause.terms[last]
        merge(partial, terms, places, cause, without=last)
        if partial.universe[last] & ~states:
            terms[last] = states
            places[last] = partial.satisfier(last, states)
    return Lesson(Incompatibility({}, LEARNT, tuple(causes)), -1, -1, -1)


def merge(
    partial: PartialSolution, terms: dict[int, int], places: dict[int, int], cause: Incompatibility, *, without: int
) -> None:
    """Add the terms of a cause, except that of one name; where a name has a term already, both must hold."""
    universe = partial.universe
    for name, states in cause.terms.items():
        if name == without:
            continue
        present = terms.get(name)
        if present is not None:
            both = present & states
            if both == present:
                continue
            states = both
        states &= universe[name]
        if states == universe[name]:
            continue
        terms[name] = states
        places[name] = partial.satisfier(name, states)
