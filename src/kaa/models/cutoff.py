"""Points in time as people write them: a date, a time, or an age.

    2026-03-01               the end of that day in UTC
    2026-03-01T12:00:00Z     RFC 3339; UTC if no offset is given
    7d, 12h, 2w, 3d12h       so long ago; P7D, PT12H (ISO 8601) and a bare number of seconds as well

>>> parse_cutoff("2026-03-01", now=0) == parse_cutoff("2026-03-01T23:59:59.999Z", now=0)
True
>>> show_cutoff(parse_cutoff("2026-03-01", now=0))
'2026-03-01'
>>> parse_cutoff("1w", now=700_000_000) == parse_cutoff("P7D", now=700_000_000) == 700_000_000 - 7 * DAY
True
"""

from __future__ import annotations

import re

from kaa.errors import KaaError

SECOND = 1000
DAY = 24 * 60 * 60 * SECOND

EXPECTED = "a date (2026-03-01), a time (2026-03-01T12:00:00Z), an age (7d, 12h, 2w, P7D), or false for no cut-off"

NO_CUTOFF = frozenset({"", "false", "none", "null", "no", "off"})

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), SECOND),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60 * SECOND),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 60 * 60 * SECOND),
    **dict.fromkeys(("d", "day", "days"), DAY),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 7 * DAY),
}
# Texts, not compiled: hardly any run needs them, and compiling them takes a millisecond.
_AMOUNT = r"([0-9]+(?:\.[0-9]+)?) ?([a-z]+)"
_AGE = rf"{_AMOUNT}(?: ?{_AMOUNT})*"
_NUMBER = r"(?:([0-9]+(?:\.[0-9]+)?){})?"
_ISO_AGE = "p" + "".join(map(_NUMBER.format, "wd")) + "(?:t" + "".join(map(_NUMBER.format, "hms")) + ")?"
_ISO_UNITS = (7 * DAY, DAY, 60 * 60 * SECOND, 60 * SECOND, SECOND)
_SECONDS = r"[0-9]+(?:\.[0-9]+)?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = _DATE + r"[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:[Zz]|[+-][0-9]{2}:?[0-9]{2})?"


class InvalidCutoff(KaaError, ValueError):
    """A text that names no point in time."""

    conda_name = "CondaValueError"

    def __init__(self, text: str, source: str = "exclude_newer") -> None:
        self.text = text
        self.source = source
        super().__init__(
            f"{source} is {text!r}, which is no point in time; it takes {EXPECTED}",
            hints=("months and years have no fixed length: give days or weeks, or a date",),
        )


def parse_cutoff(text: str, now: int, *, source: str = "exclude_newer") -> int | None:
    """The time, in milliseconds since 1970, that a text says; ages reach back from `now`.

    None for a text that says that there is no cut-off. Raises InvalidCutoff, which names `source`.
    """
    given = text.strip()
    if given.lower() in NO_CUTOFF:
        return None
    try:
        if re.fullmatch(_DATE, given) or re.fullmatch(_TIME, given):
            return _milliseconds_of(given)
        age = _age_of(given.lower())
    except (ValueError, OverflowError):
        age = None
    if age is None:
        raise InvalidCutoff(text, source)
    return max(now - age, 0)


def _age_of(text: str) -> int | None:
    """The length of a time span in milliseconds, or None for a text that is none."""
    if re.fullmatch(_SECONDS, text):
        return round(float(text) * SECOND)
    if re.fullmatch(_AGE, text):
        parts = re.findall(_AMOUNT, text)
        if any(unit not in _UNITS for _, unit in parts):
            return None
        return round(sum(float(amount) * _UNITS[unit] for amount, unit in parts))
    span = re.fullmatch(_ISO_AGE, text)
    if span is None or not any(span.groups()) or text.endswith("t"):
        return None
    return round(sum(float(amount) * unit for amount, unit in zip(span.groups("0"), _ISO_UNITS, strict=True)))


def _milliseconds_of(text: str) -> int:
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415 - commands that solve nothing know it not

    moment = datetime.fromisoformat(text.upper().replace(" ", "T"))
    if len(text) == len("2026-03-01"):
        moment += timedelta(days=1, milliseconds=-1)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def show_cutoff(cutoff: int) -> str:
    """A point in time as one would write it: a date where it is the end of a day."""
    from datetime import UTC, datetime, timedelta  # noqa: PLC0415

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=cutoff)
    return moment.strftime("%Y-%m-%d" if (cutoff + 1) % DAY == 0 else "%Y-%m-%dT%H:%M:%SZ")
