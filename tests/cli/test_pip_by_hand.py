"""What real pip and uv do in environments that kaa made of wheels: seen, repaired, and nothing else is touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaa.prefix.prefix import Prefix
from tests.channels import ChannelBuilder, File
from tests.cli.commands import Kaa, tree_of
from tests.cli.generation_worlds import pip, python_of_its_own, state
from tests.pypi_index import IndexServer, PypiIndex, Wheel, serve_index
from tests.transaction.world import SITE, VERSION

Change = Callable[..., object]


def app(version: str) -> Wheel:
    return Wheel(
        "app",
        version,
        files={"app/__init__.py": f"def main() -> None:\n    print('app {version}')\n", "app/same.py": "x = 1\n"},
        data={"scripts/app-script": File(b"#!python\nimport app\napp.main()\n", mode=0o755), "data/share/app": version},
        entry_points={"console_scripts": {"app": "app:main"}},
    )


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("by-hand") / "channel"
    ChannelBuilder(folder).add(python_of_its_own()).write()
    return folder


@pytest.fixture
def server() -> Iterator[IndexServer]:
    index = PypiIndex().add(app("1.0"), app("2.0"), Wheel("other"), Wheel("new", requires=["other"]))
    with serve_index(index) as running:
        yield running


@pytest.fixture
def prefix(kaa: Kaa, channel: Path, server: IndexServer) -> Path:
    """One of two equal environments of wheels, whose files are those of the cache."""
    (kaa.home / ".condarc").write_text(f"channels: ['{channel.as_uri()}']\npypi_indexes: ['{server.url}']\n")
    for name in ("one", "two"):
        kaa.ok("create", "-n", name, "-y", "python", "pypi::app==1.0", "pypi::other")
    module = kaa.environment("one") / SITE / "app/__init__.py"
    assert module.stat().st_nlink == 3
    return kaa.environment("one")


def find_uv() -> str:
    """uv from the registry, as any user would get it; the test is left out where it cannot be had."""
    directory = Path(os.environ.get("TMPDIR", "/tmp")) / f"kaa-tests-uv-{os.getuid()}"
    program = directory / "bin/uv"
    if not program.is_file():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--target",
            str(directory),
        ]
        home = os.environ.get("KAA_TESTS_HOME") or os.path.expanduser(f"~{os.environ.get('USER', 'root')}")  # noqa: PTH111
        done = subprocess.run([*command, "uv"], env={**os.environ, "HOME": home}, capture_output=True)
        if done.returncode != 0 or not program.is_file():
            pytest.skip("uv cannot be had from the registry")
    return str(program)


@pytest.fixture(params=["pip", pytest.param("uv", marks=pytest.mark.slow)])
def run(request: pytest.FixtureRequest, prefix: Path, server: IndexServer, tmp_path: Path) -> Change:
    """The user's installer in the first environment."""
    if request.param == "pip":
        return lambda *words: pip(prefix, *words, environ={"PIP_INDEX_URL": server.url})
    uv = find_uv()

    def by_uv(verb: str, *words: str) -> None:
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "UV_INDEX_URL": server.url, "UV_NO_CONFIG": "1"}
        words = tuple(word for word in words if word != "-y")
        command = [uv, "pip", verb, "--python", str(prefix / f"bin/python{VERSION}"), "--break-system-packages", *words]
        done = subprocess.run(command, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    return by_uv


def says(prefix: Path) -> str:
    return subprocess.run([prefix / "bin/app"], capture_output=True, text=True).stdout


def apart(kaa: Kaa) -> dict[str, str]:
    """The package cache, and the environment that nobody touches."""
    cache = {path: value for path, value in tree_of(kaa.packages).items() if not path.startswith(".roots")}
    return {**cache, **state(kaa.environment("two"))}


def left(prefix: Path) -> dict[str, str]:
    """The environment, but for bytecode, and a file that uv locks."""
    return {path: value for path, value in state(prefix).items() if path != ".lock" and "__pycache__" not in path}


def test_an_upgrade(kaa: Kaa, prefix: Path, run: Change) -> None:
    before, untouched = left(prefix), apart(kaa)
    run("install", "--upgrade", "app")
    assert says(prefix) == "app 2.0\n"
    assert apart(kaa) == untouched
    answer = kaa("verify", "-n", "one")
    assert (answer.code, "overwritten by pip: app 2.0" in answer.out) == (1, True), answer.out
    assert "replaced by pip (app 2.0)" in kaa("doctor").out
    assert "app" in kaa("doctor", "-n", "one").out
    text = kaa.ok("list", "-n", "one").out
    assert ("app-1.0-" in text, ": app 2.0\n" in text, "kaa adopt" in text) == (True, True, True)
    assert "kaa adopt" not in kaa.ok("list", "-n", "two").out
    listed = {(one["name"], one["version"]) for one in kaa.ok("list", "-n", "one", "--json").json()}
    assert ("app", "2.0") in listed
    assert kaa("verify", "-n", "two").code == 0
    by_hand = left(prefix)
    kaa.ok("repair", "-n", "one", "-y")
    assert says(prefix) == "app 1.0\n"
    assert not (prefix / SITE / "app-2.0.dist-info").exists()
    assert kaa("verify", "-n", "one").code == 0
    kaa.ok("undo", "-n", "one", "-y")
    assert left(prefix) == by_hand
    kaa.ok("undo", "-n", "one", "-y")
    assert left(prefix) == before
    assert apart(kaa) == untouched


def test_an_upgrade_taken_back(kaa: Kaa, prefix: Path, run: Change) -> None:
    before = left(prefix)
    run("install", "--upgrade", "app")
    kaa.ok("undo", "-n", "one", "-y")
    assert left(prefix) == before


def test_a_removal(kaa: Kaa, prefix: Path, run: Change) -> None:
    before, untouched = left(prefix), apart(kaa)
    run("uninstall", "-y", "app")
    assert not (prefix / "bin/app").exists()
    assert not (prefix / "share/app").exists()
    assert not list((prefix / SITE).glob("app*"))
    assert apart(kaa) == untouched
    answer = kaa("verify", "-n", "one")
    assert (answer.code, "app-1.0" in answer.out) == (1, True)
    kaa.ok("repair", "-n", "one", "-y")
    assert says(prefix) == "app 1.0\n"
    kaa.ok("undo", "-n", "one", "-y")
    kaa.ok("undo", "-n", "one", "-y")
    assert left(prefix) == before
    assert apart(kaa) == untouched


def test_more_beside_it_and_taken_over(kaa: Kaa, prefix: Path, run: Change) -> None:
    """What comes by hand beside packages is theirs who brought it; then both are kaa's."""
    untouched = apart(kaa)
    run("install", "new")
    run("install", "--upgrade", "app")
    assert apart(kaa) == untouched
    document = kaa.ok("adopt", "-n", "one", "-y", "--json").json()
    assert ({one["name"] for one in document["adopted"]}, document["left"]) == ({"app", "new"}, [])
    records = {record.name: record.version for record in Prefix(prefix).records()}
    assert {name: records[name] for name in ("app", "new", "other")} == {"app": "2.0", "new": "1.0", "other": "1.0"}
    assert says(prefix) == "app 2.0\n"
    assert kaa("verify", "-n", "one").code == 0
    run("uninstall", "-y", "new")
    assert not list((prefix / SITE).glob("new*"))


def test_the_same_version_again(kaa: Kaa, prefix: Path, run: Change) -> None:
    """The metadata directory is the package's own, and other files are in it."""
    untouched = apart(kaa)
    run("install", "--reinstall" if "uv" in str(run) else "--force-reinstall", "--no-deps", "app==1.0")
    assert apart(kaa) == untouched
    assert kaa("verify", "-n", "one").code == 1
    kaa.ok("repair", "-n", "one", "-y")
    assert kaa("verify", "-n", "one").code == 0
    assert (prefix / SITE / "app-1.0.dist-info/INSTALLER").read_text() == "kaa\n"
