"""The values of `kaa doctor`: checks, what they find, and what puts it right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.shell.init import Edit

Status: TypeAlias = Literal["ok", "warning", "error", "skipped"]
WORST: tuple[Status, ...] = ("error", "warning", "ok", "skipped")


class Fix(msgspec.Struct, frozen=True):
    """Something that can safely be done, and done twice."""

    what: str
    """What it does, as a sentence that begins with a verb"""
    perform: Callable[[], None]
    """Raises KaaError or OSError when it cannot be done."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that a check found."""

    status: Status
    what: str
    advice: str = ""
    """What to do about it"""
    fix: Fix | None = None


class Diagnosis(msgspec.Struct, frozen=True):
    """All that one check found."""

    check: str
    findings: tuple[Finding, ...]

    @property
    def status(self) -> Status:
        """The worst of the findings."""
        return next((status for status in WORST if any(one.status == status for one in self.findings)), "ok")


class Patient(msgspec.Struct, frozen=True):
    """What is looked at: an installation, and environments of it."""

    environ: Mapping[str, str]
    home: Path
    cwd: Path
    root_prefix: Path
    session: Session | None
    """None where the configuration cannot be read"""
    problem: KaaError | None = None
    """Why that is so"""
    prefixes: tuple[Path, ...] = ()
    """The environments that are looked at closely"""
    startup: Callable[[], Sequence[tuple[str, Edit | KaaError]]] = lambda: ()
    """What `kaa init` would change, by shell; the one of the user first"""
    program: str = ""
    """The path of this kaa"""


class HealthCheck(msgspec.Struct, frozen=True):
    """One thing to look at."""

    name: str
    help: str
    examine: Callable[[Patient], Iterator[Finding]]
    of_environment: bool = False
    """Whether it looks at `Patient.prefixes`, file by file"""
    needs_session: bool = True


def ok(what: str) -> Finding:
    """All is well."""
    return Finding("ok", what)


def diagnose(patient: Patient, check: HealthCheck) -> Diagnosis:
    """What a check finds; that it cannot look is an answer as well."""
    if check.needs_session and patient.session is None:
        return Diagnosis(check.name, (Finding("skipped", "the configuration cannot be read"),))
    found: list[Finding] = []
    try:
        found += check.examine(patient)
    except KaaError as error:
        found.append(Finding("error", error.message, error.hints[0] if error.hints else ""))
    except OSError as error:
        found.append(Finding("error", f"{error.filename or check.name} cannot be read: {error.strerror or error}"))
    return Diagnosis(check.name, tuple(found) or (ok("nothing is wrong"),))


def session_of(patient: Patient) -> Session:
    """The session; checks that need one run only where there is one."""
    assert patient.session is not None
    return patient.session
