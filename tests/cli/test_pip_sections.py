"""`pip:` sections of environment files: one solve and one change with the rest, and real pip for what is left."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.channels.index import index_channel
from kaa.models.subdir import NOARCH
from kaa.prefix.generations import generation_numbers
from kaa.prefix.prefix import Prefix
from kaa.pypi.interpreters.bundled_pip import package_pip
from kaa.pypi.interpreters.interpreter import ask_interpreter
from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa
from tests.cli.generation_worlds import pip, python_of_its_own, state
from tests.pypi_index import IndexServer, PypiIndex, Sdist, Wheel, serve_index
from tests.transaction.world import SITE, VERSION


@pytest.fixture(scope="module")
def channel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """python, part 1.0 (also on the index), lib; only-here needs a package that only the index has."""
    folder = tmp_path_factory.mktemp("sections")
    ChannelBuilder(folder / "channel").add(
        python_of_its_own(),
        Package("part", "1.0", noarch="generic", files={"share/part": "conda"}),
        Package("lib", files={"lib/lib.so": "lib"}),
    ).write()
    return folder / "channel"


@pytest.fixture
def index() -> PypiIndex:
    index = PypiIndex()
    index.add(Wheel("app", "1.0", requires=["part>=1"]), Wheel("app", "2.0", requires=["part>=1", "Extra_Thing"]))
    index.add(Wheel("part", "3.0"), Wheel("extra-thing"), Wheel("lone"), Wheel("lone", "2.0rc1"), Sdist("raw"))
    index.add(Wheel("rich", "13.0", requires=["more; extra == 'all'"], extras=["all"]), Wheel("more"))
    index.add(Wheel("demand", requires=["lib<1"]))
    return index


@pytest.fixture
def server(index: PypiIndex) -> Iterator[IndexServer]:
    with serve_index(index) as running:
        yield running


@pytest.fixture
def home(kaa: Kaa, channel: Path, server: IndexServer) -> Path:
    (kaa.home / ".condarc").write_text(f"channels: ['{channel.as_uri()}']\npypi_indexes: ['{server.url}']\n")
    return kaa.home


def environment_file(home: Path, *section: str, packages: tuple[str, ...] = ("python",), name: str = "") -> None:
    document = {"name": "demo", "dependencies": [*packages, {"pip": list(section)}]}
    (home / (name or "environment.yml")).write_text(json.dumps(document))


def installed(kaa: Kaa) -> dict[str, str]:
    """The packages by name: version, with a star for those of an index."""
    records = Prefix(kaa.environment("demo")).records()
    return {one.name: one.version + "*" * one.channel.startswith("pypi+") for one in records if one.name != "python"}


def requests(kaa: Kaa) -> dict[str, tuple[str, ...]]:
    return {one.name: one.requested_specs for one in Prefix(kaa.environment("demo")).records() if one.requested_specs}


def test_one_solve_and_one_change(kaa: Kaa, home: Path) -> None:
    """Its names come from the index, what they need from the channels first; there is one generation."""
    environment_file(home, "App >= 1.0  # ours", packages=("python", "lib"))
    document = kaa.ok("env", "create", "--json").json()
    assert "PIP" not in document["actions"]
    assert installed(kaa) == {"app": "2.0*", "part": "1.0", "extra-thing": "1.0*", "lib": "1.0"}
    assert requests(kaa)["app"] == ("pypi::app[version='>=1.0']",) or requests(kaa)["app"] == ("pypi::app>=1.0",)
    assert len(generation_numbers(kaa.environment("demo"))) == 1
    assert pip(kaa.environment("demo"), "freeze").split() == ["app==2.0", "extra-thing==1.0"]


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (["app==1.0"], {"app": "1.0*", "part": "1.0"}),
        (["app<2", "part>=2"], {"app": "1.0*", "part": "3.0*"}),
        (["rich[all]"], {"rich": "13.0*", "more": "1.0*"}),
        (["rich"], {"rich": "13.0*"}),
        (["lone"], {"lone": "1.0*"}),
        (["lone==2.0rc1"], {"lone": "2.0rc1*"}),
        (["lone; sys_platform == 'win32'", "rich"], {"rich": "13.0*"}),
        (["lone; sys_platform == 'linux'"], {"lone": "1.0*"}),
        (["lone; python_version < '3'", "rich"], {"rich": "13.0*"}),
        ([f"lone; python_version >= '{VERSION}'"], {"lone": "1.0*"}),
        (["--only-binary :all:", "# nothing", "", "lone"], {"lone": "1.0*"}),
        (["rich", "lone \\", "  >=1"], {"rich": "13.0*", "lone": "1.0*"}),
        (["${PROJECT}==1.0"], {"lone": "1.0*"}),
    ],
)
def test_lines(
    kaa: Kaa, home: Path, monkeypatch: pytest.MonkeyPatch, section: list[str], expected: dict[str, str]
) -> None:
    monkeypatch.setenv("PROJECT", "lone")
    environment_file(home, *section)
    kaa.ok("env", "create")
    assert installed(kaa) == expected


def test_files_in_files(kaa: Kaa, home: Path) -> None:
    (home / "more").mkdir()
    (home / "more/one.txt").write_text("-r two.txt\napp\n")
    (home / "more/two.txt").write_text("lone\n")
    (home / "limits.txt").write_text("app<2\nmore==7\n")
    environment_file(home, "-r more/one.txt", "-c limits.txt")
    kaa.ok("env", "create")
    assert installed(kaa) == {"app": "1.0*", "part": "1.0", "lone": "1.0*"}
    (home / "more/two.txt").write_text("-r one.txt\n")
    answer = kaa("env", "create", "-n", "other")
    assert (answer.code, "in a circle" in answer.err) == (1, True)
    (home / "more/two.txt").unlink()
    answer = kaa("env", "create", "-n", "other")
    assert (answer.code, "two.txt" in answer.err) == (1, True)
    assert not kaa.environment("other").exists()


def test_nothing_else_comes_from_the_index(kaa: Kaa, home: Path) -> None:
    """A section makes its own names available, and not those that stand beside it."""
    environment_file(home, "app", packages=("python", "lone"))
    answer = kaa("env", "create")
    assert (answer.code, "lone" in answer.err) == (1, True)
    assert not kaa.environment("demo").exists()


def test_a_name_that_both_parts_ask_for(kaa: Kaa, home: Path) -> None:
    environment_file(home, "part>=1", packages=("python", "part"))
    kaa.ok("env", "create")
    assert installed(kaa) == {"part": "1.0"}


def test_conflicts_across_the_border(kaa: Kaa, home: Path) -> None:
    environment_file(home, "demand", packages=("python", "lib >=1"))
    answer = kaa("env", "create")
    assert answer.code == 1
    assert "demand" in answer.err
    assert "lib" in answer.err
    assert not kaa.environment("demo").exists()


def test_what_the_index_does_not_have(kaa: Kaa, home: Path) -> None:
    environment_file(home, "nowhere")
    answer = kaa("env", "create")
    assert (answer.code, "nowhere" in answer.err) == (1, True)
    environment_file(home, "raw")
    answer = kaa("env", "create")
    assert (answer.code, "raw" in answer.err, "source archives" in answer.err) == (1, True, True)
    assert not kaa.environment("demo").exists()


@pytest.mark.parametrize(
    "line", ["-e {home}/src", "./src", "rich @ git+https://host.invalid/rich.git", "git+https://host.invalid/x.git"]
)
def test_what_is_left_for_pip_brings_pip(kaa: Kaa, home: Path, line: str) -> None:
    """The channel has no pip here: the plan says that it is needed for such lines, and for no others."""
    (home / "src").mkdir()
    environment_file(home, "lone", line.format(home=home))
    answer = kaa("env", "create")
    assert (answer.code, "pip" in answer.err) == (1, True)
    assert not kaa.environment("demo").exists()


def test_wheels_by_address_and_path(kaa: Kaa, home: Path, index: PypiIndex, server: IndexServer) -> None:
    other = PypiIndex().add(Wheel("lone", "0.5", requires=["part"]), Wheel("elsewhere", "0.1"))
    other.write_flat(home / "wheels")
    environment_file(
        home,
        "./wheels/lone-0.5-py3-none-any.whl",
        f"elsewhere @ {(home / 'wheels/elsewhere-0.1-py3-none-any.whl').as_uri()}",
        f"{server.root}/files/more/more-1.0-py3-none-any.whl",
    )
    kaa.ok("env", "create")
    assert installed(kaa) == {"lone": "0.5", "part": "1.0", "elsewhere": "0.1", "more": "1.0"}
    direct = kaa.environment("demo") / SITE / "lone-0.5.dist-info/direct_url.json"
    assert json.loads(direct.read_bytes())["url"] == (home / "wheels/lone-0.5-py3-none-any.whl").as_uri()


def test_other_indexes_of_a_section(kaa: Kaa, home: Path) -> None:
    other = PypiIndex().add(Wheel("lone", "9.0"), Wheel("found"))
    PypiIndex().add(Wheel("linked")).write_flat(home / "wheels")
    with serve_index(other, credentials=("me", "hunter2")) as server:
        environment_file(
            home, f"--extra-index-url {server.url_with_credentials}", "-f wheels", "lone", "rich", "linked"
        )
        kaa.ok("env", "create")
        assert installed(kaa) == {"lone": "9.0*", "rich": "13.0*", "linked": "1.0*"}
        everything = b"".join(path.read_bytes() for path in kaa.environment("demo").rglob("*") if path.is_file())
        assert b"hunter2" not in everything
        environment_file(home, f"--index-url={server.url_with_credentials}", "rich")
        assert kaa("env", "create", "-n", "other").code == 1


def test_hashes_of_a_section(kaa: Kaa, home: Path, index: PypiIndex) -> None:
    right = index.files["lone"][0].told_hashes["sha256"]
    environment_file(home, f"lone==1.0 --hash=sha256:{'0' * 64} --hash=sha256:{right}")
    kaa.ok("env", "create")
    assert installed(kaa) == {"lone": "1.0*"}
    environment_file(home, f"rich --hash=sha256:{right}")
    answer = kaa("env", "create", "-n", "other")
    assert (answer.code, "rich" in answer.err, "hash" in answer.err) == (1, True, True)


def test_a_section_that_changes(kaa: Kaa, home: Path) -> None:
    environment_file(home, "app==1.0")
    kaa.ok("env", "create")
    before = state(kaa.environment("demo"))
    environment_file(home, "app", "lone")
    kaa.ok("env", "update")
    assert installed(kaa) == {"app": "2.0*", "part": "1.0", "extra-thing": "1.0*", "lone": "1.0*"}
    environment_file(home, "lone")
    kaa.ok("env", "update", "--prune")
    assert installed(kaa) == {"lone": "1.0*"}
    kaa.ok("undo", "-n", "demo", "-y")
    kaa.ok("undo", "-n", "demo", "-y")
    assert state(kaa.environment("demo")) == before


def test_the_place_of_what_pip_had_installed(kaa: Kaa, home: Path, server: IndexServer) -> None:
    """Environments from before: distributions give way to packages in the same change."""
    kaa.ok("create", "-n", "demo", "-y", "python")
    prefix = kaa.environment("demo")
    pip(prefix, "install", "app==1.0", environ={"PIP_INDEX_URL": server.url})
    before = state(prefix)
    environment_file(home, "app")
    kaa.ok("env", "update")
    assert installed(kaa) == {"app": "2.0*", "part": "1.0", "extra-thing": "1.0*"}
    assert sorted(path.name for path in (prefix / SITE).glob("*.dist-info")) == [
        "app-2.0.dist-info",
        "extra_thing-1.0.dist-info",
        "part-3.0.dist-info",
    ]
    kaa.ok("undo", "-n", "demo", "-y")
    assert state(prefix) == before


def test_with_create_and_install(kaa: Kaa, home: Path) -> None:
    environment_file(home, "app==1.0", name="one.yml")
    environment_file(home, "lone", packages=("lib",), name="two.yml")
    kaa.ok("create", "-n", "demo", "-y", "--file", "one.yml", "--file", "two.yml")
    assert installed(kaa) == {"app": "1.0*", "part": "1.0", "lib": "1.0", "lone": "1.0*"}
    environment_file(home, "rich[all]", packages=(), name="three.yml")
    kaa.ok("install", "-n", "demo", "-y", "--file", "three.yml")
    assert installed(kaa) == {
        "app": "1.0*",
        "part": "1.0",
        "lib": "1.0",
        "lone": "1.0*",
        "rich": "13.0*",
        "more": "1.0*",
    }


@pytest.mark.slow
def test_real_pip_for_what_is_left(kaa: Kaa, home: Path, channel: Path, tmp_path: Path) -> None:
    """An editable project goes through the environment's own pip, beside packages of the same section."""
    with_pip = tmp_path / "with-pip"
    ChannelBuilder(with_pip).add(python_of_its_own()).write()
    if not package_pip(ask_interpreter(Path(sys.executable)), with_pip, subdir=NOARCH, level=1):
        pytest.skip("this python has no pip")
    index_channel(with_pip, workers=1)
    project = home / "src"
    project.mkdir()
    (project / "backend.py").write_text(BACKEND)
    (project / "pyproject.toml").write_text(
        "[project]\nname = 'live'\nversion = '1'\n[build-system]\nrequires = []\nbuild-backend = 'backend'\n"
        "backend-path = ['.']\n"
    )
    environment_file(home, "lone", "-e ./src")
    kaa.ok("env", "create", "--override-channels", "-c", with_pip.as_uri())
    assert {"lone": "1.0*"}.items() <= installed(kaa).items()
    listed = kaa.ok("list", "-n", "demo", "--json").json()
    assert [one["name"] for one in listed if one["name"] in ("live", "lone")] == ["live", "lone"]
    python = kaa.environment("demo") / f"bin/python{VERSION}"
    assert subprocess.run([python, "-c", "import lone"]).returncode == 0


BACKEND = """
import base64, hashlib, zipfile
def build_editable(directory, settings=None, metadata=None):
    with zipfile.ZipFile(f"{directory}/live-1-py3-none-any.whl", "w") as archive:
        archive.writestr("live.pth", ".")
        archive.writestr("live-1.dist-info/METADATA", "Metadata-Version: 2.1\\nName: live\\nVersion: 1\\n")
        archive.writestr("live-1.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        archive.writestr("live-1.dist-info/RECORD", "live.pth,,\\n")
    return "live-1-py3-none-any.whl"
"""
