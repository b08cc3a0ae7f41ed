"""Bring what an environment holds back to what its packages brought: from the package cache, else from the channels.

    plan = plan_repair(session, Path("envs/demo"))
    outcome = repair_environment(session, plan)

What a user may have made is never removed: files that differ from the package's are moved to
`conda-meta/replaced/<time>/`. What cannot be repaired stays as it is and is named.
"""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import msgspec

from kaa.api.damaged_files import DamagedFiles
from kaa.api.environments import ChangeOptions, PackagesNotInstalled, plan_dependencies, subdir_of
from kaa.api.execution import DEFAULT_THREADS, execute, with_wheels
from kaa.api.lost_packages import fetch_lost_package, find_lost_package
from kaa.api.repair_plan import REPLACED, Left, PackageRepair, RepairOutcome, RepairPlan, as_offered
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.api.verifying import Inspection, inspect_environment, originals_of, safe_paths, unmet_in, verify_environment
from kaa.errors import KaaError
from kaa.host.files import write_atomic
from kaa.host.locks import file_lock
from kaa.models.channel import url_to_path
from kaa.models.prefix_record import InstalledPath, PathsData, PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.package_cache.cache import UnsafeName, has_the_bytes
from kaa.package_cache.fetch import ensure
from kaa.package_cache.validate import find_damage
from kaa.prefix.damage import DamagedPackage, SeenPath, damaged_packages, why_changed
from kaa.prefix.environments import absolute_location
from kaa.prefix.history import format_revision, new_revision, read_history, recorded_specs
from kaa.prefix.interruption import LOCK
from kaa.prefix.prefix import Prefix
from kaa.prefix.prefix_record_file import on_disk_channel
from kaa.prefix.record_files import RecordFile
from kaa.prefix.recorded_files import look_at
from kaa.pypi.interpreters.addresses import interpreter_of, is_interpreter
from kaa.transaction.expected import expected_record
from kaa.transaction.plan import python_of

ENTRY_POINTS = ("unix_python_entry_point", "windows_python_entry_point_script")
"""Kinds of generated files that say where the environment is."""


def plan_repair(
    session: Session, prefix: Path, names: Sequence[str] = (), *, dependencies: bool = False, command: str = ""
) -> RepairPlan:
    """What a repair of an environment would do; with `names` a repair of these packages alone.

    An interrupted change is finished or taken back first. A package whose record cannot be used is fetched where the
    cache does not have it: what it brought must be known. With `dependencies` what packages need and is not there is
    solved for as well. Raises NotAnEnvironment, PackagesNotInstalled and what solving raises.
    """
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    with contextlib.suppress(KaaError):
        # Loads the credentials that configured channels carry: recorded addresses hold none.
        session.channels()
    planning = _Planning(session, prefix, inspect_environment(session, prefix))
    plan = planning.run(frozenset(names))
    plan = msgspec.structs.replace(plan, command=command)
    return _with_dependencies(session, plan, solve=dependencies)


def repair_environment(session: Session, plan: RepairPlan) -> RepairOutcome:
    """Carry out a repair as far as the packages for it can be had, and look at the environment again."""
    plan = _obtainable(session, plan)
    if plan.history is not None:
        history = Prefix(plan.prefix).history_file
        with file_lock(plan.prefix / LOCK):
            if not history.exists():
                write_atomic(history, plan.history)
    transaction = plan.transaction
    if not transaction.is_empty:
        execute(session, transaction)
    return RepairOutcome(plan, verify_environment(session, plan.prefix), plan.left)


class _Planning:
    """The planning of one repair, with what its steps hand on to one another."""

    def __init__(self, session: Session, prefix: Path, inspection: Inspection) -> None:
        self.session = session
        self.prefix = prefix
        self.environment = Prefix(prefix)
        self.inspection = inspection
        self.sound: dict[str, PrefixRecord] = {}
        """By name: what the environment holds as far as records can be used"""
        self.restored: dict[str, RecordFile] = {}
        """By name: the files in place of which records are written again"""
        self.set_aside: list[str] = []
        self.remove: list[str] = []
        self.left: list[Left] = []
        self.subdir = ""

    def run(self, names: frozenset[str]) -> RepairPlan:
        """All steps."""
        lost = self._choose_records()
        self.subdir = subdir_of(self.session, tuple(self.sound.values()))
        # Where other packages lie depends on python.
        for file in sorted(lost, key=lambda file: file.package != "python"):
            if not names or file.package in names:
                self._restore(file)
        unknown = sorted(names - self.sound.keys() - {file.package for file in self.inspection.record_files})
        if unknown:
            raise PackagesNotInstalled(self.prefix, unknown)
        history = self._history()
        repairs = self._repairs(names)
        current = tuple(self.sound[name] for name in sorted(self.sound))
        return RepairPlan(
            prefix=self.prefix,
            subdir=self.subdir,
            before=self.inspection.verification,
            packages=tuple(repairs),
            current=current,
            set_aside=tuple(self.set_aside),
            remove=tuple(self.remove),
            history=_new_history(current) if history else None,
            left=tuple(self.left),
            directory=_free_directory(self.prefix),
        )

    # Records

    def _choose_records(self) -> list[RecordFile]:
        """Sort the files of conda-meta into records that stay and files that go; gives those of lost packages."""
        files = self.inspection.record_files
        for file in files:
            if file.record is not None and file.counts:
                other = self.sound.get(file.record.name)
                winner, loser = self._settled(file.record, other) if other is not None else (file.record, None)
                self.sound[winner.name] = winner
                if loser is not None:
                    self._give_up(loser)
        lost = []
        for file in files:
            record = file.record
            if file.counts:
                continue
            if file.package in self.sound or (record is not None and record.name in self.sound):
                # Another record of the package is good.
                self.set_aside.append(file.path)
            elif record is None or record.fn.startswith(f"{file.dist}."):
                lost.append(file)
            else:
                self.sound[record.name] = record
                self.restored[record.name] = file
        return lost

    def _settled(self, one: PrefixRecord, other: PrefixRecord) -> tuple[PrefixRecord, PrefixRecord]:
        """Which of two records of one package is right, then the other: the one with more of its files there.

        Of equals the one that the history installed last.
        """
        order = [line.rpartition("::")[2] for each in read_history(self.environment).revisions for line in each.linked]

        def merit(record: PrefixRecord) -> tuple[int, int]:
            paths, seen = self.inspection.paths[record.dist], self.inspection.seen[record.dist]
            wrong = sum(seen[path].kind == "missing" or bool(why_changed(paths[path], seen[path])) for path in paths)
            return -wrong, max((place for place, dist in enumerate(order) if dist == record.dist), default=-1)

        return (one, other) if merit(one) > merit(other) else (other, one)

    def _give_up(self, record: PrefixRecord) -> None:
        """Set a record aside, and take along the files that are as it says and that no other record has."""
        self.set_aside.append(f"conda-meta/{record.dist}.json")
        seen = self.inspection.seen[record.dist]
        others = {path for dist, paths in self.inspection.paths.items() if dist != record.dist for path in paths}
        for path, entry in self.inspection.paths[record.dist].items():
            there = seen[path]
            if path not in others and there.kind in ("file", "link") and not why_changed(entry, there):
                self.remove.append(path)

    def _restore(self, file: RecordFile) -> None:
        """Find the package of a record that cannot be read, and what it brought."""
        python = python_of(tuple(self.sound.values()), self.subdir)
        lost = find_lost_package(self.session, self.prefix, file, self.subdir, python)
        if lost is None:
            self.set_aside.append(file.path)
            name, version, build = file.dist.rsplit("-", 2)
            advice = f"kaa install {_where(self.prefix)} {shlex.quote(f'{name}={version}={build}')}"
            reason = "its record cannot be read, and nobody knows where the package came from"
            self.left.append(Left(file.dist, reason, advice))
            return
        try:
            package = fetch_lost_package(self.session, lost)
            record = self._recorded(expected_record(package.record, package, self.prefix, self.subdir, python), file)
        except KaaError as error:
            self.left.append(_left(lost.record, error, self.prefix))
            return
        self.sound[record.name] = record
        self.restored[record.name] = file

    def _recorded(self, record: PrefixRecord, file: RecordFile) -> PrefixRecord:
        """A record that is made again, with what the user asked for."""
        if file.record is not None:
            return msgspec.structs.replace(record, requested_specs=recorded_specs(file.record))
        requested = read_history(self.environment).requested_specs([record.name])
        return msgspec.structs.replace(record, requested_specs=tuple(requested.values()))

    def _history(self) -> bool:
        """Whether a history is to be written; something else in its place is left to the user."""
        if self.environment.is_environment():
            return False
        path = self.environment.history_file
        if path.is_symlink() or path.exists():
            left = Left(
                "conda-meta/history", f"{path} is no file", f"move it away, then kaa repair {_where(self.prefix)}"
            )
            self.left.append(left)
            return False
        return True

    # Files

    def _repairs(self, names: frozenset[str]) -> list[PackageRepair]:
        """What is done about each package that needs something."""
        paths, seen = self._look_at_restored()
        records = tuple(self.sound.values())
        damaged = {one.dist: one for one in damaged_packages(records, paths, seen)}
        unsafe = {one.path.removeprefix("conda-meta/").removesuffix(".json") for one in safe_paths(records)[1]}
        files = DamagedFiles(self.prefix, records, paths, seen, self.inspection.distributions)
        moved_from = self.inspection.verification.moved_from
        found = []
        for record in records:
            if names and record.name not in names:
                continue
            file = self.restored.get(record.name)
            why = list(_reasons(damaged.get(record.dist), file))
            if record.dist in unsafe:
                why.append("its record names files outside of the environment")
                record = self.sound[record.name] = _only(record, paths[record.dist])
            if moved_from and _names_its_place(record):
                why.append(f"its files were written for {moved_from}")
            if not why:
                continue
            set_aside = file.path if file is not None else ""
            if why == list(_reasons(None, file)):
                found.append(PackageRepair(record=record, why=tuple(why), set_aside=set_aside))
                continue
            source = self._source(record)
            if not source:
                if file is not None:
                    del self.sound[record.name]
                continue
            found.append(files.plan(record, damaged.get(record.dist), tuple(why), source, set_aside))
        return found

    def _look_at_restored(self) -> tuple[dict[str, dict[str, InstalledPath]], dict[str, dict[str, SeenPath]]]:
        """The paths of all packages and what stands there, those of records that are written again included."""
        again = [self.sound[name] for name in self.restored]
        paths, _ = safe_paths(again)
        seen, _ = look_at(self.prefix, paths, originals_of(self.session, again))
        there = {record.dist for record in self.sound.values()}
        inspected = self.inspection
        return (
            {dist: found for dist, found in {**inspected.paths, **paths}.items() if dist in there},
            {dist: found for dist, found in {**inspected.seen, **seen}.items() if dist in there},
        )

    def _source(self, record: PrefixRecord) -> str:
        """Where the files of a package are to be had: cache, archive, channel; empty, with a word of it, if nowhere."""
        cache = self.session.package_cache
        try:
            if any(find_damage(package, "hashes") is None for package in cache.iter_found(record)):
                return "cache"
            if cache.find_archive(record) is not None or _is_local(record):
                return "archive"
        except (UnsafeName, OSError) as error:
            self.left.append(_left(record, error, self.prefix))
            return ""
        if not record.url:
            self.left.append(_left(record, "nobody knows where it came from", self.prefix))
        elif is_interpreter(record):
            reason = f"it was made of {interpreter_of(record)}, which is not there any more"
            self.left.append(_left(record, reason, self.prefix))
        elif self.session.config.offline:
            self.left.append(
                _left(record, "it is not in the package cache, and --offline forbids to fetch it", self.prefix)
            )
        else:
            return "channel"
        return ""


def _reasons(damaged: DamagedPackage | None, file: RecordFile | None) -> Iterator[str]:
    """What is wrong with a package, in a few words each."""
    if file is not None:
        yield f"{file.path} cannot be used: {file.reason}"
    if damaged is not None:
        counts = ((len(damaged.changed), "changed"), (len(damaged.missing), "missing"))
        yield ", ".join(f"{count} {'file' if count == 1 else 'files'} {what}" for count, what in counts if count)


def _names_its_place(record: PrefixRecord) -> bool:
    """Whether files of a package say where the environment is."""
    return any(one.prefix_placeholder or one.path_type in ENTRY_POINTS for one in record.paths_data.paths)


def _only(record: PrefixRecord, paths: Collection[str]) -> PrefixRecord:
    """A record that names these paths and no others."""
    entries = record.paths_data.paths
    if len(entries) == len(record.files):
        entries = tuple(entry for path, entry in zip(record.files, entries, strict=True) if path in paths)
    else:
        entries = tuple(entry for entry in entries if entry.path in paths)
    files = tuple(path for path in record.files if path in paths)
    return msgspec.structs.replace(record, files=files, paths_data=PathsData(paths=entries))


def _is_local(record: RepoDataRecord) -> bool:
    """Whether a package's address is a file of this machine that is still there, or a program that it is made of."""
    if is_interpreter(record):
        return Path(interpreter_of(record)).exists()
    return record.url.startswith("file:") and has_the_bytes(Path(url_to_path(record.url)), record)


def _left(record: RepoDataRecord, reason: object, prefix: Path) -> Left:
    """A package that cannot be had, with where it was."""
    text = reason.message if isinstance(reason, KaaError) else str(reason)
    advice = f"kaa repair {_where(prefix)} {record.name}, when it can be had again"
    if not record.url:
        advice = f"kaa install {_where(prefix)} --force-reinstall {shlex.quote(record.name)}"
    return Left(record.dist, text, advice, record.url, record.sha256, record.md5)


def _where(prefix: Path) -> str:
    return f"--prefix {shlex.quote(str(prefix))}"


def _free_directory(prefix: Path) -> str:
    """A directory for what this repair takes out of the way: called by the time, and not there yet."""
    plain = f"{REPLACED}/{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    names = (plain, *(f"{plain}.{number}" for number in range(2, 1000)))
    return next(name for name in names if not (prefix / name).exists())


def _new_history(records: Sequence[PrefixRecord]) -> bytes:
    """The text of a history that says what is installed now, and what of it was asked for."""
    asked = {record.name: recorded_specs(record)[-1] for record in records if recorded_specs(record)}
    linked = [f"{on_disk_channel(record)}::{record.dist}" for record in records]
    date = time.strftime("%Y-%m-%d %H:%M:%S")
    return format_revision(new_revision(date, "", linked=linked, update_specs=asked)).encode()


# -- what else is needed ----------------------------------------------------------------------------------------------


def _with_dependencies(session: Session, plan: RepairPlan, *, solve: bool) -> RepairPlan:
    """The plan with what packages need and is not there, or with the command that asks for it."""
    unmet = unmet_in(session, Prefix(plan.prefix), plan.current)
    if not unmet:
        return plan
    if not solve:
        needs = ", ".join(
            f"{one.package} {'needs' if one.kind == 'depends' else 'excludes'} {one.spec}" for one in unmet
        )
        advice = f"kaa repair --dependencies {_where(plan.prefix)}"
        return msgspec.structs.replace(plan, left=(*plan.left, Left("dependencies", needs, advice)))
    options = ChangeOptions(command=plan.command)
    return msgspec.structs.replace(plan, desired=plan_dependencies(session, plan.prefix, plan.current, options))


# -- carrying it out --------------------------------------------------------------------------------------------------


def _obtainable(session: Session, plan: RepairPlan) -> RepairPlan:
    """The part of a plan whose packages are in the cache now, checked by hash; the others are left, with the reason."""
    wanted = [package.record for package in plan.packages if package.is_relinked]
    if not wanted or _fetch(session, wanted) is None:
        return plan
    failures = {record.dist: (record, error) for record in wanted if (error := _fetch(session, [record])) is not None}
    return plan.without(failures, [_left(record, error, plan.prefix) for record, error in failures.values()])


def _fetch(session: Session, records: Sequence[PrefixRecord]) -> KaaError | None:
    """Have packages in the cache as they were built; gives what stood in the way."""
    try:
        ensure(
            with_wheels(session, [as_offered(record) for record in records]),
            session.package_cache,
            session.client,
            session.reporter,
            parallel=session.config.fetch_threads or DEFAULT_THREADS,
            check="hashes",
        )
    except KaaError as error:
        return error
    return None
