"""Distributions are removed by their RECORD: all of their files, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaa.prefix.distribution_removal import DistributionNotRemovable, remove_listed_files
from kaa.prefix.prefix import Prefix

SITE = "lib/python3.11/site-packages"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """An environment without packages, with two distributions: they share a directory and a file."""
    prefix = tmp_path / "env"
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta" / "history").touch()
    install(prefix, "one", ["one/__init__.py", "one/[x]*.py", "shared/one.py", "shared/both.py", "../../../bin/one"])
    install(prefix, "two", ["two.py", "shared/two.py", "shared/both.py", "../../../share/doc/two/x"])
    for path in ("one/__pycache__/__init__.cpython-311.pyc", "one/__pycache__/[x]*.cpython-311.opt-1.pyc"):
        write(prefix / SITE / path)
    return prefix


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def install(prefix: Path, name: str, files: list[str]) -> None:
    information = f"{name}-1.0.dist-info"
    for file in files:
        write(prefix / SITE / file)
    write(prefix / SITE / information / "METADATA")
    (prefix / SITE / information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [*files, f"{information}/METADATA", f"{information}/RECORD"]
    (prefix / SITE / information / "RECORD").write_text("".join(f"{line},,\n" for line in lines))


def files_of(prefix: Path) -> set[str]:
    every = {path.relative_to(prefix).as_posix() for path in prefix.rglob("*") if not path.is_dir()}
    return {path.removeprefix(f"{SITE}/") for path in every if not path.startswith("conda-meta")}


def test_one_of_two(prefix: Path) -> None:
    remove_listed_files(Prefix(prefix), {"one"})
    assert files_of(prefix) == {
        "two.py", "shared/two.py", "shared/both.py", "share/doc/two/x",
        "two-1.0.dist-info/METADATA", "two-1.0.dist-info/RECORD",
    }  # fmt: skip
    assert not (prefix / SITE / "one").exists()
    assert (prefix / "bin").is_dir()
    remove_listed_files(Prefix(prefix), {"two"})
    assert files_of(prefix) == set()
    assert not (prefix / "share").exists()
    assert (prefix / SITE).is_dir()


def test_what_others_put_there_stays(prefix: Path) -> None:
    write(prefix / SITE / "one" / "data.txt")
    remove_listed_files(Prefix(prefix), {"one", "two"})
    assert files_of(prefix) == {"one/data.txt"}


def test_what_lies_outside_stays(prefix: Path, tmp_path: Path) -> None:
    write(tmp_path / "outside" / "precious")
    (prefix / SITE / "link").symlink_to(tmp_path / "outside")
    record = prefix / SITE / "one-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + "link/precious,,\n../../../../outside/precious,,\n")
    remove_listed_files(Prefix(prefix), {"one"})
    assert (tmp_path / "outside" / "precious").is_file()


def test_a_removal_that_was_interrupted_goes_on(prefix: Path) -> None:
    (prefix / SITE / "one" / "__init__.py").unlink()
    (prefix / "bin" / "one").unlink()
    remove_listed_files(Prefix(prefix), {"one", "two"})
    assert files_of(prefix) == set()


def test_nothing_is_removed_where_one_lists_nothing(prefix: Path) -> None:
    (prefix / SITE / "two-1.0.dist-info" / "RECORD").unlink()
    before = files_of(prefix)
    with pytest.raises(DistributionNotRemovable, match="two"):
        remove_listed_files(Prefix(prefix), {"one", "two"})
    assert files_of(prefix) == before
