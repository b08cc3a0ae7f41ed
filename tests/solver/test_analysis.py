"""Conflict analysis and the trail, on cases that can be followed by hand."""

from __future__ import annotations

from kaa.solver.analysis import LEARNT, analyze
from kaa.solver.incompatibility import Implication, Incompatibility
from kaa.solver.partial_solution import PartialSolution

A, B, C, D = range(4)
EVERYTHING = 0b1111
"""Not installed, or one of three candidates."""


def trail(names: int = 4) -> PartialSolution:
    partial = PartialSolution()
    for _ in range(names):
        partial.add_name(EVERYTHING)
    return partial


def implication(source: int, target: int, *rows: tuple[int, int]) -> Implication:
    made = Implication(source, target, "needs")
    made.resolve(rows)
    return made


def test_going_back_restores_what_was_allowed() -> None:
    partial = trail()
    fact = Incompatibility({A: 1}, "asked for")
    partial.narrow(A, ~1, fact)
    partial.decide(A, 0b0010)
    partial.narrow(B, 0b0110, fact)
    partial.decide(C, 0b0100)
    partial.narrow(B, 0b0010, fact)
    assert (partial.level, partial.allowed, partial.required) == (2, [2, 2, 4, 15], [A, B, C])
    assert partial.settled(A) == 0b1110
    assert partial.settled(B) == EVERYTHING
    assert partial.backjump(1) == [B, C]
    assert (partial.level, partial.allowed, partial.required) == (1, [2, 6, 15, 15], [A, B])
    assert partial.backjump(0) == [B, A]
    assert (partial.level, partial.allowed, partial.required) == (0, [14, 15, 15, 15], [A])


def test_a_term_holds_since_the_entry_that_brought_it_about() -> None:
    partial = trail()
    fact = Incompatibility({A: 1}, "asked for")
    partial.narrow(A, 0b1110, fact)
    partial.narrow(B, 0b1110, fact)
    partial.narrow(A, 0b0110, fact)
    partial.decide(A, 0b0010)
    assert partial.satisfier(A, 0b0010) == 3
    assert partial.satisfier(A, 0b0110) == 2
    assert partial.satisfier(A, 0b0111) == 2
    assert partial.satisfier(A, 0b1110) == 0
    assert partial.satisfier(A, EVERYTHING) == -1
    assert [partial.level_of(place) for place in range(4)] == [0, 0, 0, 1]


def test_the_lesson_of_a_wrong_decision_is_about_the_decision() -> None:
    """a 1 needs b 1, b 1 needs c 1, a 1 needs c 2 (each state one bit): whoever takes a 1 has lost."""
    partial = trail()
    needs_b = implication(A, B, (0b0010, 0b0010))
    needs_c = implication(B, C, (0b0010, 0b0010))
    clash = implication(A, C, (0b0010, 0b0100))
    partial.decide(A, 0b0010)
    partial.narrow(B, 0b0010, needs_b)
    partial.narrow(C, 0b0010, needs_c)
    lesson = analyze(partial, clash.explain(C, 0b0010))
    assert (lesson.name, lesson.level, lesson.other) == (A, 0, -1)
    assert dict(lesson.learnt.terms) == {A: 0b0010}
    assert lesson.learnt.reason is LEARNT
    assert lesson.learnt.causes[0].reason is clash


def test_a_lesson_skips_the_levels_that_have_no_part_in_it() -> None:
    """a 1 and d 1 need different b; the decision on c in between does not matter."""
    partial = trail()
    first = implication(A, B, (0b0010, 0b0010))
    second = implication(D, B, (0b0010, 0b0100))
    partial.decide(A, 0b0010)
    partial.narrow(B, 0b0010, first)
    partial.decide(C, 0b0010)
    partial.decide(D, 0b0010)
    lesson = analyze(partial, second.explain(B, 0b0010))
    assert (lesson.name, lesson.level, lesson.other) == (D, 1, B)


def test_a_lesson_counts_for_all_versions_alike() -> None:
    """All three candidates of a need b 1 or b 2; that the decision was for the first makes no difference."""
    partial = trail()
    needs_b = implication(A, B, (0b0010, 0b0010), (0b0100, 0b0100), (0b1000, 0b0110))
    needs_c = implication(B, C, (0b0110, 0b0010))
    partial.narrow(A, ~1, Incompatibility({A: 1}, "asked for"))
    partial.narrow(B, 0b0110, needs_b)
    partial.decide(C, 0b0100)
    lesson = analyze(partial, needs_c.explain(B, 0b0110))
    assert (lesson.name, lesson.level) == (C, 0)
    assert lesson.learnt.terms[C] & EVERYTHING == 0b1101
    assert lesson.learnt.terms[B] & EVERYTHING == 0b0110


def test_without_a_decision_the_conflict_is_the_end() -> None:
    partial = trail()
    asked_a = Incompatibility({A: 1}, "a was asked for")
    asked_b = Incompatibility({B: 0b0111}, "b 3 was asked for")
    needs_b = implication(A, B, (0b1110, 0b0110))
    partial.narrow(A, ~1, asked_a)
    partial.narrow(B, 0b1000, asked_b)
    lesson = analyze(partial, needs_b.explain(A, 0b1110))
    assert lesson.level == -1
    assert dict(lesson.learnt.terms) == {}
    assert {cause.reason for cause in lesson.learnt.causes} == {needs_b, "a was asked for", "b 3 was asked for"}


def test_an_implication_unites_what_its_rows_say() -> None:
    rows = implication(A, B, (0b0010, 0b0010), (0b0100, 0b0010), (0b1000, 0b1100))
    assert rows.rows == {0b0010: 0b0110, 0b1100: 0b1000}
    assert rows.covered == 0b1110
    assert rows.required(0b0110) == 0b0010
    assert rows.required(0b1010) == 0b1110
    assert rows.excluded(0b0100) == 0b0110
    assert rows.excluded(0b1010) == 0


def test_a_state_with_two_rows_keeps_to_both() -> None:
    rows = implication(A, B, (0b0110, 0b0110), (0b1100, 0b1100))
    assert rows.required(0b0010) == 0b0110
    assert rows.required(0b0100) == 0b0100
    assert rows.required(0b1000) == 0b1100
    assert rows.meet == 0b0100
    rows.add(0b0100, 0b1000)
    assert rows.required(0b0100) == 0
    assert rows.excluded(0b1111) == 0b0100
