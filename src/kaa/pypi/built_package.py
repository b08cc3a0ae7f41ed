"""Write packages that are made here into the folder of a channel: `info/` from files and record (CEP 34, 40)."""

from __future__ import annotations

import hashlib
import os
import posixpath
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from kaa import __version__
from kaa.archive.write import Source, SourceBytes, SourceFile, SourceLink, write_package
from kaa.models.package_info import IndexJson, LinkJson
from kaa.pypi.interpreters.build_configuration import PLACEHOLDER

LEVEL = 12
"""How hard zstd tries: 19 would make a Python package a tenth smaller, and take ten times as long."""


class BuiltPackage(msgspec.Struct, eq=False):
    """A package that is ready to be written, but for its build string."""

    index: IndexJson
    files: dict[str, Source]
    placeholders: frozenset[str] = frozenset()
    """The text files that hold the placeholder."""
    link: LinkJson | None = None
    about: dict[str, Any] = msgspec.field(default_factory=dict)
    info_files: dict[str, bytes] = msgspec.field(default_factory=dict)
    """More files for info/, by their path below it."""
    hashes: Mapping[str, tuple[str, int]] = msgspec.field(default_factory=dict)
    """The sha256 and size of files, by path, as far as they are known already."""

    def write(self, channel: Path, *, level: int | None = None) -> Path:
        """Write the package below its subdir in the folder of a channel, and answer its path."""
        folder = channel / self.index.subdir
        folder.mkdir(parents=True, exist_ok=True)
        return self.write_file(folder / f"{self.index.dist}.conda", level=level)

    def write_file(self, target: Path, *, level: int | None = None) -> Path:
        """Write the package to this path, and answer it."""
        seconds = (self.index.timestamp or 0) // 1000
        write_package(
            target,
            self.info(),
            list(self.files.items()),
            level=LEVEL if level is None else level,
            timestamp=seconds,
        )
        return target

    def info(self) -> dict[str, bytes]:
        """The files of `info/`, by their path in the package."""
        # Readers of other programs insist on some keys even where the value is the usual one.
        index = {"build_number": 0, "depends": [], **msgspec.to_builtins(self.index)}
        documents: dict[str, object] = {
            "index.json": index,
            "paths.json": {"paths_version": 1, "paths": [self._entry(*item) for item in sorted(self.files.items())]},
            "about.json": self.about,
            "used_build_tool.json": {"name": "kaa", "version": __version__},
        }
        if self.link is not None:
            documents["link.json"] = {"package_metadata_version": 1, **msgspec.to_builtins(self.link)}
        info = {f"info/{name}": _pretty(document) for name, document in documents.items()}
        return info | {f"info/{name}": content for name, content in self.info_files.items()}

    def _entry(self, path: str, source: Source) -> dict[str, Any]:
        entry: dict[str, Any] = {"_path": path, "path_type": "hardlink"}
        if isinstance(source, SourceLink):
            entry["path_type"] = "softlink"
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), source.target))
        elif path in self.placeholders:
            entry |= {"file_mode": "text", "prefix_placeholder": PLACEHOLDER}
        sha256, size = self._identity(path)
        return entry | {"sha256": sha256, "size_in_bytes": size}

    def _identity(self, path: str) -> tuple[str, int]:
        """The sha256 and size of a file; of what is not in the package, those of nothing."""
        if path in self.hashes:
            return self.hashes[path]
        content = content_of(self.files.get(path, b""))
        return hashlib.sha256(content).hexdigest(), len(content)


def content_of(source: Source) -> bytes:
    """The bytes of a file that goes into a package; of a link, its target's name."""
    match source:
        case SourceFile(path, _):
            return path.read_bytes()
        case SourceBytes(content, _):
            return content
        case SourceLink(target):
            return os.fsencode(target)
        case _:
            return source


def digest_of(files: Mapping[str, Source], *more: str) -> str:
    """The seven digits of a build string: equal for equal files and other facts."""
    digest = hashlib.sha1(usedforsecurity=False)
    for path, source in sorted(files.items()):
        digest.update(f"{path}\0{type(source).__name__ == 'SourceLink'}\0".encode())
        digest.update(hashlib.sha256(content_of(source)).digest())
    for text in more:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:7]


def build_time(environ: Mapping[str, str]) -> int:
    """When a package is made, in milliseconds: `$SOURCE_DATE_EPOCH` (in seconds) if that is set, else now."""
    text = environ.get("SOURCE_DATE_EPOCH", "")
    return int(text) * 1000 if text.isdigit() else int(time.time() * 1000)


def _pretty(document: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=2) + b"\n"
