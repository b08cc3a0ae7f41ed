"""Values with named fields: made, compared, taken apart, and not changed."""

from __future__ import annotations

from typing import Any

import pytest

from kaa.models.value import Value


class Point(Value):
    across: int
    down: int = 7


class Place(Value):
    across: int
    down: int = 7


def test_fields_are_given_in_order_or_by_name_or_left_to_their_defaults() -> None:
    assert Point(1, 2) == Point(1, down=2) == Point(down=2, across=1)
    assert (Point(1).across, Point(1).down) == (1, 7)
    assert repr(Point(1, down=2)) == "Point(across=1, down=2)"


def test_equal_means_the_same_class_and_the_same_fields() -> None:
    assert Point(1) == Point(1, 7)
    assert hash(Point(1)) == hash(Point(1, 7))
    assert Point(1) != Point(2)
    other: object = Place(1)
    assert Point(1) != other


def test_a_value_can_be_taken_apart() -> None:
    match Point(1, 2):
        case Point(across, down):
            assert (across, down) == (1, 2)


def test_a_value_does_not_change() -> None:
    point: Any = Point(1)
    with pytest.raises(AttributeError, match="down"):
        point.down = 3
    assert (point.replace(down=3), point) == (Point(1, 3), Point(1, 7))


@pytest.mark.parametrize(("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"across": 2}), ((1,), {"up": 2})])
def test_fields_that_are_missing_unknown_or_given_twice_are_refused(
    values: tuple[int, ...], named: dict[str, int]
) -> None:
    make: Any = Point
    with pytest.raises(TypeError, match="Point"):
        make(*values, **named)
