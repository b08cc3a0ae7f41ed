"""Checks of environments: of all of them by a quick look, and of single ones file by file."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path

from kaa.api.health import Finding, Fix, Patient, ok, session_of
from kaa.api.recovering import recover_environment
from kaa.api.session import Session
from kaa.api.verifying import every_environment, find_holder, verify_environment
from kaa.errors import KaaError
from kaa.host.files import is_writable
from kaa.host.locks import LockTimeout, file_lock
from kaa.prefix.environments import read_registry, register, registry_file, unregister
from kaa.prefix.former_place import find_former_place
from kaa.prefix.generations import generation_numbers, read_generation
from kaa.prefix.interruption import interruption, is_relocating, is_set_aside, is_unsettled
from kaa.prefix.pins import read_pinned
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import find_distributions, find_replaced
from kaa.prefix.record_files import read_record_files
from kaa.prefix.state import is_frozen
from kaa.prefix.verification import Verification


def check_environments(patient: Patient) -> Iterator[Finding]:
    """All environments that are known, by a quick look."""
    session = session_of(patient)
    registry = registry_file(session.home)
    registered = read_registry(registry)
    known = dict.fromkeys([*every_environment(session), *_set_aside(session)])
    for path in known:
        yield from _quick_look(session, path)
    for path in registered:
        if path not in known:
            yield from _not_there(registry, path)
    yield ok(f"{len(known)} environments are known")


def _set_aside(session: Session) -> Iterator[Path]:
    """Where environments were that a change which did not end has moved out of the way."""
    for directory in session.environments.directories:
        with contextlib.suppress(OSError):
            for child in sorted(directory.iterdir()):
                path = directory / child.name[1:].rpartition(".kaa-")[0]
                if is_set_aside(child.name) and is_unsettled(path):
                    yield path


def _quick_look(session: Session, path: Path) -> Iterator[Finding]:
    name = session.environments.name_of(path)
    where = f"--prefix {shlex.quote(str(path))}"
    if interruption(path) or is_relocating(str(path)):
        holder = find_holder(path)
        if holder:
            yield ok(f"{name} is being changed by {holder}")
            return
        fix = Fix(f"finish or take back the interrupted change of {path}", lambda: _recover(session, path))
        yield Finding("error", f"a change of {name} was interrupted", f"kaa recover {where}", fix)
        return
    environment = Prefix(path)
    if not environment.is_environment():
        yield Finding("error", f"{name} has packages, and no conda-meta/history", f"kaa repair {where}")
    files = read_record_files(environment)
    for file in files:
        if file.problem:
            yield Finding("error", f"{name}: {file.path} ({file.problem}): {file.reason}", f"kaa repair {where}")
    records = [file.record for file in files if file.record is not None]
    for package, distribution in find_replaced(records, find_distributions(environment, records)):
        what = f"{name}: {package.dist} was replaced by pip ({distribution.name} {distribution.version})"
        yield Finding("warning", what, f"kaa repair {where}, or kaa adopt {where}")
    old = find_former_place(path, records)
    if old:
        yield Finding(
            "error", f"{name} was moved here from {old}, which its programs still look for", f"kaa repair {where}"
        )
    if is_frozen(environment):
        yield ok(f"{name} is frozen")
    if not os.access(path, os.R_OK | os.X_OK):
        yield Finding("warning", f"{name} cannot be read by you", "ask its owner")


def _recover(session: Session, path: Path) -> None:
    recover_environment(session, path)


def _not_there(registry: Path, path: Path) -> Iterator[Finding]:
    if not path.parent.is_dir():
        yield ok(f"{path} is on a disk that is not there now, or gone")
        return
    fix = Fix(f"take {path} out of {registry}", lambda: _forget(registry, path))
    yield Finding("warning", f"{registry} lists {path}, where no environment is", "kaa doctor environments --fix", fix)


def _forget(registry: Path, path: Path) -> None:
    unregister(registry, path)


def check_generations(patient: Patient) -> Iterator[Finding]:
    """Whether the environments can go back to what they were."""
    session = session_of(patient)
    cached = session.package_cache.dists()
    total = 0
    for path in every_environment(session):
        name = session.environments.name_of(path)
        lost: dict[str, str] = {}
        for number in generation_numbers(path):
            total += 1
            try:
                generation = read_generation(path, number)
            except KaaError as error:
                yield Finding("warning", error.message, error.hints[0] if error.hints else "")
                continue
            lost |= {package.dist: package.url for package in generation.packages if package.dist not in cached}
        gone = sorted(dist for dist, url in lost.items() if not url)
        if gone:
            what = f"{name} cannot go back to every generation: nobody knows where {', '.join(gone)} came from"
            yield Finding("warning", what, f"kaa history --prefix {shlex.quote(str(path))}")
        elif lost:
            yield ok(f"{name}: going back fetches up to {len(lost)} packages that the cache no longer has")
    yield ok(f"{total} generations are kept")


def check_locks(patient: Patient) -> Iterator[Finding]:
    """Whether files can be locked where environments and packages are."""
    session = session_of(patient)
    for directory in (patient.root_prefix, *session.package_cache.directories[:1]):
        if not is_writable(directory) or not directory.is_dir():
            continue
        lock = directory / ".kaa-doctor-lock"
        try:
            with file_lock(lock, timeout=0):
                yield ok(f"files can be locked in {directory}")
        except LockTimeout:
            yield ok(f"files can be locked in {directory}")
        except OSError as error:
            what = f"files cannot be locked in {directory} ({error.strerror}): two changes at once are not kept apart"
            yield Finding("warning", what, "use a directory on a local disk")
        finally:
            lock.unlink(missing_ok=True)


# -- single environments ----------------------------------------------------------------------------------------------


class CloseLook:
    """The checks of single environments, which share one look at each."""

    def __init__(self) -> None:
        self._seen: dict[Path, Verification] = {}

    def _look(self, patient: Patient) -> Iterator[tuple[Path, str, Verification]]:
        session = session_of(patient)
        for path in patient.prefixes:
            if path not in self._seen:
                self._seen[path] = verify_environment(session, path)
            yield path, session.environments.name_of(path), self._seen[path]

    def check_missing_files(self, patient: Patient) -> Iterator[Finding]:
        """Files of packages that are not there."""
        for path, name, found in self._look(patient):
            for package in found.damaged:
                if package.missing:
                    what = f"{name}: {package.dist}: {len(package.missing)} files are missing"
                    yield Finding("error", what, _repair(path))

    def check_altered_files(self, patient: Patient) -> Iterator[Finding]:
        """Files of packages that are not as they were installed."""
        for path, name, found in self._look(patient):
            for package in found.damaged:
                if package.changed:
                    by = f", by pip ({', '.join(package.overwritten_by)})" if package.overwritten_by else ""
                    what = f"{name}: {package.dist}: {len(package.changed)} files changed{by}"
                    yield Finding("error", what, _repair(path))

    def check_records(self, patient: Patient) -> Iterator[Finding]:
        """Records of packages that cannot be used."""
        for path, name, found in self._look(patient):
            for broken in found.broken_records:
                yield Finding("error", f"{name}: {broken.path} ({broken.kind}): {broken.reason}", _repair(path))

    def check_consistency(self, patient: Patient) -> Iterator[Finding]:
        """Dependencies that nothing installed meets."""
        for path, name, found in self._look(patient):
            for one in found.unmet:
                says = "needs" if one.kind == "depends" else "goes only with"
                there = f"there is {', '.join(one.installed)}" if one.installed else "nothing like it is there"
                what = f"{name}: {one.package} {says} {one.spec}, and {there}"
                yield Finding("error", what, f"{_repair(path)} --dependencies")

    def check_pinned(self, patient: Patient) -> Iterator[Finding]:
        """Pins that are no specs, or that what is installed does not meet."""
        for path, name, _ in self._look(patient):
            environment = Prefix(path)
            try:
                pins = read_pinned(environment)
            except KaaError as error:
                yield Finding("error", f"{name}: {error.message}", error.hints[0] if error.hints else "")
                continue
            records = {file.record.name: file.record for file in read_record_files(environment) if file.record}
            for pin in pins:
                record = records.get(pin.name or "")
                if record is not None and not pin.matches(record):
                    what = f"{name}: {record.dist} is installed, and the pin {pin} rules it out"
                    yield Finding(
                        "warning", what, f"kaa update {shlex.quote(record.name)}, or change {path}/conda-meta/pinned"
                    )

    def check_registered(self, patient: Patient) -> Iterator[Finding]:
        """Whether the environment is in the user's list of environments."""
        session = session_of(patient)
        registry = registry_file(session.home)
        for path, name, _ in self._look(patient):
            if path == session.config.root_prefix or path in read_registry(registry):
                continue
            fix = Fix(f"enter {path} in {registry}", _enter(registry, path))
            yield Finding("warning", f"{name} is not in {registry}", "kaa doctor environment-txt --fix", fix)


def _enter(registry: Path, path: Path) -> Callable[[], None]:
    def perform() -> None:
        register(registry, path)

    return perform


def _repair(path: Path) -> str:
    return f"kaa repair --prefix {shlex.quote(str(path))}"
