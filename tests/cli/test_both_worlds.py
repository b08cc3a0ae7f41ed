"""An environment of conda packages and wheels, and what each command does with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.commands import Kaa
from tests.cli.generation_worlds import state
from tests.cli.test_wheels_in_files import demo, files, index, packages, projects
from tests.pypi_index import IndexServer

__all__ = ["demo", "index"]


def versions(kaa: Kaa, name: str = "demo") -> dict[str, str]:
    return {package: found[0] for package, found in packages(kaa, name).items()}


def test_update_undo_and_go_back(kaa: Kaa, demo: Path) -> None:
    before, old = state(demo), versions(kaa)
    kaa.ok("update", "-n", "demo", "--all", "-y")
    assert versions(kaa) == {**old, "app": "2.0"}
    after = state(demo)
    kaa.ok("undo", "-n", "demo", "-y")
    assert state(demo) == before
    kaa.ok("rollback", "-n", "demo", "-y", "2")
    assert state(demo) == after
    kaa.ok("install", "-n", "demo", "-y", "--revision", "0")
    assert state(demo) == before


def test_remove_with_what_only_it_needs(kaa: Kaa, demo: Path) -> None:
    before = state(demo)
    kaa.ok("remove", "-n", "demo", "-y", "--prune", "app")
    assert list(versions(kaa)) == ["python"]
    assert not any("dist-info" in path for path in files(demo))
    kaa.ok("undo", "-n", "demo", "-y")
    assert state(demo) == before


@pytest.mark.slow
def test_with_nothing_but_an_index(kaa: Kaa, index: IndexServer) -> None:
    """The channel that is there when nobody configures one need not be reached, neither now nor at later changes."""
    kaa.ok("create", "-n", "only", "-y", "-c", "pypi", "python", "part")
    kaa.ok("install", "-n", "only", "-y", "torch")
    assert "already" in kaa.ok("update", "-n", "only", "-y", "--all").out
    assert sorted(versions(kaa, "only")) == ["part", "python", "pytorch"]
    (kaa.home / "environment.yml").write_text("channels: [pypi]\ndependencies: [python, part]\n")
    kaa.ok("env", "create", "-n", "file", "-y", "-f", "environment.yml")
    assert sorted(versions(kaa, "file")) == ["part", "python"]


def test_clones(kaa: Kaa, demo: Path) -> None:
    kaa.ok("create", "-n", "twin", "--clone", "demo", "-y", "--offline")
    assert packages(kaa, "twin") == packages(kaa, "demo")
    assert "Nothing is wrong" in kaa.ok("verify", "-n", "twin").out


def test_compare(kaa: Kaa, demo: Path) -> None:
    kaa.ok("export", "-n", "demo", "--file", "same.yml")
    assert kaa("compare", "-n", "demo", "same.yml").code == 0
    (kaa.home / "other.yml").write_text((kaa.home / "same.yml").read_text().replace("torch==2.1", "torch==2.2"))
    answer = kaa("compare", "-n", "demo", "other.yml")
    assert (answer.code, "torch" in answer.out) == (1, True)


def test_why(kaa: Kaa, demo: Path) -> None:
    told = kaa.ok("why", "-n", "demo", "clib").out
    assert "app" in told
    assert "There are 2 versions, 1.0 to 2.0" in kaa.ok("why-not", "-n", "demo", "app=3").out


def test_search_and_info(kaa: Kaa, demo: Path, index: IndexServer) -> None:
    found = kaa.ok("search", "app", "--json").json()["app"]
    assert [(one["version"], one["fn"]) for one in found] == [
        ("1.0", "app-1.0-py3-none-any.whl"),
        ("2.0", "app-2.0-py3-none-any.whl"),
    ]
    told = kaa.ok("search", "app=1", "--info").out
    assert [line.strip(" -") for line in told.splitlines() if line.startswith("  - ")] == [
        "python >=3",
        "part >=1",
        "clib",
        "pytorch",
    ]
    assert kaa.ok("info", "--json").json()["channels"][-1] == f"pypi+{index.url}"


def test_programs_from_the_index(kaa: Kaa, demo: Path) -> None:
    kaa.ok("tool", "install", "app<2")
    assert (kaa.root / "tools" / "bin" / "app").exists()
    assert kaa.ok("tool", "list").out.split() == ["app", "1.0", "app"]


def test_a_conflict_across_the_border(kaa: Kaa, demo: Path, index: IndexServer) -> None:
    """A conda package stands in the way of a project's other version; the address of a folder is not told."""
    answer = kaa("create", "-n", "bad", "app<2", "clib=9", "--save-problem", "problem.json")
    assert answer.code == 1
    assert "strict channel priority takes clib from channel only" in answer.err
    assert f"take clib from pypi+{index.url}, a later channel" in answer.err
    assert not kaa.environment("bad").exists()


def test_a_problem_tells_no_folder_of_wheels(kaa: Kaa, demo: Path, tmp_path: Path) -> None:
    projects().write_flat(tmp_path / "secret place")
    kaa("create", "-n", "bad", "app=7", "-c", "pypi+../secret place", "--save-problem", "problem.json")
    saved = (kaa.home / "problem.json").read_text()
    assert '"pypi+file:///redacted/secret%20place"' in saved
    assert str(tmp_path) not in saved


SCRIPT = """\
# /// script
# requires-python = ">=3.9"
# dependencies = ["part>=1", "Torch", "nowhere; sys_platform == 'win32'"]
# ///
import part, torch
print(part.name)
"""


@pytest.mark.parametrize("channels", ["both", "none"])
def test_scripts(kaa: Kaa, demo: Path, channels: str) -> None:
    """Their requirements are projects of PyPI; where nobody has configured a channel, all comes from there."""
    if channels == "none":
        (kaa.home / ".condarc").unlink()
    (kaa.home / "work.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "-m", "kaa", "run", "work.py"], capture_output=True, text=True)
    if "interpreters of this machine" in done.stderr:
        pytest.skip("no interpreter of this machine can be packaged")
    assert (done.returncode, done.stdout) == (0, "part\n"), done.stderr
