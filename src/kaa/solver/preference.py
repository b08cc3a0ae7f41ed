"""Which candidate is tried first, and which name is decided next (formats.md §10, as rattler does it).

Between candidates of one name: those without track_features, then (flexible priority) the earlier channel, then version
and build number, highest first. Among those that tie so far, the dependencies that all candidates of the tie share
are compared by name: better is whose dependency admits the higher version. Then the newer timestamp wins, and at last
the dist string. Of candidates that can be read, only those dependencies count that are known without reading, so that
the order is the same before and after.

Between names: wishes first, in their order; they say what is to be kept and what was asked for directly. Then the
required name with the fewest states left, but a name that an undecided one needs waits for that one, and as soon as
python need not wait it comes before the others: it is not given up for a library that happens to have fewer states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from typing import TypeAlias

import msgspec

from kaa.models.invalid_text import InvalidText
from kaa.models.version import Version
from kaa.solver.candidates import ABSENT, Need
from kaa.solver.opening import Opening, World
from kaa.solver.reading import Reading
from kaa.solver.request import SolveOptions
from kaa.solver.search import Search
from kaa.solver.states import NameStates, Part, read_rest

PYTHON = "python"

Highest: TypeAlias = tuple[bool, Version] | None
"""Whether the highest version comes without track_features, and that version; None when there is no candidate."""


class Wish(msgspec.Struct, frozen=True):
    """States of a name to be tried before anything of a later wish; without states, its best candidate."""

    name: int
    states: int | None = None


class Tie(msgspec.Struct):
    """Candidates of one part that are equal so far: those still allowed, and all that there are."""

    part: Part
    allowed: int
    everything: int


class Preference:
    """The order of candidates and of names in one search."""

    def __init__(self, world: World, options: SolveOptions, check: Callable[[], None]) -> None:
        self.search = Search()
        self.opening = Opening(world, self.search)
        self._reading: Reading | None = None
        self._wished: dict[int, list[int]] = {}
        """By name the states that are wished for, in the order of the wishes."""
        self._check = check
        self._options = options
        self._flexible = options.channel_priority == "flexible"
        self._several_channels = frozenset(world.any_channel) if options.channel_priority == "strict" else frozenset()
        """Names that strict priority does not bind to one channel; of those that are asked for the first is best."""
        self._wishes: list[Wish] = []
        self._direct: set[int] = set()
        self._next_wish = 0
        self._conflicts = 0
        self._seen = -1
        """How much of the trail is known to the heap; -1: start again."""
        self._heap: list[tuple[int, str, int]] = []
        """Undecided names by the number of their states (0 for python); entries that no longer hold are passed over."""
        self._blocked: dict[int, dict[int, None]] = {}
        """Undecided names that wait for the decision on a name that needs them."""
        self._highest: dict[tuple[str, tuple[str, ...]], Highest] = {}

    def wish(self, wishes: Iterable[Wish]) -> None:
        """Add wishes after those that there are."""
        for wish in wishes:
            self._wishes.append(wish)
            if wish.states is not None:
                self._wished.setdefault(wish.name, []).append(wish.states)

    def mark_direct(self, numbers: Iterable[int]) -> None:
        """Names that were asked for themselves, for the strategy "lowest-direct"."""
        self._direct.update(numbers)

    def check(self) -> None:
        self._check()

    def open(self, search: Search, needed: Sequence[int], wanted: Sequence[int]) -> None:
        self.opening.open(search, needed, wanted)

    def choose(self, search: Search) -> tuple[int, int] | None:
        if self.opening.lazy:
            self._read(search)
            if search.is_restless:
                return None
        choice = self._choose(search)
        if choice is not None:
            self.opening.look_ahead(*choice)
            if search.is_restless and self._seen >= 0:
                self._push(search.partial.allowed[choice[0]], choice[0])
        return choice

    def _read(self, search: Search) -> None:
        """Read what is about to be chosen, until that brings something new to light."""
        if self._reading is None:
            self._reading = Reading(self.opening, self.likely)
        while self._reading.advance(search) and not search.is_restless:
            self._check()

    def likely(self, number: int, allowed: int) -> int:
        """The state that would be chosen of these if nothing speaks against it; one must be a candidate."""
        allowed &= ~ABSENT
        for states in self._wished.get(number, ()):
            if allowed & states:
                allowed &= states
        return allowed if not allowed & (allowed - 1) else self.best(number, allowed)

    def _choose(self, search: Search) -> tuple[int, int] | None:
        allowed = search.partial.allowed
        if search.effort.conflicts != self._conflicts:
            self._conflicts = search.effort.conflicts
            self._next_wish = 0
            self._seen = -1
        wishes = self._wishes
        while self._next_wish < len(wishes):
            wish = wishes[self._next_wish]
            mine = allowed[wish.name]
            if wish.states is None:
                if mine & (mine - 1) and not mine & ABSENT:
                    return wish.name, self.best(wish.name, mine)
            elif mine & wish.states and mine & ~wish.states:
                return wish.name, wish.states
            self._next_wish += 1
        return self._choose_fewest(search)

    def _choose_fewest(self, search: Search) -> tuple[int, int] | None:
        """Of the required names that nothing undecided depends on, the one with the fewest states."""
        allowed = search.partial.allowed
        self._follow(search)
        heap = self._heap
        while heap:
            count, _, number = heappop(heap)
            mine = allowed[number]
            if not mine & (mine - 1) or (count and mine.bit_count() != count):
                continue
            source = needed_by_undecided(search, number)
            if source < 0:
                return number, self.best(number, mine)
            self._blocked.setdefault(source, {})[number] = None
        # Whatever is left depends on each other.
        names = self.opening.names
        left = {number for blocked in self._blocked.values() for number in blocked}
        counted = [(allowed[number].bit_count(), names[number], number) for number in left if several(allowed[number])]
        if not counted:
            return None
        number = min(counted)[2]
        return number, self.best(number, allowed[number])

    def _follow(self, search: Search) -> None:
        """Take note of the names that changed since the last choice; after a conflict, of all required ones."""
        partial = search.partial
        if self._seen < 0:
            self._heap.clear()
            self._blocked.clear()
            changed: Iterable[int] = partial.required
        else:
            changed = dict.fromkeys(partial.names[self._seen :])
        self._seen = len(partial.names)
        for number in changed:
            self._push(partial.allowed[number], number)
            for waiting in self._blocked.pop(number, ()):
                self._push(partial.allowed[waiting], waiting)

    def _push(self, mine: int, number: int) -> None:
        if not mine & ABSENT and mine & (mine - 1):
            name = self.opening.names[number]
            heappush(self._heap, (0 if name == PYTHON else mine.bit_count(), name, number))

    # The best candidate of a name

    def best(self, number: int, allowed: int) -> int:
        """The one to be tried first of the allowed states of a name."""
        if not self.opening.is_package(number):
            return allowed & -allowed
        states = self.opening.states(number)
        strategy = self._options.strategy
        lowest = strategy == "lowest" or (strategy == "lowest-direct" and number in self._direct)
        ties = self._first_ties(states, allowed, lowest)
        if len(ties) == 1 and not ties[0].allowed & (ties[0].allowed - 1):
            return ties[0].allowed
        left_out = self.opening.left_out.get(number)
        if left_out:
            for tie in ties:
                tie.everything &= ~left_out
        return self._newest(self._with_best_dependencies(ties))

    def _first_ties(self, states: NameStates, allowed: int, lowest: bool) -> list[Tie]:
        """The candidates that are best by track_features, channel, version and build number."""
        found: list[Tie] = []
        ranked = self._flexible or states.name in self._several_channels
        best_features = True
        best_rank = 0
        best_version: Version | None = None
        best_number = 0
        for part in states.parts:
            mine = allowed & part.mask
            if not mine:
                continue
            featured = not mine & part.plain
            mine = mine if featured else mine & part.plain
            position = part.first_of_lowest_version(mine) if lowest else part.position_of(mine & -mine)
            version = part.version_at(position)
            number, everything = part.tie_of(position)
            rank = part.group.rank if ranked else 0
            if best_version is not None:
                worse = (featured, rank) > (best_features, best_rank)
                if (featured, rank) == (best_features, best_rank):
                    worse = version > best_version if lowest else version < best_version
                    if version == best_version:
                        if number == best_number:
                            found.append(Tie(part, mine & everything, everything))
                            continue
                        worse = number < best_number
                if worse:
                    continue
            best_features, best_rank, best_version, best_number = featured, rank, version, number
            found = [Tie(part, mine & everything, everything)]
        return found

    def _with_best_dependencies(self, ties: list[Tie]) -> list[Tie]:
        """Those whose shared dependencies admit the highest versions, compared by the names of the dependencies."""
        for name in shared_dependencies(ties):
            texts: list[tuple[Tie, int, tuple[str, ...]]] = []
            for tie in ties:
                texts.extend((tie, states, found) for states, found in texts_on(tie, name))
            if len({found for _, _, found in texts}) < 2:
                continue
            self.opening.load((name,))
            ranked = [(self._highest_of(name, found), tie, states) for tie, states, found in texts]
            top = ranked[0][0]
            for highest, _, _ in ranked:
                if is_better(highest, top, lowest=self._options.strategy == "lowest"):
                    top = highest
            for tie in ties:
                tie.allowed = 0
            for highest, tie, states in ranked:
                if highest == top:
                    tie.allowed |= states
            ties = [tie for tie in ties if tie.allowed]
            if len(ties) == 1 and not ties[0].allowed & (ties[0].allowed - 1):
                break
        return ties

    def _highest_of(self, name: str, texts: tuple[str, ...]) -> Highest:
        """The best version of a name that some dependency strings admit together."""
        key = (name, texts)
        if key not in self._highest:
            number = self.opening.number_of(name)
            states = self.opening.states(number)
            matching = states.universe & ~self.opening.left_out.get(number, 0)
            for text in texts:
                try:
                    # What counts only under a condition says nothing here.
                    if "[" not in text or read_rest(name, text).when is None:
                        matching &= states.matching_rest(text)
                except InvalidText:
                    matching = 0
            best: Highest = None
            for part in states.parts:
                for plain, mine in ((True, matching & part.plain), (False, matching & part.mask & ~part.plain)):
                    if mine:
                        found = (plain, part.version_at(part.position_of(mine & -mine)))
                        if best is None or found > best:
                            best = found
            self._highest[key] = best
        return self._highest[key]

    def _newest(self, ties: list[Tie]) -> int:
        """The one with the newest timestamp; the build string and the order of channels decide at last."""
        found = []
        for place, tie in enumerate(ties):
            part = tie.part
            for position in part.positions(tie.allowed):
                state = 1 << (position + part.shift + 1)
                found.append((-part.timestamp_at(position), part.build_at(position), part.group.rank, place, state))
        return min(found)[-1]


def several(allowed: int) -> bool:
    """Whether a required name has several states left."""
    return not allowed & ABSENT and allowed & (allowed - 1) != 0


def needed_by_undecided(search: Search, number: int) -> int:
    """A required name with several states left, some of which depend on this name; -1 if there is none."""
    allowed = search.partial.allowed
    for implication in search.incoming[number]:
        mine = allowed[implication.source]
        if implication.demanding and not mine & ABSENT and mine & (mine - 1) and mine & implication.covered:
            return implication.source
    return -1


def is_better(one: Highest, other: Highest, *, lowest: bool) -> bool:
    """Whether a dependency with this highest version is to be preferred."""
    if one is None or other is None:
        return other is None and one is not None
    if one[0] != other[0]:
        return one[0]
    return one[1] < other[1] if lowest else one[1] > other[1]


def shared_dependencies(ties: Sequence[Tie]) -> list[str]:
    """The names that all candidates of the tie depend on, those included that are not allowed."""
    shared: set[str] | None = None
    for tie in ties:
        own = {need.name for need in tie.part.told if need.name and not tie.everything & ~carriers(need)}
        shared = own if shared is None else shared & own
    return sorted(shared or ())


def carriers(need: Need) -> int:
    """The candidates that carry any of the dependency strings."""
    found = 0
    for states, _, _ in need.rows:
        found |= states
    return found


def texts_on(tie: Tie, name: str) -> list[tuple[int, tuple[str, ...]]]:
    """The allowed candidates of a tie by the dependency strings on one name that they carry."""
    classes: list[tuple[int, tuple[str, ...]]] = [(tie.allowed, ())]
    for need in tie.part.told:
        if need.name != name:
            continue
        for states, text, _ in need.rows:
            if not states & tie.allowed:
                continue
            split: list[tuple[int, tuple[str, ...]]] = []
            for members, texts in classes:
                if members & states:
                    split.append((members & states, (*texts, text)))
                if members & ~states:
                    split.append((members & ~states, texts))
            classes = split
    return classes
