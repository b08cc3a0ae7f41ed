"""What an installed wheel tells of itself agrees with what lies in the environment."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.fetch import ensure
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import find_distributions
from kaa.transaction.actions import plan_actions
from kaa.transaction.expected import expected_record
from kaa.transaction.plan import plan_transaction, python_of
from kaa.transaction.wheel_files import with_installation
from tests.channels import File
from tests.package_cache.wheels import local_record
from tests.pypi_index import Wheel
from tests.transaction.world import SITE, World, python_package

TOOL = Wheel(
    "tool",
    files={"tool/__init__.py": "def main():\n    print('it runs')\n", "tool/b.txt": "b"},
    data={"scripts/start": "#!python\nimport tool\ntool.main()\n", "data/share/tool/a, b": "a"},
    entry_points={"console_scripts": {"tool": "tool:main"}},
)
PLAIN = Wheel("plain")
INFORMATION = f"{SITE}/tool-1.0.dist-info"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def install(
    world: World, *wheels: Wheel, requested: Mapping[str, str] | None = None, **changes: Any
) -> tuple[PrefixRecord, ...]:
    """Make the environment hold a python and these wheels."""
    cache = PackageCache([world.cache])
    records = [local_record(wheel, world.folder / "wheels", **changes) for wheel in wheels]
    for package in ensure(records, cache, HttpClient()):
        world.extracted[package.record.dist] = package
    python = world.unpack(python_package())
    desired: list[RepoDataRecord] = [python, *records]
    current = Prefix(world.prefix).records() if world.prefix.exists() else ()
    world.perform(plan_transaction(world.prefix, world.subdir, current, desired, requested_specs=requested or {}))
    return Prefix(world.prefix).records()


def record_rows(prefix: Path, information: str = INFORMATION) -> dict[str, tuple[str, str]]:
    """What RECORD tells, by paths below the environment."""
    rows = csv.reader((prefix / information / "RECORD").read_text().splitlines())
    site = (prefix / information).parent
    return {(site / row[0]).resolve().relative_to(prefix).as_posix(): (row[1], row[2]) for row in rows}


def test_record_lists_all_that_is_there_and_nothing_else(world: World) -> None:
    install(world, TOOL, requested={"tool": "tool"})
    rows = record_rows(world.prefix)
    files = [path for path in world.record("tool").files if not path.endswith(".pyc")]
    assert sorted(rows) == sorted(files)
    assert {f"{INFORMATION}/{name}" for name in ("INSTALLER", "REQUESTED", "RECORD", "METADATA")} <= rows.keys()
    assert {"bin/tool", "bin/start", "share/tool/a, b", f"{SITE}/tool/b.txt"} <= rows.keys()
    without_hash = {f"{INFORMATION}/RECORD", "bin/tool", "bin/start"}
    for path, (digest, size) in rows.items():
        content = (world.prefix / path).read_bytes()
        if path in without_hash:
            assert (digest, size) == ("", "")
        else:
            expected = urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={expected}", len(content)), path


def test_importlib_finds_the_files(world: World) -> None:
    install(world, TOOL)
    [distribution] = importlib.metadata.distributions(name="tool", path=[str(world.prefix / SITE)])
    found = [Path(str(file.locate())) for file in distribution.files or ()]
    assert found
    assert all(path.is_file() for path in found)
    assert distribution.read_text("INSTALLER") == "kaa\n"


@pytest.mark.parametrize("program", ["tool", "start"])
def test_programs_run(world: World, program: str) -> None:
    install(world, TOOL)
    python = world.prefix / "bin" / "python"
    python.symlink_to(next(world.prefix.glob("bin/python3.*")).name)
    environ = {"PYTHONPATH": str(world.prefix / SITE), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([world.prefix / "bin" / program], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "it runs\n"


def test_only_what_was_asked_for_is_requested(world: World) -> None:
    install(world, TOOL, PLAIN, requested={"plain": "plain >=1"})
    assert not (world.prefix / INFORMATION / "REQUESTED").exists()
    assert (world.prefix / SITE / "plain-1.0.dist-info" / "REQUESTED").read_bytes() == b""


def test_it_stays_requested_when_it_is_linked_again(world: World) -> None:
    install(world, TOOL, requested={"tool": "tool"})
    install(world, replace_version(TOOL, "2.0"))
    assert (world.prefix / SITE / "tool-2.0.dist-info" / "REQUESTED").exists()
    assert not (world.prefix / INFORMATION).exists()


def replace_version(wheel: Wheel, version: str) -> Wheel:
    return Wheel(wheel.name, version, files=wheel.files, entry_points=wheel.entry_points)


@pytest.mark.parametrize(
    ("channel", "direct"), [("", True), ("pypi+https://index.example/simple", False), ("pypi", False)]
)
def test_a_wheel_of_an_address_of_its_own_tells_it(world: World, channel: str, direct: bool) -> None:
    install(world, TOOL, channel=channel)
    file = world.prefix / INFORMATION / "direct_url.json"
    assert file.exists() == direct
    assert (f"{INFORMATION}/direct_url.json" in record_rows(world.prefix)) == direct
    if direct:
        record = world.record("tool")
        assert json.loads(file.read_text()) == {
            "url": record.url,
            "archive_info": {"hashes": {"sha256": record.sha256}},
        }


def test_a_record_with_nothing_to_add_is_linked(world: World) -> None:
    install(world, PLAIN)
    linked = world.prefix / SITE / "plain-1.0.dist-info" / "RECORD"
    package = world.extracted[world.record("plain").dist]
    assert linked.samefile(package.directory / "site-packages" / "plain-1.0.dist-info" / "RECORD")


def test_nothing_of_it_counts_as_installed_by_another(world: World) -> None:
    records = install(world, TOOL, PLAIN, requested={"tool": "tool"})
    assert find_distributions(Prefix(world.prefix), records) == ()


@pytest.mark.parametrize("requested", [False, True])
def test_the_record_can_be_made_again(world: World, requested: bool) -> None:
    install(world, TOOL, requested={"tool": "tool"} if requested else {})
    installed = world.record("tool")
    package = world.extracted[installed.dist]
    python = python_of(Prefix(world.prefix).records(), world.subdir)
    made = expected_record(package.record, package, world.prefix, world.subdir, python)
    assert made.files == installed.files
    assert made.paths_data == installed.paths_data


def test_programs_of_windows(world: World) -> None:
    install(world, TOOL)
    package = world.extracted[world.record("tool").dist]
    python = python_of([replace(world.record("python"), subdir="win-64")], "win-64")
    planned = plan_actions(
        package.record,
        package.paths(),
        package.link(),
        prefix="C:\\env",
        subdir="win-64",
        python=python,
        compile_bytecode=False,
    )
    done = with_installation(planned, package, python, requested=True)
    record = next(action for action in done.actions if action.target.endswith("/RECORD"))
    names = [row[0] for row in csv.reader(record.content.decode().splitlines())]
    assert {
        "../../Scripts/tool-script.py",
        "../../Scripts/tool.bat",
        "../../Scripts/start",
        "../../share/tool/a, b",
    } <= {*names}
    assert "tool-1.0.dist-info/REQUESTED" in names


def test_another_package_may_have_the_file(world: World) -> None:
    other = Wheel("zother", files={"tool/__init__.py": "x = 1\n"})
    install(world, TOOL, other)
    install(world, TOOL)
    assert world.text(f"{SITE}/tool/__init__.py").startswith("def main")
    assert f"{SITE}/tool/__init__.py" in record_rows(world.prefix)


@pytest.mark.slow
def test_pip_agrees(world: World, tmp_path: Path) -> None:
    """A real environment of the standard library's making, into which the wheels are linked."""
    subprocess.run([sys.executable, "-m", "venv", world.prefix], check=True, timeout=120)
    pip = [str(world.prefix / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    (world.prefix / "conda-meta").mkdir()
    (world.prefix / "conda-meta" / "history").touch()
    needs = Wheel("needs", requires=["tool>=1", "plain"])
    records = [local_record(wheel, tmp_path / "wheels") for wheel in (TOOL, PLAIN, needs)]
    packages = ensure(records, PackageCache([world.cache]), HttpClient())
    world.extracted |= {package.record.dist: package for package in packages}
    marker = world.unpack(python_of_venv())
    world.perform(plan_transaction(world.prefix, world.subdir, (), [marker, *records], requested_specs={"needs": ""}))
    assert "No broken requirements" in subprocess.check_output([*pip, "check"], text=True)
    listed = json.loads(subprocess.check_output([*pip, "list", "--format", "json"], text=True))
    assert {"needs", "plain", "tool"} <= {one["name"] for one in listed}
    shown = subprocess.check_output([*pip, "show", "-f", "tool"], text=True)
    assert "../../../bin/tool" in shown
    assert "Installer: kaa" in subprocess.check_output([*pip, "show", "-v", "tool"], text=True)
    subprocess.run([*pip, "uninstall", "-y", "tool"], check=True, capture_output=True)
    left = [path for path in world.record("tool").files if (world.prefix / path).exists()]
    assert left == []


def python_of_venv() -> Any:
    """A package `python` without files of its own, for an environment that has one."""
    return replace_files(python_package(), {"share/python": File(b"marker")})


def replace_files(package: Any, files: dict[str, File]) -> Any:
    package.files = files
    return package
