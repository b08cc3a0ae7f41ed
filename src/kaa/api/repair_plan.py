"""What a repair is going to do, as values: shown before it is done, and given back as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.prefix.prefix_record_file import encode_record
from kaa.prefix.verification import Verification
from kaa.transaction.plan import FileChanges, PutFile, Reinstall, Transaction, plan_transaction

REPLACED = "conda-meta/replaced"
"""Where files lie that a repair took out of the way, in a directory for each repair."""


class PackageRepair(msgspec.Struct, frozen=True, kw_only=True):
    """What is done about one package."""

    record: PrefixRecord
    """As it is in the environment, or as it is taken to be where its record cannot be used"""
    why: tuple[str, ...]
    """What is wrong with it"""
    source: str = ""
    """Where its files come from: cache, archive (of the cache), channel; empty when only its record is written"""
    keep: tuple[str, ...] = ()
    """Files that differ from the package's, and are moved to the directory of the repair"""
    remove: tuple[str, ...] = ()
    """Files that go: those of a distribution that took the package's place"""
    distributions: tuple[str, ...] = ()
    """These distributions"""
    set_aside: str = ""
    """The file of conda-meta in place of which its record is written"""

    @property
    def is_relinked(self) -> bool:
        return bool(self.source)


class Left(msgspec.Struct, frozen=True):
    """What a repair cannot put right, and what to do about it."""

    what: str
    """A dist string, or another name of the thing"""
    reason: str
    advice: str
    url: str = ""
    sha256: str | None = None
    md5: str | None = None


class RepairPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The repair of one environment."""

    prefix: Path
    subdir: str
    before: Verification
    packages: tuple[PackageRepair, ...] = ()
    current: tuple[PrefixRecord, ...] = ()
    """All packages of the environment, with the records that they will have"""
    desired: tuple[RepoDataRecord, ...] | None = None
    """The packages afterwards, where missing dependencies are installed as well"""
    set_aside: tuple[str, ...] = ()
    """Files of conda-meta that are moved to the directory of the repair, with nothing in their place"""
    remove: tuple[str, ...] = ()
    """Files that only such records know, and that are as those packages brought them"""
    history: bytes | None = None
    """The text of a new history, where there is none"""
    left: tuple[Left, ...] = ()
    directory: str = REPLACED
    """Where files go that are kept, below the environment"""
    command: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return self.transaction.is_empty and self.history is None

    @property
    def kept(self) -> tuple[str, ...]:
        """The paths that are moved to the directory of the repair."""
        records = [package.set_aside for package in self.packages if package.set_aside]
        files = [path for package in self.packages for path in package.keep]
        return tuple(dict.fromkeys([*files, *records, *self.set_aside]))

    @property
    def transaction(self) -> Transaction:
        """The change that the repair is."""
        relinked = {package.record.name: package for package in self.packages if package.is_relinked}
        desired = self.current if self.desired is None else self.desired
        transaction = plan_transaction(
            self.prefix,
            self.subdir,
            self.current,
            [as_offered(record) if record.name in relinked else record for record in desired],
            reinstall=relinked,
            command=self.command,
            files=self._files(),
        )
        operations = tuple(
            msgspec.structs.replace(one, reason="; ".join(relinked[one.new.name].why))
            if isinstance(one, Reinstall) and one.new.name in relinked
            else one
            for one in transaction.operations
        )
        return msgspec.structs.replace(transaction, operations=operations)

    def _files(self) -> FileChanges:
        kept = self.kept
        removed = [path for package in self.packages for path in package.remove]
        return FileChanges(
            remove=tuple(path for path in dict.fromkeys([*removed, *self.remove]) if path not in set(kept)),
            keep=tuple((path, f"{self.directory}/{path}") for path in kept),
            put=tuple(
                PutFile(f"conda-meta/{package.record.dist}.json", content=encode_record(package.record))
                for package in self.packages
                if not package.is_relinked
            ),
        )

    def without(self, dists: Iterable[str], left: Iterable[Left]) -> RepairPlan:
        """The plan that leaves these packages as they are."""
        gone = frozenset(dists)
        # The record of such a package cannot be used, and stays where it is.
        unusable = {one.record.dist for one in self.packages if one.record.dist in gone and one.set_aside}
        return msgspec.structs.replace(
            self,
            packages=tuple(one for one in self.packages if one.record.dist not in gone),
            current=tuple(record for record in self.current if record.dist not in unusable),
            desired=None if self.desired is None else tuple(one for one in self.desired if one.dist not in unusable),
            left=(*self.left, *left),
        )


class RepairOutcome(msgspec.Struct, frozen=True):
    """What a repair did, and what is left."""

    plan: RepairPlan
    after: Verification
    left: tuple[Left, ...] = ()

    @property
    def is_clean(self) -> bool:
        return self.after.is_clean and not self.left


def as_offered(record: RepoDataRecord) -> RepoDataRecord:
    """The record of a package as channels have it, without what installing added."""
    return RepoDataRecord(**{name: getattr(record, name) for name in RepoDataRecord.__struct_fields__})
