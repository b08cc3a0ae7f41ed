"""What becomes of the content of a file when its environment gets another path. Pure.

Files that a package brought with a placeholder are put back to what the package holds, and rendered for the new path as
linking does; where that is not possible any more, and for files of others, the old path is replaced where it stands.

>>> change = PathChange((b"/envs/old",), b"/envs/new")
>>> moved_text(b"#!/envs/old/bin/python\\nhome = '/envs/old', other = '/envs/older'\\n", change)
b"#!/envs/new/bin/python\\nhome = '/envs/new', other = '/envs/older'\\n"
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterator
from urllib.parse import quote_from_bytes

import msgspec

from kaa.models.subdir import is_windows
from kaa.transaction.placeholder import is_usable, iter_originals, parse_trampoline, replaced, rewritten_shebang

_NAME = rb"[\w.~+@%\x80-\xff-]"
_NAME_BEFORE = re.compile(_NAME + rb"+\Z")
_LONGEST_NAME = 256
_TRAMPOLINE = re.compile(rb"""#!/bin/sh\n'''exec' (?:"([^"\n]*)"|'([^'\n]*)'|([^\s"']+))([^\n]*)\n""")
"""What pip and uv write where the path of python is too long for a `#!` line."""


class PathChange(msgspec.Struct, frozen=True):
    """The paths by which files may name an environment, and the path that it gets."""

    old: tuple[bytes, ...]
    """As the environment is called now; then other spellings, such as the one without symbolic links."""
    new: bytes
    subdir: str = "linux-64"
    """The platform that the environment is for."""


class NoRoom(ValueError):
    """The new path does not fit where the old one stands."""


# -- files of packages ------------------------------------------------------------------------------------------------


def moved_content(
    data: bytes, change: PathChange, *, placeholder: bytes, binary: bool, sha256: str | None
) -> tuple[bytes, bool]:
    """The content for the new path of a file that was installed with its placeholder replaced.

    `sha256` is that of the file in the package. The second value says whether `data` is what linking had made of that
    file: then the answer is what linking makes of it at the new path. Raises ValueError when there is no room.
    """
    for original in _originals(data, change, placeholder, binary=binary) if sha256 else ():
        if hashlib.sha256(original).hexdigest() == sha256:
            return replaced(original, placeholder, change.new, change.subdir, binary=binary), True
    if binary:
        return moved_binary(data, change, room=len(placeholder)), False
    return moved_text(data, change), False


def _originals(data: bytes, change: PathChange, placeholder: bytes, *, binary: bool) -> Iterator[bytes]:
    """What the package may hold: the old path put back everywhere, or where it stands as a whole path."""
    for old in change.old:
        yield from iter_originals(data, placeholder, old, change.subdir, binary=binary)
        if not binary:
            back = PathChange((old,), placeholder, change.subdir)
            put_back = functools.partial(_replaced, change=back, spellings=False)
            yield from iter_originals(data, placeholder, old, change.subdir, binary=False, put_back=put_back)


# -- text -------------------------------------------------------------------------------------------------------------


def moved_text(data: bytes, change: PathChange) -> bytes:
    """The text with the new path in place of the old one; a first line that the kernel reads stays usable."""
    head, rest = _moved_head(data, change)
    return head + _replaced(rest, change)


def moved_head(data: bytes, change: PathChange) -> bytes:
    """The text with nothing but the interpreter of its first line changed, where that is in the environment."""
    head, rest = _moved_head(data, change)
    return head + rest


def mentions(data: bytes, change: PathChange) -> bool:
    """Whether a content names the old path."""
    return next(_occurrences(data, change), None) is not None


def moved_link(text: bytes, change: PathChange) -> bytes:
    """The text of a symbolic link (or any path): one that leads into the environment leads into the new one."""
    for old in change.old:
        if text == old or text.startswith(old + b"/"):
            return change.new + text[len(old) :]
    return text


def _moved_head(data: bytes, change: PathChange) -> tuple[bytes, bytes]:
    """The part of a script that names its interpreter, moved; and the rest as it is."""
    if not data.startswith(b"#!") or is_windows(change.subdir):
        return b"", data
    if (trampoline := parse_trampoline(data)) is not None:
        program, options, end = trampoline
        moved = moved_link(program, change)
        rest = data[end:]
        return (data[:end] if moved == program else _first_line(moved, options, rest, change.subdir)), rest
    if (match := _TRAMPOLINE.match(data)) is not None:
        program = match[1] or match[2] or match[3] or b""
        moved = moved_link(program, change)
        quote = b'"' if match[1] else b"'" if match[2] else b""
        head = match[0] if moved == program else b"#!/bin/sh\n'''exec' " + _quoted(moved, quote) + match[4] + b"\n"
        return head, data[match.end() :]
    return _moved_line(data, change)


def _moved_line(data: bytes, change: PathChange) -> tuple[bytes, bytes]:
    end = re.search(rb"[\r\n]|\Z", data)
    line, rest = data[: end.start() if end else len(data)], data[end.start() if end else len(data) :]
    lead = line[: len(line) - len(line[2:].lstrip(b" \t"))]
    command = line[len(lead) :]
    for old in change.old:
        if command.startswith(old + b"/"):
            # The path of an environment may hold spaces of its own.
            after = re.search(rb"[ \t]|\Z", command[len(old) :])
            split = len(old) + (after.start() if after else 0)
            program, options = moved_link(command[:split], change), _replaced(command[split:], change)
            plain = lead + program + options
            if is_usable(plain, program, change.subdir):
                return plain, rest
            return _first_line(program, options.strip(), rest, change.subdir), rest
    return line, rest


def _first_line(program: bytes, options: bytes, rest: bytes, subdir: str) -> bytes:
    """The first line for a program and its options, without newline."""
    plain = b"#!" + program + (b" " + options if options else b"")
    if is_usable(plain, program, subdir):
        return plain
    return rewritten_shebang(program, options, future=b"from __future__" in rest)


def _quoted(program: bytes, quote: bytes) -> bytes:
    """A program as a word of `sh`, in these quotes where that is possible."""
    if not quote and re.fullmatch(rb"[\w/.+@%:,=~-]+", program):
        return program
    if quote == b"'" and b"'" not in program:
        return b"'" + program + b"'"
    return b'"' + re.sub(rb'([\\"$`])', rb"\\\1", program) + b'"'


# -- programs ---------------------------------------------------------------------------------------------------------


def moved_binary(data: bytes, change: PathChange, *, room: int = 0) -> bytes:
    """The content with the new path in its C strings, and nothing behind them moved.

    Where a path of `room` bytes stood before the old one, NULs behind the string are what is left of it, and can be
    used. Raises NoRoom when the new path is longer than that.
    """
    parts: list[bytes] = []
    done = 0
    strings: dict[int, int] = {}
    for start, old in _occurrences(data, change):
        end = data.find(b"\0", start)
        end = len(data) if end < 0 else end
        strings[end] = strings.get(end, 0) + max(0, room - len(old))
    for end, spare in strings.items():
        start = data.rfind(b"\0", done, end) + 1 or done
        string = data[start:end]
        moved = _replaced(string, change, spellings=False)
        growth = len(moved) - len(string)
        if growth > (free := _free(data, end, spare)):
            raise NoRoom(f"{growth} more bytes, and room for {free}")
        parts += (data[done:start], moved, b"\0" * -growth)
        done = end + max(growth, 0)
    parts.append(data[done:])
    return b"".join(parts)


def _free(data: bytes, end: int, limit: int) -> int:
    """How many of the NULs behind a string, of at most `limit`, can be written to: one of them ends the string."""
    behind = data[end : end + limit + 1]
    count = len(behind) - len(behind.lstrip(b"\0"))
    return min(limit, count if end + count == len(data) else max(0, count - 1))


# -- the old path, wherever it stands ---------------------------------------------------------------------------------


def _occurrences(data: bytes, change: PathChange) -> Iterator[tuple[int, bytes]]:
    """Where the old path stands as a whole path, not as a part of another one, and in which spelling."""
    spellings = _spellings(change)
    if not any(spelling in data for spelling in spellings):
        return
    for match in _pattern(tuple(spellings)).finditer(data):
        if _begins_a_path(data, match.start()):
            yield match.start(), match[0]


def _replaced(data: bytes, change: PathChange, *, spellings: bool = True) -> bytes:
    """The new path wherever the old one stands, in the same spelling."""
    known = _spellings(change)
    parts: list[bytes] = []
    done = 0
    for start, old in _occurrences(data, change):
        new = known[old]
        if spellings and old in change.old and data.endswith(b"file://", 0, start):
            new = _in_address(change.new)
        parts += (data[done:start], new)
        done = start + len(old)
    parts.append(data[done:])
    return b"".join(parts)


@functools.lru_cache(maxsize=8)
def _spellings(change: PathChange) -> dict[bytes, bytes]:
    """The old paths as plain text, in addresses and in JSON, with the new path in the same spelling."""
    found = dict.fromkeys(change.old, change.new)
    for old in change.old:
        found.setdefault(_in_address(old), _in_address(change.new))
        found.setdefault(_in_json(old), _in_json(change.new))
    return found


@functools.lru_cache(maxsize=8)
def _pattern(spellings: tuple[bytes, ...]) -> re.Pattern[bytes]:
    longest_first = sorted(spellings, key=len, reverse=True)
    names = b"|".join(re.escape(spelling) for spelling in longest_first)
    return re.compile(b"(?:" + names + rb")(?![\w~+@%\x80-\xff-]|\.\w)")


def _begins_a_path(data: bytes, start: int) -> bool:
    """Whether what stands before is no part of the path: `/usr/bin` before `/env` is, `-L` before `/env` is not."""
    before = data[max(0, start - _LONGEST_NAME) : start]
    name = _NAME_BEFORE.search(before)
    if name is None:
        return True
    leading = before[: name.start()][-1:]
    # The n of "\\n" in a text belongs to the backslash.
    return leading == b"\\" or (name[0].startswith(b"-") and leading != b"/")


def _in_address(path: bytes) -> bytes:
    return quote_from_bytes(path).encode()


def _in_json(path: bytes) -> bytes:
    return json.dumps(path.decode(errors="surrogateescape"))[1:-1].encode()
