"""Whether an unpacked package is, file for file, what its archive holds; the archive's hash is what the channel names.

A list of files that lies in the cache says nothing about who wrote it. So content, kind and executability of every
file are compared with the archive, and what the archive does not hold must not be there.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from kaa.archive.extract import MemberReader
from kaa.archive.read import BadArchive, open_package
from kaa.archive.tar import DIRECTORY, FILE, HARD_LINK, SYMBOLIC_LINK, Member
from kaa.models.artifact import is_sdist
from kaa.models.record import RepoDataRecord
from kaa.package_cache.built_wheels import find_built
from kaa.package_cache.cache import WHEEL, PackageCache, has_the_bytes
from kaa.package_cache.extracted_package import RECORD_FILE, ExtractedPackage
from kaa.package_cache.validate import Damage
from kaa.pypi.wheel_extraction import INDEX, open_members
from kaa.pypi.wheel_file import BadWheel

_BLOCK = 1 << 20


def find_forgery(package: ExtractedPackage, cache: PackageCache) -> Damage | None:
    """The first difference between an unpacked package and its archive; None when there is none."""
    if is_sdist(package.record.fn):
        archive = find_built(cache, package.record)
    else:
        archive = cache.find_archive(package.record)
        if archive is None and package.archive is not None and has_the_bytes(package.archive, package.record):
            # A file of this machine that is a package by itself.
            archive = package.archive
    if archive is None:
        return Damage("it", "cannot be verified: its archive is not in the cache")
    # What a wheel needs is in terms of its own; what those became in a record may be told better one day.
    made_here = {INDEX} if archive.name.endswith(WHEEL) else set()
    comparison = _Comparison(package.directory, made_here)
    try:
        with _opened(archive, package.record) as readers:
            for reader in readers:
                for member in reader:
                    damage = comparison.differs(member, reader)
                    if damage is not None:
                        return damage
    except (BadArchive, BadWheel) as error:
        return Damage("it", f"cannot be verified: {error.message}")
    return comparison.find_foreign()


@contextlib.contextmanager
def _opened(archive: Path, record: RepoDataRecord) -> Iterator[Iterable[MemberReader]]:
    if archive.name.endswith(WHEEL):
        with open_members(archive, record) as readers:
            yield readers
    else:
        with open_package(archive) as opened:
            yield opened.tars("info", "pkg")


class _Comparison:
    """The state of comparing one archive with the directory `root`."""

    def __init__(self, root: Path, made_here: set[str]) -> None:
        self._root = root
        self._made_here = {RECORD_FILE.as_posix(), *made_here}
        self._seen = set(self._made_here)

    def differs(self, member: Member, tar: MemberReader) -> Damage | None:
        name = _plain(member.name)
        if member.kind == DIRECTORY or name in self._made_here:
            return None
        self._seen.add(name)
        path = self._root / name
        try:
            state = path.lstat()
            if member.kind == SYMBOLIC_LINK:
                same = stat.S_ISLNK(state.st_mode) and os.readlink(path) == member.link  # noqa: PTH115
            elif not stat.S_ISREG(state.st_mode):
                same = False
            elif member.kind == FILE:
                executable = os.name == "nt" or bool(member.mode & 0o111) == bool(state.st_mode & 0o111)
                same = executable and state.st_size == member.size and _has_content(path, tar)
            else:
                same = member.kind == HARD_LINK and _are_equal(path, self._root / _plain(member.link))
        except OSError as error:
            return Damage(name, f"cannot be compared with the archive: {error.strerror or error}")
        return None if same else Damage(name, "is not what the archive holds")

    def find_foreign(self) -> Damage | None:
        """A file that the archive does not hold: a script could be run, or a link be followed, that nobody packed."""
        root = str(self._root)
        for folder, folders, names in os.walk(root):
            links = [one for one in folders if Path(folder, one).is_symlink()]
            for name in (*names, *links):
                path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")  # noqa: PTH118
                if path not in self._seen:
                    return Damage(path, "is not in the archive")
        return None


def _plain(name: str) -> str:
    """A path of an archive as unpacking writes it."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _has_content(path: Path, tar: MemberReader) -> bool:
    with path.open("rb") as stream:
        return all(stream.read(len(block)) == block for block in tar.iter_content()) and not stream.read(1)


def _are_equal(one: Path, other: Path) -> bool:
    with one.open("rb") as first, other.open("rb") as second:
        while block := first.read(_BLOCK):
            if second.read(len(block)) != block:
                return False
        return not second.read(1)
