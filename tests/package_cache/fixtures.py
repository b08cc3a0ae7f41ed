"""What the tests of this room share: a channel of real packages, its records, and caches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from kaa.models.record import RepoDataRecord
from tests.channels import ChannelBuilder, File, Package, Symlink

PLACEHOLDER = "/opt/placeholder"


def package(name: str, **changes: object) -> Package:
    """A small package with one of everything."""
    files = {
        f"bin/{name}": File(f"#!{PLACEHOLDER}/bin/python\n".encode(), mode=0o755, placeholder=PLACEHOLDER),
        f"lib/{name}.txt": name.encode() * 1000,
        f"lib/{name}.link": Symlink(f"{name}.txt"),
        f"share/{name}.cfg": File(b"x", no_link=True),
    }
    return Package(name, **{"files": files, **changes})  # type: ignore[arg-type]


@dataclass
class World:
    """A channel in a folder, and its records for any address that it is served at."""

    channel: ChannelBuilder

    def records(self, base: str | None = None) -> list[RepoDataRecord]:
        base = base or self.channel.url
        return [
            record_at(base, subdir, name, fields)
            for subdir, repodata in self.channel.repodata.items()
            for section in ("packages", "packages.conda")
            for name, fields in repodata[section].items()
        ]

    def record(self, name: str, base: str | None = None) -> RepoDataRecord:
        return next(record for record in self.records(base) if record.name == name)


def record_at(base: str, subdir: str, file_name: str, fields: dict[str, object]) -> RepoDataRecord:
    here = {"fn": file_name, "url": f"{base}/{subdir}/{file_name}", "channel": base}
    return msgspec.convert({**fields, **here}, RepoDataRecord)


def make_world(folder: Path, count: int = 6) -> World:
    """A channel with `count` packages, of both formats."""
    channel = ChannelBuilder(folder)
    for number in range(count):
        channel.add(package(f"p{number}", extension=".conda" if number % 2 else ".tar.bz2"))
    return World(channel.write())
