"""Packages by address: the entries of an explicit list (CEP 23), and package files named on the command line."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from kaa.api.execution import DEFAULT_THREADS
from kaa.api.session import Session
from kaa.envfiles.text_specs import ExplicitEntry
from kaa.errors import KaaError
from kaa.models.artifact import wheel_name
from kaa.models.record import RepoDataRecord
from kaa.package_cache.fetch import ensure, record_of_url


class NoSuchPackageFile(KaaError):
    """A package was named by a path where no file is."""

    conda_name = "CondaValueError"

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        super().__init__(
            f"there is no package file at {path}",
            hints=("check the path; relative ones start at the directory in which the command runs",),
        )


def fetch_explicit(session: Session, entries: Sequence[ExplicitEntry]) -> list[RepoDataRecord]:
    """The records of packages of which only the address is known, and perhaps a hash.

    What such a package needs stands in the package, so that all of them are fetched into the cache. Credentials in an
    address are remembered for the client and nowhere else. Raises InvalidArtifactName and what fetching raises.
    """
    packages = ensure(
        _records_of(session, entries),
        session.package_cache,
        session.client,
        session.reporter,
        parallel=session.config.fetch_threads or DEFAULT_THREADS,
        bare=True,
    )
    return [package.record for package in packages]


def _records_of(session: Session, entries: Sequence[ExplicitEntry]) -> list[RepoDataRecord]:
    """What the addresses of packages tell of them, and the metadata of those that are wheels."""
    addresses = [(address_of(session, entry.location), entry) for entry in entries]
    wheels = [url for url, _ in addresses if is_wheel_address(url)]
    told: dict[str, RepoDataRecord] = {}
    if wheels:
        # What installs from indexes of Python packages is loaded where there is something of theirs.
        reading = importlib.import_module("kaa.api.wheel_addresses")
        named = [reading.WheelAddress(url, entry.sha256) for url, entry in addresses if url in wheels]
        told = {record.url: record for record in reading.records_of_wheels(session, named, session.subdir)}
    return [told.get(url) or record_of_url(url, sha256=entry.sha256, md5=entry.md5) for url, entry in addresses]


def is_wheel_address(url: str) -> bool:
    """Whether an address ends in the file name of a wheel."""
    return wheel_name(unquote(url.rpartition("/")[2])) is not None


def address_of(session: Session, location: str) -> str:
    """The clean address of a package given by URL or by a path relative to the session's directory.

    Raises NoSuchPackageFile for a path where nothing is.
    """
    if "://" in location:
        return session.credentials.add_url(location)
    path = (session.cwd / Path(location).expanduser()).resolve()
    if not path.is_file():
        raise NoSuchPackageFile(path)
    return path.as_uri()
