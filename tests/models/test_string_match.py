"""Fields that must be a text or a number: exactly, by glob, by regular expression, by comparison (CEP 29)."""

from __future__ import annotations

import pickle
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models.regex import InvalidRegex
from kaa.models.string_match import InvalidNumberMatch, NumberMatch, StringMatch


@pytest.mark.parametrize(
    ("pattern", "inside", "outside"),
    [
        ("py27_0", ["py27_0", "Py27_0"], ["py27_01", "xpy27_0", ""]),
        ("Py27_0", ["py27_0"], []),
        ("*_cpython", ["h1_0_cpython", "_cpython", "X_CPYTHON"], ["cpython", "h_cpython_"]),
        ("py3*", ["py310_0", "py3"], ["py27", "xpy3"]),
        ("*mkl*", ["mkl", "blas_mkl_1"], ["mk"]),
        ("a*b*a", ["aba", "axbya", "abba"], ["aa", "ab", "ba", "abab"]),
        ("a*a", ["aa", "aba"], ["a"]),
        ("*", ["", "x"], []),
        ("**", ["", "x"], []),
        ("[ab]*?", ["[ab]x?"], ["ax", "a"]),
        ("h1+cpu.0", ["h1+cpu.0"], ["h11cpu.0", "h1+cpux0"]),
        ("^py(27|3.)_0$", ["py27_0", "PY37_0"], ["py2_0", "py27_0x"]),
        ("^$", [""], ["x"]),
        ("^a", ["^a"], ["a"]),
        ("", [""], ["x"]),
    ],
)
def test_texts(pattern: str, inside: list[str], outside: list[str]) -> None:
    match = StringMatch(pattern)
    for text in inside:
        assert match.matches(text), text
    for text in outside:
        assert not match.matches(text), text


@given(st.text(alphabet="ab*", max_size=8), st.text(alphabet="abA", max_size=10))
def test_a_glob_is_the_expression_that_the_standard_makes_of_it(glob: str, text: str) -> None:
    expression = re.compile(re.escape(glob).replace(r"\*", ".*"), re.IGNORECASE)
    assert StringMatch(glob).matches(text) == (expression.fullmatch(text) is not None)


def test_a_glob_takes_no_years() -> None:
    assert not StringMatch("*a" * 2000 + "b").matches("a" * 5000)


def test_values() -> None:
    assert StringMatch("A*") == StringMatch("a*")
    assert len({StringMatch("A"), StringMatch("a"), StringMatch("b")}) == 2
    assert StringMatch("a") != "a"
    assert str(StringMatch("PY*")) == "py*"
    assert str(StringMatch(r"^\D$")) == r"^\D$"
    assert repr(StringMatch("a")) == "StringMatch('a')"
    assert pickle.loads(pickle.dumps(StringMatch("a*"))) == StringMatch("a*")
    assert [StringMatch(text).is_exact for text in ("a", "a*", "^a$")] == [True, False, False]
    with pytest.raises(InvalidRegex):
        StringMatch("^($")


@pytest.mark.parametrize(
    ("text", "inside", "outside", "canonical"),
    [
        ("7", [7], [8, 70], "7"),
        ("=7", [7], [8], "7"),
        ("==07", [7], [8], "7"),
        ("!=0", [1], [0], "!=0"),
        (">3", [4], [3], ">3"),
        (">=3", [3, 4], [2], ">=3"),
        ("<3", [2], [3], "<3"),
        ("<=3", [3], [4], "<=3"),
        ("1*", [1, 10, 199], [2, 21], "1*"),
        ("^[12]0$", [10, 20], [30], "^[12]0$"),
    ],
)
def test_numbers(text: str, inside: list[int], outside: list[int], canonical: str) -> None:
    match = NumberMatch(text)
    assert all(map(match.matches, inside))
    assert not any(map(match.matches, outside))
    assert str(match) == canonical
    assert match == NumberMatch(canonical) == pickle.loads(pickle.dumps(match))
    assert hash(match) == hash(NumberMatch(canonical))
    assert repr(match) == f"NumberMatch({canonical!r})"
    assert match != canonical


@pytest.mark.parametrize("text", ["", ">=3,<5", "a", "> 3", "~=3", "-1", "1.0", "٣"])
def test_what_says_nothing_about_a_number(text: str) -> None:
    with pytest.raises(InvalidNumberMatch):
        NumberMatch(text)
