"""When candidates are read of which the columns say only a part, and what is fetched for that at once.

Before anything is decided, the best candidate of every required name is read, and with it the best ones of what it
needs, and so on: what is likely to be chosen in the end is known in as many rounds as needs are deep, and each round is
one request to the source. So a decision rests on what the candidates at hand need, as it does where everything is
known from the start; only of those that are not at hand less is known.

A name whose best candidate is refused again and again is read ahead in growing batches of further candidates: fetching
them one by one would take a round for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kaa.models.invalid_text import InvalidText
from kaa.solver.candidates import ABSENT, CandidateGroup, Need
from kaa.solver.opening import Opening
from kaa.solver.search import Search
from kaa.solver.states import NameStates, read_rest

BATCHES = (1, 1, 4, 10, 25, 50)
"""How many candidates of one name are fetched at once, the first time and each time after that; the last holds on."""


class Reading:
    """What one search has read, and what is to be read next."""

    def __init__(self, opening: Opening, likely: Callable[[int, int], int]) -> None:
        self._opening = opening
        self._likely = likely
        """The state of a name that would be chosen out of the allowed ones."""
        self._settled: dict[int, int] = {}
        """What was allowed of a name when its likely candidate was known to be read."""
        self._rounds: dict[int, int] = {}
        """For how many batches a name was part of."""

    def advance(self, search: Search) -> bool:
        """Read the likely candidates of all required names; says whether there were any."""
        due = self._due(search)
        if not due:
            return False
        while due:
            self._fetch(search, due)
            needs = [need for number, state in due.items() for need in self._opening.read(number, state)]
            due = self._due_for(search, needs)
        return True

    def _due(self, search: Search) -> dict[int, int]:
        """The required names whose likely candidate is unread, with its state."""
        allowed, settled = search.partial.allowed, self._settled
        due: dict[int, int] = {}
        # Telling candidates apart may make further names known.
        for number, states in list(self._opening.lazy.items()):
            mine = allowed[number]
            if mine & ABSENT or settled.get(number) == mine:
                continue
            state = self._likely(number, mine)
            if state & states.unread:
                due[number] = state
            else:
                settled[number] = mine
        return due

    def _due_for(self, search: Search, needs: Iterable[Need]) -> dict[int, int]:
        """What is likely to be chosen for these needs, as far as it is unread."""
        opening = self._opening
        plain = [need for need in needs if need.name]
        opening.load(need.name for need in plain)
        due: dict[int, int] = {}
        for need in plain:
            number = opening.number_of(need.name)
            states = opening.lazy.get(number)
            if states is None:
                continue
            mine = search.partial.allowed[number] & asked(states, need) & ~opening.left_out.get(number, 0)
            if mine:
                state = self._likely(number, mine)
                if state & states.unread:
                    due[number] = state
        return due

    def _fetch(self, search: Search, due: dict[int, int]) -> None:
        """Have the source fetch at once what reading these will need, and what will probably be read after them."""
        read_ahead = getattr(self._opening.world.source, "read_ahead", None)
        wanted: list[tuple[CandidateGroup, int]] = []
        for number, state in due.items():
            states = self._opening.states(number)
            if state & states.fetched:
                continue
            turn = self._rounds.get(number, 0)
            self._rounds[number] = turn + 1
            left = (search.partial.allowed[number] & ~ABSENT & ~state) & ~self._opening.left_out.get(number, 0)
            for _ in range(BATCHES[min(turn, len(BATCHES) - 1)]):
                if state & states.unread & ~states.fetched:
                    states.fetched |= state
                    part = states.part_of(state)
                    wanted.append((part.group, part.position_of(state)))
                if not left:
                    break
                state = self._likely(number, left)
                left &= ~state
        if wanted and read_ahead is not None:
            read_ahead(wanted)


def asked(states: NameStates, need: Need) -> int:
    """The candidates that a need asks for; what stands under a condition asks for nothing yet."""
    found = 0
    for _, rest, ask in need.rows:
        try:
            if ask is not None:
                found |= states.matching_ask(rest, ask)
            else:
                query = read_rest(states.name, rest)
                if query.when is None:
                    found |= states.matching(query)
        except InvalidText:
            continue
    return found & ~ABSENT
