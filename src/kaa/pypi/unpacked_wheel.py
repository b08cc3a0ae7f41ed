"""Wheels that are unpacked as they are, for packages to be made of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
from packaging.metadata import RawMetadata, parse_email
from packaging.tags import Tag
from packaging.version import Version

from kaa.archive.tar import Damaged
from kaa.archive.zip import date_time
from kaa.pypi.wheel_file import open_wheel


class Wheel(msgspec.Struct, frozen=True):
    """A wheel, unpacked."""

    path: Path
    folder: Path
    """Where its files are."""
    project: str
    """The normalised name."""
    version: Version
    build_number: int
    tags: frozenset[Tag]
    metadata: RawMetadata
    scripts: tuple[str, ...]
    """`command = module:function`, of consoles and of windows."""
    files: Mapping[str, bool]
    """Its files by their path, and whether each is to be executable; RECORD and its signatures are not among them."""
    dist_info: str
    newest: tuple[int, int, int, int, int, int]
    """The newest date of its files."""


def read_wheel(path: Path, folder: Path) -> Wheel:
    """Unpack a wheel into the empty directory `folder`, or raise BadWheel."""
    with open_wheel(path) as wheel:
        for member in wheel.files:
            target = folder / member.name
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as writer:
                    for block in wheel.iter_content(member):
                        writer.write(block)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                raise Damaged("it holds a file and a directory of one name", member.name) from None
        return Wheel(
            path=path,
            folder=folder,
            project=wheel.project,
            version=wheel.version,
            build_number=wheel.build_number,
            tags=wheel.tags,
            metadata=parse_email(wheel.metadata_text)[0],
            scripts=wheel.scripts,
            files={member.name: bool(member.mode & 0o111) for member in wheel.files},
            dist_info=wheel.dist_info,
            newest=date_time(wheel.newest_date),
        )
