"""`kaa lock` of files with `pip:` sections: one solve with the rest on every platform, and the wheels in the lock."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.api.lock_formats import parse_lock
from kaa.prefix.prefix import Prefix
from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa
from tests.cli.generation_worlds import python_of_its_own
from tests.pypi_index import IndexServer, PypiIndex, Wheel, serve_index
from tests.transaction.world import VERSION

TAG = f"cp{VERSION.replace('.', '')}"
LOCKS = ["kaa.lock", "conda-lock.yml", "pixi.lock"]


@pytest.fixture
def index() -> PypiIndex:
    """app needs part; rich has an extra, speed is compiled for Linux and macOS, and the rest is alone."""
    index = PypiIndex().add(Wheel("app", "1.0", requires=["part>=1"]), Wheel("app", "2.0", requires=["part>=1"]))
    index.add(Wheel("part", "3.0"), Wheel("rich", "13.0", requires=["more; extra == 'all'"], extras=["all"]))
    index.add(Wheel("more"), Wheel("old"), Wheel("new"), Wheel("mac-only"), Wheel("lib", "9.0"))
    for tag in (f"{TAG}-{TAG}-manylinux_2_17_x86_64", "cp39-cp39-macosx_11_0_arm64"):
        index.add(Wheel("speed", tag=tag, files={"speed/_c.so": tag.encode()}))
    return index


@pytest.fixture
def server(index: PypiIndex) -> Iterator[IndexServer]:
    with serve_index(index) as running:
        yield running


@pytest.fixture
def home(kaa: Kaa, tmp_path: Path, server: IndexServer) -> Path:
    """python for two platforms, of an older version on the other one; lib, which the index has as well."""
    channel = ChannelBuilder(tmp_path / "channel")
    channel.add(
        python_of_its_own(),
        Package("python", "3.9.1", subdir="osx-arm64", files={"bin/python3.9": "of the mac"}),
        Package("lib", noarch="generic", files={"share/lib": "lib"}),
        Package("part", noarch="generic", files={"share/part": "part"}),
    ).write()
    (kaa.home / ".condarc").write_text(
        f"channels: ['{(tmp_path / 'channel').as_uri()}']\npypi_indexes: ['{server.url}']\n"
    )
    return kaa.home


def write(home: Path, *section: str, packages: tuple[str, ...] = ("python", "lib"), name: str = "") -> None:
    document = {"name": "demo", "dependencies": [*packages, {"pip": list(section)}]}
    (home / (name or "environment.yml")).write_text(json.dumps(document))


def found(kaa: Kaa, name: str) -> dict[str, tuple[str, str, str | None, tuple[str, ...]]]:
    """What an environment holds, and what counts as asked for."""
    records = Prefix(kaa.environment(name)).records()
    return {one.name: (one.version, one.build, one.sha256, one.requested_specs) for one in records}


def locked(home: Path, file: str = "kaa.lock") -> dict[str, dict[str, str]]:
    """The packages of a lock by platform: conda's, and those that its format has as distributions."""
    [environment] = parse_lock((home / file).read_text(), file).environments
    packages = {}
    for platform, records in environment.conda.items():
        packages[platform] = {one.name: one.version for one in records}
        packages[platform] |= {one.name: one.version for one in environment.pypi.get(platform, ())}
    for names in packages.values():
        names.pop("python", None)
    return packages


@pytest.mark.parametrize("output", LOCKS)
def test_the_same_as_without_a_lock(kaa: Kaa, home: Path, index: PypiIndex, output: str) -> None:
    (home / "wheels").mkdir()
    PypiIndex().add(Wheel("near", "0.5", requires=["new"])).write_flat(home / "wheels")
    section = (
        "App<2",
        "rich[all]",
        "speed",
        f"old; python_version < '{VERSION}'",
        "./wheels/near-0.5-py3-none-any.whl",
    )
    write(home, *section, f"mac-only; sys_platform == 'darwin' and python_version >= '{VERSION}'", "lib>=1")
    answer = kaa.ok("lock", "--output", output)
    assert "9 packages for linux-64" in answer.out
    assert "as it was" in kaa.ok("lock", "--output", output, "--check").out
    kaa.ok("env", "create")
    expected = found(kaa, "demo")
    assert {name: one[0] for name, one in expected.items() if name != "python"} == {
        "app": "1.0",
        "lib": "1.0",
        "more": "1.0",
        "near": "0.5",
        "new": "1.0",
        "part": "1.0",
        "rich": "13.0",
        "speed": "1.0",
    }
    kaa.ok("create", "-n", "other", "-y", "--file", output)
    kaa.ok("sync", output, "-n", "third", "-y")
    for name in ("other", "third"):
        assert {key: one[:3] for key, one in found(kaa, name).items()} == {
            key: one[:3] for key, one in expected.items()
        }
    if output == "kaa.lock":
        # Only kaa's own format keeps what was asked for.
        assert {key: one[3] for key, one in found(kaa, "third").items()} == {
            key: one[3] for key, one in expected.items()
        }


@pytest.mark.parametrize("output", LOCKS)
def test_each_platform_by_itself(kaa: Kaa, home: Path, output: str) -> None:
    """Markers count for the platform, and for the python that is found for it."""
    write(
        home,
        "speed",
        "mac-only; sys_platform == 'darwin'",
        "old; python_version < '3.10'",
        "new; python_version >= '3.10'",
        "rich[all]; platform_machine == 'x86_64'",
    )
    kaa.ok("lock", "--output", output, "--platform", "linux-64", "--platform", "osx-arm64")
    assert locked(home, output) == {
        "linux-64": {"lib": "1.0", "speed": "1.0", "new": "1.0", "rich": "13.0", "more": "1.0"},
        "osx-arm64": {"lib": "1.0", "speed": "1.0", "mac-only": "1.0", "old": "1.0"},
    }
    assert "cp39-macosx_11_0_arm64.whl" in (home / output).read_text()


def test_several_files(kaa: Kaa, home: Path) -> None:
    """Paths in a section are relative to its file."""
    for folder, project in (("one", "first"), ("two", "second")):
        (home / folder / "wheels").mkdir(parents=True)
        PypiIndex().add(Wheel(project)).write_flat(home / folder / "wheels")
        write(home, f"./wheels/{project}-1.0-py3-none-any.whl", name=f"{folder}/environment.yml")
    kaa.ok("lock", "one/environment.yml", "two/environment.yml")
    assert locked(home) == {"linux-64": {"lib": "1.0", "first": "1.0", "second": "1.0"}}


def test_a_platform_for_which_the_section_has_no_solution(kaa: Kaa, home: Path) -> None:
    write(home, "nowhere; sys_platform == 'darwin'", "rich")
    answer = kaa("lock", "--platform", "linux-64", "--platform", "osx-arm64", "--json")
    assert answer.code == 1
    document = answer.json()
    assert (document["platforms"], document["solved"]) == (["osx-arm64"], ["linux-64"])
    assert "nowhere" in document["reasons"]["osx-arm64"]
    assert not (home / "kaa.lock").exists()


def test_hashes_that_no_file_has(kaa: Kaa, home: Path) -> None:
    write(home, f"rich --hash=sha256:{'0' * 64}")
    answer = kaa("lock")
    assert (answer.code, "rich" in answer.err, "hash" in answer.err) == (1, True, True)
    assert not (home / "kaa.lock").exists()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("-e ./src", "-e ./src"),
        ("./src", "./src"),
        ("rich @ git+https://me:hunter2@host.invalid/rich.git", "host.invalid/rich.git"),
    ],
)
def test_what_only_pip_can_install(kaa: Kaa, home: Path, line: str, told: str) -> None:
    (home / "src").mkdir()
    write(home, "rich", line)
    answer = kaa("lock", "--platform", "linux-64", "--platform", "osx-arm64")
    assert (answer.code, told in answer.err, "--without-pip" in answer.err) == (1, True, True)
    assert "hunter2" not in answer.err
    assert not (home / "kaa.lock").exists()
    kaa.ok("lock", "--without-pip")
    assert locked(home) == {"linux-64": {"lib": "1.0"}}


def test_sections_that_are_left_to_pip_as_a_whole(kaa: Kaa, home: Path) -> None:
    write(home, "rich")
    (home / ".condarc").write_text((home / ".condarc").read_text() + "pip_section: pip\n")
    answer = kaa("lock")
    assert (answer.code, "comes from pip: rich" in answer.err) == (1, True)
    assert "--remove-key pip_section" in answer.err


def test_no_secrets_of_indexes(kaa: Kaa, home: Path) -> None:
    with serve_index(PypiIndex().add(Wheel("hidden")), credentials=("me", "hunter2")) as server:
        write(home, f"--extra-index-url {server.url_with_credentials}", "hidden", "rich")
        for output in LOCKS:
            kaa.ok("lock", "--output", output)
            assert "hunter2" not in (home / output).read_text()
            assert locked(home, output) == {"linux-64": {"lib": "1.0", "hidden": "1.0", "rich": "13.0"}}
