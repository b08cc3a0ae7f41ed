"""The scripts that packages bring along and that run without being called: on linking, and on entering (CEP 32, 34)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from kaa.models.prefix_record import PrefixRecord
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.transaction.scripts import script_path

OnLinking: TypeAlias = Literal["pre-link", "post-link", "pre-unlink"]
Occasion: TypeAlias = OnLinking | Literal["activate", "deactivate"]

_LINKING: tuple[OnLinking, ...] = ("pre-link", "post-link", "pre-unlink")
_ENTERING: dict[str, Occasion] = {"etc/conda/activate.d/": "activate", "etc/conda/deactivate.d/": "deactivate"}
_STARTS = ("bin/.", "Scripts/.", *_ENTERING)


class PackageScript(msgspec.Struct, frozen=True):
    """One script: whose it is, where it lies below the environment, when it runs, and the hash of its content."""

    package: str
    """The dist string of the package"""
    path: str
    occasion: Occasion
    sha256: str

    @property
    def runs_on_linking(self) -> bool:
        """Whether kaa itself runs it when the package comes or goes; else a shell does, on entering or leaving."""
        return self.occasion not in ("activate", "deactivate")


def scripts_of_package(package: ExtractedPackage, subdir: str) -> tuple[PackageScript, ...]:
    """The scripts of an unpacked package, by what lies there, not by the hashes that it names itself."""
    record = package.record
    paths = (entry.path for entry in package.paths())
    return tuple(_found(record.dist, record.name, paths, package.directory, subdir))


def scripts_of_installed(record: PrefixRecord, prefix: Path, subdir: str) -> tuple[PackageScript, ...]:
    """The scripts of an installed package, as they lie in the environment."""
    return tuple(_found(record.dist, record.name, record.files, prefix, subdir))


def _found(dist: str, name: str, paths: Iterable[str], directory: Path, subdir: str) -> Iterator[PackageScript]:
    for path in paths:
        # Thousands of paths are no scripts.
        if not path.startswith(_STARTS):
            continue
        occasion = _occasion(name, path, subdir)
        file = directory / path
        if occasion is not None and file.is_file():
            yield PackageScript(dist, path, occasion, hashlib.sha256(file.read_bytes()).hexdigest())


def _occasion(name: str, path: str, subdir: str) -> Occasion | None:
    for action in _LINKING:
        if path == script_path(name, action, subdir):
            return action
    return next((occasion for folder, occasion in _ENTERING.items() if path.startswith(folder)), None)
