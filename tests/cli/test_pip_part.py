"""What comes from pip, made equal to a lock or a file: with real wheels and the pip of the environment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from kaa.channels.index import index_channel
from kaa.models.subdir import NOARCH
from kaa.prefix.generations import generation_numbers
from kaa.pypi.interpreters.bundled_pip import package_pip
from kaa.pypi.interpreters.interpreter import ask_interpreter
from tests.channels import ChannelBuilder
from tests.cli.commands import Kaa
from tests.cli.generation_worlds import pip, python_of_its_own
from tests.pypi.wheels import build_wheel

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A channel with a python and its pip, and a folder of wheels: app needs part, other stands alone."""
    folder = tmp_path_factory.mktemp("pip_part")
    wheels = folder / "wheels"
    wheels.mkdir()
    for version in ("1.0", "2.0"):
        build_wheel(wheels, "app", version, files={"app.py": f"v = '{version}'\n"}, metadata="Requires-Dist: part>=1\n")
    build_wheel(wheels, "part", "1.0", files={"part.py": "x = 1\n"})
    build_wheel(wheels, "other", "1.0", files={"other.py": "x = 1\n"})
    ChannelBuilder(folder / "channel").add(python_of_its_own()).write()
    if not package_pip(ask_interpreter(Path(sys.executable)), folder / "channel", subdir=NOARCH, level=1):
        pytest.skip("this python has no pip")
    index_channel(folder / "channel", workers=1)
    return folder


@pytest.fixture
def wheels(kaa: Kaa, world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of wheels, which is all that pip knows; sections for pip are left to it."""
    monkeypatch.setenv("KAA_PIP_SECTION", "pip")
    (kaa.home / ".condarc").write_text(f"channels: ['{(world / 'channel').as_uri()}']\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(world / "wheels"))
    return world / "wheels"


def from_pip(kaa: Kaa) -> list[str]:
    listed = kaa.ok("list", "-n", "demo", "--json").json()
    return [f"{record['name']}-{record['version']}" for record in listed if record["channel"] == "pypi"]


def environment_file(kaa: Kaa, *section: str) -> None:
    lines = "".join(f"    - {line}\n" for line in section)
    pip_section = f"  - pip:\n{lines}" if section else ""
    (kaa.home / "environment.yml").write_text(f"name: demo\ndependencies:\n  - python\n{pip_section}")


def test_prune_makes_the_pip_section_count(kaa: Kaa, wheels: Path) -> None:
    environment_file(kaa, "app==1.0")
    kaa.ok("env", "create")
    assert from_pip(kaa) == ["app-1.0", "part-1.0"]
    pip(kaa.environment("demo"), "install", "--no-index", "--find-links", str(wheels), "other")
    environment_file(kaa, "app>=1.0")
    kaa.ok("env", "update")
    assert from_pip(kaa) == ["app-2.0", "other-1.0", "part-1.0"]
    kaa.ok("env", "update", "--prune")
    assert from_pip(kaa) == ["app-2.0", "part-1.0"]
    (kaa.home / "more.txt").write_text("# ours\nother\n")
    environment_file(kaa, "-r more.txt")
    kaa.ok("env", "update", "--prune")
    assert from_pip(kaa) == ["other-1.0"]
    environment_file(kaa, str(wheels / "app-1.0-py3-none-any.whl"))
    kaa.ok("env", "update", "--prune")
    assert from_pip(kaa) == ["app-1.0", "part-1.0"]
    environment_file(kaa)
    kaa.ok("env", "update", "--prune")
    assert from_pip(kaa) == []
    names = [record["name"] for record in kaa.ok("list", "-n", "demo", "--json").json()]
    assert names == ["python"]


def test_prune_where_pip_is_gone(kaa: Kaa, wheels: Path) -> None:
    """What pip installed is removed by the lists that it left, whoever removed pip."""
    environment_file(kaa, "app==1.0", "other")
    kaa.ok("env", "create")
    prefix = kaa.environment("demo")
    (site_packages,) = prefix.glob("lib/python*/site-packages")
    kaa.ok("remove", "-y", "-n", "demo", "pip")
    (site_packages / "mine.py").write_text("x = 1\n")
    environment_file(kaa)
    kaa.ok("env", "update", "--prune")
    assert from_pip(kaa) == []
    left = {path.name for path in site_packages.iterdir()}
    assert not {name for name in left if name.startswith(("app", "part", "other"))}
    assert (site_packages / "mine.py").is_file()
    kaa.ok("undo", "-y", "-n", "demo")
    assert from_pip(kaa) == ["app-1.0", "other-1.0", "part-1.0"]


def test_a_distribution_that_lists_nothing_stays(kaa: Kaa, wheels: Path) -> None:
    environment_file(kaa, "other")
    kaa.ok("env", "create")
    (record,) = kaa.environment("demo").glob("lib/python*/site-packages/other-1.0.dist-info/RECORD")
    kaa.ok("remove", "-y", "-n", "demo", "pip")
    record.unlink()
    environment_file(kaa)
    answer = kaa("env", "update", "--prune")
    assert (answer.code, "does not list its files" in answer.err) == (1, True)
    assert (record.parents[1] / "other.py").is_file()


@pytest.mark.parametrize("output", ["kaa.lock", "conda-lock.yml", "pixi.lock"])
def test_a_lock_with_a_part_for_pip(kaa: Kaa, wheels: Path, output: str) -> None:
    """What was installed by address is known by its hash: it goes into a lock, and comes out of it."""
    prefix = kaa.environment("demo")
    kaa.ok("create", "-n", "demo", "-y", "python", "pip")
    for name in ("app-1.0", "part-1.0"):
        pip(prefix, "install", "--no-deps", (wheels / f"{name}-py3-none-any.whl").as_uri())
    kaa.ok("export", "-n", "demo", "--file", output)
    kaa.ok("env", "remove", "-n", "demo", "-y")
    kaa.ok("sync", output, "-n", "demo", "-y", "--offline")
    assert from_pip(kaa) == ["app-1.0", "part-1.0"]
    number = max(generation_numbers(prefix))
    kaa.ok("sync", output, "-n", "demo", "-y", "--offline")
    assert max(generation_numbers(prefix)) == number
    pip(
        prefix,
        "install",
        "--no-deps",
        str(wheels / "app-2.0-py3-none-any.whl"),
        str(wheels / "other-1.0-py3-none-any.whl"),
    )
    pip(prefix, "uninstall", "-y", "part")
    by_hand = from_pip(kaa)
    (site_packages,) = prefix.glob("lib/python*/site-packages")
    assert not (site_packages / "part.py").exists()
    kaa.ok("sync", output, "-n", "demo", "-y", "--offline")
    assert from_pip(kaa) == ["app-1.0", "part-1.0"]
    assert (site_packages / "app.py").read_text() == "v = '1.0'\n"
    assert sorted(path.name for path in site_packages.glob("*-1.0.dist-info")) == [
        f"{name}-1.0.dist-info" for name in ("app", "part")
    ]
    kaa.ok("undo", "-n", "demo", "-y")
    assert from_pip(kaa) == by_hand
    assert (site_packages / "app.py").read_text() == "v = '2.0'\n"
    assert (site_packages / "other.py").is_file()


def test_other_bytes_than_the_lock_says(kaa: Kaa, wheels: Path) -> None:
    kaa.ok("create", "-n", "demo", "-y", "python", "pip")
    pip(kaa.environment("demo"), "install", "--no-deps", (wheels / "part-1.0-py3-none-any.whl").as_uri())
    kaa.ok("export", "-n", "demo", "--file", "conda-lock.yml")
    lock = kaa.home / "conda-lock.yml"
    digest = lock.read_text().rpartition("{sha256: ")[2].partition("}")[0].strip("'")
    assert len(digest) == 64
    lock.write_text(lock.read_text().replace(digest, "0" * 64))
    answer = kaa("create", "-n", "other", "-y", "--file", "conda-lock.yml")
    assert (answer.code, "ChecksumMismatchError" in answer.err) == (1, True)
