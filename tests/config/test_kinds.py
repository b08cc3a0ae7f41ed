"""Values of options: what each kind takes, from YAML and from variables, and what it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.config.kinds import (
    Anything,
    Boolean,
    Choice,
    Integer,
    Kind,
    ListMap,
    MapList,
    MaybeBoolean,
    Number,
    PointInTime,
    PointInTimeMap,
    Text,
    TextMap,
    Texts,
    UnfitValue,
    Verification,
)

PRIORITY = Choice("strict", "flexible", "disabled", other={"true": "flexible", "false": "disabled"})
KINDS: tuple[Kind[object], ...] = (
    Anything(),
    Boolean(),
    Integer(),
    ListMap(),
    MapList(),
    MaybeBoolean(),
    PointInTime(),
    PointInTimeMap(),
    Number(),
    PRIORITY,
    Text(),
    TextMap(),
    Texts(),
    Verification(),
)

TAKEN: list[tuple[Kind[object], object, object]] = [
    *((Boolean(), value, True) for value in (True, 1, "yes", "YES", " on ", "y", "1", "true")),
    *((Boolean(), value, False) for value in (False, 0, "no", "off", "n", "0", "False", "")),
    (MaybeBoolean(), None, None),
    (MaybeBoolean(), "none", None),
    (MaybeBoolean(), "", None),
    (MaybeBoolean(), "no", False),
    (MaybeBoolean(), True, True),
    (Integer(), 3, 3),
    (Integer(), "3", 3),
    (Integer(), True, 1),
    (Integer(), "false", 0),
    (Integer(), 2.0, 2),
    (Number(), 3, 3.0),
    (Number(), "9.15", 9.15),
    (Text(), None, ""),
    (Text(), "a", "a"),
    (Text(), 1.5, "1.5"),
    (Text(), True, "true"),
    (PRIORITY, "Strict", "strict"),
    (PRIORITY, True, "flexible"),
    (PRIORITY, False, "disabled"),
    (Verification(), "no", False),
    (Verification(), True, True),
    (Verification(), "/etc/ca.pem", "/etc/ca.pem"),
    (Verification(), "truststore", "truststore"),
    (Texts(), None, ()),
    (Texts(), ["a", 1, True], ("a", "1", "true")),
    (Texts(), (), ()),
    (TextMap(), None, {}),
    (TextMap(), {"a": "b", 1: 2}, {"a": "b", "1": "2"}),
    (ListMap(), {"a": ["b", "c"], "d": None}, {"a": ("b", "c"), "d": ()}),
    (ListMap(), None, {}),
    (MapList(), [{"channel": "a", "auth": "x"}], ({"channel": "a", "auth": "x"},)),
    (MapList(), None, ()),
    (PointInTime(), "7d", "7d"),
    (PointInTime(), "2026-03-01", "2026-03-01"),
    (PointInTime(), False, "false"),
    (PointInTime(), None, ""),
    (PointInTime(), 3600, "3600"),
    (PointInTimeMap(), {"a": "7d", "b": False, "c": None}, {"a": "7d", "b": "false", "c": ""}),
    (PointInTimeMap(), None, {}),
    (Anything(), {"a": [1]}, {"a": [1]}),
]


@pytest.mark.parametrize(("kind", "value", "expected"), TAKEN)
def test_what_is_taken(kind: Kind[object], value: object, expected: object) -> None:
    found = kind.parse(value)
    assert found == expected
    assert type(found) is type(expected)


REFUSED: list[tuple[Kind[object], list[object]]] = [
    (Boolean(), ["maybe", 2, None, [], {}]),
    (MaybeBoolean(), ["maybe", 3, []]),
    (Integer(), ["x", -1, "-1", 1.5, None, [], ""]),
    (Number(), ["x", -1, None, True, float("inf"), float("nan"), "nan"]),
    (Text(), [[], {}]),
    (PRIORITY, ["fast", None, [], 3]),
    (Verification(), ["", 3, None, []]),
    (Texts(), ["a", {"a": "b"}, 3, [["a"]], [{}]]),
    (TextMap(), ["a", ["a"], {"a": ["b"]}]),
    (ListMap(), [["a"], {"a": "b"}, {"a": 1}]),
    (MapList(), ["a", {"a": "b"}, ["a"], 3]),
    (PointInTime(), ["soon", "7x", True, ["7d"], {}, -1]),
    (PointInTimeMap(), ["7d", {"a": "soon"}, {"a": True}, ["a"]]),
]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in REFUSED for value in values])
def test_what_is_refused_says_what_is_expected(kind: Kind[object], value: object) -> None:
    with pytest.raises(UnfitValue) as caught:
        kind.parse(value)
    assert str(caught.value) == kind.expected


VARIABLES: list[tuple[Kind[object], str, str, object]] = [
    (Texts(), "a, b,,c ", ",", ("a", "b", "c")),
    (Texts(), "numpy 1.*&python", "&", ("numpy 1.*", "python")),
    (Texts(), "", ",", ()),
    (TextMap(), "http=http://x:1,https=y", ",", {"http": "http://x:1", "https": "y"}),
    (TextMap(), "", ",", {}),
    (PointInTimeMap(), "a=7d,b=false", ",", {"a": "7d", "b": "false"}),
    (Boolean(), "on", ",", True),
    (Integer(), "4", ",", 4),
]


@pytest.mark.parametrize(("kind", "text", "separator", "expected"), VARIABLES)
def test_variables(kind: Kind[object], text: str, separator: str, expected: object) -> None:
    assert kind.parse_text(text, separator) == expected


def test_a_variable_for_a_map_without_equals_sign_is_refused() -> None:
    with pytest.raises(UnfitValue, match="key=value"):
        TextMap().parse_text("http", ",")


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@given(VALUES)
def test_any_value_is_taken_or_refused_in_plain_words(value: object) -> None:
    for kind in KINDS:
        try:
            found = kind.parse(value)
        except UnfitValue as error:
            assert str(error) == kind.expected
        else:
            # What was taken once is taken again, unchanged: values go through files.
            assert kind.parse(found) == found or found != found


@given(st.text(max_size=20))
def test_any_text_of_a_variable_is_taken_or_refused(text: str) -> None:
    for kind in KINDS:
        try:
            kind.parse_text(text, ",")
        except UnfitValue as error:
            assert str(error)
