"""Room on disks, in words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kaa.host.room import room_left, size_in_words


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (1_234_567, "1.2 MB"), (5 * 10**12, "5000.0 GB")],
)
def test_sizes(count: int, words: str) -> None:
    assert size_in_words(count) == words


def test_the_room_of_a_path_that_is_not_there_is_that_of_its_disk(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d[\d.]* (bytes|kB|MB|GB)( and \d+ files)? free", room_left(tmp_path / "not" / "there"))
