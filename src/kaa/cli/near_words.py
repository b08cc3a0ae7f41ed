"""What someone may have meant by a word that is not known."""

from __future__ import annotations

import importlib
from collections.abc import Iterable


def meant(word: str, known: Iterable[str], *, at_most: int = 3) -> str:
    """`did you mean this or that?`, or nothing when no known word is near."""
    near: list[str] = importlib.import_module("difflib").get_close_matches(word, list(known), n=at_most, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""
