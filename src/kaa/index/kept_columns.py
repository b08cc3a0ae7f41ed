"""The solver's columns of the names that were asked for so far, kept beside the index they were made from.

The file only grows: a header with the key of the index, then one entry per name. It is a cache of something that can
be computed again at any time, so whatever cannot be read ends it: a tail that was cut off, or an altered byte. What
follows the damage is forgotten, and the file is started anew with what was sound.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from zlib import crc32

import msgspec

from kaa.host.files import write_atomic
from kaa.host.locks import LockTimeout, file_lock
from kaa.solver.candidates import COLUMNS_VERSION, Columns

MAGIC = b"kaacols\n"
FORMAT = 1
HEADER = struct.Struct("<8sII32s")
ENTRY = struct.Struct("<III")
"""Length of the name, length of the content, and the checksum of both lengths, name and content."""
_LENGTHS = struct.Struct("<II")
_LOCK_SECONDS = 5.0


class NameColumns(msgspec.Struct, frozen=True, array_like=True):
    """The columns of one name; `places` are those records of its directory that the columns were made from."""

    columns: Columns
    places: list[int]


_decoder = msgspec.msgpack.Decoder(NameColumns)
_encoder = msgspec.msgpack.Encoder()


class KeptColumns:
    """The kept columns of one index file; `key` must be that index's."""

    def __init__(self, path: Path, key: bytes) -> None:
        self._path = path
        self._header = HEADER.pack(MAGIC, FORMAT, COLUMNS_VERSION, key)
        self._view = memoryview(b"")
        self._places: dict[str, tuple[int, int]] = {}
        self._sound = False
        self._read()

    def find(self, name: str) -> NameColumns | None:
        """The columns of a name, when they were kept and are unharmed."""
        place = self._places.get(name)
        if place is None:
            return None
        start, length = place
        content = self._view[start : start + length]
        if not self._is_sound(name.encode(), content, start):
            del self._places[name]
            self._sound = False
            return None
        try:
            return _decoder.decode(content)
        except msgspec.MsgspecError:
            del self._places[name]
            self._sound = False
            return None

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def names(self) -> list[str]:
        """The names with columns, those that were kept first first."""
        return list(self._places)

    def add(self, columns: Mapping[str, NameColumns]) -> None:
        """Keep more columns; what cannot be written (a full disk, a directory of somebody else) is not kept."""
        entries = b"".join(pack_entry(name, _encoder.encode(found)) for name, found in columns.items())
        with contextlib.suppress(OSError, LockTimeout), self._lock():
            self._read()
            if not (self._sound and self._appended(entries)):
                sound = (pack_entry(name, content) for name, content in self._intact())
                write_atomic(self._path, b"".join([self._header, *sound, entries]))
            self._read()

    def keep_only(self, names: Collection[str]) -> None:
        """Forget the columns of all other names."""
        with contextlib.suppress(OSError, LockTimeout), self._lock():
            self._read()
            sound = (pack_entry(name, content) for name, content in self._intact() if name in names)
            write_atomic(self._path, b"".join([self._header, *sound]))
            self._read()

    def _lock(self) -> AbstractContextManager[None]:
        return file_lock(self._path.with_name(self._path.name + ".lock"), timeout=_LOCK_SECONDS)

    def _appended(self, entries: bytes) -> bool:
        """Let the file grow; False when it belongs to another user, who only lets it be replaced."""
        try:
            with self._path.open("ab") as stream:
                stream.write(entries)
        except PermissionError:
            return False
        return True

    def _read(self) -> None:
        """Map the file and find its entries, up to the first one that cannot be one."""
        self._places = {}
        self._sound = False
        self._view = memoryview(b"")
        try:
            with self._path.open("rb") as stream:
                self._view = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))
        except (OSError, ValueError):
            return
        view = self._view
        if view[: HEADER.size] != self._header:
            return
        position, end = HEADER.size, len(view)
        while position + ENTRY.size <= end:
            name_length, length, _ = ENTRY.unpack_from(view, position)
            start = position + ENTRY.size + name_length
            if start + length > end:
                return
            try:
                name = str(view[position + ENTRY.size : start], "ascii")
            except UnicodeDecodeError:
                return
            # What was kept last is last.
            self._places.pop(name, None)
            self._places[name] = (start, length)
            position = start + length
        self._sound = position == end

    def _is_sound(self, name: bytes, content: memoryview, start: int) -> bool:
        (checksum,) = struct.unpack_from("<I", self._view, start - len(name) - 4)
        return bool(checksum == _checksum(name, content))

    def _intact(self) -> Iterator[tuple[str, bytes]]:
        """The entries whose checksum holds."""
        for name, (start, length) in self._places.items():
            content = self._view[start : start + length]
            if self._is_sound(name.encode(), content, start):
                yield name, bytes(content)


def pack_entry(name: str, content: bytes) -> bytes:
    """One entry of the file."""
    packed = name.encode()
    return ENTRY.pack(len(packed), len(content), _checksum(packed, content)) + packed + content


def _checksum(name: bytes, content: bytes | memoryview) -> int:
    return crc32(content, crc32(name, crc32(_LENGTHS.pack(len(name), len(content)))))
