"""Channels to measure with: real conda-forge records opened as an index, and packages with thousands of real files."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import zstandard
from tests.channels import ChannelBuilder, File, Package

from kaa.api.session import Session
from kaa.config.options import Config
from kaa.index.index import Index

SUBDIRS = ("linux-64", "noarch")


@dataclass(frozen=True, slots=True)
class World:
    """A channel in a folder, opened by kaa."""

    folder: Path
    index: Index


def open_folder(source: Path, target: Path) -> World:
    """The channel of `source` (repodata.json.zst per subdir) as plain files in `target`, and its index."""
    for subdir in SUBDIRS:
        (target / "channel" / subdir).mkdir(parents=True)
        plain = target / "channel" / subdir / "repodata.json"
        with (source / subdir / "repodata.json.zst").open("rb") as packed, plain.open("wb") as unpacked:
            zstandard.ZstdDecompressor().copy_stream(packed, unpacked)
    session = Session(Config(root_prefix=target / "root", home=target), environ={"HOME": str(target)})
    channels = session.channels([str(target / "channel")])
    return World(target / "channel", session.open_index(channels, "linux-64"))


def write_many_files(folder: Path, *, packages: int = 24, files: int = 834, seed: int = 3) -> list[Package]:
    """A channel of `packages` noarch packages with `files` small python files each: 20,000 files as they come."""
    dice = random.Random(seed)
    shutil.rmtree(folder, ignore_errors=True)
    channel = ChannelBuilder(folder)
    made = []
    for number in range(packages):
        content = {
            f"share/many{number}/part{index % 40}/file{index}.txt": File(dice.randbytes(dice.randrange(200, 6000)))
            for index in range(files)
        }
        package = Package(f"many{number}", files=content, subdir="linux-64")
        channel.add(package)
        made.append(package)
    channel.write()
    return made


def tree_hash(folder: Path) -> str:
    """One hash of all paths and contents below a folder, to see that two programs did the same."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            digest.update(json.dumps([name, hashlib.sha256(path.read_bytes()).hexdigest()]).encode())
    return digest.hexdigest()
