"""The shape of every error about a text that does not parse: the text, the place, the reason."""

from __future__ import annotations

from kaa.errors import KaaError


class InvalidText(KaaError, ValueError):
    """A text that is not what it should be; the message draws the text with a caret under the offending place."""

    noun = "text"

    def __init__(self, text: str, position: int, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.text = text
        self.position = position
        self.reason = reason
        # Characters that would move the caret or break the line are drawn as one character each.
        drawn = "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
        super().__init__(f"invalid {self.noun}: {reason}\n  {drawn}\n  {' ' * position}^", hints=hints)
