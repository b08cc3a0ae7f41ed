"""What an environment is now, as a generation records it: a quick look that reads no file of any package."""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH112, PTH116, PTH208
from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.damage import expected_hash, recorded_paths
from kaa.prefix.generations import InstalledDistribution, State
from kaa.prefix.history import History, requests_of
from kaa.prefix.kept_distributions import hash_of_file, present_files, with_key
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import INFO, read_distribution, site_packages_directories
from kaa.prefix.state import BrokenState, read_pins_text, read_variables

METADATA = (".dist-info", ".egg-info", ".egg-link")
IN_METADATA = ("/RECORD", "/METADATA", "/PKG-INFO")


class EnvironmentLook:
    """Looks at one environment, perhaps several times; what it found out of a record it remembers."""

    def __init__(self, environment: Prefix) -> None:
        self.environment = environment
        self._owned: dict[int, tuple[PrefixRecord, dict[str, int | None]]] = {}

    def state(self, records: Sequence[PrefixRecord], history: History) -> State:
        """What the environment is now; `records` are its packages."""
        distributions, overwritten = self._distributions(records)
        taken = _taken(self.environment.path, distributions, [one for one in records if one.name not in overwritten])
        variables: dict[str, str] = {}
        try:
            variables = read_variables(self.environment)
        except BrokenState:
            # Whoever wants to change the variables is told.
            pass
        return State(
            packages=tuple(sorted(records, key=lambda record: record.name)),
            requested_specs=dict(sorted(requests_of(history, records).items())),
            distributions=tuple(distributions),
            overwritten=overwritten,
            taken=taken,
            variables=variables,
            pins=read_pins_text(self.environment),
        )

    def _distributions(
        self, records: Sequence[PrefixRecord]
    ) -> tuple[list[InstalledDistribution], dict[str, tuple[str, ...]]]:
        """What pip and its like installed, and the packages whose place they took."""
        prefix = self.environment.path
        sites = site_packages_directories(self.environment, records)
        present = {
            f"{site}/{name}": None
            for site in sites
            for name in sorted(_names_in(f"{prefix}/{site}"))
            if name.endswith(METADATA) and not name.startswith("~")
        }
        if not sites:
            return [], {}
        overwritten: dict[str, tuple[str, ...]] = {}
        unowned = present.copy()
        # Packages that do not need python hardly ever bring a distribution: they are asked when one has no owner.
        for record in sorted(records, key=_is_for_python, reverse=True):
            if not unowned and not _is_for_python(record):
                break
            for path, size in self._metadata_of(record).items():
                if path in present and _is_own(f"{prefix}/{path}", size):
                    unowned.pop(path, None)
                elif path.rpartition("/")[0] in sites:
                    overwritten[record.name] = tuple(_iter_missing(prefix, record))
        found = (read_distribution(prefix / path, path) for path in unowned if _says_something(f"{prefix}/{path}"))
        # Of two metadata directories of one project Python sees the first; both are there to be restored.
        return [with_key(prefix, one) for one in found if one is not None], overwritten

    def _metadata_of(self, record: PrefixRecord) -> dict[str, int | None]:
        """The metadata directories of a package, and the size of the RECORD in each."""
        known = self._owned.get(id(record))
        if known is None:
            known = self._owned[id(record)] = (record, _metadata_of(record))
        return known[1]


def _names_in(directory: str) -> list[str]:
    """What is in a directory; nothing in one that somebody removes just now."""
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _metadata_of(record: PrefixRecord) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    files, entries = record.files, record.paths_data.paths
    for path in [path for path in files if INFO in path]:
        if path.endswith(IN_METADATA):
            directory, _, name = path.rpartition("/")
            found.setdefault(directory, None)
            if name == "RECORD" and len(entries) == len(files):
                entry = entries[files.index(path)]
                found[directory] = entry.size_in_bytes if not entry.prefix_placeholder else None
        elif path.endswith(".egg-info"):
            found.setdefault(path, None)
    return found


def _says_something(path: str) -> bool:
    """Whether a metadata directory has a file that says of what it is: an empty one may have been left behind."""
    return not os.path.isdir(path) or any(os.path.lexists(path + name) for name in IN_METADATA)


def _is_for_python(record: PrefixRecord) -> bool:
    """Whether a package is one of those that bring Python distributions, as far as its record shows."""
    return record.noarch == "python" or any(spec.startswith("python") for spec in record.depends)


def _is_own(path: str, size: int | None) -> bool:
    """Whether a metadata directory is what its package brought: its list of files is as long as recorded.

    pip's own is another one. Where nothing is known of it, it only must not be empty.
    """
    if size is None:
        return _says_something(path)
    try:
        return os.stat(f"{path}/RECORD").st_size == size
    except OSError:
        return False


def _taken(
    prefix: Path, distributions: Sequence[InstalledDistribution], records: Sequence[PrefixRecord]
) -> tuple[str, ...]:
    """The files of packages in whose places other ones are, which distributions list as theirs."""
    listed = {path for one in distributions for path in present_files(prefix, one)}
    if not listed:
        return ()
    found: set[str] = set()
    for record in records:
        # Bytecode is made again by whoever needs it.
        shared = [path for path in listed.intersection(record.files) if not path.endswith(".pyc")]
        entries = recorded_paths(record) if shared else {}
        found.update(path for path in shared if _is_other(prefix / path, expected_hash(entries[path])))
    return tuple(sorted(found))


def _is_other(path: Path, expected: str | None) -> bool:
    return expected is not None and hash_of_file(path) not in ("", expected)


def _iter_missing(prefix: Path, record: PrefixRecord) -> Iterator[str]:
    """The files of a package that are not there, bytecode aside."""
    root = f"{prefix}{os.sep}"
    for path in record.files:
        if not path.endswith(".pyc") and not os.path.lexists(root + path):
            yield path
