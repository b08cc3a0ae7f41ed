"""What an environment needs of the package cache: the packages it was linked from, and those of its generations."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kaa.host.files import read_regular_file
from kaa.prefix.generations import NoSuchGeneration, generation_numbers, read_outline
from kaa.prefix.prefix import Prefix


class PackageNeed(msgspec.Struct, frozen=True):
    """A package that an environment needs; `digest` is its sha256, else md5, else address, as far as it is known."""

    dist: str
    digest: str = ""
    directories: tuple[str, ...] = ()
    """Where it lay unpacked when it was linked"""
    generation: int | None = None
    """The generation that needs it; None when it is installed"""


class _Link(msgspec.Struct):
    source: str = ""


class _Record(msgspec.Struct):
    """Of a record of conda-meta, what says which package it is."""

    name: str
    version: str
    build: str = ""
    url: str = ""
    sha256: str | None = None
    md5: str | None = None
    link: _Link | None = None
    extracted_package_dir: str | None = None


@functools.cache
def _decoder() -> msgspec.json.Decoder[_Record]:
    return msgspec.json.Decoder(_Record)


def iter_package_needs(prefix: Path) -> Iterator[PackageNeed]:
    """Everything that an environment needs, installed packages first.

    Raises OSError when conda-meta or a record cannot be read, BrokenGeneration when a generation cannot. A record that
    is damaged needs every package that it may be of.
    """
    # Looked at by name, so that a directory that may not be read is an error, and not an empty one.
    os.listdir(prefix / "conda-meta")  # noqa: PTH208 - names are all that is wanted
    for path in Prefix(prefix).record_files():
        try:
            data = read_regular_file(path)
        except FileNotFoundError:
            # A change is under way; what it removes is in a generation.
            continue
        try:
            record = _decoder().decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield PackageNeed(path.name.removesuffix(".json"))
            continue
        source = record.link.source if record.link else ""
        directories = tuple(dict.fromkeys(filter(None, (source, record.extracted_package_dir))))
        digest = record.sha256 or record.md5 or record.url
        yield PackageNeed(f"{record.name}-{record.version}-{record.build}", digest, directories)
    for number in generation_numbers(prefix):
        try:
            outline = read_outline(prefix, number)
        except NoSuchGeneration:
            continue
        for package in outline.packages:
            yield PackageNeed(package.dist, package.sha256 or package.md5 or package.url, generation=outline.number)
