"""Find the shared libraries that a program needs, by the rules of the GNU loader (`ld.so(8)`).

Run paths of the file and of those that loaded it, `LD_LIBRARY_PATH`, the cache of `ldconfig`, the standard
directories. What belongs to the C library is never given: it comes with the machine, as the loader does.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from kaa.pypi.interpreters.elf import BadElf, ElfImage, is_part_of_glibc

CACHE_FILE = Path("/etc/ld.so.cache")
CACHE_MAGIC = b"glibc-ld.so.cache1.1"
CACHE_HEADER = 48
CACHE_ENTRY = 24
STANDARD_DIRECTORIES = tuple(Path(name) for name in ("/lib64", "/usr/lib64", "/lib", "/usr/lib"))
C_LIBRARY = frozenset(
    {"ld-linux", "ld64", "ld-linux-x86-64", "ld-linux-aarch64", "ld-linux-armhf", "linux-vdso"}
    | {"libc", "libm", "libdl", "libpthread", "librt", "libutil", "libresolv", "libanl", "libmvec", "libBrokenLocale"}
    | {"libthread_db", "libnss_files", "libnss_dns"}
)
"""Stems of the names of the C library's parts; older ones cannot be told by what they use."""


class FoundLibrary(msgspec.Struct, frozen=True):
    """A library as a loader would take it: the name it is asked for, where it is, and what is in it."""

    name: str
    path: Path
    image: ElfImage


class LibrarySearch:
    """Looks libraries up as the loader does; `search_path` is the text of `LD_LIBRARY_PATH`."""

    def __init__(
        self,
        search_path: str = "",
        *,
        cache_file: Path = CACHE_FILE,
        standard: Sequence[Path] = STANDARD_DIRECTORIES,
    ) -> None:
        self._search_path = [Path(part) for part in search_path.split(":") if part]
        self._cache = read_loader_cache(cache_file)
        self._standard = tuple(standard)

    def find(self, name: str, loaders: Sequence[tuple[ElfImage, Path]]) -> tuple[Path, ElfImage] | None:
        """Where the library `name` is for the first of `loaders`, the others being those that led to it."""
        for candidate in self._candidates(name, loaders):
            image = _readable_image(candidate)
            if image is not None and _fits(image, loaders[0][0]):
                return candidate, image
        return None

    def _candidates(self, name: str, loaders: Sequence[tuple[ElfImage, Path]]) -> Iterable[Path]:
        if "/" in name:
            yield Path(name)
            return
        first, place = loaders[0]
        if not first.runpath:
            for image, path in loaders:
                yield from (expand_origin(text, path) / name for text in image.rpath)
        yield from (directory / name for directory in self._search_path)
        yield from (expand_origin(text, place) / name for text in first.runpath)
        yield from self._cache.get(name, ())
        yield from (directory / name for directory in self._standard)


def needed_libraries(
    starts: Iterable[tuple[Path, ElfImage]], search: LibrarySearch, loaded_by: Sequence[tuple[ElfImage, Path]] = ()
) -> tuple[dict[str, FoundLibrary], dict[str, str]]:
    """All libraries beyond the C library that `starts` need, and what was not found, with the file that needs it.

    `loaded_by` is the program that will load `starts`, its own libraries included.
    """
    found: dict[str, FoundLibrary] = {}
    missing: dict[str, str] = {}
    waiting: list[tuple[Path, ElfImage, tuple[tuple[ElfImage, Path], ...]]]
    waiting = [(path, image, tuple(loaded_by)) for path, image in starts]
    while waiting:
        path, image, loaders = waiting.pop(0)
        chain = ((image, path), *loaders)
        for name in image.needed:
            if name in found or belongs_to_c_library(name):
                continue
            located = search.find(name, chain)
            if located is None:
                missing.setdefault(name, str(path))
                continue
            where, library = located
            if is_part_of_glibc(library):
                continue
            found[name] = FoundLibrary(name, where, library)
            waiting.append((where, library, chain))
    return found, {name: by for name, by in missing.items() if name not in found}


def belongs_to_c_library(name: str) -> bool:
    """Whether the name is that of a part of the GNU C library."""
    return name.partition(".so")[0] in C_LIBRARY


def expand_origin(text: str, path: Path) -> Path:
    """A directory of a run path, for a file at `path`."""
    directory = str(path.resolve().parent)
    return Path(text.replace("$ORIGIN", directory).replace("${ORIGIN}", directory))


def read_loader_cache(path: Path) -> dict[str, tuple[Path, ...]]:
    """The libraries that `ldconfig` listed, by name, without those that only some processors can run."""
    try:
        data = path.read_bytes()
    except OSError:
        return {}
    start = data.find(CACHE_MAGIC)
    if start < 0 or len(data) < start + CACHE_HEADER:
        return {}
    found: dict[str, list[Path]] = {}
    (count,) = struct.unpack_from("=I", data, start + len(CACHE_MAGIC))
    for offset in range(start + CACHE_HEADER, start + CACHE_HEADER + count * CACHE_ENTRY, CACHE_ENTRY):
        if offset + CACHE_ENTRY > len(data):
            break
        _, key, value, _, capabilities = struct.unpack_from("=iIIIQ", data, offset)
        if capabilities == 0:
            name = _text_at(data, start + key)
            found.setdefault(name, []).append(Path(_text_at(data, start + value)))
    return {name: tuple(paths) for name, paths in found.items()}


def _text_at(data: bytes, position: int) -> str:
    return os.fsdecode(data[position : data.find(b"\0", position)])


def _readable_image(path: Path) -> ElfImage | None:
    try:
        return ElfImage(path.read_bytes(), str(path))
    except (OSError, BadElf):
        return None


def _fits(image: ElfImage, loader: ElfImage) -> bool:
    return (image.machine, image.bits, image.order) == (loader.machine, loader.bits, loader.order)
