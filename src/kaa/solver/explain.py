"""Why there is no solution, in words: the proof of the search → one sentence, a tree of causes, and ways out.

The proof rests on facts: requests, pins, what candidates depend on, what is missing. The tree begins at the requests
that take part in it and follows only those dependencies that do, versions folded to ranges, until it comes to what
cannot be had.
"""

from __future__ import annotations

from dataclasses import dataclass

from kaa.solver.incompatibility import Incompatibility
from kaa.solver.opening import Opening
from kaa.solver.reasons import Pinned, Requested


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is said about a contradiction."""

    summary: str
    lines: tuple[str, ...]
    hints: tuple[str, ...]
    requests: tuple[str, ...]
    pins: tuple[str, ...]


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


def explain(proof: Incompatibility, opening: Opening) -> Explanation:
    """The explanation of a proof."""
    return Explanation("no solution", tuple(repr(leaf) for leaf in leaves_of(proof)), (), (), ())
