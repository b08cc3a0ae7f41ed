"""Source archives (sdists) of an index: left alone unless building is asked for, then built, kept and installed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels import ChannelBuilder
from tests.cli.commands import Kaa
from tests.cli.generation_worlds import python_of_its_own
from tests.pypi_index import IndexServer, PypiIndex, Sdist, Wheel, serve_index
from tests.sdists import NOTES, noted, tiny

MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where backends write what they are asked for."""
    monkeypatch.setenv(NOTES, str(tmp_path / "notes"))
    monkeypatch.setenv("CONDA_REGISTER_ENVS", "false")
    return tmp_path / "notes"


@pytest.fixture
def index() -> PypiIndex:
    return PypiIndex()


@pytest.fixture
def server(kaa: Kaa, tmp_path: Path, index: PypiIndex, notes: Path) -> Iterator[IndexServer]:
    """An index behind a channel that has python."""
    ChannelBuilder(tmp_path / "channel").add(python_of_its_own()).write()
    with serve_index(index) as server:
        channels = [(tmp_path / "channel").as_uri(), f"pypi+{server.url}"]
        (kaa.home / ".condarc").write_text(json.dumps({"channels": channels}))
        yield server


def imported(kaa: Kaa, environment: str, module: str) -> str:
    """What Python finds in a module of an environment."""
    python = kaa.environment(environment) / "bin" / "python"
    done = subprocess.run([python, "-c", f"import {module}; print({module}.name)"], capture_output=True, text=True)
    return done.stdout.strip() or done.stderr


def test_without_being_asked_nothing_is_built(kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path) -> None:
    index.add(tiny("tool"))
    answer = kaa("create", "-n", "demo", "-y", "python", "tool")
    assert answer.code != 0
    assert "tool" in answer.err
    assert "--build-package tool" in answer.err
    assert noted(notes) == []
    assert server.count(".tar.gz") == 0
    assert not kaa.environment("demo").exists()


def test_an_older_version_with_a_wheel_is_taken_where_building_is_not_asked_for(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path
) -> None:
    index.add(Wheel("tool", "1.0"), tiny("tool", "2.0"))
    kaa.ok("create", "-n", "demo", "-y", "python", "tool")
    assert [one["version"] for one in kaa.ok("list", "-n", "demo", "--json", "tool").json()] == ["1.0"]
    assert noted(notes) == []


@pytest.mark.parametrize("tag", ["py3-none-any", f"cp{MINOR.replace('.', '')}-none-any", "cp38-abi3-linux_x86_64"])
def test_a_wheel_of_the_same_version_comes_first(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path, tag: str
) -> None:
    index.add(tiny("tool"), Wheel("tool", tag=tag))
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert noted(notes) == []
    [listed] = kaa.ok("list", "-n", "demo", "--json", "tool").json()
    assert "sdist" not in listed["build_string"]


@pytest.mark.parametrize("tag", ["cp36-cp36m-linux_x86_64", "py3-none-win_amd64", "cp310-cp310-macosx_11_0_arm64"])
def test_wheels_for_others_are_no_reason_not_to_build(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path, tag: str
) -> None:
    index.add(Wheel("tool", tag=tag), tiny("tool"))
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert imported(kaa, "demo", "tool") == "tool"


@pytest.mark.parametrize("words", [("--build",), ("--build-package", "Tool"), ("--build-package", "x", "--build")])
def test_what_is_built_is_installed(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path, words: tuple[str, ...]
) -> None:
    index.add(tiny("tool", "2.0", requires=["lib>=1"]), Wheel("lib", "1.5"))
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", *words)
    assert imported(kaa, "demo", "tool") == "tool"
    assert imported(kaa, "demo", "lib") == "lib"
    assert noted(notes) == ["requires tool-2.0", "metadata tool-2.0", "requires tool-2.0", "wheel tool-2.0"]
    record = json.loads(next((kaa.environment("demo") / "conda-meta").glob("tool-*.json")).read_text())
    file = index.files["tool"][0]
    assert record["fn"] == file.file_name
    assert record["url"].endswith(file.file_name)
    assert record["sha256"] == file.told_hashes["sha256"]
    assert record["build"].startswith(f"cp{MINOR.replace('.', '')}_sdist")
    [listed] = kaa.ok("list", "-n", "demo", "--json", "tool").json()
    assert listed["channel"] == "pypi"
    assert kaa("verify", "-n", "demo").code == 0
    # What lies in the environment is a sound distribution for every tool.
    site = kaa.environment("demo") / "lib" / f"python{MINOR}" / "site-packages" / "tool-2.0.dist-info"
    assert (site / "INSTALLER").read_text() == "kaa\n"
    assert "tool.py" in (site / "RECORD").read_text()
    assert (site / "REQUESTED").exists()


def test_it_is_built_once(kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path) -> None:
    index.add(tiny("tool"))
    kaa.ok("create", "-n", "one", "-y", "python", "tool", "--build")
    before = noted(notes)
    kaa.ok("create", "-n", "two", "-y", "python", "tool", "--build")
    assert noted(notes) == before
    # Not even when the unpacked package is gone.
    kaa.ok("remove", "-n", "one", "--all", "-y")
    kaa.ok("remove", "-n", "two", "--all", "-y")
    kaa.ok("clean", "--packages", "-y")
    kaa.ok("create", "-n", "three", "-y", "python", "tool", "--build")
    assert noted(notes) == before
    assert imported(kaa, "three", "tool") == "tool"


def test_static_metadata_runs_nothing_before_the_wheel_is_needed(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path
) -> None:
    index.add(tiny("tool", requires=["lib"], metadata_version="2.2"), Wheel("lib"))
    answer = kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build", "--dry-run", "--json")
    assert {"tool", "lib"} <= {one["name"] for one in answer.json()["actions"]["LINK"]}
    assert noted(notes) == []
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert noted(notes) == ["requires tool-1.0", "wheel tool-1.0"]


def test_building_needs_are_solved_and_kept_apart(kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path) -> None:
    check = "import needed, later; assert needed.name == 'needed'"
    index.add(
        tiny("tool", build_requires=["needed>=1", "absent; python_version < '3'"], dynamic=["later"], before=check),
        Wheel("needed", "1.0"),
        Wheel("later", "1.0"),
    )
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert imported(kaa, "demo", "tool") == "tool"
    assert {one["name"] for one in kaa.ok("list", "-n", "demo", "--json").json()} == {"python", "tool"}


def test_what_a_build_needs_may_have_to_be_built(kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path) -> None:
    index.add(tiny("tool", build_requires=["needed"], before="import needed"), tiny("needed"))
    answer = kaa("create", "-n", "demo", "-y", "python", "tool", "--build-package", "tool")
    assert answer.code != 0
    assert "needed" in answer.err
    assert "wheel needed-1.0" not in noted(notes)
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert imported(kaa, "demo", "tool") == "tool"


def test_what_needs_itself_to_be_built(kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path) -> None:
    index.add(tiny("tool", build_requires=["other"]), tiny("other", build_requires=["tool"]))
    answer = kaa("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert answer.code != 0
    assert "needed to build itself" in answer.err
    assert not kaa.environment("demo").exists()


FAILURES = {
    "it fails": (
        tiny("tool", metadata_version="2.2", before="raise SystemExit('no compiler here')"),
        "no compiler here",
    ),
    "it is killed": (
        tiny("tool", metadata_version="2.2", before="os.kill(os.getpid(), 9)"),
        "was ended by signal 9",
    ),
    "another project": (tiny("tool", metadata_version="2.2", says=("evil", "1.0")), "what was built is evil 1.0"),
    "another version": (tiny("tool", metadata_version="2.2", says=("tool", "3.0")), "what was built is tool 3.0"),
    "other needs": (
        tiny("tool", metadata_version="2.2", built_requires=["more"]),
        "another Requires-Dist than was announced",
    ),
    "no wheel": (tiny("tool", metadata_version="2.2", before="return 'tool-1.0-py3-none-any.whl'"), "there is none"),
    "elsewhere": (tiny("tool", metadata_version="2.2", before="return '../../../x.whl'"), "there is none"),
    "another Python": (tiny("tool", metadata_version="2.2", tag="cp27-none-any"), "is for another Python"),
    "no answer": (tiny("tool", metadata_version="2.2", before="os._exit(0)"), "gave no answer"),
}


@pytest.mark.parametrize(("sdist", "reason"), FAILURES.values(), ids=FAILURES)
def test_failed_builds(kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path, sdist: Sdist, reason: str) -> None:
    index.add(sdist)
    answer = kaa("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert answer.code != 0
    assert reason in answer.err
    assert "tool-1.0.tar.gz could not be built" in answer.err
    [log] = (kaa.packages / ".built").rglob("*.log")
    assert str(log) in answer.err
    assert not kaa.environment("demo").exists()
    assert not list(kaa.packages.glob("tool-*"))
    # And the next time it is tried again.
    before = len(noted(notes))
    assert kaa("create", "-n", "demo", "-y", "python", "tool", "--build").code != 0
    assert len(noted(notes)) > before


def test_a_failing_backend_is_not_hidden_by_older_versions(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path
) -> None:
    broken = Sdist("tool", "2.0", pyproject='[build-system]\nrequires = []\nbuild-backend = "no.such.module"\n')
    index.add(Wheel("tool", "1.0"), broken)
    answer = kaa("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert answer.code != 0
    assert "No module named 'no'" in answer.err


def test_an_sdist_that_is_no_archive_is_passed_over(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path
) -> None:
    index.add(Wheel("tool", "1.0"), tiny("tool", "2.0"))
    index.replace("tool-2.0.tar.gz", content=b"<html>sign in</html>")
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert [one["version"] for one in kaa.ok("list", "-n", "demo", "--json", "tool").json()] == ["1.0"]
    answer = kaa("create", "-n", "other", "-y", "python", "tool=2.0", "--build")
    assert "no sound source distribution" in answer.err


def test_other_bytes_than_the_index_tells_are_not_built(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path
) -> None:
    index.add(tiny("tool"))
    index.replace("tool-1.0.tar.gz", hashes={"sha256": "0" * 64})
    answer = kaa("create", "-n", "demo", "-y", "python", "tool", "--build")
    assert answer.code != 0
    assert "sha256" in answer.err
    assert noted(notes) == []


def test_an_index_without_hashes_and_a_folder(
    kaa: Kaa, tmp_path: Path, index: PypiIndex, server: IndexServer, notes: Path
) -> None:
    index.add(tiny("tool"))
    index.replace("tool-1.0.tar.gz", hashes={})
    kaa.ok("create", "-n", "one", "-y", "python", "tool", "--build")
    folder = index.write_flat(tmp_path / "wheels")
    kaa.ok(
        "create",
        "-n",
        "two",
        "-y",
        "-O",
        "-c",
        (tmp_path / "channel").as_uri(),
        "-c",
        f"pypi+{folder.as_uri()}",
        "python",
        "tool",
        "--build",
    )
    assert imported(kaa, "one", "tool") == imported(kaa, "two", "tool") == "tool"
    # The same bytes: built once.
    assert noted(notes).count("wheel tool-1.0") == 1


def test_two_at_once_build_once(kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path) -> None:
    index.add(tiny("tool", before="import time; time.sleep(1)", metadata_version="2.2"))
    command = [sys.executable, "-m", "kaa", "create", "-y", "python", "tool", "--build", "-n"]
    running = [
        subprocess.Popen([*command, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for name in ("one", "two")
    ]
    for child in running:
        out, _ = child.communicate(timeout=120)
        assert child.returncode == 0, out
    assert noted(notes).count("wheel tool-1.0") == 1
    assert imported(kaa, "one", "tool") == imported(kaa, "two", "tool") == "tool"


def test_a_lock_names_the_archive_and_it_is_built_elsewhere(
    kaa: Kaa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: PypiIndex, server: IndexServer, notes: Path
) -> None:
    index.add(tiny("tool", build_requires=["needed"], before="import needed"), Wheel("needed"))
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build")
    lock = tmp_path / "kaa.lock"
    lock.write_text(kaa.ok("export", "-n", "demo", "--format", "kaa-lock").out)
    assert index.files["tool"][0].told_hashes["sha256"] in lock.read_text()
    # Another machine, which knows nothing but the lock.
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(tmp_path / "elsewhere"))
    (kaa.home / ".condarc").write_text("channels: []\n")
    before = len(noted(notes))
    answer = kaa("sync", str(lock), "-p", str(tmp_path / "again"), "-y")
    assert answer.code != 0
    assert "--build-package tool" in answer.err
    assert len(noted(notes)) == before
    assert not (tmp_path / "again").exists()
    kaa.ok("sync", str(lock), "-p", str(tmp_path / "again"), "-y", "--build")
    assert noted(notes)[before:] == ["requires tool-1.0", "wheel tool-1.0"]
    assert (tmp_path / "again" / "lib" / f"python{MINOR}" / "site-packages" / "tool.py").is_file()


def test_what_was_built_is_cleaned_as_archives_are(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path
) -> None:
    index.add(tiny("tool"))
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build")
    [built] = (kaa.packages / ".built").iterdir()
    kaa.ok("clean", "--tarballs", "-y")
    assert built.is_dir()
    long_ago = built.stat().st_mtime - 7200
    os.utime(built, (long_ago, long_ago))
    kaa.ok("clean", "--tarballs", "-y")
    assert not built.exists()
    assert imported(kaa, "demo", "tool") == "tool"


def test_a_verified_cache_compares_with_the_wheel(kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path) -> None:
    index.add(tiny("tool"))
    words = ("-y", "python", "tool", "--build", "--verify-cache")
    kaa.ok("create", "-n", "one", *words)
    before = noted(notes)
    [module] = kaa.packages.glob("tool-*/site-packages/tool.py")
    module.chmod(0o644)
    content = module.read_bytes()
    module.write_bytes(content.replace(b"'tool'", b"'evil'"))
    kaa.ok("create", "-n", "two", *words)
    assert imported(kaa, "two", "tool") == "tool"
    assert noted(notes) == before


def test_damage_is_repaired_without_building_again(
    kaa: Kaa, index: PypiIndex, server: IndexServer, notes: Path
) -> None:
    index.add(tiny("tool"))
    kaa.ok("create", "-n", "demo", "-y", "python", "tool", "--build")
    before = noted(notes)
    module = kaa.environment("demo") / "lib" / f"python{MINOR}" / "site-packages" / "tool.py"
    module.unlink()
    assert kaa("verify", "-n", "demo").code != 0
    kaa.ok("repair", "-n", "demo", "-y")
    assert imported(kaa, "demo", "tool") == "tool"
    assert kaa("verify", "-n", "demo").code == 0
    assert noted(notes) == before
