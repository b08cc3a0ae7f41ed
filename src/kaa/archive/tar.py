"""A lean reader of tar streams: ustar, GNU long names and pax headers (POSIX.1-2001), nothing sparse.

It reads forwards only, from anything with a `read` method, and looks at each header once. What a member may do to a
disk is not judged here but in `kaa.archive.extract`.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Protocol

HEADER = 512
BLOCK = 1 << 17
MAX_EXTENSION = 1 << 20
"""The longest pax header or GNU long name that is read."""

FILE, HARD_LINK, SYMBOLIC_LINK, DIRECTORY = "file", "hard link", "symbolic link", "directory"

KINDS = {
    0x00: FILE,
    0x30: FILE,
    0x37: FILE,
    0x31: HARD_LINK,
    0x32: SYMBOLIC_LINK,
    0x33: "character device",
    0x34: "block device",
    0x35: DIRECTORY,
    0x36: "fifo",
    0x53: "sparse file",
}
"""What the type flags mean; all others are unknown."""

_END = bytes(HEADER)
_TOO_MUCH = "it unpacks to more data than a package of this size can hold"
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL = 0x4C, 0x4B, 0x78, 0x67


class Damaged(Exception):
    """What is wrong with an archive; becomes a `BadArchive` where the archive's path is known."""

    def __init__(self, reason: str, member: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.member = member


class Readable(Protocol):
    """What a tar is read from; a short answer means nothing, an empty one the end."""

    def read(self, size: int, /) -> bytes: ...


class Member:
    """One entry of a tar; `kind` is one of the constants above, a device, or "unknown"."""

    __slots__ = ("kind", "link", "mode", "mtime", "name", "size")

    def __init__(self, name: str, kind: str, mode: int, mtime: int, size: int, link: str) -> None:
        self.name = name
        self.kind = kind
        self.mode = mode
        self.mtime = mtime
        self.size = size
        self.link = link

    def __repr__(self) -> str:
        return f"Member({self.name!r}, {self.kind!r}, size={self.size})"


class TarReader:
    """The members of a tar stream, in their order.

    While a member is the current one of the iteration, `content` or `iter_content` reads it, once; what is not read is
    skipped. `limit` bounds the bytes that are taken from the stream.
    """

    def __init__(self, stream: Readable, limit: int) -> None:
        self._read = stream.read
        self._left = limit
        self._buffer = b""
        self._position = 0
        self._unread = 0
        """Bytes of the current member's content that were not asked for."""
        self._padding = 0
        self._global: dict[str, str] = {}

    def __iter__(self) -> Iterator[Member]:
        name = ""
        while True:
            try:
                if self._unread or self._padding:
                    self._skip()
                member = self._next_member()
            except Damaged as error:
                if name and not error.member:
                    error.reason += f", after {printable(name)}"
                raise
            if member is None:
                return
            name = member.name
            self._unread = member.size if member.kind == FILE else 0
            self._padding = -self._unread % HEADER
            if self._unread > self._left + len(self._buffer) - self._position:
                raise Damaged(_TOO_MUCH, name)
            yield member

    def _next_member(self) -> Member | None:
        """The next member, with what the extended headers before it say of it; None at the end."""
        extended: dict[str, str] = {}
        while (header := self._take_header()) is not None:
            flag, size = header[156], _number(header[124:136], "size")
            if flag not in (_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK):
                return _member(header, flag, size, {**self._global, **extended} if self._global else extended)
            data = self._take_extension(size)
            if flag == _PAX:
                extended.update(_parse_pax(data))
            elif flag == _PAX_GLOBAL:
                self._global.update(_parse_pax(data))
            else:
                extended["path" if flag == _LONG_NAME else "linkpath"] = _text(data.partition(b"\0")[0])
        return None

    def content(self) -> bytes | memoryview:
        """The current member's whole content; the view is good until the next member is asked for."""
        size = self._unread
        end = self._position + size
        if end <= len(self._buffer):
            view = memoryview(self._buffer)[self._position : end]
            self._position = end
            self._unread = 0
            return view
        return b"".join(self.iter_content())

    def iter_content(self) -> Iterator[bytes | memoryview]:
        """The current member's content, in blocks of the size in which they come."""
        while self._unread:
            if self._position == len(self._buffer):
                self._fill(1)
            block = memoryview(self._buffer)[self._position : self._position + self._unread]
            self._position += len(block)
            self._unread -= len(block)
            yield block

    def _skip(self) -> None:
        for _ in self.iter_content():
            pass
        if self._position + self._padding > len(self._buffer):
            self._fill(self._padding)
        self._position += self._padding
        self._padding = 0

    def _take_header(self) -> bytes | None:
        """The next header; None at the end."""
        end = self._position + HEADER
        if end > len(self._buffer):
            self._fill(HEADER, at_start=True)
            end = HEADER
        header = self._buffer[self._position : end]
        self._position = end
        if header == _END:
            return None
        # The sum of all bytes, the checksum's own eight as spaces. The lower half of Adler-32 is 1 + that sum, modulo
        # 65521, and five times as fast as `sum`.
        stored = _number(header[148:156], "checksum")
        if ((zlib.adler32(header) & 0xFFFF) - 1 - sum(header[148:156]) + 256 - stored) % 65521:
            raise Damaged("a header's checksum is wrong")
        return header

    def _take_extension(self, size: int) -> bytes:
        if size > MAX_EXTENSION:
            raise Damaged(f"a name or header extension of {size} bytes")
        padded = size + -size % HEADER
        self._fill(padded)
        data = self._buffer[self._position : self._position + size]
        self._position += padded
        return data

    def _fill(self, wanted: int, *, at_start: bool = False) -> None:
        """Have `wanted` bytes in the buffer."""
        missing = wanted - (len(self._buffer) - self._position)
        if missing <= 0:
            return
        blocks = [self._buffer[self._position :]]
        while missing > 0:
            block = self._read(BLOCK)
            if not block:
                where = "it has no end marker" if at_start and not any(blocks) else "it ends in the middle of a member"
                raise Damaged(f"the archive is cut off: {where}")
            self._left -= len(block)
            if self._left < 0:
                raise Damaged(_TOO_MUCH)
            blocks.append(block)
            missing -= len(block)
        self._buffer = b"".join(blocks) if blocks[0] or len(blocks) > 2 else blocks[1]
        self._position = 0


def _member(header: bytes, flag: int, size: int, extended: dict[str, str]) -> Member:
    # Where there is a long name, the header's own is cut off, maybe in the middle of a character.
    name = extended["path"] if "path" in extended else _name(header)
    link = extended.get("linkpath", "")
    if header[157] and "linkpath" not in extended:
        link = _text(header[157:257].partition(b"\0")[0])
    mtime = _number(header[136:148], "time")
    kind = KINDS.get(flag, "unknown")
    if extended:
        size = _decimal(extended.get("size"), size, "size", name)
        mtime = _decimal(extended.get("mtime"), mtime, "time", name)
        if any(key.startswith("GNU.sparse.") for key in extended):
            return Member(name, "sparse file", 0, 0, 0, "")
    if kind == FILE and name.endswith("/"):
        kind = DIRECTORY
    return Member(name, kind, _number(header[100:108], "mode"), mtime, size, link)


def _name(header: bytes) -> str:
    name = _text(header[:100].partition(b"\0")[0])
    if header[345] and header[257:262] == b"ustar" and header[263:265] == b"00":
        folder = _text(header[345:500].partition(b"\0")[0])
        return f"{folder}/{name}"
    return name


def _number(field: bytes, what: str) -> int:
    """A number of a header: octal digits, or base 256 when the first bit is set."""
    # Nearly all are digits and one NUL.
    if (digits := field[:-1]).isdigit() and field[-1] in b"\0 ":
        try:
            return int(digits, 8)
        except ValueError:
            pass
    if field[0] & 0x80:
        # All ones in the first byte: a negative number, which only a time can be.
        value = int.from_bytes(field[1:], "big") - (1 << 8 * (len(field) - 1) if field[0] == 0xFF else 0)
        if value >= 0 or what == "time":
            return value
        raise Damaged(f"a header's {what} is negative")
    digits = field.partition(b"\0")[0].strip()
    if not digits:
        return 0
    if not digits.isdigit():
        raise Damaged(f"a header's {what} is not a number")
    try:
        return int(digits, 8)
    except ValueError:
        raise Damaged(f"a header's {what} is not a number") from None


def _decimal(text: str | None, otherwise: int, what: str, member: str) -> int:
    if text is None:
        return otherwise
    whole = text.partition(".")[0]
    if not (whole.isascii() and whole.removeprefix("-").isdigit() and len(whole) < 20):
        raise Damaged(f"an extended header's {what} is not a number", member)
    value = int(whole)
    if value < 0 and what != "time":
        raise Damaged(f"an extended header's {what} is negative", member)
    return value


def _parse_pax(data: bytes) -> dict[str, str]:
    """The records `length key=value\\n` of a pax header."""
    found = {}
    while data:
        digits, space, rest = data.partition(b" ")
        if not (space and digits.isdigit() and len(digits) < 8):
            raise Damaged("an extended header is damaged")
        length = int(digits) - len(digits) - 1
        record, data = rest[:length], rest[length:]
        key, equals, value = record.partition(b"=")
        if length < 1 or len(record) != length or not equals or not value.endswith(b"\n"):
            raise Damaged("an extended header is damaged")
        found[key.decode("utf-8", "replace")] = _text(value[:-1])
    return found


def printable(text: str) -> str:
    """A name from an archive as it can be shown: control characters and the like written as escapes."""
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")


def _text(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Damaged("its name is not valid UTF-8", name.decode("utf-8", "backslashreplace")) from None
