"""What must not hold together: incompatibilities, and implications, which stand for many of them.

Names are numbers here, and a set of states of a name is one integer: bit 0 "not installed", bit i "candidate i".
Nothing in this module knows what a package is.

An *incompatibility* is a few terms (name, set of states) that must not all hold. An *implication* is a table over two
names: while `source` is in a set, `target` is in the set that belongs to it. Every row, and every union of rows, is an
incompatibility {source ∈ S, target ∉ M}; they are spelled out only when an analysis asks for one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class Incompatibility:
    """Terms that must not all hold, with the reason: what the world said, or what it was learnt from."""

    __slots__ = ("causes", "reason", "terms", "watched")

    terms: Mapping[int, int]
    """The set of each name; the term holds when all states still allowed are in it."""

    def __init__(self, terms: Mapping[int, int], reason: object, causes: tuple[Incompatibility, ...] = ()) -> None:
        self.terms = terms
        self.reason = reason
        self.causes = causes
        self.watched: tuple[int, int] = (-1, -1)

    def explain(self, name: int, removed: int) -> Incompatibility:
        """The incompatibility that forbids these states of the name: this one."""
        return self

    def __repr__(self) -> str:
        return f"Incompatibility({dict(self.terms)!r}, {self.reason!r})"


class Implication:
    """While `source` is in the first set of a row, `target` is in the second; the first sets are disjoint.

    An implication begins *unresolved*: it is known for which states of the source (`covered`) there is a row, but not
    yet what it asks of the target. One that is `demanding` has to be resolved once it holds for all states left; the
    others never need the target to be installed. `meet` is what all rows allow the target.
    """

    __slots__ = (
        "_spelled",
        "covered",
        "demanding",
        "meet",
        "reason",
        "resolved",
        "rows",
        "source",
        "target",
    )

    def __init__(self, source: int, target: int, reason: object, *, demanding: bool = True) -> None:
        self.source = source
        self.demanding = demanding
        self.target = target
        self.reason = reason
        self.covered = 0
        self.meet = -1
        self.resolved = False
        self.rows: dict[int, int] = {}
        """What the target may be → the states of the source that allow just this."""
        self._spelled: dict[int, Incompatibility] = {}

    def resolve(self, rows: Sequence[tuple[int, int]]) -> None:
        """From now on the target is known; these are the rows for all states that were covered."""
        self.resolved = True
        if len(rows) == 1:
            [(self.covered, self.meet)] = rows
            self.rows = {self.meet: self.covered}
            return
        covered = 0
        meet = -1
        table: dict[int, int] = {}
        overlapping: list[tuple[int, int]] = []
        for states, allows in rows:
            if states & covered:
                overlapping.append((states, allows))
                continue
            covered |= states
            meet &= allows
            table[allows] = table.get(allows, 0) | states
        self.rows, self.covered, self.meet = table, covered, meet
        for states, allows in overlapping:
            self.add(states, allows)

    def add(self, states: int, allows: int) -> None:
        """One more row; where the states have one already, both must hold."""
        self._spelled.clear()
        already = states & self.covered
        if already:
            self._split(already, allows)
            states &= ~already
            if not states:
                return
        self.covered |= states
        self.meet &= allows
        self.rows[allows] = self.rows.get(allows, 0) | states

    def _split(self, states: int, allows: int) -> None:
        """Let states that have rows already allow no more than this as well."""
        rows: dict[int, int] = {}
        for row_allows, row_states in self.rows.items():
            both = row_states & states
            if both:
                narrower = row_allows & allows
                self.meet &= narrower
                rows[narrower] = rows.get(narrower, 0) | both
            if row_states & ~states:
                rows[row_allows] = rows.get(row_allows, 0) | (row_states & ~states)
        self.rows = rows

    def required(self, source_allowed: int) -> int:
        """What the target may be, given what the source may be."""
        union = 0
        for allows, states in self.rows.items():
            if states & source_allowed:
                union |= allows
        return union

    def excluded(self, target_allowed: int) -> int:
        """What the source cannot be, given what the target may be."""
        dead = 0
        for allows, states in self.rows.items():
            if not allows & target_allowed:
                dead |= states
        return dead

    def explain(self, name: int, removed: int) -> Incompatibility:
        """The most general incompatibility of this table that forbids these states of the source or the target."""
        if name == self.target:
            allows = 0
            for row_allows in self.rows:
                if not row_allows & removed:
                    allows |= row_allows
        else:
            allows = 0
            for row_allows, row_states in self.rows.items():
                if row_states & removed:
                    allows |= row_allows
        return self.spell(allows)

    def spell(self, allows: int) -> Incompatibility:
        """{source in any row that allows nothing beyond this, target outside of it}."""
        spelled = self._spelled.get(allows)
        if spelled is None:
            states = 0
            for row_allows, row_states in self.rows.items():
                if not row_allows & ~allows:
                    states |= row_states
            spelled = Incompatibility({self.source: states, self.target: ~allows}, self)
            self._spelled[allows] = spelled
        return spelled

    def __repr__(self) -> str:
        return f"Implication({self.source} -> {self.target}, {self.rows!r})"
