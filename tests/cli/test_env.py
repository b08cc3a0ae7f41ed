"""`kaa env`: environments from files, to files, and their variables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaa.envfiles.environment_yaml import parse_environment_yaml
from tests.channels import ChannelBuilder, File, Package, Server
from tests.cli.commands import Kaa


@pytest.fixture
def url(kaa: Kaa, channel: ChannelBuilder) -> str:
    """The address of the small channel; nothing but an empty channel is configured."""
    empty = ChannelBuilder(channel.folder.parent / "empty").write()
    kaa.ok("config", "--add", "channels", empty.folder.as_uri())
    return channel.folder.as_uri()


def names(kaa: Kaa, environment: str) -> list[str]:
    return [f"{r['name']}-{r['version']}" for r in kaa.ok("list", "-n", environment, "--json").json()]


def environment_file(kaa: Kaa, text: str, name: str = "environment.yml") -> Path:
    path = kaa.home / name
    path.write_text(text)
    return path


# -- create -----------------------------------------------------------------------------------------------------------


def test_create_from_the_default_file(kaa: Kaa, url: str) -> None:
    environment_file(
        kaa, f"name: demo\nchannels: ['{url}']\ndependencies: [tool =1, notes]\nvariables: {{A: 1, b: x y}}\n"
    )
    answer = kaa.ok("env", "create")
    assert "install" in answer.out
    assert names(kaa, "demo") == ["lib-1.0", "notes-1.0", "tool-1.0"]
    state = json.loads((kaa.environment("demo") / "conda-meta" / "state").read_text())
    assert state["env_vars"] == {"A": "1", "b": "x y"}
    assert kaa.ok("env", "config", "vars", "list", "-n", "demo").out == "A = 1\nb = x y\n"


def test_create_as_json(kaa: Kaa, url: str) -> None:
    environment_file(kaa, f"channels: ['{url}']\ndependencies: [alone]\n", "other.yaml")
    answer = kaa.ok("env", "create", "-f", "other.yaml", "-p", "here", "--json")
    document = answer.json()
    assert document["prefix"] == str(kaa.home / "here")
    assert [record["name"] for record in document["actions"]["LINK"]] == ["alone"]
    assert answer.err == ""


@pytest.mark.parametrize(
    ("line", "words", "place"),
    [
        ("name: demo\n", [], "root/envs/demo"),
        ("name: demo\n", ["-n", "other"], "root/envs/other"),
        ("prefix: ~/by/path\n", [], "by/path"),
        ("prefix: $HOME/by-variable\nname: demo\n", [], "by-variable"),
        ("prefix: /nowhere\n", ["-p", "here"], "here"),
    ],
)
def test_where_it_goes(kaa: Kaa, url: str, line: str, words: list[str], place: str) -> None:
    environment_file(kaa, f"{line}channels: ['{url}']\ndependencies: [alone]\n")
    kaa.ok("env", "create", *words)
    assert (kaa.home / place / "share" / "alone").is_file()


def test_an_existing_environment_is_not_touched_unless_told(kaa: Kaa, url: str) -> None:
    environment_file(kaa, f"name: demo\nchannels: ['{url}']\ndependencies: [alone]\n")
    kaa.ok("env", "create")
    (kaa.environment("demo") / "mine").touch()
    before = kaa.tree(kaa.environment("demo"))
    answer = kaa("env", "create")
    assert (answer.code, "prefix already exists" in answer.err) == (1, True)
    assert kaa("env", "create", "--json").json()["exception_name"] == "CondaValueError"
    assert kaa.tree(kaa.environment("demo")) == before
    environment_file(kaa, f"name: demo\nchannels: ['{url}']\ndependencies: [lib]\n")
    kaa.ok("env", "create", "--force")
    assert names(kaa, "demo") == ["lib-2.0"]
    assert not (kaa.environment("demo") / "mine").exists()


def test_channels_of_the_file_come_before_the_configured(kaa: Kaa, channel: ChannelBuilder, url: str) -> None:
    own = ChannelBuilder(channel.folder.parent / "own").add(Package("lib", "0.5"), Package("extra", "1.0")).write()
    kaa.ok("config", "--add", "channels", own.folder.as_uri())
    environment_file(kaa, f"name: demo\nchannels: ['{url}']\ndependencies: [lib, extra]\n")
    kaa.ok("env", "create")
    assert names(kaa, "demo") == ["extra-1.0", "lib-2.0"]
    environment_file(kaa, f"name: bare\nchannels: ['{url}', nodefaults]\ndependencies: [lib, extra]\n")
    answer = kaa("env", "create")
    assert (answer.code, "extra" in answer.err) == (1, True)
    assert not kaa.environment("bare").exists()
    kaa.ok("env", "create", "-n", "first", "-c", own.folder.as_uri())
    assert names(kaa, "first") == ["extra-1.0", "lib-0.5"]
    kaa.ok("env", "create", "-n", "only", "-O", "-c", own.folder.as_uri())
    assert names(kaa, "only") == ["extra-1.0", "lib-0.5"]


def test_files_of_text(kaa: Kaa, url: str) -> None:
    environment_file(kaa, "lib =1\n", "specs.txt")
    kaa.ok("env", "create", "-f", "specs.txt", "-n", "a", "-c", url)
    assert names(kaa, "a") == ["lib-1.0"]
    environment_file(kaa, kaa.ok("list", "-n", "a", "--explicit", "--md5").out, "explicit.txt")
    kaa.ok("env", "create", "-f", "explicit.txt", "-n", "b")
    assert names(kaa, "b") == ["lib-1.0"]


def test_a_file_from_a_server(kaa: Kaa, channel: ChannelBuilder, server: Server, url: str) -> None:
    (channel.folder / "environment.yml").write_text(f"name: far\nchannels: ['{url}']\ndependencies: [alone]\n")
    kaa.ok("env", "create", "-f", f"{server.url}/environment.yml")
    assert names(kaa, "far") == ["alone-1.0"]
    assert kaa("env", "create", "-f", f"{server.url}/absent.yml").code == 1


def test_unknown_keys_are_told_where_programs_look(kaa: Kaa, url: str) -> None:
    environment_file(kaa, f"name: demo\nchannels: ['{url}']\ndependencies: []\ncolour: green\n")
    assert "EnvironmentSectionNotValid" in kaa.ok("env", "create").out
    answer = kaa.ok("env", "create", "--json", "--force")
    assert "EnvironmentSectionNotValid" in answer.err
    assert answer.json()["success"]


def test_dry_run(kaa: Kaa, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAA_PIP_SECTION", "pip")
    environment_file(
        kaa, f"name: demo\nchannels: ['{url}']\ndependencies: [alone, {{pip: [x]}}]\nvariables: {{A: 1}}\n"
    )
    answer = kaa("env", "create", "--dry-run")
    assert (answer.code, "pip" in answer.err) == (1, True)
    environment_file(kaa, f"name: demo\nchannels: ['{url}']\ndependencies: [alone]\nvariables: {{A: 1}}\n")
    assert "DryRunExit" in kaa.ok("env", "create", "--dry-run").err
    assert kaa.ok("env", "create", "--dry-run", "--json").json()["dry_run"] is True
    assert not kaa.environment("demo").exists()


@pytest.mark.parametrize(
    ("text", "words", "code", "message"),
    [
        (None, [], 1, "environment.yml cannot be read"),
        ("dependencies: []\n", [], 2, "the file names no environment"),
        ("name: demo\n", [], 1, "has no `dependencies:`"),
        ("name: demo\ndependencies:\n  - lib\n  - x >>1\n", [], 1, "environment.yml, line 4: "),
        ("name: 'a b'\ndependencies: []\n", [], 1, "'a b' cannot be the name of an environment"),
        ("name: demo\ndependencies: [{npm: [x]}]\n", [], 1, "'npm'"),
        ("name: base\ndependencies: []\n", [], 1, "belongs to the root prefix"),
    ],
)
def test_files_that_will_not_do(
    kaa: Kaa, url: str, text: str | None, words: list[str], code: int, message: str
) -> None:
    if text is not None:
        environment_file(kaa, text)
    answer = kaa("env", "create", *words)
    assert answer.code == code
    assert message in answer.err
    assert not (kaa.root / "envs").exists()


# -- pip --------------------------------------------------------------------------------------------------------------

PIP = b"""#!/bin/sh
echo "$@" >> "$CONDA_PREFIX/asked"
for word; do case "$word" in *.txt) cat "$word" >> "$CONDA_PREFIX/asked"; pwd >> "$CONDA_PREFIX/asked";; esac; done
grep -q unlucky "$CONDA_PREFIX/asked" && { echo no such thing as https://me:hunter2@host >&2; exit 1; }
exit 0
"""


@pytest.fixture
def snakes(channel: ChannelBuilder, url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A channel with a python that notes what it is asked, and a pip; sections for pip are left to it."""
    monkeypatch.setenv("KAA_PIP_SECTION", "pip")
    channel.add(
        Package("python", "3.12.1", files={"bin/python3.12": File(PIP, mode=0o755)}),
        Package("pip", "24.0", depends=["python"], files={"share/pip": "x"}),
    ).write()
    return url


def test_the_section_of_pip(kaa: Kaa, snakes: str) -> None:
    folder = kaa.home / "project"
    folder.mkdir()
    text = f"name: demo\nchannels: ['{snakes}']\ndependencies: [python, {{pip: [rich==13, '-r more.txt']}}]\n"
    (folder / "environment.yml").write_text(text)
    answer = kaa.ok("env", "create", "-f", "project/environment.yml", "--json")
    assert answer.json()["actions"]["PIP"] == ["rich==13", "-r more.txt"]
    # pip itself comes along although the file does not name it.
    assert names(kaa, "demo") == ["pip-24.0", "python-3.12.1"]
    asked = (kaa.environment("demo") / "asked").read_text().splitlines()
    assert asked[0].startswith("-m pip install ")
    assert asked[1:] == ["rich==13", "-r more.txt", str(folder)]
    assert [path.name for path in folder.iterdir()] == ["environment.yml"]


def test_pip_that_fails(kaa: Kaa, snakes: str) -> None:
    environment_file(kaa, f"name: demo\nchannels: ['{snakes}']\ndependencies: [{{pip: [unlucky]}}]\n")
    answer = kaa("env", "create")
    assert answer.code == 1
    assert "no such thing" in answer.err
    assert "hunter2" not in answer.err
    assert "kaa env update" in answer.err
    assert names(kaa, "demo") == ["pip-24.0", "python-3.12.1"]


# -- update -----------------------------------------------------------------------------------------------------------


def test_update_makes_what_is_missing(kaa: Kaa, url: str) -> None:
    environment_file(kaa, f"name: demo\nchannels: ['{url}']\ndependencies: [alone]\nvariables: {{A: 1}}\n")
    kaa.ok("env", "update")
    assert names(kaa, "demo") == ["alone-1.0"]
    environment_file(kaa, f"name: demo\nchannels: ['{url}']\ndependencies: [tool =1]\nvariables: {{B: 2}}\n")
    kaa.ok("env", "update")
    assert names(kaa, "demo") == ["alone-1.0", "lib-1.0", "tool-1.0"]
    assert kaa.ok("env", "config", "vars", "list", "-n", "demo", "--json").json() == {"A": "1", "B": "2"}
    kaa.ok("env", "update", "--prune")
    assert names(kaa, "demo") == ["lib-1.0", "tool-1.0"]
    assert kaa.ok("env", "update", "--json").json()["message"]


def test_update_of_the_active_environment(kaa: Kaa, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kaa.ok("create", "-y", "-n", "demo")
    monkeypatch.setenv("CONDA_PREFIX", str(kaa.environment("demo")))
    environment_file(kaa, f"channels: ['{url}']\ndependencies: [alone]\n")
    kaa.ok("env", "update")
    assert names(kaa, "demo") == ["alone-1.0"]
    assert kaa("env", "update", "--dry-run").code == 2


def test_update_from_an_explicit_list_or_nothing(kaa: Kaa, url: str) -> None:
    kaa.ok("create", "-y", "-n", "demo")
    environment_file(kaa, f"@EXPLICIT\n{url}/linux-64/lib-2.0-0.conda\n", "list.txt")
    kaa.ok("env", "update", "-n", "demo", "-f", "list.txt")
    assert names(kaa, "demo") == ["lib-2.0"]
    environment_file(kaa, f"channels: ['{url}']\ndependencies:\n")
    kaa.ok("env", "update", "-n", "demo")
    assert names(kaa, "demo") == ["lib-2.0"]


# -- export -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def demo(kaa: Kaa, url: str) -> Path:
    kaa.ok("create", "-y", "-n", "demo", "-c", url, "tool=1", "notes")
    kaa.ok("env", "config", "vars", "set", "-n", "demo", "A=1")
    return kaa.environment("demo")


@pytest.mark.parametrize("command", [["export"], ["env", "export"]])
def test_export(kaa: Kaa, demo: Path, url: str, command: list[str]) -> None:
    text = kaa.ok(*command, "-n", "demo").out
    assert text == (
        f"name: demo\nchannels:\n  - {url}\ndependencies:\n  - lib=1.0=0\n  - notes=1.0=0\n  - tool=1.0=0\n"
        f"variables:\n  A: '1'\nprefix: {demo}\n"
    )
    document = kaa.ok(*command, "-n", "demo", "--json").json()
    assert list(document) == ["name", "channels", "dependencies", "variables", "prefix"]
    assert document["dependencies"] == ["lib=1.0=0", "notes=1.0=0", "tool=1.0=0"]
    environment_file(kaa, text)
    kaa.ok("env", "create", "-n", "again")
    assert names(kaa, "again") == names(kaa, "demo")


def test_less_exact_exports(kaa: Kaa, demo: Path, url: str) -> None:
    assert kaa.ok("export", "-n", "demo", "--no-builds", "--json").json()["dependencies"] == [
        "lib=1.0", "notes=1.0", "tool=1.0",
    ]  # fmt: skip
    document = kaa.ok("export", "-n", "demo", "--from-history", "--json").json()
    assert sorted(document["dependencies"]) == ["notes", "tool=1"]
    assert kaa.ok("export", "-n", "demo", "--ignore-channels", "--json").json()["channels"] == []
    assert kaa.ok("export", "-n", "demo", "-c", "x", "--json").json()["channels"] == ["x", url]
    assert kaa.ok("export", "-n", "demo", "-c", "x", "-O", "--json").json()["channels"] == ["x"]


@pytest.mark.parametrize("form", ["environment-yaml", "environment-json", "explicit", "requirements"])
def test_every_format_makes_the_environment_again(kaa: Kaa, demo: Path, url: str, form: str) -> None:
    name = {"environment-yaml": "a.yml", "environment-json": "a.yml"}.get(form, "a.txt")
    answer = kaa.ok("export", "-n", "demo", "--format", form, "--file", name, "--json")
    assert answer.json() == {"success": True, "file": str(kaa.home / name), "format": form, "warnings": []}
    assert (kaa.home / name).read_text() == kaa.ok("export", "-n", "demo", "--format", form).out
    kaa.ok("env", "create", "-n", "again", "-f", name, "-c", url)
    assert names(kaa, "again") == names(kaa, "demo")


def test_the_name_of_the_file_says_the_format(kaa: Kaa, demo: Path) -> None:
    for name, form in (("a.json", "environment-json"), ("a.txt", "requirements"), ("a.yml", "environment-yaml")):
        assert kaa.ok("export", "-n", "demo", "-f", name, "--json").json()["format"] == form


def test_an_environment_without_a_name(kaa: Kaa, url: str) -> None:
    kaa.ok("create", "-y", "-p", "here", "-c", url, "alone")
    spec = parse_environment_yaml(kaa.ok("export", "-p", "here").out)
    assert spec.name == spec.prefix == str(kaa.home / "here")


# -- variables --------------------------------------------------------------------------------------------------------


def test_variables(kaa: Kaa, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kaa.ok("env", "config", "vars", "set", "B=x=y", "C=", "-n", "demo")
    assert kaa.ok("env", "config", "vars", "list", "-n", "demo").out == "A = 1\nB = x=y\nC = \n"
    monkeypatch.setenv("CONDA_PREFIX", str(demo))
    assert "activate the environment again" in kaa.ok("env", "config", "vars", "unset", "A", "C").out
    assert kaa.ok("env", "config", "vars", "list", "--json").json() == {"B": "x=y"}
    assert kaa.ok("env", "config", "vars", "set", "D=1", "--json").json() == {"success": True}
    answer = kaa("env", "config", "vars", "unset", "A")
    assert (answer.code, "sets no variable A" in answer.err) == (1, True)
    assert kaa("env", "config", "vars", "set", "nothing").code == 2
    assert kaa("env", "config", "vars", "list", "-n", "absent").code == 1


@pytest.mark.parametrize("words", [["env"], ["env", "nonsense"], ["env", "config"], ["env", "config", "vars"]])
def test_words_that_are_missing(kaa: Kaa, words: list[str]) -> None:
    answer = kaa(*words)
    assert (answer.code, answer.out) == (2, "")
    assert "usage: kaa env" in answer.err
