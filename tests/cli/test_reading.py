"""Commands that show: list, search, info, env list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaa import __version__
from kaa.cli.main import CONDA_VERSION
from tests.channels import ChannelBuilder, Package
from tests.cli.commands import Kaa

LIST_KEYS = ["base_url", "build_number", "build_string", "channel", "dist_name", "name", "platform", "version"]


@pytest.fixture
def url(channel: ChannelBuilder) -> str:
    return channel.folder.as_uri()


@pytest.fixture
def demo(kaa: Kaa, channel: ChannelBuilder, url: str) -> Path:
    """An environment with tool 2.0, lib 2.0 and notes; the channel is configured."""
    kaa.ok("config", "--set", "channel_alias", channel.folder.parent.as_uri())
    kaa.ok("config", "--add", "channels", channel.folder.name)
    kaa.ok("create", "-y", "-n", "demo", "tool", "notes")
    return kaa.environment("demo")


# -- list -------------------------------------------------------------------------------------------------------------


def test_list_as_text(kaa: Kaa, demo: Path) -> None:
    answer = kaa.ok("list", "-n", "demo")
    assert answer.out.splitlines() == [
        f"# packages in environment at {demo}:",
        "#",
        "# Name                    Version   Build   Channel",
        "lib                       2.0       0       channel",
        "notes                     1.0       0       channel",
        "tool                      2.0       0       channel",
    ]
    assert answer.err == ""
    assert kaa.ok("list", "-p", str(demo)).out == answer.out


def test_the_channel_is_left_out_where_it_is_a_default_one(kaa: Kaa, demo: Path, url: str) -> None:
    kaa.ok("config", "--add", "default_channels", url)
    rows = kaa.ok("list", "-n", "demo").out.splitlines()[3:]
    assert all(row.endswith(" 0") for row in rows)
    rows = kaa.ok("list", "-n", "demo", "--show-channel-urls").out.splitlines()[3:]
    assert all(row.endswith(" channel") for row in rows)
    kaa.ok("config", "--remove-key", "default_channels")
    rows = kaa.ok("list", "-n", "demo", "--no-show-channel-urls").out.splitlines()[3:]
    assert all(row.endswith(" 0") for row in rows)


def test_list_as_json(kaa: Kaa, demo: Path, url: str) -> None:
    document = kaa.ok("list", "-n", "demo", "--json").json()
    assert [list(record) for record in document] == [LIST_KEYS] * 3
    assert document[0] == {
        "base_url": url,
        "build_number": 0,
        "build_string": "0",
        "channel": "channel",
        "dist_name": "lib-2.0-0",
        "name": "lib",
        "platform": "linux-64",
        "version": "2.0",
    }
    assert document[1]["platform"] == "noarch"
    for flag in ("-c", "-e"):
        assert kaa.ok("list", "-n", "demo", "--json", flag).json() == document


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("", ["lib", "notes", "tool"]),
        ("o", ["notes", "tool"]),
        ("^T", ["tool"]),
        ("-f lib", ["lib"]),
        ("--reverse", ["tool", "notes", "lib"]),
        ("l$ --no-pip", ["tool"]),
    ],
)
def test_patterns(kaa: Kaa, demo: Path, words: str, names: list[str]) -> None:
    document = kaa.ok("list", "-n", "demo", "--json", *words.split()).json()
    assert [record["name"] for record in document] == names


@pytest.mark.parametrize(
    ("words", "code", "exception"),
    [
        ("zzz", 1, "CondaValueError"),
        ("-f li", 1, "PackageNotInstalledError"),
        ("[", 1, "CondaValueError"),
        ("--md5", 2, "ArgumentError"),
    ],
)
def test_patterns_without_an_answer(kaa: Kaa, demo: Path, words: str, code: int, exception: str) -> None:
    answer = kaa("list", "-n", "demo", *words.split(), "--json")
    assert (answer.code, answer.json()["exception_name"]) == (code, exception)


def test_list_of_an_empty_environment(kaa: Kaa, demo: Path) -> None:
    kaa.ok("create", "-y", "-n", "empty")
    assert kaa.ok("list", "-n", "empty", "anything", "--json").json() == []
    assert len(kaa.ok("list", "-n", "empty").out.splitlines()) == 3


def test_export_as_specs(kaa: Kaa, demo: Path) -> None:
    lines = kaa.ok("list", "-n", "demo", "--export").out.splitlines()
    assert lines == [
        "# This file may be used to create an environment using:",
        "# $ kaa create --name <env> --file <this file>",
        "# platform: linux-64",
        f"# created-by: kaa {__version__}",
        "lib=2.0=0",
        "notes=1.0=0",
        "tool=2.0=0",
    ]


def test_canonical(kaa: Kaa, demo: Path) -> None:
    assert kaa.ok("list", "-n", "demo", "-c").out.splitlines() == [
        "channel/linux-64::lib-2.0-0",
        "channel/noarch::notes-1.0-0",
        "channel/linux-64::tool-2.0-0",
    ]


@pytest.mark.parametrize(("flag", "mark"), [("", ""), ("--md5", "md5"), ("--sha256", "sha256")])
def test_explicit_lists_make_the_same_environment(kaa: Kaa, demo: Path, url: str, flag: str, mark: str) -> None:
    text = kaa.ok("list", "-n", "demo", "--explicit", "--json", *flag.split()).out
    lines = text.splitlines()
    assert lines[4] == "@EXPLICIT"
    locations = [line.partition("#")[0] for line in lines[5:]]
    assert locations.index(f"{url}/linux-64/lib-2.0-0.conda") < locations.index(f"{url}/linux-64/tool-2.0-0.conda")
    hashes = {line.partition("#")[2] for line in lines[5:]}
    assert {len(digest) for digest in hashes} == {{"": 0, "md5": 32, "sha256": 64}[mark]}
    (kaa.home / "list.txt").write_text(text)
    kaa.ok("create", "-y", "-n", "copy", "--file", "list.txt")
    assert kaa.ok("list", "-n", "copy", "--json").json() == kaa.ok("list", "-n", "demo", "--json").json()


def test_revisions(kaa: Kaa, demo: Path) -> None:
    kaa.ok("install", "-y", "-n", "demo", "tool=1")
    kaa.ok("remove", "-y", "-n", "demo", "notes")
    document = kaa.ok("list", "-n", "demo", "--revisions", "--json").json()
    assert [revision["rev"] for revision in document] == [0, 1, 2]
    assert document[0]["install"] == [
        "lib-2.0-0-channel/linux-64", "notes-1.0-0-channel/noarch", "tool-2.0-0-channel/linux-64",
    ]  # fmt: skip
    assert [change["new"] for change in document[1]["downgrade"]] == [
        "lib-1.0-0-channel/linux-64", "tool-1.0-0-channel/linux-64",
    ]  # fmt: skip
    assert document[2]["remove"] == ["notes-1.0-0-channel/noarch"]
    lines = kaa.ok("list", "-n", "demo", "--revisions").out.splitlines()
    assert lines[0].endswith("(rev 0)")
    assert "    +lib 2.0 0 (channel/linux-64)" in lines
    assert "     lib 2.0 0 (channel/linux-64) -> lib 1.0 0 (channel/linux-64)" in lines
    assert "    -notes 1.0 0 (channel/noarch)" in lines


def test_what_pip_installed(kaa: Kaa, channel: ChannelBuilder, demo: Path) -> None:
    channel.add(Package("python", "3.12.1", files={"bin/python3.12": "x"})).write()
    kaa.ok("install", "-y", "-n", "demo", "python")
    info = demo / "lib" / "python3.12" / "site-packages" / "Rich_er-13.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: Rich_er\nVersion: 13.0\n")
    [record] = [record for record in kaa.ok("list", "-n", "demo", "--json").json() if record["platform"] == "pypi"]
    name = record["name"]
    assert record == {
        "base_url": f"{channel.folder.parent.as_uri()}/pypi",
        "build_number": 0,
        "build_string": "pypi_0",
        "channel": "pypi",
        "dist_name": f"{name}-13.0-pypi_0",
        "name": name,
        "platform": "pypi",
        "version": "13.0",
    }
    [row] = [line for line in kaa.ok("list", "-n", "demo").out.splitlines() if line.endswith("pypi")]
    assert row.split() == [name, "13.0", "pypi_0", "pypi"]
    assert name.lower().replace("_", "-") == "rich-er"
    exported = kaa.ok("export", "-n", "demo", "--json").json()["dependencies"]
    assert exported[-1] == {"pip": [f"{name}==13.0"]}
    assert "Rich_er" not in kaa.ok("list", "-n", "demo", "--explicit").out


# -- search -----------------------------------------------------------------------------------------------------------


def test_search(kaa: Kaa, demo: Path, url: str) -> None:
    answer = kaa.ok("search", "tool")
    assert answer.out.splitlines() == [
        "# Name  Version  Build  Channel",
        "tool    1.0      0      channel",
        "tool    2.0      0      channel",
    ]
    document = kaa.ok("search", "lib>1", "--json").json()
    assert list(document) == ["lib"]
    [record] = document["lib"]
    assert record["channel"] == f"{url}/linux-64"
    assert record["url"] == f"{url}/linux-64/lib-2.0-0.conda"
    for key in ("name", "version", "build", "build_number", "subdir", "fn", "md5", "sha256", "size", "timestamp"):
        assert record[key] not in (None, "")
    assert (record["depends"], record["constrains"]) == ([], [])
    assert kaa.ok("search", "notes", "--json").json()["notes"][0]["package_type"] == "noarch_generic"


def test_search_for_a_part_of_a_name(kaa: Kaa, demo: Path) -> None:
    assert list(kaa.ok("search", "oo", "--json").json()) == ["tool"]
    assert kaa("search", "oo", "--skip-flexible-search", "--json").json()["exception_name"] == (
        "PackagesNotFoundInChannelsError"
    )
    assert set(kaa.ok("search", "--json").json()) == {"lib", "tool", "notes", "alone"}


def test_search_with_all_facts(kaa: Kaa, demo: Path) -> None:
    lines = kaa.ok("search", "tool=2", "--info").out.splitlines()
    assert lines[:2] == ["tool 2.0 0", "----------"]
    assert "file name     tool-2.0-0.conda" in lines
    assert lines[-2:] == ["depends:", "  - lib >=2"]


def test_search_in_environments(kaa: Kaa, demo: Path) -> None:
    [found] = kaa.ok("search", "--envs", "lib", "--json").json()
    assert found["location"] == str(demo)
    assert [record["name"] for record in found["package_records"]] == ["lib"]
    assert str(demo) in kaa.ok("search", "--envs", "lib").out
    assert kaa.ok("search", "--envs", "absent", "--json").json() == []


def test_search_for_another_platform(kaa: Kaa, channel: ChannelBuilder, demo: Path) -> None:
    channel.add(Package("only", "1.0", subdir="win-64")).write()
    assert kaa("search", "only").code == 1
    assert "only" in kaa.ok("search", "only", "--platform", "win-64").out


# -- info and env list ------------------------------------------------------------------------------------------------

INFO_KEYS = """
platform conda_version conda_env_version conda_build_version root_prefix conda_prefix av_data_dir default_prefix
user_rc_path rc_path sys_rc_path python_version requests_version user_agent conda_location tmp_dir notices_cache_dir
sys.version sys.prefix sys.executable av_metadata_url_base active_prefix active_prefix_name netrc_file root_writable
offline conda_shlvl UID GID pkgs_dirs envs_dirs channels envs config_files site_dirs virtual_pkgs solver env_vars
envs_details
"""


def test_info_as_json(kaa: Kaa, demo: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = kaa.ok("info", "--json").out
    document = json.loads(text)
    assert set(INFO_KEYS.split()) <= set(document)
    assert text.count("conda_prefix") == 1
    assert all(line.count('": ') <= 1 for line in text.splitlines())
    assert document["conda_version"] == CONDA_VERSION
    assert document["root_prefix"] == document["conda_prefix"] == document["default_prefix"] == str(kaa.root)
    assert document["envs"] == sorted([str(kaa.root), str(demo)])
    assert document["envs_dirs"][0] == str(kaa.root / "envs")
    assert document["pkgs_dirs"][0] == str(kaa.packages)
    assert document["channels"] == [f"{url}/linux-64", f"{url}/noarch"]
    assert (document["conda_shlvl"], document["active_prefix"]) == (-1, None)
    assert document["config_files"] == [str(kaa.home / ".condarc")]
    assert all(len(package) == 3 for package in document["virtual_pkgs"])
    assert document["python_version"].count(".") == 4
    assert document["envs_details"][str(demo)]["name"] == "demo"
    assert kaa.ok("info", "--envs", "--json").json() == document

    monkeypatch.setenv("CONDA_PREFIX", str(demo))
    monkeypatch.setenv("CONDA_SHLVL", "1")
    monkeypatch.setenv("CONDA_SECRET_TOKEN", "hunter2")
    text = kaa.ok("info", "--json").out
    document = json.loads(text)
    assert text.count("conda_prefix") == 1
    assert document["active_prefix"] == document["default_prefix"] == str(demo)
    assert (document["active_prefix_name"], document["conda_shlvl"]) == ("demo", 1)
    assert "hunter2" not in text


def test_info_as_text(kaa: Kaa, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert kaa.ok("info", "--base").out == f"{kaa.root}\n"
    assert kaa.ok("info", "--base", "--json").json() == {"root_prefix": str(kaa.root)}
    lines = kaa.ok("info").out.splitlines()
    assert "      active environment : none" in lines
    assert "                platform : linux-64" in lines
    monkeypatch.setenv("CONDA_PREFIX", str(demo))
    assert "      active environment : demo" in kaa.ok("info").out.splitlines()
    assert "PATH=" in kaa.ok("info", "--all").out
    assert kaa.ok("info", "--unsafe-channels").out == "channel\n"
    assert kaa.ok("info", "--unsafe-channels", "--json").json() == {"channels": ["channel"]}


def test_info_shows_no_passwords(kaa: Kaa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_CHANNELS", "https://me:hunter2@host/t/tk-99/c")
    for words in (["--json"], ["--all"], ["--unsafe-channels"], ["--unsafe-channels", "--json"]):
        answer = kaa.ok("info", *words)
        assert "hunter2" not in answer.out + answer.err
        assert "tk-99" not in answer.out + answer.err


def test_env_list(kaa: Kaa, demo: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    kaa.ok("create", "-y", "-p", str(tmp_path / "else where"))
    (demo / "conda-meta" / "frozen").touch()
    monkeypatch.setenv("CONDA_PREFIX", str(demo))
    lines = kaa.ok("env", "list").out.splitlines()
    assert lines[:5] == ["", "# conda environments:", "#", "# * -> active", "# + -> frozen"]
    assert lines[-1] == ""
    assert f"demo                  * + {demo}" in lines
    assert f"                          {tmp_path / 'else where'}" in lines
    assert kaa.ok("info", "--envs").out.splitlines() == lines
    document = kaa.ok("env", "list", "--json").json()
    assert document["envs"] == sorted([str(kaa.root), str(demo), str(tmp_path / "else where")])
    details = document["envs_details"][str(demo)]
    assert (details["active"], details["frozen"], details["base"], details["writable"]) == (True, True, False, True)
    assert document["envs_details"][str(tmp_path / "else where")]["name"] == ""
    for key in ("envs_dirs", "conda_prefix", "root_prefix", "active_prefix", "default_prefix"):
        assert document[key]
