"""Unpack a package into a directory of its own, refusing whatever could reach outside of it.

A package is unpacked under a temporary name beside its target and renamed when it is complete and sound. Symbolic
links are made last, when everything else stands, so that nothing is ever written through one, on any file system.
"""

from __future__ import annotations

import contextlib
import errno
import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from kaa.archive.read import open_package
from kaa.archive.tar import DIRECTORY, FILE, HARD_LINK, SYMBOLIC_LINK, Damaged, Member
from kaa.archive.temporary import temporary_beside
from kaa.host.files import remove_tree

MAX_MEMBERS = 2_000_000
MAX_DEPTH = 256
"""Directories within one another: deeper ones are out of reach for many programs, Python's own functions among them."""
SMALL = 1 << 16
"""Up to this size a file is written in one go."""
EARLIEST = 315_619_200
"""2 January 1980: zip files know no earlier day, in any time zone."""
LATEST = 253_402_300_799
DIRECTORY_MODE = 0o775
"""Of new directories, less the umask: never may everybody write."""
MADE_BY_THE_CLIENT = "info/repodata_record.json"
_OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_UTIME_BY_DESCRIPTOR = os.utime in os.supports_fd
_WINDOWS_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in "123456789")}
)
_IMPOSSIBLE_ON_WINDOWS = frozenset('<>:"|?*\\')
MAX_LINKS_FOLLOWED = 40
"""A path with more links in it than this leads nowhere on any system."""


class MemberReader(Protocol):
    """What gives members one after another, and the content of the one that it gave last."""

    def __iter__(self) -> Iterator[Member]: ...

    def content(self) -> bytes | memoryview: ...

    def iter_content(self) -> Iterator[bytes | memoryview]: ...


class Extracted(msgspec.Struct, frozen=True):
    """What was unpacked; `case_clashes` are pairs of paths that are one path on some systems of the package."""

    files: int
    size: int
    case_clashes: tuple[tuple[str, str], ...] = ()


def extract(
    source: Path | BinaryIO,
    target: Path,
    *,
    subdir: str = "",
    limit: int | None = None,
    read_only: bool = False,
    complete: Callable[[Path], object] = lambda directory: None,
) -> Extracted:
    """Unpack a `.conda` or `.tar.bz2` as the new directory `target`, or raise BadArchive and leave nothing.

    `subdir` is the package's: on Windows fewer names are possible, there and on macOS case makes no difference.
    `read_only` files have the mode 0444 or 0555, less the umask: nobody writes to them by accident.
    `complete` is called with the directory before it gets its name. A target that exists is a FileExistsError.
    """
    opened = _opened(source, limit)
    return extract_members(opened, target, subdir=subdir, read_only=read_only, complete=complete)


@contextlib.contextmanager
def _opened(source: Path | BinaryIO, limit: int | None) -> Iterator[Iterable[MemberReader]]:
    with open_package(source, limit=limit) as package:
        yield package.tars("info", "pkg")


def extract_members(
    opened: AbstractContextManager[Iterable[MemberReader]],
    target: Path,
    *,
    subdir: str = "",
    read_only: bool = False,
    complete: Callable[[Path], object] = lambda directory: None,
) -> Extracted:
    """Unpack what an archive of any kind holds, as `extract` does; `opened` says what Damaged becomes."""
    temporary = temporary_beside(target)
    windows = subdir.startswith("win-") or os.name == "nt"
    try:
        with opened as readers:
            # Not before the package could be opened.
            temporary.mkdir(DIRECTORY_MODE)
            extraction = Extraction(str(temporary), windows=windows, read_only=read_only)
            for reader in readers:
                extraction.unpack(reader)
            extraction.finish()
        complete(temporary)
        _rename(temporary, target)
    except BaseException:
        remove_tree(temporary)
        raise
    clashes = tuple(find_case_clashes(extraction.paths())) if windows or subdir.startswith("osx-") else ()
    return Extracted(extraction.files, extraction.size, clashes)


def _rename(temporary: Path, target: Path) -> None:
    """Give the finished directory its name; a target that exists is an error, and stays as it is."""
    if target.is_symlink() or target.exists():
        raise FileExistsError(f"{target} exists")
    temporary.rename(target)


class Extraction:
    """The state of unpacking one package into the existing empty directory `root`."""

    def __init__(self, root: str, *, windows: bool = False, read_only: bool = False) -> None:
        self.files = 0
        self.size = 0
        self._root = root
        self._windows = windows
        self._read_only = read_only
        self._seen: dict[str, str] = {}
        """Kind of every path that is made or will be."""
        self._links: dict[str, str] = {}
        self._parents: dict[str, str] = {"": "", ".": ""}
        """Directories as they are written in the archive → the paths that were made for them."""

    def paths(self) -> Iterable[str]:
        """All paths, directories too."""
        return self._seen

    def unpack(self, tar: MemberReader) -> None:
        """Make the members of one tar; symbolic links are only taken note of until `finish`."""
        count = len(self._seen)
        for member in tar:
            count += 1
            if count > MAX_MEMBERS:
                raise Damaged(f"it holds more than {MAX_MEMBERS} members")
            try:
                self._make(member, tar)
            except Damaged as error:
                error.member = error.member or member.name
                raise
            except OSError as error:
                raise _too_long(error, member.name) from error

    def _make(self, member: Member, tar: MemberReader) -> None:
        kind = member.kind
        if kind == DIRECTORY:
            self._directory(member.name)
            return
        name = self._path(member.name)
        if name == MADE_BY_THE_CLIENT:
            return
        before = self._seen.get(name)
        if kind == FILE:
            if before is None:
                self._file(name, member, tar)
            else:
                self._repeated_file(name, member, tar)
        elif kind == SYMBOLIC_LINK:
            self._symbolic_link(name, member.link, before)
        elif kind == HARD_LINK:
            self._hard_link(name, member.link, before)
        else:
            what = "something of unknown type" if kind == "unknown" else f"a {kind}"
            raise Damaged(f"{what}, which a package must not hold")

    def _path(self, written: str) -> str:
        """The path for a member's name, below directories that exist now and are no links."""
        folder, slash, base = written.rpartition("/")
        parent = self._parents.get(folder) if slash else ""
        if parent is None or (slash and not folder):
            parent = self._parent(folder, written)
        if base in ("", ".", ".."):
            raise Damaged("its name is empty" if not written else "its name is not the name of a file")
        if self._windows or not base.isprintable():
            self._check_characters(base)
        return f"{parent}/{base}" if parent else base

    def _directory(self, written: str) -> None:
        folder = written.rstrip("/")
        if not folder:
            raise Damaged("its name is empty" if not written else "an absolute path")
        if folder not in self._parents:
            self._parent(folder, written)

    def _parent(self, folder: str, written: str) -> str:
        """Make a directory, and those above it, after every part of its name was checked."""
        if written.startswith("/"):
            raise Damaged("an absolute path")
        path = ""
        if folder.count("/") > MAX_DEPTH:
            raise Damaged(f"it lies deeper than {MAX_DEPTH} directories")
        for part in folder.split("/"):
            if part in ("", "."):
                continue
            if part == "..":
                raise Damaged("a path with `..`")
            self._check_characters(part)
            path = f"{path}/{part}" if path else part
            if path.lower() == "conda-meta":
                raise Damaged("a path in conda-meta, which belongs to the environment")
            before = self._seen.get(path)
            if before is None:
                with self._names_that_clash(path):
                    # A Path per member costs more than the rest.
                    os.mkdir(f"{self._root}/{path}", DIRECTORY_MODE)  # noqa: PTH102
                self._seen[path] = DIRECTORY
                self._parents[path] = path
            elif before == SYMBOLIC_LINK:
                raise Damaged(f"it goes through the symbolic link {path}")
            elif before != DIRECTORY:
                raise Damaged(f"it lies below {path}, which is a file")
        self._parents[folder] = path
        return path

    def _check_characters(self, part: str) -> None:
        if has_control_characters(part):
            raise Damaged("a name with control characters")
        if self._windows and not possible_on_windows(part):
            raise Damaged("a name that is not possible on Windows")

    @contextlib.contextmanager
    def _names_that_clash(self, name: str) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise Damaged("it differs from another member only in case or in composed characters", name) from None

    def _file(self, name: str, member: Member, tar: MemberReader) -> None:
        path = f"{self._root}/{name}"
        # The system takes the umask off; ownership, setuid, setgid and sticky bits are never set.
        read_only = 0o555 if member.mode & 0o111 else 0o444
        mode = read_only if self._read_only else (member.mode & 0o775) | 0o400
        try:
            descriptor = os.open(path, _OPEN_NEW, mode)
        except FileExistsError:
            raise Damaged("it differs from another member only in case or in composed characters") from None
        size, seconds = member.size, member.mtime
        if not EARLIEST <= seconds <= LATEST:
            seconds = EARLIEST if seconds < EARLIEST else LATEST
        try:
            if size > SMALL:
                self._write(descriptor, tar)
            elif size and os.write(descriptor, tar.content()) != size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
            if _UTIME_BY_DESCRIPTOR:
                os.utime(descriptor, (seconds, seconds))
        finally:
            os.close(descriptor)
        if not _UTIME_BY_DESCRIPTOR:
            os.utime(path, (seconds, seconds))
        self._seen[name] = FILE
        self.files += 1
        self.size += size

    @staticmethod
    def _write(descriptor: int, tar: MemberReader) -> None:
        for block in tar.iter_content():
            written = os.write(descriptor, block)
            while written < len(block):
                written += os.write(descriptor, block[written:])

    def _repeated_file(self, name: str, member: Member, tar: MemberReader) -> None:
        """A path may come again with the same content (a `.conda` whose parts overlap), never with another."""
        if self._seen[name] == FILE:
            with open(f"{self._root}/{name}", "rb") as stream:  # noqa: PTH123
                same = all(stream.read(len(block)) == block for block in tar.iter_content()) and not stream.read(1)
            if same:
                return
        raise Damaged("it is there twice, with different content")

    def _symbolic_link(self, name: str, target: str, before: str | None) -> None:
        if not target:
            raise Damaged("a symbolic link without a target")
        if has_control_characters(target):
            raise Damaged("a symbolic link whose target has control characters")
        if target.startswith("/") or (self._windows and ("\\" in target or ":" in target)):
            raise Damaged(f"a symbolic link out of the package, to {target}")
        if before is not None and self._links.get(name) != target:
            raise Damaged("it is there twice, with different content")
        self._seen[name] = SYMBOLIC_LINK
        self._links[name] = target

    def _hard_link(self, name: str, written: str, before: str | None) -> None:
        if not written:
            raise Damaged("a hard link without a target")
        target = "/".join(part for part in written.split("/") if part not in ("", "."))
        if written.startswith("/") or ".." in written.split("/"):
            raise Damaged(f"a hard link out of the package, to {written}")
        kind = self._seen.get(target)
        if kind == SYMBOLIC_LINK:
            # A second name of a link is a link of its own, which is judged from where it stands.
            self._symbolic_link(name, self._links[target], before)
            return
        if kind != FILE:
            raise Damaged(f"a hard link to {written}, which is not a file that came before it")
        if before is not None and name != target:
            raise Damaged("it is there twice, with different content")
        if name != target:
            with self._names_that_clash(name):
                os.link(f"{self._root}/{target}", f"{self._root}/{name}")
            self._seen[name] = FILE
            self.files += 1

    def finish(self) -> None:
        """Make the symbolic links, after all of them were found to stay inside."""
        for name, target in self._links.items():
            if leaves_package(name, self._links):
                raise Damaged(f"a symbolic link out of the package, to {target}", name)
        for name, target in self._links.items():
            try:
                with self._names_that_clash(name):
                    os.symlink(target, f"{self._root}/{name}")  # noqa: PTH211
            except OSError as error:
                raise _too_long(error, name) from error
            self.files += 1


def _too_long(error: OSError, name: str) -> Exception:
    """What to raise for an error of the system: that a name is too long is the package's fault, all else is not."""
    if error.errno != errno.ENAMETOOLONG:
        return error
    return Damaged("a name that is too long for the disk of the package cache", name)


def leaves_package(name: str, links: Mapping[str, str]) -> bool:
    """Whether a symbolic link of a package points above the package's root, by itself or through its other links.

    >>> leaves_package("lib/x", {"lib/x": "../bin/y"}), leaves_package("lib/x", {"lib/x": "../../y"})
    (False, True)
    >>> leaves_package("b", {"a": ".", "b": "a/.."})
    True
    """
    place = name.split("/")[:-1]
    ahead = links[name].split("/")[::-1]
    followed = 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            if not place:
                return True
            place.pop()
        elif part not in ("", "."):
            place.append(part)
            target = links.get("/".join(place))
            if target is not None:
                followed += 1
                if followed > MAX_LINKS_FOLLOWED:
                    return False
                place.pop()
                if target.startswith("/"):
                    return True
                ahead.extend(target.split("/")[::-1])
    return False


def has_control_characters(text: str) -> bool:
    """Whether a text could steer a terminal or end a line; NUL is one of those characters."""
    return not text.isprintable() and any(unicodedata.category(character) == "Cc" for character in text)


def possible_on_windows(part: str) -> bool:
    """Whether a part of a path can be a file name on Windows.

    >>> [possible_on_windows(part) for part in ("a.txt", "C:", "a\\\\b", "nul.txt", "dot.")]
    [True, False, False, False, False]
    """
    if part.endswith((".", " ")) or not _IMPOSSIBLE_ON_WINDOWS.isdisjoint(part):
        return False
    return part.partition(".")[0].rstrip().lower() not in _WINDOWS_DEVICES


def find_case_clashes(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pairs of paths that are the same where case and composed characters make no difference.

    >>> list(find_case_clashes(["share/A", "share/b", "share/a"]))
    [('share/A', 'share/a')]
    """
    first: dict[str, str] = {}
    for path in paths:
        other = first.setdefault(unicodedata.normalize("NFC", path).casefold(), path)
        if other != path:
            yield other, path
