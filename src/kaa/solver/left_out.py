"""Candidates that may not be chosen whatever a request says: too new, or not to be had without a network.

They stay known, so that an explanation can tell of them; what is installed is never among them.
"""

from __future__ import annotations

from kaa.models.record import RepoDataRecord
from kaa.solver.cutoffs import Cutoffs
from kaa.solver.reasons import NotOnHand, TooNew
from kaa.solver.request import OnHand
from kaa.solver.states import NameStates, Part

END_OF_TIME = 1 << 62


def left_out(
    states: NameStates, cutoffs: Cutoffs, on_hand: OnHand | None, installed: RepoDataRecord | None
) -> list[tuple[int, TooNew | NotOnHand]]:
    """The states of a name that are left out, with the reason; no state is there twice."""
    found: list[tuple[int, TooNew | NotOnHand]] = []
    kept = 0 if installed is None else states.find(installed)
    if cutoffs.are_any:
        for part in states.parts:
            cutoff = cutoffs.cutoff_of(states.name, part.group.channel)
            if cutoff is not None and part.mask != kept:
                newer = part.too_new(cutoff) & ~kept
                if newer:
                    undated = (part.too_new(END_OF_TIME) & ~kept).bit_count()
                    reason = TooNew(states.name, part.group.channel, cutoff, newer.bit_count(), undated)
                    found.append((newer, reason))
    if on_hand is not None:
        absent = states.universe & ~1 & ~kept
        for mask, _ in found:
            absent &= ~mask
        for part in states.parts:
            absent &= ~candidates_on_hand(part, on_hand)
        if absent:
            found.append((absent, NotOnHand(states.name, absent.bit_count())))
    return found


def candidates_on_hand(part: Part, on_hand: OnHand) -> int:
    """The candidates of a group that need not be fetched; only records of those that may be here are decoded."""
    group = part.group
    if on_hand.has_channel(group.channel):
        return part.mask
    present = 0
    for position, dist in enumerate(part.dists()):
        if on_hand.may_have(dist) and on_hand.has(group.record(position)):
            present |= 1 << (position + part.shift + 1)
    return present
