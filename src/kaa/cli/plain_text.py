"""What kaa prints can steer no terminal: a stream that writes control characters as escapes.

Names, versions, licences, messages and error texts come from channels, packages and servers. They pass many hands on
the way to a terminal, so the last one of them makes them harmless, for whatever is printed.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator

from kaa.models.pattern import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

_STEERING = Pattern(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, but for tabs and ends of lines
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # what turns the direction of text
    "\u2028\u2029"  # ends of lines and of paragraphs, as some see them
    "\ud800-\udfff]"  # bytes of paths that are no text, and halves of characters
)


def plain(text: str) -> str:
    """A text as it can be shown: what would steer a terminal is written as an escape.

    >>> plain("bad\\x1b[2J"), plain("good\\n")
    ('bad\\\\x1b[2J', 'good\\n')
    """
    # Nearly all is; and this is a tenth of the work of looking for what is not.
    if all(map(str.isprintable, text.split("\n"))):
        return text
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


class PlainStream:
    """A text stream that gets nothing but plain text; all but writing is left to the stream itself."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        """Write a text as it can be shown, and as the stream can encode it."""
        shown = plain(text)
        try:
            self.stream.write(shown)
        except UnicodeEncodeError:
            encoding = self.stream.encoding
            self.stream.write(shown.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts, one behind the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def plain_stream(stream: TextIO) -> TextIO:
    """A stream that writes to `stream` what can be shown."""
    return PlainStream(stream)  # type: ignore[return-value]


def bare_stream(stream: TextIO) -> TextIO:
    """The stream below, for who steers the terminal on purpose."""
    return stream.stream if isinstance(stream, PlainStream) else stream


@contextlib.contextmanager
def printing_plain_text() -> Iterator[None]:
    """Let all that is printed in the block be plain text."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = plain_stream(sys.stdout), plain_stream(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
