"""Names are opened when they are first needed: columns of dependency strings become implications.

All remaining candidates of a name are opened together, and every distinct dependency string counts for all candidates
that carry it. What a dependency asks of a name is worked out only when that name itself is needed; until then the
name is not even loaded, and a name that is only constrained never is.

Extras (CEP 44) are names of their own with two states: `name[extra]` is chosen or not, and while it is, the candidates
of `name` need what the extra adds. Conditions (CEP 43) are more terms in the same incompatibility.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from kaa.models.condition import And, Condition, Leaf
from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.candidates import (
    ABSENT,
    CandidateGroup,
    CandidateSource,
    Need,
    RecordGroup,
    Row,
    UnusableCandidate,
    dependency_text,
)
from kaa.solver.cutoffs import Cutoffs
from kaa.solver.incompatibility import Implication, Incompatibility
from kaa.solver.left_out import left_out
from kaa.solver.ranges import Ranges
from kaa.solver.reasons import Conditional, Constrains, Depends, Pinned, Unreadable, Unusable
from kaa.solver.request import ChannelPriority, OnHand
from kaa.solver.search import Search
from kaa.solver.states import NameStates, Query, query_of, read_rest

CHOSEN = 2
"""The state of an extra that is asked for."""

INSTALLED_RANK = 1 << 30
"""The rank of an installed record that no channel offers."""

MOST_ALTERNATIVES = 64
"""A condition that unfolds into more alternatives than this is taken for unreadable."""


class Unopened(msgspec.Struct):
    """Dependency strings on one name that no needed candidate carried so far; `irregular` if some must be read."""

    name: str
    constrains: bool
    rows: list[Row]
    irregular: bool
    implication: Implication | None = None


class Waiting(msgspec.Struct):
    """A dependency with conditions: the terms known so far, and the leaves whose names nobody has needed yet.

    `query` says what is needed of the name; without one the name is an extra, which is to be chosen.
    """

    terms: dict[int, int]
    leaves: list[MatchSpec]
    needs: str
    query: Query | None
    constrains: bool
    reason: Conditional


class World(msgspec.Struct):
    """What there is to choose from: the source, the machine, what is installed, and how channels rank."""

    source: CandidateSource
    channel_priority: ChannelPriority = "strict"
    virtual_packages: Mapping[str, VirtualPackage] = msgspec.field(default_factory=dict)
    installed: Mapping[str, RepoDataRecord] = msgspec.field(default_factory=dict)
    any_channel: Collection[str] = ()
    """Names for which a request or a pin names a channel: that beats strict priority."""
    ranges: Ranges = msgspec.field(default_factory=Ranges)
    cutoffs: Cutoffs = Cutoffs()
    on_hand: OnHand | None = None
    """If there is one, nothing else may be chosen."""
    reads: bool = True
    """Whether unread candidates are read; without that, what their columns say is all that counts."""
    known: dict[str, NameStates] = msgspec.field(default_factory=dict)
    """The states of names that were asked for before."""

    def share(self, other: World) -> None:
        """Take over what is known in a world of the same source, machine and environment, where it is the same here."""
        self.ranges = other.ranges
        moved = set(self.any_channel) ^ set(other.any_channel)
        same = self.channel_priority == other.channel_priority
        if same and not moved:
            # Both learn what either of them comes to know.
            self.known = other.known
            return
        self.known = {
            name: states
            for name, states in other.known.items()
            if name not in moved and (same or (other.channel_priority == "strict" and not states.shut_out))
        }

    def states_of(self, name: str) -> NameStates:
        """The states of a name, which must have been loaded."""
        states = self.known.get(name)
        if states is None:
            states = self.known[name] = self._states_of(name)
        return states

    def _states_of(self, name: str) -> NameStates:
        if name.startswith("__"):
            package = self.virtual_packages.get(name)
            if package is None:
                return NameStates(name, (), self.ranges)
            states = NameStates(name, (RecordGroup(name, "", "", 0, (package.record(),)),), self.ranges)
            states.universe &= ~ABSENT
            return states
        groups = self.source.groups(name)
        shut_out: Sequence[CandidateGroup] = ()
        if self.channel_priority == "strict" and name not in self.any_channel:
            groups, shut_out = first_channel(groups)
        states = NameStates(name, groups, self.ranges, shut_out)
        record = self.installed.get(name)
        if record is not None and not states.find(record):
            own = RecordGroup(name, record.channel, record.subdir, INSTALLED_RANK, (record,))
            states = NameStates(name, [*groups, own], self.ranges, shut_out)
        elif record is not None and states.unread:
            states.take_installed(record)
        return states


def first_channel(groups: Sequence[CandidateGroup]) -> tuple[Sequence[CandidateGroup], Sequence[CandidateGroup]]:
    """The groups of the first channel that has a candidate, and the others, whose columns are not looked at."""
    if len(groups) < 2 or groups[0].rank == groups[-1].rank:
        # They are in the order of their channels.
        return groups, ()
    for rank in sorted({group.rank for group in groups}):
        own = [group for group in groups if group.rank == rank]
        if any(group.columns.count for group in own):
            return own, [group for group in groups if group.rank != rank]
    return groups, ()


class Opening:
    """The names of a search, and what they bring into it."""

    def __init__(self, world: World, search: Search) -> None:
        self.world = world
        self.search = search
        self.names: list[str] = []
        self._numbers: dict[str, int] = {}
        self._states: list[NameStates | None] = []
        self._unopened: dict[int, list[Unopened]] = {}
        self._postponed: dict[Implication, list[Row]] = {}
        """The rows whose target is not known yet."""
        self._waiting: dict[str, list[Waiting]] = {}
        self._extras: dict[int, tuple[str, str]] = {}
        self._not_yet_loaded: dict[str, None] = {}
        self._pins: dict[str, list[MatchSpec]] = {}
        self._leaves_out = world.cutoffs.are_any or world.on_hand is not None
        self.left_out: dict[int, int] = {}
        """By name the candidates that may not be chosen, for reasons that stand in facts of the search."""
        self.lazy: dict[int, NameStates] = {}
        """The names with candidates that are to be read before they are chosen."""

    # Names

    def number_of(self, name: str) -> int:
        """The number of a name; a new one has no states until it is loaded."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = self.search.add_name(ABSENT)
            self.names.append(name)
            self._states.append(None)
        return number

    def states(self, number: int) -> NameStates:
        """The states of a loaded name."""
        states = self._states[number]
        assert states is not None
        return states

    def is_loaded(self, number: int) -> bool:
        return self._states[number] is not None

    def is_package(self, number: int) -> bool:
        """Whether a name is that of a package, not of an extra."""
        return number not in self._extras

    def load(self, names: Iterable[str]) -> None:
        """Make the states of names known, and what others ask of them; the source is asked once for all."""
        waiting = dict.fromkeys(names)
        while waiting or self._not_yet_loaded:
            waiting.update(self._not_yet_loaded)
            self._not_yet_loaded.clear()
            numbers = [number for number in map(self.number_of, waiting) if self._states[number] is None]
            waiting.clear()
            if numbers:
                self.world.source.load([self.names[n] for n in numbers if not self.names[n].startswith("__")])
            for number in numbers:
                if self._states[number] is None:
                    self._load(number)

    def _load(self, number: int) -> None:
        name = self.names[number]
        states = self.world.states_of(name)
        self._states[number] = states
        self.search.partial.set_universe(number, states.universe)
        if not states.universe & ABSENT:
            self.search.opened[number] = states.universe
        postponed, fresh = self._postponed, self.search.fresh
        for implication in self.search.incoming[number]:
            if not implication.resolved:
                implication.resolve(self._rows(implication, states, postponed.pop(implication, ())))
                fresh.append(implication)
        if self._leaves_out and not name.startswith("__"):
            self._leave_out(number, states)
        if states.unread and self.world.reads:
            self.lazy[number] = states
        for state, why in states.unusable.items():
            self._refuse(number, state, why)
        for pin in self._pins.get(name, ()):
            self._hold_pin(number, pin)
        for waiting in self._waiting.pop(name, ()):
            self._advance(waiting)

    def _leave_out(self, number: int, states: NameStates) -> None:
        world = self.world
        for refused, reason in left_out(states, world.cutoffs, world.on_hand, world.installed.get(states.name)):
            self.left_out[number] = self.left_out.get(number, 0) | refused
            self.search.add_incompatibility(Incompatibility({number: refused}, reason))

    def pin(self, pins: Iterable[MatchSpec]) -> None:
        """Pins hold for names as soon as they are loaded; call it before anything is."""
        for pin in pins:
            if pin.name is not None:
                self._pins.setdefault(pin.name, []).append(pin)

    def _hold_pin(self, number: int, pin: MatchSpec) -> None:
        states = self.states(number)
        refused = states.universe & ~(states.matching(query_of(pin)) | ABSENT)
        if refused:
            self.search.add_incompatibility(Incompatibility({number: refused}, Pinned(pin)))

    def _rows(self, implication: Implication, states: NameStates, rows: Iterable[Row]) -> list[tuple[int, int]]:
        """Rows of texts as rows of states; a dependency that cannot be read makes its candidates impossible."""
        known = states.known
        optional = 0 if implication.demanding else ABSENT
        alive = self.search.partial.settled(implication.source)
        found: list[tuple[int, int]] = []
        for carriers, rest, ask in rows:
            if not carriers & alive:
                continue
            allows = known.get(rest)
            if allows is None:
                try:
                    allows = states.matching_ask(rest, ask)
                except InvalidText as error:
                    if implication.demanding:
                        text = dependency_text(states.name, rest)
                        self._disable(implication.source, carriers, text, error.message)
                        continue
                    # A constraint that cannot be read accepts nothing of that name.
                    allows = 0
            found.append((carriers, allows | optional))
        return found

    def _disable(self, number: int, carriers: int, text: str, message: str) -> None:
        """Make candidates impossible because of a text that cannot be read."""
        reason = Unreadable(self.names[number], text, message)
        self.search.add_incompatibility(Incompatibility({number: carriers}, reason))

    def _refuse(self, number: int, state: int, why: str) -> None:
        """Make a candidate impossible of which cannot be read what it asks for."""
        self.search.add_incompatibility(Incompatibility({number: state}, Unusable(self.names[number], why)))

    # Reading

    def read(self, number: int, state: int) -> list[Need]:
        """Have a candidate read, add to the search what it asks for, and return what it depends on."""
        states = self.states(number)
        try:
            found = states.read(state)
        except UnusableCandidate as error:
            self._refuse(number, state, error.reason)
            return []
        self._add_read(number, state, False, found.depends)
        self._add_read(number, state, True, found.constrains)
        for extra, needs in found.extras.items():
            chosen = self._numbers.get(f"{states.name}[{extra}]")
            if chosen is not None and self.search.opened[chosen] & CHOSEN:
                self._add_extra_needs(chosen, number, needs)
        self.load(())
        return found.depends

    def _add_read(self, number: int, state: int, constrains: bool, needs: Iterable[Need]) -> None:
        """Needs of one state of a name; if it is not opened yet, they are kept with the others until it is."""
        unopened = self._unopened.get(number)
        is_open = self.search.opened[number] & state
        if unopened is None and not is_open:
            # All needs are collected when the name is opened.
            return
        for need in needs:
            asked = self._unopened_of(number, need.name, constrains)
            asked.irregular |= need.irregular
            if is_open:
                self._imply(number, asked, need.rows)
            else:
                asked.rows = asked.rows + need.rows
                if unopened is not None and not any(asked is one for one in unopened):
                    unopened.append(asked)

    def _unopened_of(self, number: int, name: str, constrains: bool) -> Unopened:
        """The dependency strings of a name on another one, which go on in the implication that they have already."""
        for asked in self._unopened.get(number, ()):
            if asked.name == name and asked.constrains == constrains:
                return asked
        target = self._numbers.get(name)
        for implication in self.search.outgoing[number]:
            if implication.target == target and implication.demanding != constrains:
                return Unopened(name, constrains, [], False, implication)
        return Unopened(name, constrains, [], False)

    # Opening

    def open(self, search: Search, needed: Sequence[int], wanted: Sequence[int]) -> None:
        """Add what the remaining candidates of the needed names ask for; make known what the wanted names are."""
        self.load(self.names[number] for number in wanted)
        for number in needed:
            extra = self._extras.get(number)
            if extra is not None:
                self._open_extra(number, *extra)
            else:
                self._open(number)
        self.load(())

    def look_ahead(self, number: int, state: int) -> None:
        """Make known what a candidate will need if it is chosen: perhaps it cannot be had."""
        wanted = [
            self.names[implication.target]
            for implication in self.search.outgoing[number]
            if not implication.resolved and implication.demanding and implication.covered & state
        ]
        if wanted:
            self.load(wanted)

    def _open(self, number: int) -> None:
        fresh = self.search.partial.allowed[number] & ~self.search.opened[number]
        unopened = self._unopened.get(number)
        states = self.states(number)
        if unopened is None:
            unopened = self._collect(states)
        left: list[Unopened] = []
        if not states.universe & ~fresh & ~ABSENT:
            for asked in unopened:
                self._imply(number, asked, asked.rows)
        else:
            for asked in unopened:
                rows = asked.rows
                ripe = [row for row in rows if row[0] & fresh]
                if len(ripe) < len(rows):
                    left.append(asked)
                    if not ripe:
                        continue
                    asked.rows = [row for row in rows if not row[0] & fresh]
                self._imply(number, asked, ripe)
        self._unopened[number] = left

    def _collect(self, states: NameStates) -> list[Unopened]:
        """All dependency strings of a name."""
        if len(states.parts) == 1:
            part = states.parts[0]
            found = [Unopened(need.name, False, need.rows, need.irregular) for need in part.depends]
            found += [Unopened(need.name, True, need.rows, need.irregular) for need in part.constrains]
            return found
        merged: dict[tuple[str, bool], Unopened] = {}
        for part in states.parts:
            for constrains, needs in ((False, part.depends), (True, part.constrains)):
                for need in needs:
                    asked = merged.get((need.name, constrains))
                    if asked is None:
                        merged[need.name, constrains] = Unopened(need.name, constrains, need.rows, need.irregular)
                    else:
                        asked.rows = asked.rows + need.rows
                        asked.irregular |= need.irregular
        return list(merged.values())

    def _imply(self, number: int, asked: Unopened, rows: list[Row]) -> None:
        """While the name is one of the states of a row, the other is as the text of the row says."""
        if asked.irregular:
            name, constrains = asked.name, asked.constrains
            rows = [row for row in rows if not self._imply_irregular(number, name, constrains, row[0], row[1])]
            if not rows:
                return
        implication = asked.implication
        search = self.search
        if implication is None:
            name = asked.name
            target = self.number_of(name)
            if target == number:
                self._imply_itself(number, asked.constrains, rows)
                return
            if self._states[target] is None and name.startswith("__"):
                # The machine is there from the start, whether anybody needs to know or not.
                self._load(target)
            reason = (Constrains if asked.constrains else Depends)(self.names[number], name)
            implication = asked.implication = Implication(number, target, reason, demanding=not asked.constrains)
            search.add_implication(implication)
        states = self._states[implication.target]
        if states is not None:
            found = self._rows(implication, states, rows)
            if implication.rows:
                for carriers, allows in found:
                    implication.add(carriers, allows)
            else:
                implication.resolve(found)
            search.fresh.append(implication)
            return
        covered = implication.covered
        for row in rows:
            covered |= row[0]
        implication.covered = covered
        postponed = self._postponed.get(implication)
        self._postponed[implication] = rows if postponed is None else postponed + rows
        if implication.demanding and not search.partial.allowed[number] & ~covered:
            search.want(implication.target)

    def _imply_itself(self, number: int, constrains: bool, rows: list[Row]) -> None:
        """A package that asks for something of its own name: what does not meet it is impossible."""
        states = self.states(number)
        for carriers, rest, _ in rows:
            try:
                impossible = carriers & ~states.matching_rest(rest)
            except InvalidText as error:
                self._disable(number, carriers, dependency_text(states.name, rest), error.message)
                continue
            if impossible:
                kind = Constrains if constrains else Depends
                fact = Incompatibility({number: impossible}, kind(states.name, states.name))
                self.search.add_incompatibility(fact)

    def _imply_irregular(self, number: int, name: str, constrains: bool, carriers: int, rest: str) -> bool:
        """Take care of a dependency with a condition or extras, or without its name in front; False if it has none."""
        text = dependency_text(name, rest)
        regular = bool(name)
        try:
            if not regular:
                spec = MatchSpec.parse(text, lenient=True)
                if spec.name is None:
                    self._disable(number, carriers, text, "it names no package")
                    return True
                name, query = spec.name, query_of(spec)
            else:
                query = read_rest(name, rest)
            alternatives = alternatives_of(query.when)
        except InvalidText as error:
            self._disable(number, carriers, text, error.message)
            return True
        if alternatives is None:
            self._disable(number, carriers, text, "its condition has too many alternatives")
            return True
        if regular and query.when is None and not query.extras:
            return False
        for leaves in alternatives:
            self._add_conditional({number: carriers}, leaves, name, text, query, constrains)
        return True

    # Conditions and extras

    def _add_conditional(
        self,
        terms: Mapping[int, int],
        leaves: Sequence[MatchSpec],
        needs: str,
        text: str,
        query: Query,
        constrains: bool,
    ) -> None:
        """While all terms and leaves hold, a name is what the query asks for, with its extras."""
        reason = Conditional(self.names[next(iter(terms))], text, needs)
        self._advance(Waiting(dict(terms), list(leaves), needs, query, constrains, reason))
        if not constrains:
            for extra in query.extras:
                chosen = self.names[self.extra_of(needs, extra)]
                self._advance(Waiting(dict(terms), list(leaves), chosen, None, False, reason))

    def _advance(self, waiting: Waiting) -> None:
        """Turn leaves into terms as far as their names are known; at the end add the incompatibility."""
        while waiting.leaves:
            leaf = waiting.leaves[-1]
            assert leaf.name is not None
            number = self.number_of(leaf.name)
            if not self.is_loaded(number):
                if not leaf.name.startswith("__"):
                    self._waiting.setdefault(leaf.name, []).append(waiting)
                    return
                self._load(number)
            waiting.leaves.pop()
            if not narrow_term(waiting.terms, number, self.states(number).matching(query_of(leaf))):
                return
        target = self.number_of(waiting.needs)
        refused = ABSENT
        if waiting.query is not None:
            if not self.is_loaded(target):
                self._waiting.setdefault(waiting.needs, []).append(waiting)
                if not waiting.constrains:
                    self._not_yet_loaded[waiting.needs] = None
                return
            states = self.states(target)
            allows = states.matching(waiting.query)
            refused = states.universe & ~(allows | ABSENT if waiting.constrains else allows)
        if narrow_term(waiting.terms, target, refused):
            self.search.add_incompatibility(Incompatibility(waiting.terms, waiting.reason))

    def extra_of(self, name: str, extra: str) -> int:
        """The number of the name that stands for an extra of a package."""
        number = self._numbers.get(f"{name}[{extra}]")
        if number is None:
            number = self.number_of(f"{name}[{extra}]")
            self.search.partial.set_universe(number, ABSENT | CHOSEN)
            self._extras[number] = (name, extra)
        return number

    def _open_extra(self, number: int, name: str, extra: str) -> None:
        """An extra was chosen: the candidates of its package need what it adds."""
        self.load((name,))
        package = self.number_of(name)
        for part in self.states(package).parts:
            self._add_extra_needs(number, package, part.extra_needs(extra))

    def _add_extra_needs(self, number: int, package: int, needs: Iterable[Need]) -> None:
        for need in needs:
            for carriers, rest, _ in need.rows:
                self._add_of_extra(number, package, carriers, dependency_text(need.name, rest))

    def _add_of_extra(self, number: int, package: int, carriers: int, text: str) -> None:
        try:
            spec = MatchSpec.parse(text, lenient=True)
            alternatives = alternatives_of(spec.when)
        except InvalidText as error:
            reason = Unreadable(self.names[package], text, error.message)
            self.search.add_incompatibility(Incompatibility({package: carriers, number: CHOSEN}, reason))
            return
        if alternatives is None or spec.name is None:
            reason = Unreadable(self.names[package], text, "it names no package, or its condition is too long")
            self.search.add_incompatibility(Incompatibility({package: carriers, number: CHOSEN}, reason))
            return
        for leaves in alternatives:
            terms = {package: carriers, number: CHOSEN}
            self._add_conditional(terms, leaves, spec.name, text, query_of(spec), False)


def narrow_term(terms: dict[int, int], name: int, states: int) -> bool:
    """Add a term; False when the terms can no longer all hold."""
    present = terms.get(name, -1) & states
    terms[name] = present
    return present != 0


def alternatives_of(condition: Condition | None) -> list[list[MatchSpec]] | None:
    """A condition as alternatives, in each of which all specs must hold; None when there are too many."""
    if condition is None:
        return [[]]
    if isinstance(condition, Leaf):
        return [[condition.spec]]
    parts = [alternatives_of(part) for part in condition.parts]
    if isinstance(condition, And):
        combined: list[list[MatchSpec]] = [[]]
        for part in parts:
            if part is None or len(combined) * len(part) > MOST_ALTERNATIVES:
                return None
            combined = [first + second for first in combined for second in part]
        return combined
    found: list[list[MatchSpec]] = []
    for part in parts:
        if part is None or len(found) + len(part) > MOST_ALTERNATIVES:
            return None
        found += part
    return found
