"""Regular expressions: the same answers as Python's where both know a pattern, in linear time always."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models.regex import InvalidRegex, Regex

REFUSED = [
    # pattern, place, part of the reason
    ("(", 0, "never closed"),
    ("a(b", 1, "never closed"),
    (")", 0, "closes nothing"),
    ("a)", 1, "closes nothing"),
    ("[a", 0, "never closed"),
    ("[]", 0, "never closed"),
    ("*", 0, "nothing to repeat"),
    ("a|+", 2, "nothing to repeat"),
    ("^*", 1, "nothing to repeat"),
    ("a**", 2, "cannot be repeated"),
    ("a+{2}", 2, "cannot be repeated"),
    ("a{", 1, "a count is written"),
    ("a{,}", 1, "a count is written"),
    ("a{x}", 1, "a count is written"),
    ("a{200}", 1, "at most 100"),
    ("a{2,1}", 1, "larger than the second"),
    ("a{99999999999}", 1, "at most 100"),
    ("(?=a)", 0, "no lookaround"),
    ("(?<!a)b", 0, "no lookaround"),
    ("(?P<n>a)", 0, "no names"),
    ("(?i)a", 0, "no flags"),
    (r"(a)\1", 3, "backreferences"),
    (r"\b", 0, "not known"),
    (r"\Z", 0, "not known"),
    ("\\", 0, "not known"),
    ("[z-a]", 4, "range"),
    (r"[a-\d]", 5, "range"),
    ("(" * 40 + ")" * 40, 30, "nested"),
    ("((a{90}){90}){90}", 0, "too large"),
]

ATOMS = [
    "a",
    "b",
    "0",
    ".",
    "[ab]",
    "[^a]",
    "[a-c0]",
    r"\d",
    r"\D",
    r"\w",
    r"\s",
    r"\.",
    "^",
    "$",
    "[]a]",
    r"[\d-]",
    "A",
]


def patterns() -> st.SearchStrategy[str]:
    """Patterns that Python's engine reads in the same way."""
    return st.recursive(
        st.sampled_from(ATOMS),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda parts: f"({'|'.join(parts)})"),
            st.builds(
                "(?:{}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,}", "{,2}", "{1,3}", "*?", "+?"])
            ),
        ),
        max_leaves=6,
    )


@given(patterns(), st.text(alphabet="abc0.A \n", max_size=6))
def test_as_pythons_engine_with_ends_that_are_ends(pattern: str, text: str) -> None:
    # `$` before a final line break is Python's own; ours means the end.
    theirs = re.compile(pattern.replace("$", r"\Z"), re.IGNORECASE)
    assert Regex(pattern).search(text) == (theirs.search(text) is not None)


@pytest.mark.parametrize(("pattern", "position", "reason"), REFUSED)
def test_refused_with_the_place(pattern: str, position: int, reason: str) -> None:
    with pytest.raises(InvalidRegex) as caught:
        Regex(pattern)
    assert (caught.value.text, caught.value.position) == (pattern, position)
    assert reason in caught.value.reason


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("^(a+)+$", "a" * 200 + "b", False),
        ("^(a|aa)+$", "a" * 200 + "b", False),
        ("^" + "a?" * 60 + "a" * 60 + "$", "a" * 60, True),
        ("^" + ".*" * 30 + "x$", "a" * 200, False),
        ("^(.*,){11}P$", "1,2,3,4,5,6,7,8,9,10,11,12,13", False),
    ],
)
def test_patterns_that_would_take_years(pattern: str, text: str, found: bool) -> None:
    assert Regex(pattern).search(text) == found


@given(st.text(alphabet="a0^$.*+?()[]{}|\\-,:=", max_size=25), st.text(alphabet="a0", max_size=4))
def test_any_text_is_a_pattern_or_refused_within_it(pattern: str, text: str) -> None:
    try:
        regex = Regex(pattern)
    except InvalidRegex as error:
        assert 0 <= error.position <= len(pattern)
    else:
        assert regex.search(text) in (True, False)
