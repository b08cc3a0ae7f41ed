"""Machine-written YAML: every text survives, in our reader and in others."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from kaa.envfiles.lock import InvalidLock
from kaa.envfiles.yaml_text import parse_yaml, scalar

ODD = [
    "", " ", "1.10", "2.28.0", "1e3", "0x1f", "0o17", "1_000", "1:30", "yes", "No", "null", "~", "true", ".5", ".", "-",
    "2026-01-01", "- a", "a: b", "a #b", "#a", "&a", "*a", "!a", "%a", "@a", "`a", "'a'", '"a"', "a\nb", "a\tb", "é",
    "\u2028", "[a]", "{a}", "a,b", "?", "? a", "|", ">", ">=1.2,<2", "3.12.* *_cp312", "*", "<<", "=",
    "https://h:80/a b/c#d", ".inf", "-.NaN",
]  # fmt: skip


@pytest.mark.parametrize("text", ODD)
def test_odd_texts(text: str) -> None:
    document = f"- {scalar(text)}\n- k: {scalar(text)}\n"
    assert parse_yaml(document, "f") == [text, {"k": text}]
    assert yaml.safe_load(document) == [text, {"k": text}]
    assert YAML(typ="safe", pure=True).load(document) == [text, {"k": text}]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_every_text(text: str) -> None:
    document = f"- {scalar(text)}\n- {scalar(text or 'k')}: {scalar(text)}\n"
    wanted = [text, {text or "k": text}]
    assert parse_yaml(document, "f") == wanted
    assert yaml.safe_load(document) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "- &x [1]\n- *x\n",
        "a: &a [x]\nb: [*a, *a]\n",
        "{'a': &a {b: c}, d: *a}",
        "? &a\n  b: c\n: *a\nd: *a\n",
        "&a [*a]",
    ],
)
def test_small_files_cannot_stand_for_huge_ones(text: str) -> None:
    with pytest.raises(InvalidLock):
        parse_yaml(text, "f")


def test_signs_of_anchors_within_texts() -> None:
    text = "a: MIT & BSD\nb: 'x &a'\nc: https://h/?a=1&b=*c\nd: &one x\ne: *one\n"
    wanted = {"a": "MIT & BSD", "b": "x &a", "c": "https://h/?a=1&b=*c", "d": "x", "e": "x"}
    assert parse_yaml(text, "f") == wanted


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: b: c",
        "\x00",
        "a:\n\t- b",
        "[" * 100_000,
        "%BAD\n---\na",
        "- " * 3000,
        "? " * 3000,
        "?\t" * 3000,
        "? - " * 3000,
        ": " * 3000,
        "{a: " * 3000,
        "- [" * 3000,
        "&a " * 3000,
    ],
)
def test_what_is_no_yaml(text: str) -> None:
    with pytest.raises(InvalidLock) as caught:
        parse_yaml(text, "the file")
    assert "the file" in caught.value.message


def test_tags_make_nothing() -> None:
    assert parse_yaml("a: !!python/object/apply:os.getcwd []\n", "f") == {"a": []}
