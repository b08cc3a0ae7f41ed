"""From which wheels of an index an installation may have come, and the record of such a wheel.

Whether it did is told by the files (RECORD); here candidates are found without fetching them: by the version, by the
tags that the installation's WHEEL keeps (PEP 427), by the hash of its METADATA (PEP 658).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import product

import msgspec
from msgspec.structs import replace

from kaa.models.record import RepoDataRecord
from kaa.pypi.metadata import Metadata, UnreadableMetadata, iter_headers, parse_metadata
from kaa.pypi.names import ProjectNames
from kaa.pypi.project_files import ProjectFile, ProjectPage, normalize_project
from kaa.pypi.wheel_needs import WheelNeeds
from kaa.pypi.wheel_records import Admitted, Versions, WheelRecords
from kaa.pypi.wheel_tags import WheelTags
from kaa.solver.candidates import UnusableCandidate


class InstalledWheel(msgspec.Struct, frozen=True):
    """What the metadata directory of an installation says of the wheel that it came from."""

    metadata: Metadata
    metadata_sha256: str
    tags: frozenset[str]
    """Each alone, as `py3-none-any`; none where nothing was said."""

    @property
    def project(self) -> str:
        """The normalised name."""
        return normalize_project(self.metadata.name)


def read_installed(metadata: bytes, wheel: bytes) -> InstalledWheel:
    """What METADATA and WHEEL of an installation say; raises UnreadableMetadata."""
    parsed = parse_metadata(metadata)
    try:
        headers = list(iter_headers(wheel.decode(errors="replace")))
    except UnreadableMetadata:
        headers = []
    tags = frozenset(value for name, value in headers if name == "tag")
    return InstalledWheel(parsed, hashlib.sha256(metadata).hexdigest(), tags)


class WheelFinder:
    """Finds the wheels of installations among what pages offer, and makes records of them, for one target."""

    def __init__(self, tags: WheelTags, names: ProjectNames) -> None:
        self._tags = tags
        self._names = names
        self._records = WheelRecords(tags)
        self._needs = WheelNeeds(tags.target.subdir, names)
        self._versions = Versions()

    def possible(self, installed: InstalledWheel, files: Sequence[ProjectFile]) -> list[ProjectFile]:
        """The wheels that an installation may have come from, the likeliest first."""
        version = self._versions.read(installed.metadata.version)
        found = []
        for file in files:
            parts = file.file_name.removesuffix(".whl").split("-")
            if not file.is_wheel or version is None or self._versions.read(parts[1]) != version:
                continue
            is_known = bool(file.metadata)
            if is_known and file.metadata != installed.metadata_sha256:
                continue
            python, abi, platform = parts[-3:]
            if self._tags.fit(python, abi, platform) is None:
                continue
            each = frozenset(map("-".join, product(python.split("."), abi.split("."), platform.split("."))))
            found.append((is_known, each == installed.tags, file))
        # What was said in METADATA and in WHEEL is nearly always enough to tell; archives may be large.
        alike = [one for one in found if one[1]] or found
        return [file for _, _, file in sorted(alike, key=lambda one: not one[0])]

    def record(self, installed: InstalledWheel, file: ProjectFile, index: str, channel: str) -> RepoDataRecord:
        """The whole record of a wheel; raises UnusableCandidate."""
        project = installed.project
        name = self._names.find_conda_name(project)
        version = self._versions.read(installed.metadata.version)
        if name is None or version is None:
            raise UnusableCandidate("its name or version is not one that a package can have")
        admitted = Admitted(prereleases=True, yanked=frozenset({version}))
        offer = self._records.offer(ProjectPage(project, index, (file,)), name, channel, admitted)
        if not offer.records:
            raise UnusableCandidate("its wheel is not for this platform")
        record = offer.records[0]
        fit = self._tags.fit(*file.file_name.removesuffix(".whl").split("-")[-3:])
        assert fit is not None
        python, *rest = record.depends
        needs = self._needs.needs(installed.metadata, project, version, fit.pythons, python.partition(" ")[2])
        narrowed = any(text.startswith("python ") for text in needs.depends)
        return replace(
            record,
            depends=(*(() if narrowed else (python,)), *rest, *needs.depends),
            constrains=(*record.constrains, *needs.constrains),
            extra_depends=dict(needs.extra_depends),
            license=record.license or installed.metadata.license or None,
        )
