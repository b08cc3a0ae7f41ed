"""What a proof that there is no solution rests on."""

from __future__ import annotations

from collections.abc import Sequence

from kaa.solver.incompatibility import Incompatibility
from kaa.solver.reasons import Pinned, Requested


def leaves_of(proof: Incompatibility) -> list[Incompatibility]:
    """What a proof rests on, in the order in which it was used."""
    seen: set[int] = set()
    leaves: list[Incompatibility] = []
    waiting = [proof]
    while waiting:
        step = waiting.pop()
        if id(step) in seen:
            continue
        seen.add(id(step))
        if step.causes:
            waiting.extend(reversed(step.causes))
        else:
            leaves.append(step)
    return leaves


def facts_of(proof: Incompatibility) -> list[Requested | Pinned]:
    """The requests and pins that a proof rests on."""
    facts = dict.fromkeys(leaf.reason for leaf in leaves_of(proof) if isinstance(leaf.reason, Requested | Pinned))
    return list(facts)


def names_in(proof: Incompatibility, names: Sequence[str]) -> list[str]:
    """The names that a proof is about, by their numbers."""
    return list(dict.fromkeys(names[number] for leaf in leaves_of(proof) for number in leaf.terms))
