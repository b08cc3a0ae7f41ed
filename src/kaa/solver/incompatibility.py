"""What must not hold together: incompatibilities, and implications, which stand for many of them.

Names are numbers here, and a set of states of a name is one integer: bit 0 "not installed", bit i "candidate i".
Nothing in this module knows what a package is.

An *incompatibility* is a few terms (name, set of states) that must not all hold. An *implication* is a table over two
names: while `source` is in a set, `target` is in the set that belongs to it. Every row, and every union of rows, is an
incompatibility {source ∈ S, target ∉ M}; they are spelled out only when an analysis asks for one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping


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
        "pending",
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
        self.rows: list[tuple[int, int]] = []
        self.pending: list[tuple[int, object]] = []
        self._spelled: dict[int, Incompatibility] = {}

    def postpone(self, states: int, payload: object) -> None:
        """Note what these states ask for, until the target is known."""
        self.covered |= states
        self.pending.append((states, payload))

    def resolve(self, rows: Iterable[tuple[int, int]]) -> None:
        """From now on the target is known; these rows stand for what was postponed."""
        self.resolved = True
        self.pending.clear()
        self.covered = 0
        for states, allows in rows:
            self.add(states, allows)

    def add(self, states: int, allows: int) -> None:
        """One more row; where the states have one already, both must hold."""
        self.meet &= allows
        already = states & self.covered
        if already:
            rows: list[tuple[int, int]] = []
            for row_states, row_allows in self.rows:
                both = row_states & states
                if both and row_allows & ~allows:
                    rows.append((both, row_allows & allows))
                    self.meet &= row_allows & allows
                    row_states &= ~both
                if row_states:
                    rows.append((row_states, row_allows))
            self.rows = rows
            self._spelled.clear()
            states &= ~already
        if not states:
            return
        self.covered |= states
        for position, (row_states, row_allows) in enumerate(self.rows):
            if row_allows == allows:
                self.rows[position] = (row_states | states, allows)
                return
        self.rows.append((states, allows))

    def required(self, source_allowed: int) -> int:
        """What the target may be, given what the source may be."""
        union = 0
        for states, allows in self.rows:
            if states & source_allowed:
                union |= allows
        return union

    def excluded(self, target_allowed: int) -> int:
        """What the source cannot be, given what the target may be."""
        dead = 0
        for states, allows in self.rows:
            if not allows & target_allowed:
                dead |= states
        return dead

    def explain(self, name: int, removed: int) -> Incompatibility:
        """The most general incompatibility of this table that forbids these states of the source or the target."""
        if name == self.target:
            allows = 0
            for _, row_allows in self.rows:
                if not row_allows & removed:
                    allows |= row_allows
        else:
            allows = 0
            for row_states, row_allows in self.rows:
                if row_states & removed:
                    allows |= row_allows
        return self.spell(allows)

    def spell(self, allows: int) -> Incompatibility:
        """{source in any row that allows nothing beyond this, target outside of it}."""
        spelled = self._spelled.get(allows)
        if spelled is None:
            states = 0
            for row_states, row_allows in self.rows:
                if not row_allows & ~allows:
                    states |= row_states
            spelled = Incompatibility({self.source: states, self.target: ~allows}, self)
            self._spelled[allows] = spelled
        return spelled

    def __repr__(self) -> str:
        return f"Implication({self.source} -> {self.target}, {self.rows!r})"
