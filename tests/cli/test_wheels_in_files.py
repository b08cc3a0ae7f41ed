"""Environments of conda packages and wheels as files: lists, environment files and locks, and made again from them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.envfiles.pixi_lock import parse_pixi_lock
from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa
from tests.cli.generation_worlds import python_of_its_own
from tests.pypi_index import IndexFault, IndexServer, PypiIndex, Wheel, serve_index
from tests.transaction.world import SITE, VERSION

LOCKS = ["kaa.lock", "conda-lock.yml", "pixi.lock"]


WANTED = ("part>=1", "clib", "Torch", 'winpart; sys_platform == "win32"', "more; extra == 'all'")
TAG = f"cp{VERSION.replace('.', '')}"


def projects() -> PypiIndex:
    """app needs part, the compiled clib of a conda channel, and Torch, which conda calls by another name."""
    return PypiIndex().add(
        Wheel(
            "app",
            "1.0",
            requires=list(WANTED),
            extras=["all"],
            entry_points={"console_scripts": {"app": "app:main"}},
        ),
        Wheel("app", "2.0"),
        Wheel("part", "1.5"),
        Wheel("clib", "9.0"),
        Wheel("Torch", "2.1", tag=f"{TAG}-{TAG}-manylinux_2_17_x86_64", files={"torch/_c.so": b"machine code"}),
    )


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexServer]:
    """The index that pip is configured to use."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with serve_index(projects()) as server:
        monkeypatch.setenv("PIP_INDEX_URL", server.url)
        yield server


@pytest.fixture
def demo(kaa: Kaa, tmp_path: Path, index: IndexServer) -> Path:
    """An environment of both: python and clib from a conda channel, the rest from the index."""
    channel = ChannelBuilder(tmp_path / "channel")
    channel.add(python_of_its_own(), Package("clib", "1.0", depends=["python"], files={"lib/libc1.so": "c"})).write()
    (kaa.home / ".condarc").write_text(f"channels: ['{(tmp_path / 'channel').as_uri()}', pypi]\n")
    kaa.ok("create", "-n", "demo", "-y", "python", "app<2")
    return kaa.environment("demo")


def packages(kaa: Kaa, name: str) -> dict[str, tuple[str, str, str, str | None]]:
    """What tells packages apart, by name."""
    found = {}
    for path in sorted(kaa.environment(name).glob("conda-meta/*.json")):
        record = json.loads(path.read_text())
        found[record["name"]] = (record["version"], record["build"], record["subdir"], record.get("sha256"))
    return found


def files(prefix: Path) -> dict[str, bytes]:
    """The content of site-packages without bytecode."""
    site = prefix / SITE
    return {
        path.relative_to(site).as_posix(): path.read_bytes()
        for path in sorted(site.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def test_the_environment_is_of_both_worlds(kaa: Kaa, demo: Path) -> None:
    assert {name: found[0] for name, found in packages(kaa, "demo").items() if name != "python"} == {
        "app": "1.0",
        "clib": "1.0",
        "part": "1.5",
        "pytorch": "2.1",
    }
    every = [file for path in demo.glob("conda-meta/*.json") for file in json.loads(path.read_text())["files"]]
    assert len(every) == len(set(every))


def test_environment_file(kaa: Kaa, demo: Path, index: IndexServer) -> None:
    """Wheels stand in the pip section, by the names of PyPI."""
    document = kaa.ok("export", "-n", "demo", "--no-builds", "--json").json()
    conda, section = document["dependencies"][:-1], document["dependencies"][-1]
    assert [text.partition("=")[0] for text in conda] == ["clib", "python"]
    assert section == {"pip": ["app==1.0", "part==1.5", "torch==2.1"]}
    assert [channel.rpartition("/")[2] for channel in document["channels"]] == ["channel"]
    asked = kaa.ok("export", "-n", "demo", "--from-history", "--json").json()
    assert asked["dependencies"] == ["python", {"pip": ["app<2"]}]
    without = kaa.ok("export", "-n", "demo", "--without-pip", "--json").json()
    assert [type(one) for one in without["dependencies"]] == [str, str]


@pytest.mark.parametrize("output", LOCKS)
def test_locks_of_environments(kaa: Kaa, demo: Path, index: IndexServer, output: str) -> None:
    before, content = packages(kaa, "demo"), files(demo)
    kaa.ok("export", "-n", "demo", "--file", output)
    assert index.url.removesuffix("/simple") in (kaa.home / output).read_text()
    kaa.ok("create", "-n", "other", "-y", "--file", output, "--offline")
    assert packages(kaa, "other") == before
    assert files(kaa.environment("other")).keys() - content.keys() <= {
        f"{name}-{version}.dist-info/REQUESTED" for name, version in (("app", "1.0"),)
    }
    shutil.rmtree(kaa.packages)
    kaa.ok("sync", output, "-n", "third", "-y")
    assert packages(kaa, "third") == before
    assert '"message"' in kaa.ok("sync", output, "-n", "third", "-y", "--json").out


def test_an_explicit_list(kaa: Kaa, demo: Path) -> None:
    before = packages(kaa, "demo")
    listed = kaa.ok("export", "-n", "demo", "--format", "explicit").out
    (kaa.home / "list.txt").write_text(listed)
    assert f"part-1.5-py3-none-any.whl#{before['part'][3]}\n" in listed
    kaa.ok("create", "-n", "other", "-y", "--file", "list.txt")
    assert packages(kaa, "other") == before
    # Nobody knows any more that an index was asked.
    origin = json.loads((kaa.environment("other") / SITE / "part-1.5.dist-info" / "direct_url.json").read_text())
    assert origin["url"].endswith("/part-1.5-py3-none-any.whl")
    again = kaa.ok("export", "-n", "other", "--json").json()["dependencies"][-1]["pip"]
    assert again[1] == f"part @ {origin['url']}#sha256={before['part'][3]}"


def test_a_list_of_specs(kaa: Kaa, demo: Path) -> None:
    listed = kaa.ok("export", "-n", "demo", "--format", "requirements").out
    (kaa.home / "requirements.txt").write_text(listed)
    assert listed.splitlines()[-3:] == ["pypi::app==1.0", "pypi::part==1.5", "pypi::torch==2.1"]
    kaa.ok("create", "-n", "other", "-y", "--file", "requirements.txt")
    assert packages(kaa, "other") == packages(kaa, "demo")


def test_a_lock_serves_where_only_a_folder_of_wheels_is(
    kaa: Kaa, demo: Path, index: IndexServer, tmp_path: Path
) -> None:
    """kaa.lock knows wheels by their hashes: a folder has them, too, and so has another index."""
    kaa.ok("export", "-n", "demo", "--file", "kaa.lock")
    [environment] = json.loads((kaa.home / "kaa.lock").read_text())["environments"].values()
    assert environment["channels"][-1] == "pypi"
    before = packages(kaa, "demo")
    projects().write_flat(tmp_path / "wheels")
    shutil.rmtree(kaa.packages)
    index.faults.append(IndexFault("", status=404))
    answer = kaa("sync", "-n", "other", "-y")
    assert answer.code == 1
    assert not kaa.environment("other").exists()
    kaa.ok("sync", "-n", "other", "-y", "-c", f"pypi+{(tmp_path / 'wheels').as_uri()}")
    assert packages(kaa, "other") == before


@pytest.mark.parametrize("output", LOCKS)
def test_a_lock_behind_a_mirror(kaa: Kaa, demo: Path, index: IndexServer, output: str) -> None:
    """The addresses in a lock are hints: whoever has another index configured gets the same bytes from there."""
    kaa.ok("export", "-n", "demo", "--file", output)
    before = packages(kaa, "demo")
    shutil.rmtree(kaa.packages)
    index.faults.append(IndexFault("", status=404))
    with pytest.MonkeyPatch.context() as patch, serve_index(projects(), formats=("html",)) as mirror:
        patch.setenv("PIP_INDEX_URL", mirror.url)
        kaa.ok("sync", output, "-n", "other", "-y")
    assert packages(kaa, "other") == before


@pytest.mark.parametrize("output", LOCKS)
def test_locks_of_files(kaa: Kaa, demo: Path, output: str) -> None:
    """`kaa lock` with an index among the channels; checking it again changes nothing."""
    (kaa.home / "environment.yml").write_text(
        f"channels: ['{(kaa.home.parent / 'channel').as_uri()}', pypi]\ndependencies: [python, app <2]\n"
    )
    answer = kaa.ok("lock", "--output", output)
    assert "5 packages for linux-64" in answer.out
    assert "as it was" in kaa.ok("lock", "--output", output, "--check").out
    kaa.ok("sync", output, "-n", "other", "-y")
    assert packages(kaa, "other") == packages(kaa, "demo")
    (kaa.home / "environment.yml").write_text((kaa.home / "environment.yml").read_text().replace("app <2", "app"))
    answer = kaa("lock", "--output", output, "--check")
    assert (answer.code, "app-1.0" in answer.out and "app-2.0" in answer.out) == (1, True)


def test_a_pixi_lock_tells_requirements(kaa: Kaa, demo: Path, index: IndexServer) -> None:
    kaa.ok("export", "-n", "demo", "--file", "pixi.lock")
    [environment] = parse_pixi_lock((kaa.home / "pixi.lock").read_text()).environments
    found = {one.name: one for one in environment.pypi["linux-64"]}
    assert found["app"].requires_dist == WANTED
    assert environment.indexes == (index.url,)


def test_a_wheel_for_another_platform(kaa: Kaa, demo: Path) -> None:
    kaa.ok("export", "-n", "demo", "--file", "conda-lock.yml")
    lock = kaa.home / "conda-lock.yml"
    lock.write_text(lock.read_text().replace("manylinux_2_17_x86_64", "win_amd64"))
    answer = kaa("create", "-n", "other", "-y", "--file", "conda-lock.yml")
    assert answer.code == 1
    assert "its tags are for another platform" in answer.err


def test_a_python_of_an_interpreter(kaa: Kaa, index: IndexServer) -> None:
    """kaa's own lock holds it; where that interpreter is not, another python of the version takes its place."""
    (kaa.home / ".condarc").write_text("channels: [pypi]\n")
    if kaa("create", "-n", "demo", "-y", f"python={VERSION}", "part").code:
        pytest.skip("no interpreter of this machine can be packaged")
    before = packages(kaa, "demo")
    for output in ("conda-lock.yml", "pixi.lock"):
        answer = kaa("export", "-n", "demo", "--file", output)
        assert (answer.code, "--format kaa-lock" in answer.err) == (1, True)
    kaa.ok("export", "-n", "demo", "--file", "environment.yml")
    text = (kaa.home / "environment.yml").read_text()
    assert f"- python={before['python'][0]}\n" in text
    assert "- pypi\n" in text
    (kaa.home / "list.txt").write_text(kaa.ok("export", "-n", "demo", "--format", "explicit").out)
    kaa.ok("export", "-n", "demo", "--file", "kaa.lock")
    for name, file in (("two", "kaa.lock"), ("three", "list.txt")):
        kaa.ok("create", "-n", name, "-y", "--file", file, "--offline")
        assert packages(kaa, name) == before
    lock = kaa.home / "kaa.lock"
    digest = before["python"][3]
    assert digest is not None
    lock.write_text(lock.read_text().replace(digest, "0" * 64).replace(digest[:12], "0" * 12))
    answer = kaa.ok("sync", "-n", "four", "-y")
    assert f"python {before['python'][0]} of kaa.lock was made of" in answer.err
    assert "takes its place" in answer.err
    assert packages(kaa, "four")["part"] == before["part"]
    lock.write_text(lock.read_text().replace(before["python"][0], "3.5.1"))
    answer = kaa("sync", "-n", "five", "-y")
    assert (answer.code, "there is no python like it here" in answer.err) == (1, True)
    assert not kaa.environment("five").exists()
