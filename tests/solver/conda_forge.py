"""Real records of conda-forge for tests, where they are at hand.

The data stand beside the repository (`../shared/data`), or where KAA_SHARED_DATA says.
"""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path

import msgspec
import pytest
import zstandard

from kaa.models.record import RepoDataRecord
from kaa.models.virtual_package import VirtualPackage
from kaa.solver.candidates import RecordSource

CHANNEL = "https://conda.anaconda.org/conda-forge"
SUBDIRS = ("linux-64", "noarch")

MACHINE = (
    VirtualPackage("__archspec", "1", "x86_64_v3"),
    VirtualPackage("__glibc", "2.35"),
    VirtualPackage("__linux", "5.15"),
    VirtualPackage("__unix", "0"),
)

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
def records() -> tuple[RepoDataRecord, ...]:
    """All records, the .conda of two files with the same content."""
    found = []
    for subdir in SUBDIRS:
        document = msgspec.json.decode(repodata(subdir), type=Document)
        stems = {fn.removesuffix(".conda") for fn in document.packages_conda}
        older = {fn: one for fn, one in document.packages.items() if fn.removesuffix(".tar.bz2") not in stems}
        for fn, one in (older | document.packages_conda).items():
            place = {"channel": CHANNEL, "subdir": subdir, "fn": fn, "url": f"{CHANNEL}/{subdir}/{fn}"}
            found.append(msgspec.convert(one | place, RepoDataRecord))
    return tuple(found)


@functools.cache
def where() -> RecordSource:
    """The records as a source."""
    return RecordSource({CHANNEL: records()})
