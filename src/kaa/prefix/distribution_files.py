"""The files of Python distributions that pip or its like installed, by the RECORD that each keeps (PEP 376, 627)."""

from __future__ import annotations

import base64
import contextlib
import posixpath
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec

from kaa.host.files import read_regular_file
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import PythonDistribution, find_distributions

RECORD_LIMIT = 16 << 20
OURS = ("kaa", "conda")
"""What INSTALLER says of packages."""
_SHA256 = re.compile(r",sha256=([A-Za-z0-9_-]{43})=*,[0-9]*\s*\Z")


def read_distributions(
    environment: Prefix, records: Sequence[PrefixRecord], changed: Collection[str] = frozenset()
) -> dict[PythonDistribution, frozenset[str]]:
    """The distributions that pip or its like installed, with the files that each lists.

    One that came in the place of a package's own metadata directory is known by its RECORD among the `changed` paths,
    which lists itself as those of installers do.
    """
    try:
        found = files_of_distributions(environment.path, find_distributions(environment, records))
        if any(path.endswith(".dist-info/RECORD") for path in changed):
            unowned = [msgspec.structs.replace(record, files=()) for record in records]
            every = files_of_distributions(environment.path, find_distributions(environment, unowned))
            for one, files in every.items():
                own = f"{one.metadata}/RECORD"
                if own in changed and own in files and one.installer not in OURS:
                    found.setdefault(one, files)
    except OSError:
        return {}
    return found


def files_of_distributions(
    prefix: Path, distributions: Iterable[PythonDistribution]
) -> dict[PythonDistribution, frozenset[str]]:
    """The files that each distribution lists, as paths below the environment; what is not there may be among them."""
    return {distribution: _files_of(prefix, distribution) for distribution in distributions}


def hashes_of_distribution(prefix: Path, distribution: PythonDistribution) -> dict[str, str]:
    """The SHA-256 of the files whose content a distribution's RECORD tells, in hexadecimal, by path."""
    metadata = distribution.metadata
    site_packages, root = metadata.rpartition("/")[0], prefix.as_posix()
    found = {}
    for line in (_read(prefix / metadata / "RECORD") or "").splitlines():
        digest = _SHA256.search(line)
        if digest is None:
            continue
        with contextlib.suppress(ValueError):
            content = base64.urlsafe_b64decode(digest[1] + "=" * (-len(digest[1]) % 4)).hex()
            found.update(dict.fromkeys(paths_in_record(line, site_packages, root), content))
    return found


def _files_of(prefix: Path, distribution: PythonDistribution) -> frozenset[str]:
    metadata = distribution.metadata
    record = _read(prefix / metadata / "RECORD")
    if record is not None:
        return paths_in_record(record, metadata.rpartition("/")[0], prefix.as_posix())
    # What setuptools installed before wheels: one path per line, beginning at the metadata directory.
    listed = _read(prefix / metadata / "installed-files.txt") or ""
    return paths_in_record(listed, metadata, prefix.as_posix())


def _read(path: Path) -> str | None:
    """The text of a plain file; None where there is none."""
    try:
        return read_regular_file(path, RECORD_LIMIT).decode(errors="surrogateescape")
    except OSError:
        return None


def paths_in_record(text: str, site_packages: str, prefix: str) -> frozenset[str]:
    """The paths below the environment that the RECORD of a distribution lists; those outside are passed over."""
    found = set()
    for line in text.splitlines():
        path = _first_field(line).replace("\\", "/")
        if not path:
            continue
        if path.startswith(prefix + "/"):
            path = posixpath.normpath(path[len(prefix) + 1 :])
        else:
            path = posixpath.normpath(posixpath.join(site_packages, path))
        if not path.startswith(("/", "../")) and path not in (".", ".."):
            found.add(path)
    return frozenset(found)


def _first_field(line: str) -> str:
    """The first of the values in a line of a CSV file."""
    if not line.startswith('"'):
        return line.partition(",")[0]
    end = re.match(r'"((?:[^"]|"")*)"', line)
    return end[1].replace('""', '"') if end else ""
