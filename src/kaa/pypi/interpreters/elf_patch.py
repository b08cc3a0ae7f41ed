"""Change ELF files so that they find their libraries where they are, and carry nothing that only debuggers read.

The run path is a text in the dynamic string table, which has no room to grow in. So a copy of that table with the new
text goes to the end of the file, into a segment of its own, and the dynamic section points there. What refers into the
table does so by position, and the positions of the old texts stay.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from msgspec.structs import replace

from kaa.pypi.interpreters.elf import (
    DT_NULL,
    DT_RPATH,
    DT_RUNPATH,
    DT_STRSZ,
    DT_STRTAB,
    PT_DYNAMIC,
    PT_GNU_PROPERTY,
    PT_LOAD,
    PT_NOTE,
    PT_PHDR,
    SHF_ALLOC,
    SHT_DYNAMIC,
    SHT_NOBITS,
    SHT_STRTAB,
    BadElf,
    ElfImage,
    Section,
    Segment,
)

READ_WRITE = 6
LEAST_ALIGNMENT = 0x1000


def with_run_path(data: bytes, run_path: str, name: str, *, keep_notes: bool = False) -> bytes:
    """The same file with `run_path` as its only DT_RPATH, or the same bytes if it has that already.

    DT_RPATH, not DT_RUNPATH: it counts before LD_LIBRARY_PATH, which knows nothing of this environment, and holds for
    the libraries that its libraries load. The new segment takes the place of a note that nobody misses in the table of
    segments; without such a note, or with `keep_notes`, the table moves to the end of the file as well.
    """
    image = ElfImage(data, name)
    if image.first_segment(PT_DYNAMIC) is None or not image.strings:
        raise BadElf(name, "it is not linked dynamically")
    if image.runpath == () and ":".join(image.rpath) == run_path:
        return data
    return _Growth(image, run_path, keep_notes=keep_notes).result()


class _Growth:
    """One more segment at the end of a file: string table, perhaps the dynamic section, perhaps the segment table."""

    def __init__(self, image: ElfImage, run_path: str, *, keep_notes: bool) -> None:
        self.image = image
        self.word = image.bits // 8
        self.strings = image.strings + run_path.encode("utf-8", "surrogateescape") + b"\0"
        self.spare = None if keep_notes else _spare_note(image.segments)
        held = next(segment for segment in image.segments if segment.kind == PT_DYNAMIC)
        self.old_dynamic = held
        self.entry_size = struct.calcsize(image.dynamic_format)
        self.entries = _with_run_path_entry(image.dynamic, len(image.strings))
        self.moves_dynamic = (len(self.entries) + 1) * self.entry_size > held.file_size
        self.moves_segments = self.spare is None
        self._place()

    def _place(self) -> None:
        """Decide where everything goes, in the file and in memory."""
        image = self.image
        loads = image.loads
        if not loads:
            raise BadElf(image.name, "nothing of it is ever loaded")
        table = struct.calcsize(image.segment_format) * (len(image.segments) + 1) if self.moves_segments else 0
        dynamic = (len(self.entries) + 1) * self.entry_size if self.moves_dynamic else 0
        end = max(load.address + load.memory_size for load in loads)
        alignment = max(LEAST_ALIGNMENT, *(load.alignment for load in loads))
        if self.moves_segments:
            # Kernels before 5.18 take the table's place in memory to be as far from the first segment as in the file.
            shift = loads[0].address - loads[0].offset
            self.offset = _up(max(len(image.data), end - shift), alignment)
            self.address = self.offset + shift
        else:
            self.offset = _up(len(image.data), 16)
            self.address = _up(end, alignment) + self.offset % alignment
        self.table_size = table
        self.dynamic_at = table
        self.strings_at = table + dynamic
        self.size = self.strings_at + len(self.strings)
        self.alignment = alignment

    def result(self) -> bytes:
        image = self.image
        data = bytearray(image.data)
        data += bytes(self.offset - len(data))
        segments = self._segments()
        table = b"".join(_packed_segment(image, segment) for segment in segments)
        dynamic = self._packed_dynamic()
        if self.moves_segments:
            data += table
        else:
            data[image.segments_at : image.segments_at + len(table)] = table
        if self.moves_dynamic:
            data += dynamic
        else:
            at = self.old_dynamic.offset
            data[at : at + self.old_dynamic.file_size] = dynamic.ljust(self.old_dynamic.file_size, b"\0")
        data += self.strings
        self._write_sections(data)
        fields = list(image.header)
        if self.moves_segments:
            fields[4], fields[9] = self.offset, len(segments)
        struct.pack_into(image.header_format, data, 0, image.data[:16], *fields)
        return bytes(data)

    def _segments(self) -> list[Segment]:
        added = Segment(PT_LOAD, READ_WRITE, self.offset, self.address, self.size, self.size, self.alignment)
        segments = [segment for segment in self.image.segments if segment is not self.spare]
        # Segments that get loaded stand in the order of their addresses.
        last = max(position for position, segment in enumerate(segments) if segment.kind == PT_LOAD)
        segments.insert(last + 1, added)
        for position, segment in enumerate(segments):
            if segment.kind == PT_PHDR and self.moves_segments:
                moved = replace(segment, offset=self.offset, address=self.address)
                segments[position] = replace(moved, file_size=self.table_size, memory_size=self.table_size)
            elif segment.kind == PT_DYNAMIC and self.moves_dynamic:
                size = (len(self.entries) + 1) * self.entry_size
                at = self.dynamic_at
                moved = replace(segment, offset=self.offset + at, address=self.address + at)
                segments[position] = replace(moved, file_size=size, memory_size=size)
        return segments

    def _packed_dynamic(self) -> bytes:
        changed = {DT_STRTAB: self.address + self.strings_at, DT_STRSZ: len(self.strings)}
        entries = [(tag, changed.get(tag, value)) for tag, value in self.entries]
        return b"".join(struct.pack(self.image.dynamic_format, *entry) for entry in [*entries, (DT_NULL, 0)])

    def _write_sections(self, data: bytearray) -> None:
        """Tell the section headers as well; the loader does not read them, linkers and other tools do."""
        image = self.image
        old_strings = image.values(DT_STRTAB)[0]
        for position, section in enumerate(image.sections):
            if section.kind == SHT_STRTAB and section.flags & SHF_ALLOC and section.address == old_strings:
                at, size = self.strings_at, len(self.strings)
            elif section.kind == SHT_DYNAMIC and self.moves_dynamic:
                at, size = self.dynamic_at, (len(self.entries) + 1) * self.entry_size
            else:
                continue
            moved = replace(section, address=self.address + at, offset=self.offset + at, size=size)
            struct.pack_into(
                image.section_format,
                data,
                image.sections_at + position * struct.calcsize(image.section_format),
                *_section_fields(moved),
            )


def _spare_note(segments: Sequence[Segment]) -> Segment | None:
    """A table entry that can go: properties are in a note as well, notes are for debuggers."""
    for kind in (PT_GNU_PROPERTY, PT_NOTE):
        for segment in segments:
            if segment.kind == kind:
                return segment
    return None


def _with_run_path_entry(dynamic: Sequence[tuple[int, int]], position: int) -> list[tuple[int, int]]:
    entries = [entry for entry in dynamic if entry[0] not in (DT_RPATH, DT_RUNPATH)]
    return [*entries, (DT_RPATH, position)]


def _packed_segment(image: ElfImage, segment: Segment) -> bytes:
    kind, flags, alignment = segment.kind, segment.flags, segment.alignment
    where = (segment.offset, segment.address, segment.address, segment.file_size, segment.memory_size)
    if image.bits == 32:
        return struct.pack(image.segment_format, kind, *where, flags, alignment)
    return struct.pack(image.segment_format, kind, flags, *where, alignment)


def _section_fields(section: Section) -> tuple[int, ...]:
    return (
        section.name,
        section.kind,
        section.flags,
        section.address,
        section.offset,
        section.size,
        section.link,
        section.info,
        section.alignment,
        section.entry_size,
    )


def _up(value: int, alignment: int) -> int:
    return -(-value // alignment) * alignment


SECTION_NAMES = b"\0.shstrtab\0"


def without_debugging(data: bytes, name: str) -> bytes:
    """The same file without what is never loaded (symbols and lines for debuggers, comments).

    Files whose sections are in an unusual order stay as they are.
    """
    image = ElfImage(data, name)
    kept = [section for section in image.sections[1:] if section.flags & SHF_ALLOC]
    if not kept or list(image.sections[1 : 1 + len(kept)]) != kept:
        return data
    # Symbols name their section by its number, so the numbers of what is kept must not change.
    if any(section.link > len(kept) for section in kept):
        return data
    end = max(
        image.segments_at + len(image.segments) * struct.calcsize(image.segment_format),
        *(segment.offset + segment.file_size for segment in image.segments),
        *(section.offset + section.size for section in kept if section.kind != SHT_NOBITS),
    )
    names = _section_names(image, kept)
    at = _up(end + len(names[0]), 8)
    table = [
        image.sections[0],
        *(replace(section, name=place) for section, place in zip(kept, names[1], strict=True)),
    ]
    table.append(Section(1, SHT_STRTAB, 0, 0, end, len(names[0]), 0, 0, 1, 0))
    packed = b"".join(struct.pack(image.section_format, *_section_fields(section)) for section in table)
    if at + len(packed) >= len(data):
        return data
    result = bytearray(data[:end]) + names[0] + bytes(at - end - len(names[0])) + packed
    fields = list(image.header)
    fields[5], fields[11], fields[12] = at, len(table), len(table) - 1
    struct.pack_into(image.header_format, result, 0, data[:16], *fields)
    return bytes(result)


def _section_names(image: ElfImage, kept: Sequence[Section]) -> tuple[bytes, list[int]]:
    """The table of the names of the sections that are kept, and where in it each one is."""
    old = image.sections[image.names_index]
    texts = image.data[old.offset : old.offset + old.size]
    names = SECTION_NAMES
    places = []
    for section in kept:
        end = texts.find(b"\0", section.name)
        places.append(len(names))
        names += texts[section.name : end if end >= 0 else None] + b"\0"
    return names, places
