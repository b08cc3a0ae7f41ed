"""`verify_environment` on 20,000 small files and on a few large ones, on a warm disk.

Beside it: one thread that only hashes, and the quick look that goes by sizes.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.channels import ChannelBuilder, File, Package

from benchmarks.measure import in_turn, run_function, show
from benchmarks.worlds import write_many_files
from kaa.api.environments import plan_create
from kaa.api.execution import execute
from kaa.api.session import Session
from kaa.api.verifying import verify_environment
from kaa.config.options import Config
from kaa.prefix.overwritten import find_damaged_quickly
from kaa.prefix.prefix import Prefix


def write_large_files(folder: Path, *, files: int = 12, size: int = 24_000_000) -> list[Package]:
    """A channel of one package with files of `size` bytes that no compression shrinks."""
    package = Package("large", files={f"lib/large{number}.so": File(os.urandom(size)) for number in range(files)})
    ChannelBuilder(folder).add(package).write()
    return [package]


def hash_all(prefix: Path) -> None:
    """The least that any verification must do: read every file, and hash it."""
    for folder, _, names in os.walk(prefix):
        for name in names:
            hashlib.sha256(Path(folder, name).read_bytes()).hexdigest()


def measure(title: str, write: Callable[[Path], list[Package]]) -> None:
    """Make an environment of the packages that `write` writes, and verify it."""
    with tempfile.TemporaryDirectory() as folder:
        channel, root, prefix = Path(folder, "channel"), Path(folder, "root"), Path(folder, "prefix")
        names = [package.name for package in write(channel)]
        config = Config({"channels": (str(channel),), "subdir": "linux-64"}, root_prefix=root, home=root)
        with Session(config, environ={"HOME": str(root)}) as session:
            execute(session, plan_create(session, prefix, names))
            found = verify_environment(session, prefix)
            assert found.is_clean
            records = Prefix(prefix).records()
            medians = in_turn(
                {
                    "kaa verify": lambda: run_function(lambda: verify_environment(session, prefix)),
                    "a quick look, by sizes": lambda: run_function(lambda: find_damaged_quickly(prefix, records)),
                    "hashing alone, one thread": lambda: run_function(lambda: hash_all(prefix)),
                },
                rounds=5,
            )
        wall = medians["kaa verify"].wall
        rates = f"{found.files / wall:,.0f} files/s, {found.size / wall / 1e6:,.0f} MB/s"
        show(f"Verify an environment: {title}", medians, note=f"kaa: {rates}.")


def main() -> None:
    measure("20,000 small files", write_many_files)
    measure("12 files of 24 MB", write_large_files)
