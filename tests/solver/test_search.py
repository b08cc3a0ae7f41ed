"""The search against brute force, on worlds of a few names."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.solver.incompatibility import Implication, Incompatibility
from kaa.solver.search import NoSolution, Search
from tests.solver.worlds import World, WorldRules, answer_of, worlds


def consequences(proof: Incompatibility) -> list[Incompatibility]:
    """Everything a proof rests on."""
    seen: dict[int, Incompatibility] = {}
    waiting = [proof]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen[id(one)] = one
            waiting.extend(one.causes)
    return list(seen.values())


@given(worlds(), st.randoms(use_true_random=False))
@settings(max_examples=600, deadline=None)
def test_an_answer_is_found_exactly_when_there_is_one(world: World, random: object) -> None:
    order = list(range(len(world.candidates)))
    random.shuffle(order)  # type: ignore[attr-defined]
    rules = WorldRules(world, order)
    search = rules.start()
    answers = set(world.answers())
    try:
        search.run(rules)
    except NoSolution as error:
        assert answers == set()
        assert dict(error.proof.terms) == {}
        assert_proof(world, error.proof)
    else:
        assert answer_of(search) in answers


def assert_proof(world: World, proof: Incompatibility) -> None:
    """Every step of the proof follows from its causes; every leaf is something the world says."""
    everything = list(itertools.product(*([1 << bit for bit in range(count + 1)] for count in world.candidates)))

    def broken(one: Incompatibility, answer: tuple[int, ...]) -> bool:
        return all(answer[name] & states for name, states in one.terms.items())

    for step in consequences(proof):
        if step.causes:
            for answer in everything:
                assert not broken(step, answer) or any(broken(cause, answer) for cause in step.causes)
        else:
            for answer in world.answers():
                assert not broken(step, answer)
            assert isinstance(step.reason, Implication) or step.reason == "forbidden"


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_propagation_never_forbids_a_state_of_an_answer(world: World) -> None:
    rules = WorldRules(world, range(len(world.candidates)))
    search = rules.start()
    conflict = search.propagate(rules)
    for answer in world.answers():
        assert conflict is None
        assert all(search.partial.allowed[name] & state for name, state in enumerate(answer))


@given(worlds())
@settings(max_examples=300, deadline=None)
def test_propagation_leaves_nothing_that_one_rule_alone_forbids(world: World) -> None:
    rules = WorldRules(world, range(len(world.candidates)))
    search = rules.start()
    if search.propagate(rules) is not None:
        return
    allowed = search.partial.allowed
    for implication in itertools.chain(*search.outgoing):
        if implication.resolved:
            assert not allowed[implication.source] & implication.excluded(allowed[implication.target])
            if not allowed[implication.source] & ~implication.covered:
                assert not allowed[implication.target] & ~implication.required(allowed[implication.source])
    for terms in world.forbidden:
        undecided = [name for name, states in terms.items() if allowed[name] & ~states]
        assert len(undecided) != 0
        assert len(undecided) > 1 or not allowed[undecided[0]] & terms[undecided[0]]


@given(worlds())
@settings(max_examples=200, deadline=None)
def test_the_first_name_of_the_order_gets_the_first_state_it_can_have(world: World) -> None:
    names = range(len(world.candidates))
    needed = [name for name in names if any(set(terms) == {name} and terms[name] & 1 for terms in world.forbidden)]
    rules = WorldRules(world, [*needed, *names])
    search = rules.start()
    answers = list(world.answers())
    if not answers:
        return
    search.run(rules)
    name = needed[0]
    assert answer_of(search)[name] == min(answer[name] for answer in answers)


def test_a_pair_of_equal_searches_does_the_same_work() -> None:
    world = World((3, 3, 3), ((0, 2, 1, 4), (1, 4, 2, 8), (0, 4, 2, 2)), ({0: 1}, {2: 8}))
    efforts = []
    for _ in range(2):
        rules = WorldRules(world, (0, 1, 2))
        search = rules.start()
        search.run(rules)
        efforts.append((answer_of(search), search.effort))
    assert efforts[0] == efforts[1]


def test_pigeons_and_holes_have_no_answer() -> None:
    """Five names, four states each, all different: many conflicts, one proof."""
    names, holes = 5, 4
    forbidden: list[dict[int, int]] = [{name: 1} for name in range(names)]
    for first, second in itertools.combinations(range(names), 2):
        forbidden += [{first: 2 << hole, second: 2 << hole} for hole in range(holes)]
    world = World((holes,) * names, (), tuple(forbidden))
    rules = WorldRules(world, range(names))
    search = rules.start()
    with pytest.raises(NoSolution) as caught:
        search.run(rules)
    assert search.effort.conflicts > 1
    assert dict(caught.value.proof.terms) == {}


def test_the_search_asks_whether_to_go_on() -> None:
    class Enough(Exception):
        pass

    class Impatient(WorldRules):
        def check(self) -> None:
            raise Enough

    world = World((1,), (), ({0: 1},))
    rules = Impatient(world, (0,))
    with pytest.raises(Enough):
        rules.start().run(rules)


def test_what_choosing_brings_to_light_is_looked_at_before_anything_is_decided() -> None:
    class Discovering(WorldRules):
        def choose(self, search: Search) -> tuple[int, int] | None:
            choice = super().choose(search)
            if choice is not None and choice[1] < 8:
                search.add_incompatibility(Incompatibility({choice[0]: choice[1]}, "discovered"))
            return choice

    world = World((4, 4), ((0, 30, 1, 30),), ({0: 1},))
    rules = Discovering(world, (0, 1))
    search = rules.start()
    search.run(rules)
    assert answer_of(search) == (8, 8)
    assert (search.effort.decisions, search.effort.conflicts) == (2, 0)


def test_a_name_that_nothing_needs_stays_closed() -> None:
    world = World((2, 2, 2), ((0, 2, 1, 2), (2, 2, 1, 4)), ({0: 1},))
    rules = WorldRules(world, (0, 1, 2))
    search = rules.start()
    search.run(rules)
    assert answer_of(search) == (2, 2, 1)
    assert search.opened[2] == 1
    assert search.outgoing[2] == []


def test_search_is_named_in_its_own_repr() -> None:
    assert "->" in repr(Implication(0, 1, "row"))
    assert "terms" not in repr(Incompatibility({0: 1}, "request"))
    assert isinstance(Search().effort.conflicts, int)
