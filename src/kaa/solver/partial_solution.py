"""The partial solution: the states still allowed of every name, and the trail of how that came to be.

An entry of the trail narrows one name; its reason is an incompatibility or an implication, or None for a decision.
Every decision begins a new level; going back to a level restores what the later entries narrowed.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TypeAlias

from kaa.solver.incompatibility import Implication, Incompatibility

Reason: TypeAlias = Incompatibility | Implication | None


class PartialSolution:
    """Allowed states per name, trail, levels, undo."""

    __slots__ = ("allowed", "before", "history", "level_starts", "names", "reasons", "required", "universe")

    def __init__(self) -> None:
        self.universe: list[int] = []
        self.allowed: list[int] = []
        self.history: list[list[int]] = []
        """For every name the places of its entries in the trail."""
        self.names: list[int] = []
        self.before: list[int] = []
        self.reasons: list[Reason] = []
        self.level_starts: list[int] = []
        self.required: list[int] = []
        """The names that cannot stay uninstalled, in the order in which that was found."""

    @property
    def level(self) -> int:
        return len(self.level_starts)

    def add_name(self, universe: int) -> int:
        """A new name, with all its states; returns its number."""
        self.universe.append(universe)
        self.allowed.append(universe)
        self.history.append([])
        return len(self.universe) - 1

    def set_universe(self, name: int, universe: int) -> None:
        """The states of a name that nothing has narrowed yet."""
        assert not self.history[name]
        self.universe[name] = universe
        self.allowed[name] = universe

    def decide(self, name: int, states: int) -> None:
        """Begin a level by choosing some of the allowed states."""
        self.level_starts.append(len(self.names))
        self.narrow(name, states, None)

    def narrow(self, name: int, states: int, reason: Reason) -> None:
        """Allow only these states from now on; something must be left, and something must go."""
        before = self.allowed[name]
        after = before & states
        self.allowed[name] = after
        self.history[name].append(len(self.names))
        self.names.append(name)
        self.before.append(before)
        self.reasons.append(reason)
        if before & 1 and not after & 1:
            self.required.append(name)

    def backjump(self, level: int) -> list[int]:
        """Undo everything above a level; returns the names that are wider now."""
        start = self.level_starts[level]
        del self.level_starts[level:]
        names, before, allowed = self.names, self.before, self.allowed
        restored: dict[int, None] = {}
        for place in range(len(names) - 1, start - 1, -1):
            name = names[place]
            if before[place] & 1 and not allowed[name] & 1:
                self.required.pop()
            allowed[name] = before[place]
            self.history[name].pop()
            restored[name] = None
        del names[start:], before[start:], self.reasons[start:]
        return list(restored)

    def settled(self, name: int) -> int:
        """What is allowed of a name whatever is decided: the states of level 0."""
        if not self.level_starts:
            return self.allowed[name]
        first_decision = self.level_starts[0]
        for entry in self.history[name]:
            if entry >= first_decision:
                return self.before[entry]
        return self.allowed[name]

    def satisfier(self, name: int, states: int) -> int:
        """The place of the entry with which the term began to hold; -1 if it held before all entries."""
        before = self.before
        for entry in reversed(self.history[name]):
            if before[entry] & ~states:
                return entry
        return -1

    def level_of(self, place: int) -> int:
        """The level of a place in the trail."""
        return bisect_right(self.level_starts, place)
