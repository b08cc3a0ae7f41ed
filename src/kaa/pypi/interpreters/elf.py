"""Read ELF files (programs and shared libraries of Linux), as far as a loader reads them: System V ABI, chapters 4, 5.

`ElfImage` knows where everything is; `kaa.pypi.interpreters.elf_patch` changes it. 32 and 64 bits, both byte orders.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from functools import cached_property

import msgspec

from kaa.errors import KaaError

MAGIC = b"\x7fELF"
ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_PHDR, PT_GNU_PROPERTY = 1, 2, 3, 4, 6, 0x6474E553
SHT_STRTAB, SHT_DYNAMIC, SHT_NOBITS = 3, 6, 8
SHF_ALLOC = 2
DT_NULL, DT_NEEDED, DT_STRTAB, DT_STRSZ, DT_SONAME, DT_RPATH, DT_RUNPATH = 0, 1, 5, 10, 14, 15, 29
DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF


class BadElf(KaaError):
    """A file is not the ELF file that it should be."""

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} cannot be read as an ELF file: {reason}")


class Segment(msgspec.Struct, frozen=True):
    """A program header."""

    kind: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    alignment: int

    def holds(self, address: int) -> bool:
        return self.address <= address < self.address + self.file_size


class Section(msgspec.Struct, frozen=True):
    """A section header."""

    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


class NeededVersion(msgspec.Struct, frozen=True):
    """A version of a library's symbols that a file needs: `GLIBC_2.34` of `libc.so.6`."""

    library: str
    version: str


class ElfImage:
    """An ELF file in memory; `name` is for messages. Raises BadElf as soon as something does not fit."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name
        if len(data) < 52 or data[:4] != MAGIC or data[4] not in (1, 2) or data[5] not in (1, 2):
            raise BadElf(name, "it does not begin as one")
        self.bits = 32 * data[4]
        self.order = "<" if data[5] == 1 else ">"
        word = "I" if self.bits == 32 else "Q"
        self.header_format = f"{self.order}16sHHI{word}{word}{word}IHHHHHH"
        self.segment_format = self.order + ("8I" if self.bits == 32 else "IIQQQQQQ")
        self.section_format = self.order + ("10I" if self.bits == 32 else "IIQQQQIIQQ")
        self.dynamic_format = self.order + ("iI" if self.bits == 32 else "qQ")
        header = self._unpack(self.header_format, 0)
        self.header: tuple[int, ...] = header[1:]
        self.kind, self.machine = header[1], header[2]
        self.segments_at, self.sections_at = header[5], header[6]
        self.segments = self._read_segments(header[9], header[10])
        self.sections = self._read_sections(header[11], header[12])
        self.names_index = header[13]

    def _unpack(self, form: str, offset: int) -> tuple[int, ...]:
        try:
            return struct.unpack_from(form, self.data, offset)
        except struct.error:
            raise BadElf(self.name, "it is cut off") from None

    def _read_segments(self, size: int, count: int) -> tuple[Segment, ...]:
        if count and size != struct.calcsize(self.segment_format):
            raise BadElf(self.name, f"its program headers have {size} bytes each")
        found = []
        for position in range(count):
            fields = self._unpack(self.segment_format, self.segments_at + position * size)
            if self.bits == 32:
                kind, offset, address, _, in_file, in_memory, flags, alignment = fields
            else:
                kind, flags, offset, address, _, in_file, in_memory, alignment = fields
            found.append(Segment(kind, flags, offset, address, in_file, in_memory, alignment))
        return tuple(found)

    def _read_sections(self, size: int, count: int) -> tuple[Section, ...]:
        if count and size != struct.calcsize(self.section_format):
            raise BadElf(self.name, f"its section headers have {size} bytes each")
        return tuple(Section(*self._unpack(self.section_format, self.sections_at + i * size)) for i in range(count))

    def first_segment(self, kind: int) -> Segment | None:
        """The first program header of a kind."""
        return next((segment for segment in self.segments if segment.kind == kind), None)

    @property
    def loads(self) -> list[Segment]:
        """The parts of the file that get into memory."""
        return [segment for segment in self.segments if segment.kind == PT_LOAD]

    def offset_of(self, address: int) -> int:
        """Where in the file the byte is that will be at `address`."""
        for segment in self.loads:
            if segment.holds(address):
                return segment.offset + address - segment.address
        raise BadElf(self.name, f"nothing of the file is at address {address:#x}")

    @cached_property
    def dynamic(self) -> tuple[tuple[int, int], ...]:
        """The dynamic section up to its end mark; empty for files that no loader links."""
        segment = self.first_segment(PT_DYNAMIC)
        if segment is None:
            return ()
        size = struct.calcsize(self.dynamic_format)
        entries = []
        for offset in range(segment.offset, segment.offset + segment.file_size - size + 1, size):
            tag, value = self._unpack(self.dynamic_format, offset)
            if tag == DT_NULL:
                break
            entries.append((tag, value))
        return tuple(entries)

    def values(self, tag: int) -> list[int]:
        """The values of all dynamic entries with that tag."""
        return [value for found, value in self.dynamic if found == tag]

    @cached_property
    def strings(self) -> bytes:
        """The dynamic string table."""
        address, size = self.values(DT_STRTAB), self.values(DT_STRSZ)
        if not address or not size:
            return b""
        offset = self.offset_of(address[0])
        if offset + size[0] > len(self.data):
            raise BadElf(self.name, "its string table is cut off")
        return self.data[offset : offset + size[0]]

    def string(self, position: int) -> str:
        """The text at a position of the dynamic string table."""
        end = self.strings.find(b"\0", position)
        if end < 0:
            raise BadElf(self.name, "a text of it has no end")
        return self.strings[position:end].decode("utf-8", "surrogateescape")

    def _texts(self, tag: int) -> tuple[str, ...]:
        return tuple(self.string(value) for value in self.values(tag))

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The libraries that it asks the loader for."""
        return self._texts(DT_NEEDED)

    @cached_property
    def soname(self) -> str | None:
        """The name under which others ask for it."""
        return next(iter(self._texts(DT_SONAME)), None)

    @cached_property
    def rpath(self) -> tuple[str, ...]:
        """The directories of DT_RPATH, as written."""
        return tuple(part for text in self._texts(DT_RPATH) for part in text.split(":") if part)

    @cached_property
    def runpath(self) -> tuple[str, ...]:
        """The directories of DT_RUNPATH, as written."""
        return tuple(part for text in self._texts(DT_RUNPATH) for part in text.split(":") if part)

    @cached_property
    def interpreter(self) -> str | None:
        """The loader that a program asks the kernel for."""
        segment = self.first_segment(PT_INTERP)
        if segment is None:
            return None
        text = self.data[segment.offset : segment.offset + segment.file_size]
        return text.rstrip(b"\0").decode("utf-8", "surrogateescape")

    @cached_property
    def needed_versions(self) -> tuple[NeededVersion, ...]:
        """The versioned symbols of other libraries that it cannot do without."""
        addresses = self.values(DT_VERNEED)
        if not addresses:
            return ()
        return tuple(self._iter_needed_versions(self.offset_of(addresses[0]), sum(self.values(DT_VERNEEDNUM))))

    def _iter_needed_versions(self, offset: int, count: int) -> Iterator[NeededVersion]:
        for _ in range(count):
            _, versions, library, first, following = self._unpack(f"{self.order}HHIII", offset)
            position = offset + first
            for _ in range(versions):
                _, _, _, name, step = self._unpack(f"{self.order}IHHII", position)
                yield NeededVersion(self.string(library), self.string(name))
                position += step
            offset += following


GLIBC_VERSION = re.compile(r"GLIBC_([0-9]+(?:\.[0-9]+)*)")
GLIBC_WITH_PACKED_RELOCATIONS = (2, 36)


def is_elf(head: bytes) -> bool:
    """Whether a file that begins so is an ELF file."""
    return head[:4] == MAGIC


def glibc_needed(image: ElfImage) -> tuple[int, ...]:
    """The least GNU C library that can load a file, as numbers; empty when it needs none in particular."""
    found: tuple[int, ...] = ()
    for needed in image.needed_versions:
        if needed.version == "GLIBC_ABI_DT_RELR":
            found = max(found, GLIBC_WITH_PACKED_RELOCATIONS)
        elif match := GLIBC_VERSION.fullmatch(needed.version):
            found = max(found, tuple(int(part) for part in match[1].split(".")))
    return found


def is_part_of_glibc(image: ElfImage) -> bool:
    """Whether a library belongs to the C library itself: it uses what that keeps for its own parts."""
    return any(needed.version == "GLIBC_PRIVATE" for needed in image.needed_versions)
