"""An environment on disk: a directory with `conda-meta/history`, and one record per package beside it (CEP 32).

prefix = open_prefix(Path("envs/demo"))
[record.dist for record in prefix.records()]
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.host.files import read_regular_file, write_atomic
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import PackageRecord
from kaa.prefix.interruption import interruption
from kaa.prefix.prefix_record_file import decode_record, encode_record

LOOKS = 20
"""How often the records are listed anew when some of them vanish."""


class NotAnEnvironment(KaaError):
    """A path that was to be an environment is none."""

    conda_name = "EnvironmentLocationNotFound"

    def __init__(self, path: Path, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.path = self.location = str(path)
        self.reason = reason
        super().__init__(f"{path} is not an environment: {reason}", hints=hints)


class DirectoryIsNoEnvironment(NotAnEnvironment):
    """A directory with other content stands where an environment was to be."""

    conda_name = "DirectoryNotACondaEnvironmentError"


class BrokenPrefixRecord(KaaError):
    """A record of conda-meta cannot be read, or contradicts another one."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, path: Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(
            f"{path} cannot be used: {reason}",
            hints=(
                f"have the record made again with `kaa repair --prefix {shlex.quote(str(path.parent.parent))}`",
                "create the environment anew from `kaa export` of a healthy copy",
            ),
        )


class Prefix(msgspec.Struct, frozen=True):
    """The directory of an environment; every call reads the disk, nothing is remembered."""

    path: Path

    @property
    def conda_meta(self) -> Path:
        return self.path / "conda-meta"

    @property
    def history_file(self) -> Path:
        return self.conda_meta / "history"

    def is_environment(self) -> bool:
        """Whether `conda-meta/history` is there (it may be empty)."""
        return self.history_file.is_file()

    def records(self) -> tuple[PrefixRecord, ...]:
        """The installed packages by name; raises BrokenPrefixRecord.

        As with conda, a record whose file is not called name-version-build.json does not count.
        """
        for _ in range(LOOKS):
            try:
                return self._read_records()
            except BrokenPrefixRecord as error:
                # What was listed a moment ago may have been taken away by a change that runs meanwhile.
                if not isinstance(error.__cause__, FileNotFoundError):
                    raise
        return self._read_records()

    def _read_records(self) -> tuple[PrefixRecord, ...]:
        found: dict[str, PrefixRecord] = {}
        for path in self.record_files():
            record = read_record(path)
            if record.dist != path.name.removesuffix(".json"):
                continue
            other = found.get(record.name)
            if other is not None:
                raise BrokenPrefixRecord(path, f"{other.dist} is recorded as well, and only one {record.name} can be")
            found[record.name] = record
        return tuple(found[name] for name in sorted(found))

    def record_files(self) -> tuple[Path, ...]:
        """The files of conda-meta that may hold a package record, by name."""
        try:
            names = sorted(path.name for path in self.conda_meta.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return ()
        # A record has a name, a version and a build; other tools keep other .json files here.
        return tuple(
            self.conda_meta / name
            for name in names
            if name.endswith(".json") and not name.startswith(".") and name.count("-") >= 2
        )

    def find(self, name: str) -> PrefixRecord | None:
        """The record of one installed package."""
        for path in self.record_files():
            if path.name.rsplit("-", 2)[0] == name:
                record = read_record(path)
                if record.name == name and record.dist == path.name.removesuffix(".json"):
                    return record
        return None

    def record_file(self, record: PackageRecord) -> Path:
        """Where the record of a package is kept."""
        return self.conda_meta / f"{record.dist}.json"

    def write_record(self, record: PrefixRecord) -> None:
        """Write a record at once or not at all; keys that kaa does not know stay as they are in the file."""
        path = self.record_file(record)
        previous: bytes | None = None
        with contextlib.suppress(FileNotFoundError):
            previous = read_regular_file(path)
        write_atomic(path, encode_record(record, previous))

    def remove_record(self, record: PackageRecord) -> None:
        """Remove a package's record; a missing one is fine."""
        self.record_file(record).unlink(missing_ok=True)

    def owners(self) -> Iterator[tuple[str, str]]:
        """(path below the environment, package name) of every recorded file."""
        for record in self.records():
            for path in record.files:
                yield path, record.name


def open_prefix(path: Path) -> Prefix:
    """The environment at `path`; raises NotAnEnvironment."""
    prefix = Prefix(path)
    if prefix.is_environment():
        return prefix
    if word := interruption(path):
        raise NotAnEnvironment(path, word)
    create = f"create it with `kaa create --prefix {shlex.quote(str(path))}`"
    if not path.exists():
        hints = (create, "list the environments with `kaa env list`")
        raise NotAnEnvironment(path, "there is no such directory", hints=hints)
    if not path.is_dir():
        raise DirectoryIsNoEnvironment(path, "it is a file", hints=("choose another path",))
    # An environment is only made where nothing else is.
    is_empty = False
    with contextlib.suppress(OSError):
        is_empty = not any(path.iterdir())
    ways_out = ("choose another path", *((create,) if is_empty else ()))
    raise DirectoryIsNoEnvironment(path, "conda-meta/history is missing", hints=ways_out)


def read_record(path: Path) -> PrefixRecord:
    """The record in one file of conda-meta; raises BrokenPrefixRecord."""
    try:
        return decode_record(read_regular_file(path))
    except OSError as error:
        raise BrokenPrefixRecord(path, error.strerror or str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenPrefixRecord(path, f"it holds no package record ({error})") from error
