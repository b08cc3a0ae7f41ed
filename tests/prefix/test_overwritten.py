"""A quick look for packages that something else wrote over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from kaa.models.prefix_record import PathsData
from kaa.prefix.overwritten import find_damaged_quickly
from kaa.prefix.prefix import Prefix
from tests.channels import File, Package, Symlink
from tests.transaction.world import SITE, TAG, World, python_package

PLACEHOLDER = "/opt/placeholder_" + "x" * 230
LIB = Package(
    "lib",
    "1.0",
    files={
        "lib/libx.so.1": "a library",
        "lib/libx.so": Symlink("libx.so.1"),
        "bin/script": File(f"#!{PLACEHOLDER}/bin/sh\n".encode(), mode=0o755, placeholder=PLACEHOLDER),
        "bin/binary": File(b"\x7fELF" + PLACEHOLDER.encode() + b"\0rest", placeholder=PLACEHOLDER, binary=True),
    },
)
INFO = f"{SITE}/app-1.0.dist-info"
APP = Package(
    "app",
    "1.0",
    depends=["python"],
    noarch="python",
    files={
        "site-packages/app/__init__.py": "def main() -> int:\n    return 0\n",
        "site-packages/app-1.0.dist-info/METADATA": "Name: app\nVersion: 1.0\n",
        "site-packages/app-1.0.dist-info/RECORD": "app/__init__.py,sha256=aa,\n",
    },
    entry_points=["app = app:main"],
)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = World(tmp_path_factory.mktemp("world"))
    world.install(LIB, python_package(), APP)
    return world.prefix


@pytest.fixture
def prefix(installed: Path, tmp_path: Path) -> Path:
    """A copy of an environment; where it lies means nothing to its records."""
    return shutil.copytree(installed, tmp_path / "envs" / "demo", symlinks=True)


def write(path: str, content: str) -> Callable[[Path], None]:
    def do(prefix: Path) -> None:
        (prefix / path).unlink()
        (prefix / path).write_text(content)

    return do


def remove(path: str) -> Callable[[Path], None]:
    return lambda prefix: (prefix / path).unlink()


def link_for_a_file(prefix: Path) -> None:
    (prefix / "lib/libx.so.1").unlink()
    (prefix / "lib/libx.so.1").symlink_to("/")


def make_pipe(prefix: Path) -> None:
    (prefix / INFO / "RECORD").unlink()
    os.mkfifo(prefix / INFO / "RECORD")


def link_out(prefix: Path) -> None:
    (prefix / "bin").rename(prefix.parent / "moved")
    (prefix / "bin").symlink_to(prefix.parent / "moved")


CASES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "nothing": (lambda prefix: None, ()),
    "another size": (write("lib/libx.so.1", "another library"), ("lib",)),
    "gone": (remove("lib/libx.so.1"), ("lib",)),
    "link gone": (remove("lib/libx.so"), ("lib",)),
    "link for a file": (link_for_a_file, ("lib",)),
    "file for a link": (write("lib/libx.so", "a library"), ("lib",)),
    "text with a prefix": (write("bin/script", "#!/bin/sh\n"), ("lib",)),
    "binary with a prefix": (write("bin/binary", "\x7fELF"), ("lib",)),
    "entry point": (write("bin/app", "#!/bin/sh\n"), ("app",)),
    "the same version by pip": (write(f"{INFO}/RECORD", "app/__init__.py,sha256=bb,\n"), ("app",)),
    "metadata gone": (remove(f"{INFO}/METADATA"), ("app",)),
    "bytecode gone": (remove(f"{SITE}/app/__pycache__/__init__.{TAG}.pyc"), ()),
    "bytecode of another": (write(f"{SITE}/app/__pycache__/__init__.{TAG}.pyc", "x"), ()),
    "a pipe": (make_pipe, ("app",)),
    "a directory led outside": (link_out, ("app", "lib")),
    "only the same size (known to be overlooked)": (write("lib/libx.so.1", "A library"), ()),
}


@pytest.mark.parametrize("name", CASES)
def test_what_a_quick_look_finds(prefix: Path, name: str) -> None:
    damage, expected = CASES[name]
    damage(prefix)
    assert find_damaged_quickly(prefix, Prefix(prefix).records()) == expected


def test_a_file_that_two_packages_bring_is_as_one_of_them_wants_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    records = world.install(LIB, Package("other", "1.0", files={"lib/libx.so.1": "the library of other"}))
    assert find_damaged_quickly(world.prefix, records) == ()
    # Other programs keep nothing aside: both records name the path.
    plain = []
    for record in records:
        entries = tuple(replace(entry, path=entry.original_path or entry.path) for entry in record.paths_data.paths)
        files = tuple(entry.path for entry in entries)
        plain.append(replace(record, files=files, paths_data=PathsData(paths=entries)))
    assert plain != list(records)
    assert find_damaged_quickly(world.prefix, plain) == ()
    (world.prefix / "lib/libx.so.1").unlink()
    assert find_damaged_quickly(world.prefix, records) == ("other",)
    assert find_damaged_quickly(world.prefix, plain) == ("lib", "other")


def test_records_without_sizes(prefix: Path) -> None:
    """Old records name files only; what is there is taken for theirs."""
    bare = [replace(record, paths_data=PathsData()) for record in Prefix(prefix).records()]
    assert find_damaged_quickly(prefix, bare) == ()
    (prefix / "lib/libx.so.1").unlink()
    assert find_damaged_quickly(prefix, bare) == ("lib",)


def test_what_lies_outside_is_not_read(prefix: Path) -> None:
    """A pipe that nobody writes to would be waited for."""
    os.mkfifo(prefix.parent / "outside")
    records = [replace(record, files=(*record.files, "../outside")) for record in Prefix(prefix).records()]
    assert find_damaged_quickly(prefix, records) == ()
