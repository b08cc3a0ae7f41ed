"""Points in time as people write them, against Python's own calendar."""

from __future__ import annotations

import doctest
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models import cutoff as cutoff_module
from kaa.models.cutoff import DAY, InvalidCutoff, parse_cutoff, show_cutoff

NOW = datetime(2026, 9, 17, 10, 30, tzinfo=UTC)
HOUR = DAY // 24


def milliseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def parse(text: str) -> int | None:
    return parse_cutoff(text, milliseconds(NOW))


AGES = [
    ("7d", 7 * DAY),
    ("12h", 12 * HOUR),
    ("2w", 14 * DAY),
    ("90m", 90 * HOUR // 60),
    ("30s", 30_000),
    ("3d12h", 3 * DAY + 12 * HOUR),
    ("1w 2d 3h", 9 * DAY + 3 * HOUR),
    ("1.5d", 36 * HOUR),
    ("7 days", 7 * DAY),
    ("1 week", 7 * DAY),
    ("24 hours", DAY),
    ("1 DAY", DAY),
    ("P7D", 7 * DAY),
    ("p1w", 7 * DAY),
    ("PT12H", 12 * HOUR),
    ("P1DT2H30M", DAY + 2 * HOUR + HOUR // 2),
    ("PT0.5S", 500),
    ("3600", HOUR),
    ("0", 0),
    ("0d", 0),
]


@pytest.mark.parametrize(("text", "age"), AGES)
def test_ages_reach_back_from_now(text: str, age: int) -> None:
    assert parse(text) == milliseconds(NOW) - age


TIMES = [
    ("2026-03-01T12:00:00Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ("2026-03-01t12:00:00z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ("2026-03-01T12:00:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ("2026-03-01 12:00", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    (" 2026-03-01 12:00 ", datetime(2026, 3, 1, 12, tzinfo=UTC)),
    ("2026-03-01T12:00:00+02:00", datetime(2026, 3, 1, 10, tzinfo=UTC)),
    ("2026-03-01T12:00:00-0530", datetime(2026, 3, 1, 17, 30, tzinfo=UTC)),
    ("2026-03-01T12:00:00.250Z", datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)),
    ("2024-02-29", datetime(2024, 2, 29, 23, 59, 59, 999_000, tzinfo=UTC)),
    ("2999-01-01", datetime(2999, 1, 1, 23, 59, 59, 999_000, tzinfo=UTC)),
]


@pytest.mark.parametrize(("text", "moment"), TIMES)
def test_dates_and_times(text: str, moment: datetime) -> None:
    assert parse(text) == milliseconds(moment)


@pytest.mark.parametrize("text", ["", "  ", "false", "False", "none", "null", "off", "no"])
def test_no_cut_off(text: str) -> None:
    assert parse(text) is None


REFUSED = [
    "1mo", "P1M", "P1Y", "1y", "P", "PT", "P1DT", "-3d", "+3d", "2026-13-01", "2026-02-30", "2026-3-1", "01.03.2026",
    "2026-03-01T25:00", "20260301T1200", "tomorrow", "7x", "d7", "1d1", "1d-1h", "true", "2026-03-01T12:00:00+99:00",
    "9e9", "0x10", "1_000", "٧d",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_what_names_no_point_in_time(text: str) -> None:
    with pytest.raises(InvalidCutoff) as caught:
        parse_cutoff(text, milliseconds(NOW), source="exclude_newer_package of numpy")
    assert caught.value.text == text
    assert str(caught.value).startswith(f"exclude_newer_package of numpy is {text!r}")
    assert caught.value.hints


@pytest.mark.parametrize("text", ["999999d", "9" * 30, "9" * 400 + "d"])
def test_before_all_time(text: str) -> None:
    try:
        assert parse(text) == 0
    except InvalidCutoff:
        assert len(text) > 400


@given(st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)), st.integers(-14 * 60, 14 * 60))
def test_any_time_in_any_zone(moment: datetime, minutes: int) -> None:
    known = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse(known.isoformat()) == milliseconds(known)


@given(st.dates(datetime(1970, 1, 1).date(), datetime(9999, 12, 30).date()))
def test_a_date_is_shown_as_it_was_written(date: object) -> None:
    cutoff = parse(str(date))
    assert cutoff is not None
    assert show_cutoff(cutoff) == str(date)


@given(st.integers(0, 250_000_000_000))
def test_a_time_is_shown_so_that_it_can_be_read_again(seconds: int) -> None:
    assert parse(show_cutoff(seconds * 1000)) == seconds * 1000


@given(st.text(max_size=12))
def test_every_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse(text)
    except InvalidCutoff:
        return
    assert found is None or found >= 0


def test_examples() -> None:
    assert doctest.testmod(cutoff_module).failed == 0
