"""Packages unpacked into a real cache, environments made of them, and pictures of whole trees to compare."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kaa.archive.extract import extract
from kaa.events import Event, Note, PackageMessage, Warned
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.package_cache.extracted_package import ExtractedPackage, write_record
from kaa.prefix.interruption import LOCK
from kaa.prefix.prefix import Prefix
from kaa.transaction.execute import execute
from kaa.transaction.plan import LinkOptions, Transaction, plan_transaction
from tests.channels import File, Package

CHANNEL = "https://channel.example/demo"

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
TAG = f"cpython-{sys.version_info.major}{sys.version_info.minor}"
SITE = f"lib/python{VERSION}/site-packages"

Tree = Mapping[str, tuple[str, int, str]]


def nothing(step: str) -> None:
    """The checkpoint at which nothing happens."""


def python_package(version: str = "", **fields: object) -> Package:
    """A package `python` whose program is the python that runs the tests."""
    version = version or f"{VERSION}.{sys.version_info.micro}"
    minor = ".".join(version.split(".")[:2])
    script = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'.encode()
    return Package("python", version, files={f"bin/python{minor}": File(script, mode=0o755)}, **fields)  # type: ignore[arg-type]


@dataclass
class World:
    """A cache and environments below one folder."""

    folder: Path
    subdir: str = "linux-64"
    options: LinkOptions = field(
        default_factory=lambda: LinkOptions(native_subdir="linux-64", environ={"PATH": os.environ["PATH"]}, workers=1)
    )
    events: list[Event] = field(default_factory=list)
    extracted: dict[str, ExtractedPackage] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cache.mkdir(parents=True)
        (self.cache / "urls.txt").touch()

    @property
    def cache(self) -> Path:
        return self.folder / "pkgs"

    @property
    def prefix(self) -> Path:
        return self.folder / "envs" / "demo"

    def unpack(self, package: Package) -> RepoDataRecord:
        """The record of a package that lies unpacked in the cache now."""
        known = self.extracted.get(package.dist)
        if known is not None:
            return known.record
        content = package.to_bytes()
        archive = self.cache / package.file_name
        archive.write_bytes(content)
        directory = self.cache / package.dist
        extract(archive, directory)
        url = f"{CHANNEL}/{package.subdir}/{package.file_name}"
        fields = {**package.record(content), "channel": CHANNEL, "fn": package.file_name, "url": url}
        record = msgspec.convert(fields, RepoDataRecord)
        write_record(directory, record)
        self.extracted[package.dist] = ExtractedPackage(directory, record, archive, self.cache / ".bytecode")
        return record

    def plan(self, *packages: Package, prefix: Path | None = None, **arguments: object) -> Transaction:
        """The transaction that makes an environment hold exactly these packages."""
        prefix = prefix or self.prefix
        desired = [self.unpack(package) for package in packages]
        return plan_transaction(prefix, self.subdir, Prefix(prefix).records(), desired, **arguments)  # type: ignore[arg-type]

    def perform(
        self, transaction: Transaction, *, checkpoint: Callable[[str], None] = nothing, **changes: object
    ) -> None:
        """Execute a transaction; `changes` are link options."""
        options = replace(self.options, **changes)
        execute(transaction, self.extracted, options, self.events.append, checkpoint=checkpoint)

    def install(
        self, *packages: Package, prefix: Path | None = None, command: str = "kaa test", **changes: object
    ) -> tuple[PrefixRecord, ...]:
        """Make an environment hold exactly these packages; gives its records."""
        self.perform(self.plan(*packages, prefix=prefix, command=command), **changes)  # type: ignore[arg-type]
        return Prefix(prefix or self.prefix).records()

    def record(self, name: str) -> PrefixRecord:
        record = Prefix(self.prefix).find(name)
        assert record is not None, name
        return record

    def text(self, path: str) -> str:
        return (self.prefix / path).read_text()

    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    def warnings(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Warned)]

    def messages(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, PackageMessage)]


def tree(folder: Path, *, without: Sequence[str] = (LOCK,)) -> Tree:
    """Every path below a folder with its kind, mode, and content or link text."""
    found: dict[str, tuple[str, int, str]] = {}
    for current, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(current, name)
            relative = path.relative_to(folder).as_posix()
            if relative not in without:
                found[relative] = picture(path)
    return found


def picture(path: Path) -> tuple[str, int, str]:
    """Kind, mode and content of one path."""
    state = path.lstat()
    if stat.S_ISLNK(state.st_mode):
        return "link", 0, str(path.readlink())
    if stat.S_ISDIR(state.st_mode):
        return "directory", state.st_mode, ""
    return "file", state.st_mode, hashlib.sha256(path.read_bytes()).hexdigest()


def contents(folder: Path) -> dict[str, str]:
    """Path → content of every file below a folder that is not in conda-meta."""
    return {
        path: kind if kind != "file" else (folder / path).read_text()
        for path, (kind, _, _) in tree(folder).items()
        if kind != "directory" and not path.startswith("conda-meta/")
    }


def attach(folder: Path, packages: Sequence[Package]) -> World:
    """The world that another process made in `folder`, which has all these packages in its cache."""
    world = World(folder / "unused")
    world.folder = folder
    for package in packages:
        content = (world.cache / package.file_name).read_bytes()
        url = f"{CHANNEL}/{package.subdir}/{package.file_name}"
        fields = {**package.record(content), "channel": CHANNEL, "fn": package.file_name, "url": url}
        record = msgspec.convert(fields, RepoDataRecord)
        directory = world.cache / package.dist
        world.extracted[package.dist] = ExtractedPackage(directory, record, None, world.cache / ".bytecode")
    return world
