"""`kaa adopt`: what real pip installed from a real index becomes packages, and nothing that is not its wheel does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kaa.channels.index import index_channel
from kaa.models.subdir import NOARCH
from kaa.prefix.prefix import Prefix
from kaa.pypi.wheel import package_wheel
from tests.channels import ChannelBuilder, File, Package
from tests.cli.commands import Kaa
from tests.cli.generation_worlds import pip, python_of_its_own, state
from tests.pypi_index import IndexFault, IndexServer, PypiIndex, Sdist, Wheel, serve_index
from tests.transaction.world import SITE

APP = "def main() -> None:\n    print('app {version}')\n"


def app(version: str) -> Wheel:
    """A project with everything that installers put somewhere: a program, a script, data, a header."""
    return Wheel(
        "app",
        version,
        requires=["part>=1", "other; extra == 'more'"],
        extras=["more"],
        files={"app/__init__.py": APP.format(version=version), f"app/only_{version[0]}.py": "x = 1\n"},
        data={
            "scripts/app-script": File(b"#!python\nimport app\napp.main()\n", mode=0o755),
            "data/share/app/notes.txt": f"notes {version}",
            "headers/app.h": "#define APP\n",
        },
        entry_points={"console_scripts": {"app": "app:main"}},
    )


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A python, and of Python packages: part 1.0 (made of a wheel), and base, which has a file that `taker` brings."""
    folder = tmp_path_factory.mktemp("adopt")
    builder = ChannelBuilder(folder / "channel")
    builder.add(python_of_its_own(), Package("base", files={f"{SITE}/shared.py": "owner = 'base'\n"}))
    builder.write()
    (folder / "part-1.0-py3-none-any.whl").write_bytes(Wheel("part").to_bytes())
    package_wheel(folder / "part-1.0-py3-none-any.whl", folder / "channel", subdir=NOARCH, level=1)
    index_channel(folder / "channel", workers=1)
    return folder / "channel"


@pytest.fixture
def index() -> PypiIndex:
    index = PypiIndex()
    index.add(app("1.0"), app("2.0"), Wheel("part"), Wheel("part", "1.5"), Wheel("other"))
    index.add(Wheel("taker", files={"shared.py": "owner = 'taker'\n", "taker.py": "x = 1\n"}))
    return index


@pytest.fixture
def server(index: PypiIndex) -> Iterator[IndexServer]:
    with serve_index(index) as running:
        yield running


@pytest.fixture
def prefix(kaa: Kaa, channel: Path, server: IndexServer) -> Path:
    """An environment with python and base, in a home where pypi is the index."""
    (kaa.home / ".condarc").write_text(f"channels: ['{channel.as_uri()}']\npypi_indexes: ['{server.url}']\n")
    kaa.ok("create", "-n", "env", "-y", "python", "base")
    return kaa.environment("env")


@pytest.fixture
def by_hand(prefix: Path, server: IndexServer) -> Callable[..., str]:
    """The user's pip, which knows the index."""
    return lambda *words: pip(prefix, *words, environ={"PIP_INDEX_URL": server.url})


def listed(kaa: Kaa) -> dict[str, tuple[str, str]]:
    """Packages by name: version, and the channel's name."""
    found = kaa.ok("list", "-n", "env", "--json").json()
    return {record["name"]: (record["version"], record["channel"]) for record in found}


def owned(prefix: Path) -> dict[str, str]:
    """The packages that are kaa's, with their versions."""
    return {record.name: record.version for record in Prefix(prefix).records()}


def adopt(kaa: Kaa, *words: str) -> dict[str, Any]:
    answer = kaa("adopt", "-n", "env", "-y", "--json", *words)
    assert answer.code == (1 if words and answer.json()["left"] else 0), answer.err
    return dict(answer.json())


def content(prefix: Path) -> dict[str, str]:
    """The environment beside conda-meta and bytecode, without permissions."""
    return {
        path: value.partition(" ")[2]
        for path, value in state(prefix).items()
        if not path.startswith("conda-meta") and "__pycache__" not in path
    }


def test_what_pip_installed_becomes_packages(kaa: Kaa, prefix: Path, by_hand: Callable[..., str]) -> None:
    by_hand("install", "app==1.0")
    before, full = content(prefix), state(prefix)
    document = adopt(kaa)
    assert ([one["name"] for one in document["adopted"]], document["left"]) == (["app", "part"], [])
    assert owned(prefix) | {"python": ""} == {"python": "", "base": "1.0", "app": "1.0", "part": "1.5"}
    app_record = next(record for record in Prefix(prefix).records() if record.name == "app")
    assert app_record.requested_specs == ("pypi::app",)
    assert [text for text in app_record.depends if text.startswith("part")] == ["part >=1"]
    assert app_record.extra_depends == {"more": ("other",)}
    assert app_record.channel.startswith("pypi+http://127.0.0.1")
    program = subprocess.run([prefix / "bin/app"], capture_output=True, text=True)
    assert (program.stdout, program.stderr) == ("app 1.0\n", "")
    # Nothing but what installers write each in its own way is another file now.
    after = content(prefix)
    written = ("/INSTALLER", "/RECORD", "bin/app", "bin/app-script")
    assert {path for path in before if before[path] != after.get(path)} <= {
        path for path in before if path.endswith(written) or path.startswith("include")
    }
    by_hand("check")
    assert by_hand("freeze").split() == ["app==1.0", "part==1.5"]
    assert kaa("verify", "-n", "env").code == 0
    assert adopt(kaa)["adopted"] == []
    kaa.ok("undo", "-n", "env", "-y")
    assert state(prefix) == full


def test_only_what_is_named(kaa: Kaa, prefix: Path, by_hand: Callable[..., str]) -> None:
    by_hand("install", "app", "other")
    assert [one["name"] for one in adopt(kaa, "Other")["adopted"]] == ["other"]
    assert set(owned(prefix)) == {"python", "base", "other"}
    assert listed(kaa)["app"] == ("2.0", "pypi")
    answer = kaa("adopt", "-n", "env", "-y", "base", "nothing")
    assert (answer.code, "nobody installed base, nothing" in answer.err) == (1, True)


def test_a_dry_run_changes_nothing(kaa: Kaa, prefix: Path, by_hand: Callable[..., str]) -> None:
    by_hand("install", "app")
    before = state(prefix)
    assert "app" in kaa("adopt", "-n", "env", "--dry-run").out
    assert adopt(kaa, "--dry-run", "app")["dry_run"] is True
    assert state(prefix) == before


@pytest.mark.parametrize(
    ("wheels", "reason"),
    [
        ([], "no index has a wheel of this version that fits"),
        ([Wheel("mine", "2.0")], "no index has a wheel of this version that fits"),
        ([Sdist("mine")], "no index has a wheel of this version that fits"),
        ([Wheel("mine", files={"mine.py": "x = 2\n"})], "the wheel has another"),
        ([Wheel("mine", files={"mine.py": "x = 1\n", "more.py": ""})], "the wheel also has"),
        ([Wheel("mine", files={})], "the wheel does not have"),
        ([Wheel("mine", tag="cp311-cp311-win_amd64")], "no index has a wheel of this version that fits"),
        ([Wheel("mine", files={"mine.py": "x = 2\n"}), Wheel("mine", build="1", files={"mine.py": "x = 1\n"})], ""),
        ([Wheel("mine", files={"mine.py": "x = 1\n"}, yanked="broken")], ""),
    ],
)
def test_only_the_very_wheel_will_do(
    kaa: Kaa, prefix: Path, index: PypiIndex, server: IndexServer, tmp_path: Path, wheels: list[Wheel], reason: str
) -> None:
    mine = wheels[-1] if not reason else Wheel("mine", files={"mine.py": "x = 1\n"})
    PypiIndex().add(mine).write_flat(tmp_path / "own")
    pip(prefix, "install", "--no-index", "--find-links", str(tmp_path / "own"), "mine")
    index.add(*wheels)
    before = state(prefix)
    document = adopt(kaa)
    if not reason:
        assert [one["name"] for one in document["adopted"]] == ["mine"]
        return
    [left] = document["left"]
    assert reason in left["reason"]
    assert state(prefix) == before


def test_what_was_edited_stays(kaa: Kaa, prefix: Path, by_hand: Callable[..., str]) -> None:
    by_hand("install", "app", "other")
    (prefix / SITE / "other.py").write_text("mine = True\n")
    (prefix / SITE / "part.py").unlink()
    document = adopt(kaa)
    assert [one["name"] for one in document["adopted"]] == ["app"]
    reasons = {one["name"]: one["reason"] for one in document["left"]}
    assert reasons == {
        "other": f"edited or removed since it was installed: {SITE}/other.py",
        "part": f"edited or removed since it was installed: {SITE}/part.py",
    }
    assert (prefix / SITE / "other.py").read_text() == "mine = True\n"


def test_projects_from_directories_stay(kaa: Kaa, prefix: Path, tmp_path: Path, by_hand: Callable[..., str]) -> None:
    """What is no wheel of an index at all: an editable project, and metadata that lists no files."""
    information = prefix / SITE / "lost-1.0.egg-info"
    information.mkdir()
    (information / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: lost\nVersion: 1.0\n")
    for name, directory in (("live", '{"editable": true}'), ("built", "{}")):
        folder = prefix / SITE / f"{name}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (folder / "RECORD").write_text(f"{name}-1.0.dist-info/METADATA,,\n")
        url = f'{{"url": "file:///src/{name}", "dir_info": {directory}}}'
        (folder / "direct_url.json").write_text(url)
    reasons = {one["name"]: one["reason"] for one in adopt(kaa)["left"]}
    assert reasons == {
        "built": "it was built from file:///src/built, and is no wheel of an index",
        "live": "it is installed from /src/live as that is (editable)",
        "lost": "it does not list its files",
    }


def test_a_wheel_that_was_installed_by_address(
    kaa: Kaa, prefix: Path, server: IndexServer, by_hand: Callable[..., str]
) -> None:
    url = f"{server.root}/files/other/other-1.0-py3-none-any.whl"
    by_hand("install", url)
    adopt(kaa, "other")
    record = next(record for record in Prefix(prefix).records() if record.name == "other")
    assert (record.url, record.requested_specs) == (url, (f"other==1.0={record.build}",))
    direct = json.loads((prefix / SITE / "other-1.0.dist-info/direct_url.json").read_bytes())
    assert direct["url"] == url


def test_pip_in_place_of_a_package(kaa: Kaa, prefix: Path, by_hand: Callable[..., str]) -> None:
    """pip replaces what conda packages brought; the package that is taken over stands in place of the old one."""
    kaa.ok("install", "-n", "env", "-y", "part")
    assert owned(prefix)["part"] == "1.0"
    by_hand("install", "--upgrade", "part")
    before = state(prefix)
    assert [one["package"].partition("-py3")[0] for one in adopt(kaa)["adopted"]] == ["part-1.5"]
    assert owned(prefix)["part"] == "1.5"
    assert [path.name for path in (prefix / SITE).glob("part-*")] == ["part-1.5.dist-info"]
    assert kaa("verify", "-n", "env").code == 0
    kaa.ok("undo", "-n", "env", "-y")
    assert state(prefix) == before


def test_what_another_package_lost_comes_back(kaa: Kaa, prefix: Path, by_hand: Callable[..., str]) -> None:
    by_hand("install", "taker")
    assert (prefix / SITE / "shared.py").read_text() == "owner = 'taker'\n"
    adopt(kaa)
    record = {record.name: record for record in Prefix(prefix).records()}
    holders = {name: [path for path in one.files if path.endswith("/shared.py")] for name, one in record.items()}
    texts = {name: [(prefix / path).read_text() for path in paths] for name, paths in holders.items() if paths}
    assert texts == {"base": ["owner = 'base'\n"], "taker": ["owner = 'taker'\n"]}
    verified = kaa("verify", "-n", "env")
    assert verified.code == 0, verified.out


def test_a_corrupt_wheel_is_not_taken(kaa: Kaa, prefix: Path, server: IndexServer, by_hand: Callable[..., str]) -> None:
    by_hand("install", "other", "part")
    server.faults.append(IndexFault("/other-1.0-py3-none-any.whl", "corrupt"))
    document = adopt(kaa)
    assert [one["name"] for one in document["adopted"]] == ["part"]
    assert [one["name"] for one in document["left"]] == ["other"]


@pytest.mark.parametrize("serving", [{"formats": ("html",)}, {"metadata": "none"}, {"sizes_and_times": False}])
def test_indexes_that_tell_less(
    kaa: Kaa, prefix: Path, server: IndexServer, by_hand: Callable[..., str], serving: dict[str, Any]
) -> None:
    for name, value in serving.items():
        setattr(server.serving, name, value)
    by_hand("install", "app==1.0")
    assert [one["name"] for one in adopt(kaa)["adopted"]] == ["app", "part"]
