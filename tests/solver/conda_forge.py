"""Real records of conda-forge for tests, where they are at hand.

The data stand beside the repository (`../shared/data`), or where KAA_SHARED_DATA says. Three platforms, each with the
machines that a request may be for; and the records of a platform once more as two channels that overlap.
"""

from __future__ import annotations

import functools
import io
import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import pytest
import zstandard

from kaa.models.record import RepoDataRecord
from kaa.models.version import Version
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.candidates import RecordSource

CHANNEL = "https://conda.anaconda.org/conda-forge"
FIRST = "https://conda.anaconda.org/first"
SECOND = "https://conda.anaconda.org/second"

PLATFORMS = ("linux-64", "osx-arm64", "win-64")
SUBDIRS = ("linux-64", "noarch")

MACHINE = (
    VirtualPackage("__archspec", "1", "x86_64_v3"),
    VirtualPackage("__glibc", "2.35"),
    VirtualPackage("__linux", "5.15"),
    VirtualPackage("__unix", "0"),
)

MACHINES: Mapping[str, tuple[tuple[VirtualPackage, ...], ...]] = {
    "linux-64": (
        MACHINE,
        (*MACHINE, VirtualPackage("__cuda", "12.8"), VirtualPackage("__cuda_arch", "8.6")),
        (
            VirtualPackage("__archspec", "1", "x86_64"),
            VirtualPackage("__glibc", "2.17"),
            VirtualPackage("__linux", "3.10"),
            VirtualPackage("__unix", "0"),
        ),
    ),
    "osx-arm64": (
        (VirtualPackage("__archspec", "1", "m2"), VirtualPackage("__osx", "15.2"), VirtualPackage("__unix", "0")),
        (VirtualPackage("__archspec", "1", "m1"), VirtualPackage("__osx", "11.0"), VirtualPackage("__unix", "0")),
    ),
    "win-64": (
        (VirtualPackage("__archspec", "1", "x86_64_v3"), VirtualPackage("__win", "10.0.19045")),
        (
            VirtualPackage("__archspec", "1", "x86_64"),
            VirtualPackage("__cuda", "11.8"),
            VirtualPackage("__win", "0"),
        ),
    ),
}
"""For every platform the machines that a request may be for; the first is the usual one."""

SHARED = Path(os.environ.get("KAA_SHARED_DATA") or Path(__file__).parents[3] / "shared" / "data")
SLICE = SHARED / "conda-forge-slice"

needs_records = pytest.mark.skipif(not SLICE.is_dir(), reason="the records of conda-forge are not at hand")


class Document(msgspec.Struct):
    """The part of a repodata.json that these tests need."""

    packages: dict[str, dict[str, object]] = {}
    packages_conda: dict[str, dict[str, object]] = msgspec.field(name="packages.conda", default_factory=dict)


def repodata(subdir: str) -> bytes:
    """The text of a subdir's repodata.json."""
    packed = (SLICE / subdir / "repodata.json.zst").read_bytes()
    return zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)).read()


@functools.cache
def records(platform: str = "linux-64") -> tuple[RepoDataRecord, ...]:
    """All records for a platform, the .conda of two files with the same content."""
    return (*records_of(platform), *records_of("noarch"))


@functools.cache
def records_of(subdir: str) -> tuple[RepoDataRecord, ...]:
    """The records of one subdir."""
    document = msgspec.json.decode(repodata(subdir), type=Document)
    stems = {fn.removesuffix(".conda") for fn in document.packages_conda}
    older = {fn: one for fn, one in document.packages.items() if fn.removesuffix(".tar.bz2") not in stems}
    return tuple(
        in_channel(msgspec.convert(one | {"subdir": subdir, "fn": fn}, RepoDataRecord), CHANNEL)
        for fn, one in (older | document.packages_conda).items()
    )


def in_channel(record: RepoDataRecord, channel: str) -> RepoDataRecord:
    """The same record as another channel offers it."""
    return msgspec.structs.replace(record, channel=channel, url=f"{channel}/{record.subdir}/{record.fn}")


@functools.cache
def where(platform: str = "linux-64") -> RecordSource:
    """The records of a platform as a source."""
    return RecordSource({CHANNEL: records(platform)})


@functools.cache
def two_channels(platform: str) -> Mapping[str, tuple[RepoDataRecord, ...]]:
    """The records of a platform in two channels: FIRST has two of ten names for itself, SECOND six.

    Of the other names both have some: FIRST all but the newest third of the versions, SECOND all but the oldest third.
    """
    by_name: dict[str, list[RepoDataRecord]] = {}
    for record in records(platform):
        by_name.setdefault(record.name, []).append(record)
    offered: dict[str, list[RepoDataRecord]] = {FIRST: [], SECOND: []}
    for name, members in sorted(by_name.items()):
        place = zlib.crc32(name.encode()) % 10
        versions = sorted({Version(record.version) for record in members})
        third = len(versions) // 3
        newest, oldest = set(versions[len(versions) - third :]), set(versions[:third])
        for record in members:
            version = Version(record.version)
            if place < 2 or (place < 4 and version not in newest):
                offered[FIRST].append(in_channel(record, FIRST))
            if place >= 4 or (place >= 2 and version not in oldest):
                offered[SECOND].append(in_channel(record, SECOND))
    return {channel: tuple(found) for channel, found in offered.items()}


def repodata_of(members: Iterable[RepoDataRecord], subdir: str) -> bytes:
    """A repodata.json with those of the records that belong to a subdir."""
    document: dict[str, dict[str, object]] = {"packages": {}, "packages.conda": {}}
    for record in members:
        if record.subdir == subdir:
            fields = {"build_number": 0, "depends": [], **msgspec.to_builtins(record)}
            for own in ("channel", "fn", "url"):
                del fields[own]
            document["packages.conda" if record.fn.endswith(".conda") else "packages"][record.fn] = fields
    return msgspec.json.encode({"info": {"subdir": subdir}, **document, "repodata_version": 1})
