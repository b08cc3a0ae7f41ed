"""What someone may have meant by a word that is not known."""

from __future__ import annotations

import importlib
from collections.abc import Iterable


def meant(word: str, known: Iterable[str], *, at_most: int = 3) -> str:
    """`did you mean this or that?`, or nothing when no known word is near."""
    # Two flags are somewhat alike by their dashes alone.
    cutoff = 0.7 if word.startswith("--") else 0.6
    near: list[str] = importlib.import_module("difflib").get_close_matches(word, list(known), n=at_most, cutoff=cutoff)
    return f"did you mean {' or '.join(near)}?" if near else ""
