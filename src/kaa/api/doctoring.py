"""Look at an installation as a whole: one table of checks, and the fixes that they know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kaa.api.cache_checks import check_index_cache, check_package_cache
from kaa.api.environment_checks import CloseLook, check_environments, check_generations, check_locks
from kaa.api.health import Diagnosis, Finding, HealthCheck, Patient, diagnose
from kaa.api.setup_checks import (
    check_certificates,
    check_clock,
    check_configuration,
    check_disk_space,
    check_path,
    check_root_prefix,
    check_shells,
)
from kaa.errors import KaaError


class NoSuchCheck(KaaError):
    """A check was asked for that there is not."""

    conda_name = "CondaValueError"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.check = name
        self.known = list(known)
        super().__init__(f"there is no check {name!r}", hints=(f"name one of {', '.join(known)}",))


def health_checks() -> tuple[HealthCheck, ...]:
    """All checks, in the order in which they are made; those of single environments share one look at the files."""
    look = CloseLook()
    return (
        HealthCheck("configuration", "files and variables that set options", check_configuration, needs_session=False),
        HealthCheck("root-prefix", "where kaa lives", check_root_prefix, needs_session=False),
        HealthCheck("path", "which kaa and which conda a command line means", check_path, needs_session=False),
        HealthCheck("shells", "the lines of `kaa init`", check_shells),
        HealthCheck("requests-ca-bundle", "files of certificates", check_certificates, needs_session=False),
        HealthCheck("package-cache", "directories, damaged packages, leftovers", check_package_cache),
        HealthCheck("index-cache", "what is known of channels", check_index_cache),
        HealthCheck("environments", "all environments, by a quick look", check_environments),
        HealthCheck("generations", "whether environments can go back", check_generations),
        HealthCheck("file-locking", "whether files can be locked", check_locks),
        HealthCheck("disk-space", "room for packages and environments", check_disk_space),
        HealthCheck("clock", "whether the clock goes right", check_clock),
        HealthCheck("missing-files", "files of packages that are gone", look.check_missing_files, of_environment=True),
        HealthCheck("altered-files", "files of packages that changed", look.check_altered_files, of_environment=True),
        HealthCheck("records", "records that cannot be used", look.check_records, of_environment=True),
        HealthCheck("consistency", "dependencies that are not met", look.check_consistency, of_environment=True),
        HealthCheck("pinned", "pins that do not hold", look.check_pinned, of_environment=True),
        HealthCheck("environment-txt", "the list of environments", look.check_registered, of_environment=True),
    )


def choose_checks(names: Sequence[str], *, of_environment: bool) -> list[HealthCheck]:
    """The checks that are named; without names those of single environments, or all others. Raises NoSuchCheck."""
    every = health_checks()
    known = {check.name: check for check in every}
    for name in names:
        if name not in known:
            raise NoSuchCheck(name, list(known))
    return [check for check in every if (check.name in names if names else check.of_environment == of_environment)]


def examine(patient: Patient, checks: Sequence[HealthCheck]) -> Iterator[Diagnosis]:
    """What the checks find, each told as soon as it is known."""
    for check in checks:
        yield diagnose(patient, check)


def mend(finding: Finding) -> str:
    """Put right what a check found; gives what stood in the way, or nothing."""
    if finding.fix is None:
        return "nothing is known that would"
    try:
        finding.fix.perform()
    except KaaError as error:
        return error.message
    except OSError as error:
        return f"{error.filename or ''}: {error.strerror or error}".strip(": ")
    return ""
