"""Source distributions (PEP 517, 625, 643): what they say of themselves, and unpacking them; no code in them is run."""

from __future__ import annotations

import contextlib
import gzip
import stat
import tomllib
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from kaa.archive.extract import MemberReader, extract_members
from kaa.archive.read import LARGEST_RATIO, LEAST_LIMIT
from kaa.archive.tar import DIRECTORY, FILE, SYMBOLIC_LINK, Damaged, Member, TarReader
from kaa.archive.zip import ZipMember, ZipReader
from kaa.errors import KaaError
from kaa.pypi.metadata import LARGEST_METADATA, Metadata, UnreadableMetadata, iter_headers, parse_metadata

LEGACY_BACKEND = "setuptools.build_meta:__legacy__"
"""What builds a source tree that names no backend (PEP 517)."""
LEGACY_REQUIREMENTS = ("setuptools>=40.8.0",)
LARGEST_PROJECT_FILE = 4 << 20
_STATIC_SINCE = (2, 2)
"""The version of metadata since which an sdist tells what a build may still change (PEP 643)."""
_DECISIVE = frozenset({"requires-dist", "requires-python", "provides-extra"})


class BadSdist(KaaError):
    """A source distribution is damaged, or not what one must be."""

    conda_name = "CondaVerificationError"

    def __init__(self, file_name: str, reason: str, member: str = "") -> None:
        self.file_name = file_name
        self.reason = reason
        self.member = member
        at = f" ({member!r})" if member else ""
        super().__init__(
            f"{file_name} is no sound source distribution: {reason}{at}",
            hints=("ask for another version of it", "tell the maintainers of the project"),
        )


class BuildSystem(msgspec.Struct, frozen=True):
    """How a source tree wants to be built (PEP 518); `backend_path` are directories in the tree."""

    requires: tuple[str, ...] = LEGACY_REQUIREMENTS
    backend: str = LEGACY_BACKEND
    backend_path: tuple[str, ...] = ()


# -- what it says of itself -------------------------------------------------------------------------------------------


def read_static_metadata(path: Path) -> Metadata | None:
    """What an sdist says of every wheel that is built of it; None where only a build can tell. Raises BadSdist."""
    content = _read_pkg_info(path)
    if content is None:
        return None
    try:
        return parse_metadata(content) if is_static(content) else None
    except UnreadableMetadata as error:
        raise BadSdist(path.name, str(error), "PKG-INFO") from error


def is_static(content: bytes) -> bool:
    """Whether a PKG-INFO promises that a build changes nothing of what decides about dependencies (PEP 643).

    >>> is_static(b"Metadata-Version: 2.2\\nName: a\\n"), is_static(b"Metadata-Version: 2.1\\nName: a\\n")
    (True, False)
    >>> is_static(b"Metadata-Version: 2.4\\nDynamic: Requires-Dist\\n")
    False
    """
    version: tuple[int, ...] = ()
    for name, value in iter_headers(content.decode(errors="replace")):
        if name == "metadata-version" and all(part.isdecimal() for part in value.split(".")):
            version = tuple(map(int, value.split(".")))
        elif name == "dynamic" and value.lower() in _DECISIVE:
            return False
    return version >= _STATIC_SINCE


def _read_pkg_info(path: Path) -> bytes | None:
    with _opened(path) as readers:
        for reader in readers:
            for member in reader:
                parts = [part for part in member.name.split("/") if part not in ("", ".")]
                if member.kind == FILE and len(parts) == 2 and parts[1] == "PKG-INFO":
                    if member.size > LARGEST_METADATA:
                        raise Damaged(f"it is larger than {LARGEST_METADATA} bytes", member.name)
                    return bytes(reader.content())
    return None


def read_build_system(source: Path, file_name: str) -> BuildSystem:
    """How the source tree in a directory wants to be built. Raises BadSdist; `file_name` is the sdist's."""
    project_file = source / "pyproject.toml"
    try:
        if project_file.stat().st_size > LARGEST_PROJECT_FILE:
            raise BadSdist(file_name, f"it is larger than {LARGEST_PROJECT_FILE} bytes", "pyproject.toml")
        table = tomllib.loads(project_file.read_text("utf-8")).get("build-system")
    except FileNotFoundError:
        if not (source / "setup.py").is_file():
            raise BadSdist(file_name, "it holds neither a pyproject.toml nor a setup.py") from None
        return BuildSystem()
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadSdist(file_name, str(error), "pyproject.toml") from error
    if table is None:
        return BuildSystem()
    if not isinstance(table, dict) or not _is_texts(table.get("requires")):
        raise BadSdist(file_name, "its build-system has no list `requires`", "pyproject.toml")
    backend, backend_path = table.get("build-backend", LEGACY_BACKEND), table.get("backend-path", [])
    if not isinstance(backend, str) or not _is_texts(backend_path):
        raise BadSdist(file_name, "its build-backend or backend-path is not what it must be", "pyproject.toml")
    root = source.resolve()
    for text in backend_path:
        if not (source / text).resolve().is_relative_to(root):
            raise BadSdist(file_name, f"its backend-path leads out of it, to {text}", "pyproject.toml")
    return BuildSystem(tuple(table["requires"]), backend, tuple(backend_path))


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


# -- unpacking --------------------------------------------------------------------------------------------------------


def unpack_sdist(path: Path, directory: Path) -> Path:
    """Unpack an sdist as the new `directory`; the source tree in it is answered. Raises BadSdist."""
    extract_members(_opened(path), directory)
    found = list(directory.iterdir())
    if len(found) != 1 or found[0].is_symlink() or not found[0].is_dir():
        raise BadSdist(path.name, f"it holds {len(found)} things at its top, not one directory")
    return found[0]


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Iterable[MemberReader]]:
    """The members of an sdist; whatever is wrong with it, in the `with` block too, becomes a BadSdist."""
    try:
        with path.open("rb") as stream:
            limit = max(LEAST_LIMIT, LARGEST_RATIO * path.stat().st_size)
            is_zip = stream.read(2) == b"PK"
            stream.seek(0)
            if is_zip:
                yield (_ZipMembers(ZipReader(stream, limit)),)
            else:
                with gzip.GzipFile(fileobj=stream) as plain:
                    yield (TarReader(_GzipStream(plain), limit),)
    except Damaged as error:
        raise BadSdist(path.name, error.reason, error.member) from error


class _GzipStream:
    """The plain bytes of a gzip file, whose damage is told as Damaged."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        try:
            return self._stream.read(size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise Damaged(f"its gzip data is damaged ({error})") from error


class _ZipMembers:
    """The members of a zip, as those of a tar are read."""

    def __init__(self, archive: ZipReader) -> None:
        self._archive = archive
        self._current: ZipMember | None = None

    def __iter__(self) -> Iterator[Member]:
        for member in self._archive.members:
            self._current = member
            kind, link = FILE, ""
            if member.is_directory:
                kind = DIRECTORY
            elif member.kind == stat.S_IFLNK:
                kind, link = SYMBOLIC_LINK, self._archive.content(member).decode("utf-8", "replace")
            elif member.kind not in (0, stat.S_IFREG):
                kind = "unknown"
            yield Member(member.name, kind, member.mode or 0o644, 0, member.size, link)

    def content(self) -> bytes:
        assert self._current is not None
        return self._archive.content(self._current)

    def iter_content(self) -> Iterator[bytes]:
        assert self._current is not None
        yield from self._archive.iter_content(self._current)
