"""Removing Python distributions by the RECORD that each keeps (PEP 376, 627), without pip."""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from pathlib import Path

from kaa.errors import KaaError
from kaa.prefix.distribution_files import files_of_distributions
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import PythonDistribution, find_distributions, site_packages_directories


class DistributionNotRemovable(KaaError):
    """A distribution does not say which files are its own."""

    conda_name = "CondaEnvException"

    def __init__(self, prefix: Path, distribution: PythonDistribution) -> None:
        super().__init__(
            f"{distribution.name} in {prefix} cannot be removed: {distribution.metadata} does not list its files",
            hints=("install pip into the environment, and try again",),
        )
        self.prefix = str(prefix)
        self.distribution = distribution.name


def remove_listed_files(environment: Prefix, names: Collection[str]) -> None:
    """Remove the files of distributions, by their normalized names, and the directories that are empty then.

    What packages or other distributions have as well stays, and what lies outside of the environment. The metadata goes
    last: what is left of an interrupted removal can be removed again. Raises DistributionNotRemovable before any is.
    """
    prefix, records = environment.path, environment.records()
    found = files_of_distributions(prefix, find_distributions(environment, records))
    gone = {one: files for one, files in found.items() if one.normalized_name in names}
    for one, files in gone.items():
        if not files:
            raise DistributionNotRemovable(prefix, one)
    kept = {path for record in records for path in record.files}
    kept |= {path for one, files in found.items() if one not in gone for path in files}
    tops = {prefix / path for path in site_packages_directories(environment, records)} | {prefix / "bin", prefix}
    for one, files in gone.items():
        metadata = f"{one.metadata}/"
        for path in sorted(files - kept, key=lambda path: (path.startswith(metadata), path.endswith("/RECORD"), path)):
            _remove_file(prefix, path, tops)


def _remove_file(prefix: Path, path: str, tops: Collection[Path]) -> None:
    """Remove a file, what was compiled from it, and the directories that only held these."""
    target = prefix / path
    if not target.parent.resolve().is_relative_to(prefix.resolve()):
        return
    with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
        target.unlink()
    if target.suffix == ".py":
        for compiled in (target.parent / "__pycache__").glob(f"{_escaped(target.stem)}.*.pyc"):
            compiled.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            (target.parent / "__pycache__").rmdir()
    directory = target.parent
    while directory not in tops and directory.is_relative_to(prefix):
        try:
            directory.rmdir()
        except OSError:
            return
        directory = directory.parent


def _escaped(name: str) -> str:
    """A name as a pattern that matches it alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
