"""The interpreters of this machine as candidates named `python`, of which packages are made when they are chosen.

The hash of such a record is the interpreter's fingerprint.
"""

from __future__ import annotations

from collections.abc import Sequence

from kaa.models.record import LAST_SECOND, RepoDataRecord
from kaa.pypi.interpreters.addresses import interpreter_url
from kaa.pypi.interpreters.description import Description
from kaa.pypi.interpreters.interpreter import Interpreter
from kaa.pypi.interpreters.known import Interpreters
from kaa.pypi.interpreters.staging import layout_of
from kaa.solver.candidates import RecordGroup

NAME = "python"
LICENSE = "PSF-2.0"
LONG_AGO = LAST_SECOND + 1
"""In milliseconds. What this machine has is not new, whatever is too new to be fetched."""
FREE_THREADED = "py_freethreading"
PRERELEASE = "py_prerelease"


def interpreter_groups(found: Interpreters, channel: str, rank: int, subdir: str) -> tuple[RecordGroup, ...]:
    """The candidates for `python` in environments of a platform; `channel` is the base URL to be told as theirs."""
    records = [record_of(each, channel) for each in found.offered(subdir)]
    return (RecordGroup(NAME, channel, subdir, rank, records),) if records else ()


def record_of(found: Description, channel: str) -> RepoDataRecord:
    """The record of the package that is made of an interpreter."""
    answer = found.interpreter
    build = build_string(answer, found.fingerprint)
    file_name = f"{NAME}-{answer.full_version}-{build}.conda"
    # As with other channels that offer them, these are taken only when they are asked for, or nothing else is there.
    features = (FREE_THREADED if answer.free_threaded else "", PRERELEASE if answer.release_level != "final" else "")
    return RepoDataRecord(
        name=NAME,
        version=answer.full_version,
        build=build,
        subdir=found.subdir,
        depends=glibc_dependencies(found.least_glibc),
        track_features=" ".join(filter(None, features)),
        license=LICENSE,
        indexed_timestamp=LONG_AGO,
        python_site_packages_path=site_packages_path(answer),
        sha256=found.fingerprint,
        channel=channel,
        fn=file_name,
        url=interpreter_url(answer.executable, found.subdir, file_name),
    )


def glibc_dependencies(least: Sequence[int]) -> tuple[str, ...]:
    """The dependency on a C library as new as that."""
    return (f"__glibc >={'.'.join(map(str, least))}",) if least else ()


def build_string(answer: Interpreter, digest: str) -> str:
    """The build string of a package; by its end, packages for one kind of Python choose it."""
    end = f"cp{answer.minor.replace('.', '')}t" if answer.free_threaded else "cpython"
    return f"h{digest[:7]}_0_{end}"


def site_packages_path(answer: Interpreter) -> str | None:
    """Where packages belong, if clients are to be told (CEP 17)."""
    if answer.finds_site_packages and not answer.free_threaded:
        return None
    return layout_of(answer).site_packages
