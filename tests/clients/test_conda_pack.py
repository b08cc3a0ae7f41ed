"""conda-pack: an environment that kaa made is packed, unpacked elsewhere, put right there, and used."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import pytest

from tests.clients.house import House, Shared

pytestmark = [pytest.mark.slow, pytest.mark.clients]


@pytest.fixture
def conda_pack(house: House, shared: Shared) -> Path:
    return shared.client("conda-pack", "conda-pack", "setuptools<81") / "conda-pack"


def test_an_environment_is_packed_and_runs_elsewhere(house: House, conda_pack: Path) -> None:
    house.ok("conda", "create", "--yes", "--name", "packed", "python", "greetings", "hello")
    conda = {"CONDA_EXE": str(house.root / "bin" / "conda")}
    archive = house.work / "packed.tar.gz"
    # By name: conda-pack asks `conda info --json` where the environments are.
    house.ok(conda_pack, "--name", "packed", "--output", archive, "--quiet", environ=conda)
    house.ok("conda", "env", "remove", "--yes", "--name", "packed")
    assert not house.environment("packed").exists()

    there = house.home / "somewhere else"
    with tarfile.open(archive) as packed:
        packed.extractall(there, filter="tar")
    script = (
        "set -e\n"
        f'. "{there}/bin/activate"\n'
        "conda-unpack\n"
        "greet\n"
        "hello\n"
        'python -c "import sys, ssl; print(sys.prefix)"\n'
        "echo $CONDA_PREFIX\n"
        ". deactivate\n"
    )
    lines = house.shell(script).stdout.splitlines()
    assert lines == ["good day", f"hello 2.0 from {there}", str(there), str(there)]


def test_base_is_packed_with_its_conda(house: House, conda_pack: Path) -> None:
    house.ok("conda", "install", "--yes", "--name", "base", "hello")
    archive = house.work / "base.tar.gz"
    house.ok(conda_pack, "--prefix", house.root, "--output", archive, "--quiet")
    there = house.home / "there"
    with tarfile.open(archive) as packed:
        packed.extractall(there, filter="tar")
    # The folder of the first root stands at other places as well; what was packed must not lead back there.
    house.root.rename(house.home / "away")
    house.ok(sys.executable, there / "bin" / "conda-unpack")
    assert house.ok(there / "bin" / "conda", "info", "--base").stdout.strip() == str(there)
    script = f". {there}/bin/activate && hello && echo $CONDA_PREFIX"
    assert house.shell(script).stdout.splitlines() == [f"hello 2.0 from {there}", str(there)]
