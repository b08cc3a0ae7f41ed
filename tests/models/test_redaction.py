"""Credentials in any text."""

from __future__ import annotations

import doctest

import pytest

from kaa.models import redaction
from kaa.models.redaction import redact, redact_strictly


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("see https://me:pw@host/x, please", "see https://***@host/x, please"),
        ("'https://host/t/tk-1/x' and http://host/a/t/tk-2", "'https://host/t/***/x' and http://host/a/t/***"),
        ("file:///home/t/x/y and /t/z", "file:///home/t/x/y and /t/z"),
        ("mail me@host", "mail me@host"),
    ],
)
def test_redaction_of_any_text(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(expected) == expected


def test_broken_text_loses_more_rather_than_less() -> None:
    assert redact_strictly("https://ali:p@ss@host/x?key=1") == "https://***@host/x?***"


def test_examples() -> None:
    assert doctest.testmod(redaction).failed == 0
