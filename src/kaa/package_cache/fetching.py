"""Bring packages from their addresses into the cache: downloaded, verified and unpacked, several at a time.

Another process may do the same in the same cache: each package is fetched under a lock, and a package's directory
appears complete or not at all, so that where locks do not work nothing worse happens than the same work done twice.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import TypeAlias

import msgspec

from kaa.archive.extract import extract
from kaa.archive.read import BadArchive
from kaa.archive.temporary import random_name, temporary_beside
from kaa.events import Event, Note, Reporter, StageAdvanced, Warned
from kaa.host.files import remove_tree
from kaa.host.locks import LockHolder, file_lock
from kaa.host.room import FULL, room_left
from kaa.host.threads import know_types
from kaa.models.artifact import is_sdist
from kaa.models.channel import url_to_path
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient, HttpStatusError
from kaa.net.download import CannotWrite, DiskFull, HashMismatch, SizeMismatch, download
from kaa.net.transport import HostUnreachable, IncompleteBody
from kaa.package_cache.built_wheels import NotBuilt, find_built
from kaa.package_cache.cache import (
    BYTECODE,
    LOCKS,
    URLS,
    WHEEL,
    PackageCache,
    extension_of,
    has_the_bytes,
    is_same_package,
    names_of,
    with_identity,
)
from kaa.package_cache.extracted_package import (
    TYPES_READ,
    ExtractedPackage,
    UnreadablePackage,
    completed,
    read_record,
    said_dist,
    write_record,
)
from kaa.package_cache.validate import Check, find_damage
from kaa.package_cache.verification import find_forgery
from kaa.pypi.announced_metadata import MetadataDiffers, check_announced, fetched_wheel, index_of
from kaa.pypi.interpreters.addresses import interpreter_of, is_interpreter
from kaa.pypi.wheel_extraction import extract_wheel
from kaa.pypi.wheel_file import BadWheel

LONGEST_WAIT = 24 * 3600.0
"""How long another process may take to fetch a package; one that died holds no lock."""
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES, errno.EPERM, errno.EROFS}


UnpackInterpreter: TypeAlias = Callable[[RepoDataRecord, Path, Path], RepoDataRecord]
"""Makes a directory the unpacked package of an interpreter; it is given where answers of interpreters are kept."""


class Stopped(Exception):
    """Ends a download because another one has failed."""


class Fetching(msgspec.Struct):
    """The work of one `ensure`: threads that each bring one package from its address into its directory."""

    cache: PackageCache
    client: HttpClient
    reporter: Reporter
    check: Check
    bare: bool
    stage: str
    unpack_interpreter: UnpackInterpreter | None = None
    _told: set[str] = msgspec.field(default_factory=set)
    _stop: threading.Event = msgspec.field(default_factory=threading.Event)
    _reporting: threading.Lock = msgspec.field(default_factory=threading.Lock)
    # More unpacking threads than processors only take turns with Python's one interpreter lock.
    _processors: threading.Semaphore = msgspec.field(
        default_factory=lambda: threading.Semaphore(max(1, min(4, os.cpu_count() or 1)))
    )

    def run(self, records: Sequence[RepoDataRecord], parallel: int) -> list[ExtractedPackage]:
        """The packages, in the order of `records`; two equal ones are fetched once."""
        # Made here, so that a cache that cannot be written to is one error and not many.
        self.cache.writable_directory()
        know_types(*TYPES_READ)
        workers = max(1, min(parallel, len(records)))
        unique = {(record.dist, record.sha256 or record.md5 or record.url): record for record in records}
        with ThreadPoolExecutor(workers, thread_name_prefix="kaa-fetch") as pool:
            try:
                futures = {key: pool.submit(self._obtain, record) for key, record in unique.items()}
                wait(futures.values(), return_when=FIRST_EXCEPTION)
                _raise_first(list(futures.values()))
                return [futures[record.dist, record.sha256 or record.md5 or record.url].result() for record in records]
            finally:
                # Also when a person presses Ctrl-C.
                self._stop.set()
                pool.shutdown(cancel_futures=True)

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _report(self, event: Event) -> None:
        self._go_on()
        with self._reporting:
            self.reporter(event)

    def _obtain(self, record: RepoDataRecord) -> ExtractedPackage:
        directory = self.cache.writable_directory()
        with self._locked(directory, record) as private:
            # Another process may have brought it while this one waited.
            package = next(filter(self._is_sound, self.cache.iter_found(record)), None)
            if package is None:
                target = _free_directory(directory, record)
                if is_interpreter(record):
                    package = self._make(target, record)
                else:
                    with _told_where_from(record):
                        package = self._fetch(target, record, private)
        self._report(StageAdvanced(self.stage, record.dist))
        return package

    def _fetch(self, target: Path, offered: RepoDataRecord, private: str) -> ExtractedPackage:
        """The package of a record, downloaded if need be and unpacked."""
        archive, record = self._archive(target, offered, private)
        check = partial(check_announced, self.cache.index_directory(), offered)
        try:
            with self._processors, _write_failures(target.parent, record):
                return self._extract(archive, target, record, check)
        except (BadWheel, MetadataDiffers):
            # Its bytes are what was asked for: nothing else would ever notice that it is of no use.
            if archive.parent == target.parent:
                archive.unlink(missing_ok=True)
            raise

    def _is_sound(self, package: ExtractedPackage) -> bool:
        if find_damage(package, self.check) is not None:
            return False
        return not self.cache.verified or find_forgery(package, self.cache) is None

    @contextlib.contextmanager
    def _locked(self, directory: Path, record: RepoDataRecord) -> Iterator[str]:
        """Be the only one who fetches a package; gives what its unfinished file is called by, beside its name."""

        def waiting(holder: LockHolder | None) -> None:
            self._report(Note(f"waiting for {record.dist}, which {holder or 'another process'} is fetching"))

        def fallback(text: str) -> None:
            if text not in self._told:
                self._told.add(text)
                self._report(Note(text))

        private = ""
        lock = directory / LOCKS / f"{names_of(record)[0]}.lock"
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(
                    file_lock(lock, timeout=LONGEST_WAIT, waiting=waiting, fallback=fallback, poll=self._go_on)
                )
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise _cannot_write(directory, record, error) from error
                # No locks here (some network file systems): nobody may share the unfinished file.
                private = f".{random_name()}"
            yield private

    def _archive(self, target: Path, record: RepoDataRecord, private: str) -> tuple[Path, RepoDataRecord]:
        """The verified archive for the directory `target`, and the record with what the archive tells of itself."""
        if is_sdist(record.fn):
            built = find_built(self.cache, record)
            if built is None:
                raise NotBuilt(record)
            return built, record
        with self._processors:
            found = self.cache.find_archive(record) or _local_archive(record)
        if found is not None:
            return found, record
        archive = target.with_name(target.name + extension_of(record))
        if self._take_fetched(archive, record):
            return archive, record
        partial = archive.with_name(f"{archive.name}{private}.partial")
        if partial.exists() and not os.access(partial, os.W_OK):
            # What another user of the group had begun.
            partial = archive.with_name(f"{archive.name}.{random_name()}.partial")
        download(
            record.url,
            archive,
            client=self.client,
            sha256=record.sha256,
            md5=record.md5,
            size=record.size,
            reporter=self._report,
            partial=partial,
        )
        # Only a record of where things came from, and perhaps another user's.
        with (
            _write_failures(target.parent, record),
            contextlib.suppress(PermissionError),
            (target.parent / URLS).open("a", encoding="utf-8") as urls,
        ):
            urls.write(f"{record.url}\n")
        return archive, with_identity(record, archive)

    def _take_fetched(self, archive: Path, record: RepoDataRecord) -> bool:
        """Whether a wheel was fetched for its metadata already; it becomes the archive."""
        if not index_of(record) or not record.sha256:
            return False
        wheel = fetched_wheel(self.cache.index_directory(), record.sha256)
        with contextlib.suppress(OSError):
            if has_the_bytes(wheel, record):
                wheel.replace(archive)
                return True
        return False

    def _extract(
        self, archive: Path, target: Path, record: RepoDataRecord, check: Callable[[bytes], object]
    ) -> ExtractedPackage:
        temporary = temporary_beside(target)
        finish = partial(self._finish, record=record, archive=archive)
        try:
            if archive.name.endswith(WHEEL):
                unpacked = extract_wheel(archive, temporary, record, read_only=True, check=check, complete=finish)
            else:
                unpacked = extract(archive, temporary, subdir=record.subdir, read_only=True, complete=finish)
            self._put_in_place(temporary, target)
        except BaseException:
            remove_tree(temporary)
            raise
        for one, other in unpacked.case_clashes[:3]:
            self._report(Warned(f"{record.dist}: {one} and {other} are one path on {record.subdir}"))
        package = self.cache.package_at(target, record)
        return msgspec.structs.replace(package, archive=archive)

    def _make(self, target: Path, record: RepoDataRecord) -> ExtractedPackage:
        """The package of an interpreter of this machine, made in its directory."""
        interpreter = interpreter_of(record)
        self._report(Note(f"{record.dist} is made of {interpreter}"))
        temporary = temporary_beside(target)
        with self._processors, _write_failures(target.parent, record):
            try:
                assert self.unpack_interpreter is not None
                record = self.unpack_interpreter(record, temporary, self.cache.index_directory())
                self._finish(temporary, record, Path(interpreter))
                self._put_in_place(temporary, target)
            except BaseException:
                remove_tree(temporary)
                raise
        return self.cache.package_at(target, record)

    def _finish(self, made: Path, record: RepoDataRecord, archive: Path) -> None:
        """Complete what was just unpacked, and refuse it when it is not what it says, or was offered as."""
        package = ExtractedPackage(made, record, archive, made.parent / BYTECODE)
        try:
            package.paths()
            package.link()
            said = said_dist(made)
            own = completed(record, made) if self.bare else record
        except UnreadablePackage as error:
            raise BadArchive(str(archive), error.reason, f"info/{Path(error.path).name}") from error
        if said != record.dist:
            raise BadArchive(str(archive), f"it says that it is {said!a}, not {record.dist!a},", "info/index.json")
        damage = find_damage(package, self.check)
        if damage is not None:
            raise BadArchive(str(archive), f"it {damage.reason}, against its own list of files,", damage.path)
        write_record(made, own)

    def _put_in_place(self, temporary: Path, target: Path) -> None:
        """Give an unpacked package its name; a damaged one of that name goes, with the bytecode made of it."""
        # Of other users of the group, too; bytecode that stays is known not to be that of the new files.
        with contextlib.suppress(PermissionError):
            remove_tree(target.parent / BYTECODE / target.name)
        aside = temporary_beside(target)
        with contextlib.suppress(FileNotFoundError):
            target.rename(aside)
        try:
            temporary.rename(target)
        except OSError:
            # Somebody was faster, where locks do not work: theirs is as good.
            if read_record(target) is None:
                raise
            remove_tree(temporary)
        with contextlib.suppress(PermissionError):
            remove_tree(aside)


@contextlib.contextmanager
def _told_where_from(record: RepoDataRecord) -> Iterator[None]:
    """Say of what is wrong with a wheel which index offers it: files often lie on another host."""
    try:
        yield
    except (BadWheel, HashMismatch, SizeMismatch, HttpStatusError, HostUnreachable, IncompleteBody) as error:
        if index := index_of(record):
            error.message += f"; {record.name} {record.version} is offered by the index {index}"
            if isinstance(error, BadWheel):
                error.hints = (
                    f"ask for another version of {record.name}, or take it from another index or channel",
                    "tell who runs the index, or the project's makers",
                )
        raise


def _raise_first(futures: Sequence[Future[ExtractedPackage]]) -> None:
    """Raise what went wrong first, if anything did; not that others were stopped by it."""
    errors = [error for future in futures if future.done() and (error := future.exception()) is not None]
    real = [error for error in errors if not isinstance(error, Stopped)]
    if real:
        raise real[0]


def _free_directory(directory: Path, record: RepoDataRecord) -> Path:
    """Where a package is to be put: under its plain name unless another package has that."""
    plain, told_apart = (directory / name for name in names_of(record))
    for path in (plain, told_apart):
        if not path.is_symlink() and not path.exists():
            return path
        there = read_record(path)
        # A directory without a sound record was left unfinished by someone.
        if (there is None or is_same_package(there, record)) and _is_ours_to_replace(path):
            return path
    reason = f"{plain.name} is there already, of another user who does not let you use it"
    raise CannotWrite(directory, record.url, reason)


def _is_ours_to_replace(path: Path) -> bool:
    """Whether this user may judge what is at `path`, and may rename it.

    What another user's umask closes is perhaps sound; in a directory with the sticky bit only its owner may rename it.
    """
    if sys.platform == "win32" or path.is_symlink():
        return True
    if not os.access(path, os.R_OK | os.X_OK):
        return False
    above = path.parent.stat()
    return not above.st_mode & stat.S_ISVTX or os.geteuid() in (0, above.st_uid, path.stat().st_uid)


def _local_archive(record: RepoDataRecord) -> Path | None:
    """The archive of a record with a file address, where it lies; it is not copied."""
    if not record.url.startswith("file:"):
        return None
    path = Path(url_to_path(record.url))
    # With other bytes than expected it goes the way of a download, which says what is wrong.
    return path if has_the_bytes(path, record) else None


@contextlib.contextmanager
def _write_failures(directory: Path, record: RepoDataRecord) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(directory, record, error) from error


def _cannot_write(directory: Path, record: RepoDataRecord, error: OSError) -> CannotWrite:
    reason = error.strerror or str(error)
    if error.errno in FULL:
        return DiskFull(directory, record.url, f"{reason} ({room_left(directory)})")
    return CannotWrite(directory, record.url, reason)
