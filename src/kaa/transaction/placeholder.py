"""Replacing the prefix that a package was built with by the prefix it is installed to (conda practice, formats §14.2).

Only files whose `paths.json` entry names a placeholder are touched. The placeholder is looked for as UTF-8, the only
encoding in which builders record it. Rules of the *target* platform decide, not those of this machine.

>>> replace_binary(b"/build/place/lib\\0tail", b"/build/place", b"/new")
b'/new/lib\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00tail'
>>> replace_text(b"#!/build/place/bin/perl\\n", b"/build/place", b"/my env", "linux-64")
b'#!/usr/bin/env perl\\n'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from kaa.errors import KaaError
from kaa.models.subdir import is_windows, operating_system

SHEBANG_LIMIT = {"linux": 127, "osx": 512}
"""The longest first line that the kernel reads, `#!` counted and the newline not."""

_SHEBANG = re.compile(rb"#![ \t]*([^\n\r]*)")
_PYTHON = re.compile(rb"python[0-9.]*t?|pypy[0-9.]*")
_TRAMPOLINE = re.compile(rb"""#!/bin/sh\n'''exec' "((?:[^"\\\n]|\\.)*)"(?: ([^\n]*?))? "\$0" "\$@" #'''""")
_BY_ENV = re.compile(rb"#!/usr/bin/env (?:-S )?([^\s/]+)([^\n\r]*)")


class PrefixTooLong(KaaError):
    """The new prefix has no room where the old one stood in a binary file."""

    conda_name = "PaddingError"

    def __init__(self, path: str, placeholder: str, prefix: str) -> None:
        self.path = path
        self.placeholder_length = len(placeholder.encode(errors="surrogateescape"))
        self.prefix_length = len(prefix.encode(errors="surrogateescape"))
        super().__init__(
            f"the path of the environment is too long for {path}: it has {self.prefix_length} bytes, and the program "
            f"was built with room for {self.placeholder_length}",
            hints=(f"choose a path of at most {self.placeholder_length} bytes for the environment",),
        )


def replaced(data: bytes, placeholder: bytes, prefix: bytes, subdir: str, *, binary: bool) -> bytes:
    """`data` with every `placeholder` replaced, as the mode of the file and the target platform ask for.

    Raises ValueError when a binary file has no room for the new prefix.
    """
    if not binary:
        return replace_text(data, placeholder, prefix, subdir)
    # Windows programs find their files without a built-in path; there is no C string to patch.
    return data if is_windows(subdir) else replace_binary(data, placeholder, prefix)


def replace_text(data: bytes, placeholder: bytes, prefix: bytes, subdir: str) -> bytes:
    """Replace everywhere; on unix a `#!` line that the kernel would not understand is written in another way."""
    if is_windows(subdir):
        return data.replace(placeholder, prefix.replace(b"\\", b"/"))
    changed = data.replace(placeholder, prefix)
    match = _SHEBANG.match(data)
    if match is None or placeholder not in match[1]:
        return changed
    program, options = (part.replace(placeholder, prefix) for part in _split_command(match[1], placeholder))
    rest = data[match.end() :].replace(placeholder, prefix)
    if is_usable(changed[: len(changed) - len(rest)], program, subdir):
        return changed
    return rewritten_shebang(program, options, future=b"from __future__" in rest) + rest


def is_usable(line: bytes, program: bytes, subdir: str) -> bool:
    """Whether the kernel of the target starts `program` by a first line (without newline) like this."""
    return len(line) <= SHEBANG_LIMIT.get(operating_system(subdir), 127) and not re.search(rb"\s", program)


def rewritten_shebang(program: bytes, options: bytes = b"", *, future: bool = False) -> bytes:
    """A short first line (without newline) that starts `program` all the same.

    `future` says that the script has `from __future__` imports, which the `sh` form of the line would break.
    """
    name = program.rpartition(b"/")[2]
    if _PYTHON.fullmatch(name) and not future:
        return python_trampoline(program, options)
    # Linux hands everything behind the program to env as one argument; -S makes env split it.
    return b"#!/usr/bin/env " + (b"-S " + name + b" " + options if options else name)


def python_trampoline(program: bytes, options: bytes = b"") -> bytes:
    """Two lines that `sh` reads as "start this python on me", and python as a string without effect."""
    quoted = re.sub(rb'([\\"$`])', rb"\\\1", program)
    options = b" " + options if options else b""
    return b"#!/bin/sh\n'''exec' \"" + quoted + b'"' + options + b' "$0" "$@" #\'\'\''


def parse_trampoline(data: bytes) -> tuple[bytes, bytes, int] | None:
    """Program, options, and where the rest begins, of a file that `python_trampoline` begins."""
    match = _TRAMPOLINE.match(data)
    if match is None:
        return None
    return re.sub(rb"\\(.)", rb"\1", match[1]), match[2] or b"", match.end()


def _split_command(command: bytes, placeholder: bytes) -> tuple[bytes, bytes]:
    """Interpreter and options of a `#!` line; a placeholder may hold spaces of its own."""
    start = len(placeholder) if command.startswith(placeholder) else 0
    match = re.search(rb"[ \t]", command[start:])
    if match is None:
        return command, b""
    end = start + match.start()
    return command[:end], command[end:].strip()


def replace_binary(data: bytes, placeholder: bytes, prefix: bytes) -> bytes:
    """Replace within every C string and fill it up with NUL, so that no byte behind it moves.

    The end of the file ends a string as a NUL does. Raises ValueError when `prefix` is longer than `placeholder`.
    """
    spare = len(placeholder) - len(prefix)
    if spare < 0:
        raise ValueError(f"{len(prefix)} bytes do not fit into {len(placeholder)}")
    parts: list[bytes] = []
    done = 0
    start = data.find(placeholder)
    while start >= 0:
        end = data.find(b"\0", start)
        if end < 0:
            end = len(data)
        string = data[start:end]
        parts += (data[done:start], string.replace(placeholder, prefix), b"\0" * (spare * string.count(placeholder)))
        done = end
        start = data.find(placeholder, end)
    parts.append(data[done:])
    return b"".join(parts)


def iter_originals(
    data: bytes,
    placeholder: bytes,
    prefix: bytes,
    subdir: str,
    *,
    binary: bool,
    put_back: Callable[[bytes], bytes] | None = None,
) -> Iterator[bytes]:
    """What `data` may have been before `placeholder` became `prefix` in it: the inverse of `replaced`.

    Not all of it can be known from `data` alone, so there may be several answers; the hash of the original decides.
    `put_back` puts the placeholder into a text in another way than everywhere.
    """
    if not binary:
        everywhere = put_back or (lambda text: text.replace(prefix, placeholder))
        yield from _text_originals(data, placeholder, prefix, subdir, everywhere)
    elif is_windows(subdir):
        yield data
    elif (original := restore_binary(data, placeholder, prefix)) is not None:
        yield original


def restore_binary(data: bytes, placeholder: bytes, prefix: bytes) -> bytes | None:
    """What `replace_binary` made `data` of; None when the room that it leaves is not there.

    >>> restore_binary(b"/new/lib" + b"\\0" * 9 + b"tail", b"/build/place", b"/new")
    b'/build/place/lib\\x00tail'
    """
    spare = len(placeholder) - len(prefix)
    if spare < 0:
        return None
    parts: list[bytes] = []
    done = 0
    start = data.find(prefix)
    while start >= 0:
        end = data.find(b"\0", start)
        if end < 0:
            end = len(data)
        string = data[start:end]
        room = spare * string.count(prefix)
        if not data.startswith(b"\0" * room, end):
            return None
        parts += (data[done:start], string.replace(prefix, placeholder))
        done = end + room
        start = data.find(prefix, done)
    parts.append(data[done:])
    return b"".join(parts)


def _text_originals(
    data: bytes, placeholder: bytes, prefix: bytes, subdir: str, put_back: Callable[[bytes], bytes]
) -> Iterator[bytes]:
    if is_windows(subdir):
        yield data.replace(prefix.replace(b"\\", b"/"), placeholder)
        return
    yield put_back(data)
    if (trampoline := parse_trampoline(data)) is not None:
        program, options, end = trampoline
        if program.startswith(prefix):
            program = placeholder + program[len(prefix) :]
        command = program + b" " + put_back(options) if options else program
    elif (match := _BY_ENV.match(data)) is not None:
        command, end = placeholder + b"/bin/" + match[1] + put_back(match[2]), match.end()
    else:
        return
    rest = put_back(data[end:])
    yield b"#!" + command + rest
    yield b"#! " + command + rest
