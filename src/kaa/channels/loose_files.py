"""A package of files that lie in an environment and that no package brought."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kaa.archive.write import Source, SourceBytes, SourceFile, SourceLink
from kaa.errors import KaaError
from kaa.models.package_info import IndexJson
from kaa.pypi.built_package import BuiltPackage, build_time
from kaa.pypi.interpreters.build_configuration import PLACEHOLDER


class BoundToPlace(KaaError):
    """Files that are no text hold the path of their environment, which cannot be replaced there."""

    conda_name = "PaddingError"

    def __init__(self, prefix: Path, files: Sequence[str]) -> None:
        self.prefix = str(prefix)
        self.files = list(files)
        super().__init__(
            f"these files hold the path {prefix}, and are no text in which it could be replaced: {', '.join(files)}",
            hints=("take them out of the environment, or build the package from their source",),
        )


def package_files(prefix: Path, files: Sequence[str], index: IndexJson, folder: Path) -> Path:
    """Write a package of these files into a folder and answer its path; raises BoundToPlace."""
    sources: dict[str, Source] = {}
    placeholders: set[str] = set()
    bound: list[str] = []
    place = os.fsencode(prefix)
    for relative in files:
        path = prefix / relative
        if path.is_symlink():
            sources[relative] = SourceLink(str(path.readlink()))
            continue
        content = path.read_bytes()
        if place not in content:
            sources[relative] = SourceFile(path)
        elif _is_text(content):
            sources[relative] = SourceBytes(content.replace(place, PLACEHOLDER.encode()), path.stat().st_mode & 0o777)
            placeholders.add(relative)
        else:
            bound.append(relative)
    if bound:
        raise BoundToPlace(prefix, bound)
    return BuiltPackage(index, sources, frozenset(placeholders)).write_file(folder / f"{index.dist}.conda")


def index_of(name: str, version: str, build: str, subdir: str) -> IndexJson:
    """The index.json of a package that depends on nothing."""
    number = int(build.rpartition("_")[2]) if build.rpartition("_")[2].isdecimal() else 0
    return IndexJson(
        name=name, version=version, build=build, build_number=number, subdir=subdir, timestamp=build_time(os.environ)
    )


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in content
