"""Conditions, extras and flags of dependencies (CEP 43, 44, 45)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models.condition import And, Condition, InvalidCondition, Leaf, Or, is_extra, is_flag, parse_condition
from kaa.models.match_spec import MatchSpec


def parse(text: str) -> Condition:
    return parse_condition(text, MatchSpec.parse)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("python", "python"),
        ("python>=3.10", "python[version='>=3.10']"),
        ("python=3.10", "python[version='=3.10']"),
        ("python==3.10", "python[version='==3.10']"),
        ("python>=3.10,<3.12", "python[version='>=3.10,<3.12']"),
        ("python[version='>=3.10', build=*_cpython]", "python[version='>=3.10',build=*_cpython]"),
        ("a and b or c and d", "a and b or c and d"),
        ("a and (b or c) and d", "a and (b or c) and d"),
        ("(a and b) or c", "a and b or c"),
        ("((a))", "a"),
        ("(a or b)and(c)", "(a or b) and c"),
        ("  __unix\tand  a  ", "__unix and a"),
        ("android or orange", "android or orange"),
        ("a[version='>=1 , (<2|>3)'] or b", "a[version='>=1,(<2|>3)'] or b"),
        ("a[license='and (or)']", "a[license='and (or)']"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    condition = parse(text)
    assert str(condition) == canonical
    assert parse(canonical) == condition


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("", 0, "a spec is expected"),
        ("and", 0, "a spec is expected"),
        ("a and", 5, "a spec is expected"),
        ("a or or b", 5, "a spec is expected"),
        ("a b", 2, "'and', 'or' or the end"),
        ("python >=3.10", 7, "'and', 'or' or the end"),
        ("a AND b", 2, "'and', 'or' or the end"),
        ("(a", 0, "never closed"),
        ("a)", 1, "closes nothing"),
        ("()", 1, "a spec is expected"),
        ("(" * 40 + "a" + ")" * 40, 30, "nested"),
        ("a=1.0=b", 0, "without brackets"),
        ("a[version='>=1'", 1, "never closed"),
        ("a or b[when='c']", 5, "cannot hold another"),
        ("a or b>=1..2", 10, "empty"),
        ("a or B!", 5, "without brackets"),
        ("a or .b", 5, "letter or digit"),
    ],
)
def test_refused_with_the_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(InvalidCondition) as caught:
        parse(text)
    assert (caught.value.text, caught.value.position) == (text, position)
    assert reason in caught.value.reason


CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    st.sampled_from([Leaf(MatchSpec.parse(text)) for text in ("a", "b>=1,<2", "c=1.*", "__unix", "d[build='x y']")]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: And(tuple(parts))),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: Or(tuple(parts))),
    ),
    max_leaves=6,
)


@given(CONDITIONS, st.sets(st.sampled_from(["a", "b", "c", "__unix", "d"])))
def test_the_text_means_the_same(condition: Condition, true_names: set[str]) -> None:
    again = parse(str(condition))
    assert str(again) == str(parse(str(again)))
    assert again.holds(lambda spec: spec.name in true_names) == condition.holds(lambda spec: spec.name in true_names)
    assert list(again.specs()) == list(condition.specs())


def test_and_binds_tighter() -> None:
    condition = parse("a or b and c")
    assert condition.holds(lambda spec: spec.name == "a")
    assert not condition.holds(lambda spec: spec.name == "b")
    assert [spec.name for spec in condition.specs()] == ["a", "b", "c"]


def test_names_of_extras_and_flags() -> None:
    assert all(map(is_extra, ["test", "a", "_.+-9", "x" * 64]))
    assert not any(map(is_extra, ["", "Test", "a b", "x" * 65, "é", "a\n"]))
    assert all(map(is_flag, ["cuda", "blas:mkl", "blas:*", "*", "a_1:b_2"]))
    assert not any(map(is_flag, ["", "CUDA", "a:", ":a", "a:b:c", "a-b", "a\n"]))
