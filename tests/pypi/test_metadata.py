"""METADATA files against `packaging`, and those that cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.metadata import parse_email

from kaa.pypi.metadata import UnreadableMetadata, parse_metadata

WORD = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
LINE = st.lists(WORD, min_size=1, max_size=4).map(" ".join)
VALUE = st.lists(LINE, min_size=1, max_size=3).map("\n        ".join)


@given(
    requires=st.lists(LINE, max_size=5),
    extras=st.lists(WORD, max_size=3),
    python=LINE,
    summary=LINE,
    license=VALUE,
    description=st.text(max_size=50),
    newline=st.sampled_from(["\n", "\r\n"]),
)
def test_as_packaging_reads_it(
    requires: list[str],
    extras: list[str],
    python: str,
    summary: str,
    license: str,
    description: str,
    newline: str,
) -> None:
    lines = ["Metadata-Version: 2.1", "NAME: tool", "Version:1.0", f"requires-python: {python}", f"Summary: {summary}"]
    lines += [f"License: {license}", "X-Unknown: y", "Classifier: a", "Classifier: b"]
    lines += [f"Requires-Dist: {text}" for text in requires] + [f"Provides-Extra: {text}" for text in extras]
    text = "\n".join(lines).replace("\n", newline) + newline * 2 + description
    found = parse_metadata(text.encode())
    theirs, _ = parse_email(text.encode())
    assert (found.name, found.version) == (theirs["name"], theirs["version"])
    assert found.requires_python == theirs["requires_python"]
    assert found.summary == theirs["summary"]
    assert list(found.requires_dist) == theirs.get("requires_dist", [])
    assert list(found.provides_extra) == theirs.get("provides_extra", [])
    assert found.license == ("" if "\n" in license else license)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"Metadata-Version: 2.1\nName: a\nName: b\nVersion: 1", "Name twice"),
        (b"Metadata-Version: 2.1\nName: a\n", "no project or no version"),
        (b"Metadata-Version: 3.0\nName: a\nVersion: 1", "3.0"),
        (b"Name: a\nVersion: 1", "Metadata-Version"),
        (b"nothing of the kind", "is no header"),
        (b"", "Metadata-Version"),
    ],
)
def test_what_is_no_metadata(text: bytes, reason: str) -> None:
    with pytest.raises(UnreadableMetadata, match=reason):
        parse_metadata(text)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        assert parse_metadata(content).name
    except UnreadableMetadata as error:
        assert str(error)


def test_differences_are_told_by_field() -> None:
    one = parse_metadata(b"Metadata-Version: 2.1\nName: A_b\nVersion: 1\nRequires-Dist: x\nSummary: s\n")
    two = parse_metadata(b"Metadata-Version: 2.4\nName: a-b\nVersion: 1\nRequires-Dist: y\n")
    assert one.differences(one) == ()
    assert one.differences(two) == ("Requires-Dist",)
