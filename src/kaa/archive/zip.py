"""A lean and strict reader of zip files (APPNOTE 6.3): stored and deflated members, zip64, nothing encrypted.

Readers of zips disagree where a zip contradicts itself, and hostile ones live on that. So a zip is refused that holds
anything before its first member or behind its directory, whose members overlap, or whose local headers say something
else than its directory. What a member may do to a disk is judged in `kaa.archive.extract`.
"""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO

from kaa.archive.tar import Damaged

BLOCK = 1 << 20
STORED, DEFLATED = 0, 8
MAX_MEMBERS = 2_000_000
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_ENTRY = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_LONGEST_COMMENT = (1 << 16) - 1
_ENCRYPTED, _UTF_8 = 0x1, 0x800
_UNIX = 3


class ZipMember:
    """One file or directory of a zip."""

    __slots__ = (
        "compressed_size",
        "crc",
        "date",
        "flags",
        "kind",
        "method",
        "mode",
        "name",
        "offset",
        "size",
        "written",
    )

    def __init__(
        self,
        written: bytes,
        flags: int,
        method: int,
        date: int,
        crc: int,
        sizes: tuple[int, int],
        offset: int,
        mode: int,
    ) -> None:
        self.written = written
        """The name's bytes."""
        self.flags = flags
        self.method = method
        self.date = date
        """Date and time as zips have them, the date in the upper half: later ones are larger."""
        self.crc = crc
        self.compressed_size, self.size = sizes
        self.offset = offset
        self.mode = mode & 0o7777
        self.kind = stat.S_IFMT(mode)
        """The kind of file that a Unix system noted, 0 where none did."""
        try:
            self.name = written.decode("utf-8" if flags & _UTF_8 else "ascii")
        except UnicodeDecodeError:
            if flags & _UTF_8:
                raise Damaged("its zip holds a name that is not UTF-8") from None
            self.name = written.decode("cp437")

    @property
    def is_directory(self) -> bool:
        return self.written.endswith(b"/")

    @property
    def date_time(self) -> tuple[int, int, int, int, int, int]:
        """Year, month, day, hour, minute, second, as they are written."""
        return date_time(self.date)


def date_time(date: int) -> tuple[int, int, int, int, int, int]:
    """What a date of a zip means; parts that are none count as the nearest that are."""
    day, time = date >> 16, date & 0xFFFF
    return (
        1980 + (day >> 9),
        max(1, min(12, day >> 5 & 0xF)),
        max(1, day & 0x1F),
        min(23, time >> 11),
        min(59, time >> 5 & 0x3F),
        min(59, 2 * (time & 0x1F)),
    )


class ZipReader:
    """An open zip; raises Damaged for whatever is wrong with it."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self.size = stream.seek(0, 2)
        self.members = self._read_members()
        total = sum(member.size for member in self.members)
        if total > limit:
            raise Damaged(f"it would unpack to {total} bytes, which no archive of its size does")

    def content(self, member: ZipMember, *, check: bool = True) -> bytes:
        """All of a member; `check` compares its checksum, which whoever has a better hash can leave out."""
        if member.size > BLOCK:
            return b"".join(self.iter_content(member, check=check))
        data = self._data(member)
        if member.method == DEFLATED:
            data = _inflated(data, member)
        if len(data) != member.size:
            raise Damaged("its zip is damaged (a size is wrong)", member.name)
        if check and zlib.crc32(data) != member.crc:
            raise Damaged("its zip is damaged (a checksum is wrong)", member.name)
        return data

    def iter_content(self, member: ZipMember, *, check: bool = True) -> Iterator[bytes]:
        """A member in blocks."""
        left, crc, size = member.compressed_size, 0, 0
        self._stream.seek(self._start(member))
        inflater = zlib.decompressobj(-15) if member.method == DEFLATED else None
        while left or (inflater is not None and inflater.unconsumed_tail):
            block = inflater.unconsumed_tail if inflater is not None else b""
            if not block:
                block = self._stream.read(min(left, BLOCK))
                left -= len(block)
                if not block:
                    raise Damaged("its zip is cut off", member.name)
            if inflater is not None:
                try:
                    block = inflater.decompress(block, BLOCK)
                except zlib.error as error:
                    raise Damaged(f"its zip is damaged ({error})", member.name) from None
            size += len(block)
            if size > member.size:
                break
            if check:
                crc = zlib.crc32(block, crc)
            if block:
                yield block
        while inflater is not None and not inflater.eof and size <= member.size:
            # What is in its window still.
            block = inflater.decompress(b"", BLOCK)
            if not block:
                break
            size += len(block)
            crc = zlib.crc32(block, crc) if check else 0
            yield block
        if size != member.size or (inflater is not None and (not inflater.eof or inflater.unused_data)):
            raise Damaged("its zip is damaged (a size is wrong)", member.name)
        if check and crc != member.crc:
            raise Damaged("its zip is damaged (a checksum is wrong)", member.name)

    # -- the data -----------------------------------------------------------------------------------------------------

    def _data(self, member: ZipMember) -> bytes:
        """The packed bytes of a member, by one read where its local header is as long as expected."""
        head = _LOCAL.size + len(member.written)
        self._stream.seek(member.offset)
        data = self._stream.read(head + member.compressed_size)
        end = self._checked_head(member, data[:head])
        if end != head:
            self._stream.seek(member.offset + end)
            found = self._stream.read(member.compressed_size)
        else:
            found = data[head:]
        if len(found) != member.compressed_size:
            raise Damaged("its zip is cut off", member.name)
        return found

    def _start(self, member: ZipMember) -> int:
        self._stream.seek(member.offset)
        return member.offset + self._checked_head(member, self._stream.read(_LOCAL.size + len(member.written)))

    def _checked_head(self, member: ZipMember, head: bytes) -> int:
        """How long the local header is, which has to say what the directory says."""
        name_length = len(member.written)
        if len(head) != _LOCAL.size + name_length:
            raise Damaged("its zip is cut off", member.name)
        signature, _, flags, method, _, _, _, _, _, length, extra = _LOCAL.unpack_from(head)
        same = (signature, method, length) == (b"PK\3\4", member.method, name_length)
        if not same or (flags ^ member.flags) & _ENCRYPTED or head[_LOCAL.size :] != member.written:
            raise Damaged("its zip says two things of one file", member.name)
        return int(_LOCAL.size + name_length + extra)

    # -- the directory ------------------------------------------------------------------------------------------------

    def _read_members(self) -> tuple[ZipMember, ...]:
        count, size, offset = self._find_directory()
        if count > MAX_MEMBERS:
            raise Damaged(f"it holds more than {MAX_MEMBERS} members")
        self._stream.seek(offset)
        data = self._stream.read(size)
        found = []
        position = 0
        try:
            for _ in range(count):
                member, position = _member(data, position)
                found.append(member)
        except struct.error:
            raise Damaged("its zip is damaged (its directory is too short)") from None
        if position != size:
            raise Damaged("its zip is damaged (its directory is longer than it says)")
        self._check_places(found, offset)
        return tuple(found)

    def _check_places(self, members: list[ZipMember], directory: int) -> None:
        end = 0
        for member in sorted(members, key=_offset_of):
            if member.offset < end or (end == 0 and member.offset):
                raise Damaged("its zip is damaged (members overlap)", member.name)
            end = member.offset + _LOCAL.size + len(member.written) + member.compressed_size
        if end > directory:
            raise Damaged("its zip is damaged (members overlap)")

    def _find_directory(self) -> tuple[int, int, int]:
        """(number of members, bytes, offset) of the directory, which ends where the end records begin."""
        length = min(self.size, _END.size + _LONGEST_COMMENT)
        self._stream.seek(self.size - length)
        tail = self._stream.read(length)
        at = tail.rfind(b"PK\5\6")
        if at < 0 or len(tail) - at < _END.size:
            raise Damaged("it is no zip file")
        _, disk, first_disk, here, count, size, offset, comment = _END.unpack_from(tail, at)
        if comment != len(tail) - at - _END.size:
            raise Damaged("its zip is damaged (something follows its end)")
        end = self.size - length + at
        if 0xFFFFFFFF in (size, offset) or 0xFFFF in (count, disk):
            disk, first_disk, here, count, size, offset, end = self._find_directory_64(end)
        if disk or first_disk or here != count:
            raise Damaged("it is a part of a zip file")
        if offset + size != end:
            raise Damaged("its zip is damaged (its directory is not where it should be)")
        return count, size, offset

    def _find_directory_64(self, end: int) -> tuple[int, int, int, int, int, int, int]:
        """What the end records of a large zip say, and where they begin."""
        try:
            self._stream.seek(end - _LOCATOR_64.size)
            signature, _, place, _ = _LOCATOR_64.unpack(self._stream.read(_LOCATOR_64.size))
            if signature != b"PK\6\7" or place + _END_64.size + _LOCATOR_64.size != end:
                raise Damaged("its zip is damaged (its end records are not where they should be)")
            self._stream.seek(place)
            found = _END_64.unpack(self._stream.read(_END_64.size))
        except (struct.error, ValueError, OSError):
            raise Damaged("its zip is damaged (its end records are cut off)") from None
        if found[0] != b"PK\6\6":
            raise Damaged("its zip is damaged (its end records are not where they should be)")
        _, _, _, _, disk, first_disk, here, count, size, offset = found
        return disk, first_disk, here, count, size, offset, place


def _offset_of(member: ZipMember) -> int:
    return member.offset


def _member(data: bytes, position: int) -> tuple[ZipMember, int]:
    """The member whose entry of the directory is at `position`, and where the next one is."""
    found = _ENTRY.unpack_from(data, position)
    signature, made_by, _, flags, method, time, date, crc, packed, size, name, extra, comment, *rest, offset = found
    start = position + _ENTRY.size
    end = start + name + extra + comment
    if signature != b"PK\1\2" or end > len(data):
        raise Damaged("its zip is damaged (its directory is damaged)")
    if 0xFFFFFFFF in (packed, size, offset):
        size, packed, offset = _sizes_64(data[start + name : start + name + extra], size, packed, offset)
    mode = rest[-1] >> 16 if made_by >> 8 == _UNIX or rest[-1] >> 16 else 0
    member = ZipMember(data[start : start + name], flags, method, date << 16 | time, crc, (packed, size), offset, mode)
    if flags & _ENCRYPTED:
        raise Damaged("it is encrypted", member.name)
    if method not in (STORED, DEFLATED):
        raise Damaged("it is compressed in an unknown way", member.name)
    if method == STORED and packed != size:
        raise Damaged("its zip is damaged (a size is wrong)", member.name)
    return member, end


def _sizes_64(extra: bytes, *values: int) -> list[int]:
    """The values of which the extra field has those that need more than 32 bits."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            data = extra[position + 4 : position + 4 + length]
            at = 0
            found = []
            for value in values:
                if value == 0xFFFFFFFF:
                    found.append(int.from_bytes(data[at : at + 8], "little"))
                    at += 8
                else:
                    found.append(value)
            if at <= len(data):
                return found
        position += 4 + length
    raise Damaged("its zip is damaged (a size is missing)")


def _inflated(data: bytes, member: ZipMember) -> bytes:
    inflater = zlib.decompressobj(-15)
    try:
        plain = inflater.decompress(data, member.size + 1)
    except zlib.error as error:
        raise Damaged(f"its zip is damaged ({error})", member.name) from None
    if not inflater.eof and len(plain) == member.size:
        # The end of the data may come after the last byte.
        inflater.decompress(inflater.unconsumed_tail, 1)
    if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
        raise Damaged("its zip is damaged (a size is wrong)", member.name)
    return plain
