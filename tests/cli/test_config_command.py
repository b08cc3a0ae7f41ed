"""`kaa config`: what it shows, what it changes, and in which file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kaa.config.options import OPTIONS
from tests.cli.commands import Kaa


def condarc(kaa: Kaa, text: str | None = None) -> Path:
    path = kaa.home / ".condarc"
    if text is not None:
        path.write_text(text)
    return path


# -- show -------------------------------------------------------------------------------------------------------------


def test_show(kaa: Kaa) -> None:
    condarc(kaa, "channels: [a, b]\nenv_prompt: '({name}) '\nproxy_servers: {http: 'http://u:pw@host:1'}\n")
    answer = kaa.ok("config", "--show", "channels", "env_prompt", "quiet", "show_channel_urls", "proxy_servers", "yes")
    assert answer.out == (
        "channels:\n  - a\n  - b\nenv_prompt: '({name}) '\nquiet: False\nshow_channel_urls: None\n"
        "proxy_servers:\n  http: http://***@host:1\nalways_yes: False\n"
    )


def test_show_everything(kaa: Kaa) -> None:
    lines = kaa.ok("config", "--show").out.splitlines()
    names = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    assert names == sorted(name for name, option in OPTIONS.items() if not option.inert)


def test_show_as_json(kaa: Kaa) -> None:
    condarc(kaa, "custom_channels: {own: 'https://me:pw@host/t/tk-1'}\ncustom_multichannels: {both: [a, own]}\n")
    document = kaa.ok("config", "--show", "--json").json()
    assert set(document) == set(OPTIONS)
    assert document["channels"] == ["conda-forge"]
    assert document["root_prefix"] == str(kaa.root)
    empty = {"auth": None, "package_filename": None, "platform": None, "token": None}
    alias = {**empty, "location": "conda.anaconda.org", "name": None, "scheme": "https"}
    assert document["channel_alias"] == alias
    assert document["default_channels"][0] == {**alias, "location": "repo.anaconda.com", "name": "pkgs/main"}
    assert document["custom_channels"] == {"own": {**alias, "location": "host", "name": "own"}}
    assert document["custom_multichannels"]["both"][0] == {**alias, "name": "a"}
    assert kaa.ok("config", "--show", "yes", "--json").json() == {"always_yes": False}


def test_show_of_what_is_no_option(kaa: Kaa) -> None:
    answer = kaa("config", "--show", "chanels")
    assert answer.code == 2
    assert "did you mean channels?" in answer.err


def test_show_sources(kaa: Kaa, monkeypatch: pytest.MonkeyPatch) -> None:
    path = condarc(kaa, "channels: [a]\nchanel_alias: x\nquiet: false\n")
    monkeypatch.setenv("CONDA_CHANNELS", "b")
    monkeypatch.setenv("KAA_OFFLINE", "true")
    answer = kaa.ok("config", "--show-sources", "-q")
    assert answer.out == (
        f"==> {path} <==\nchannels:\n  - a\nquiet: False\nchanel_alias: x\n\n"
        "==> envvars <==\nchannels:\n  - b\nsubdir: linux-64\nclean_for_all_users: False\noffline: True\n"
        "remote_backoff_factor: 0.01\n\n"
        "==> cmd_line <==\nquiet: True\n\n"
    )
    assert answer.err == f"warning: {path}, line 2: chanel_alias is not an option; did you mean channel_alias?\n"
    assert kaa.ok("config", "--show-sources", "channels", "--json").json() == {
        str(path): {"channels": ["a"]},
        "envvars": {"channels": ["b"]},
    }


def test_validate(kaa: Kaa) -> None:
    path = condarc(kaa, "chanels: [a]\n")
    environment = kaa.root / "envs" / "e"
    (environment / "conda-meta").mkdir(parents=True)
    (environment / "conda-meta" / "history").touch()
    (environment / ".condarc").write_text("ssl_verify: false\n")
    answer = kaa.ok("config", "--validate", "-n", "e")
    assert answer.out == ""
    assert f"{path}, line 1: chanels is not an option; did you mean channels?" in answer.err
    assert f"{environment / '.condarc'}, line 1: ssl_verify has no effect" in answer.err
    document = kaa.ok("config", "--validate", "-n", "e", "--json").json()
    assert document["unknown"] == [{"key": "chanels", "source": f"{path}, line 1"}]
    assert document["ignored"] == [{"key": "ssl_verify", "source": f"{environment / '.condarc'}, line 1"}]
    condarc(kaa, "channel_priority: fast\n")
    assert kaa("config", "--validate").code == 1


def test_describe(kaa: Kaa) -> None:
    answer = kaa.ok("config", "--describe", "offline", "channels")
    assert answer.out.startswith("offline: false\n  (true or false)\n  Use what is on this machine")
    assert 'channels: ["conda-forge"]\n  (a list of texts)\n  also called channel\n' in answer.out
    everything = kaa.ok("config", "--describe").out
    assert all(f"{name}: " in everything for name, option in OPTIONS.items() if not option.inert)
    [document] = kaa.ok("config", "--describe", "ssl_verify", "--json").json()
    assert document == {
        "name": "ssl_verify",
        "aliases": ["verify_ssl"],
        "default_value": True,
        "description": OPTIONS["ssl_verify"].help,
        "element_types": ["bool", "str"],
        "parameter_type": "primitive",
    }


# -- get --------------------------------------------------------------------------------------------------------------


def test_get(kaa: Kaa) -> None:
    path = condarc(kaa, "channels: [a, b, c]\nquiet: true\nproxy_servers: {http: x}\npinned_packages: [p]\n")
    assert kaa.ok("config", "--get").out == (
        "--add channels 'c'   # lowest priority\n--add channels 'b'\n--add channels 'a'   # highest priority\n"
        "--set quiet True\n--set proxy_servers.http x\n--add pinned_packages 'p'\n"
    )
    assert kaa.ok("config", "--get", "channels", "always_yes", "--json").json() == {
        "success": True,
        "rc_path": str(path),
        "warnings": [],
        "get": {"channels": ["a", "b", "c"]},
    }
    assert kaa.ok("config", "--get", "proxy_servers.http", "--json").json()["get"] == {"proxy_servers.http": "x"}
    answer = kaa.ok("config", "--get", "chanels", "--json")
    assert answer.json()["warnings"] == ["Unknown key: 'chanels'"]
    assert kaa.ok("config", "--get", "chanels").err == "Unknown key: 'chanels'\n"


def test_get_finds_an_option_under_its_other_names(kaa: Kaa) -> None:
    condarc(kaa, "yes: true\n")
    assert kaa.ok("config", "--get", "always_yes").out == "--set always_yes True\n"


def test_get_of_a_single_channel(kaa: Kaa) -> None:
    condarc(kaa, "channels: [a]\n")
    assert kaa.ok("config", "--get", "channels").out == "--add channels 'a'   # highest priority\n"


# -- change -----------------------------------------------------------------------------------------------------------

CHANGES: list[tuple[str, str, str]] = [
    # before, words, after
    ("", "--add channels a", "channels:\n  - a\n"),
    ("# mine\n", "--prepend channels a", "# mine\nchannels:\n  - a\n"),
    ("channels:\n  - a  # x\n", "--add channels b", "channels:\n  - b\n  - a  # x\n"),
    ("channels:\n  - a  # x\n", "--append channels b --add channels c", "channels:\n  - c\n  - a  # x\n  - b\n"),
    ("channels:\n- a\n- b\n", "--remove channels a", "channels:\n- b\n"),
    ("channels:\n- a\n", "--remove-key channels", ""),
    ("channels:\n- a\n", "--clear channels", "channels: []\n"),
    ("quiet: false  # why\n", "--set quiet yes", "quiet: true  # why\n"),
    ("", "--set channel_priority True", "channel_priority: flexible\n"),
    ("", "--set ssl_verify /etc/ca.pem", "ssl_verify: /etc/ca.pem\n"),
    ("", "--set ssl_verify no", "ssl_verify: false\n"),
    ("", "--set fetch_threads 3", "fetch_threads: 3\n"),
    ("", "--set show_channel_urls none", "show_channel_urls:\n"),
    ("", "--set proxy_servers.http http://p:1", "proxy_servers:\n  http: http://p:1\n"),
    ("proxy_servers:\n  http: a\n", "--remove proxy_servers http", "proxy_servers: {}\n"),
    ("proxy_servers:\n  http: a\n  https: b\n", "--remove-key proxy_servers.http", "proxy_servers:\n  https: b\n"),
    ("", "--add custom_multichannels.both a", "custom_multichannels:\n  both:\n    - a\n"),
    ("custom_multichannels:\n  both: [a]\n", "--append custom_multichannels.both b",
     "custom_multichannels:\n  both:\n    - a\n    - b\n"),
    ("", "--set solver libmamba", "solver: libmamba\n"),
    ("", "--set auto_update_conda false", "auto_update_conda: false\n"),
    ("", "--add repodata_fns x.json", "repodata_fns:\n  - x.json\n"),
    ("unknown: [1]\n", "--set quiet true --force", "unknown: [1]\nquiet: true\n"),
    ("unknown: [1]\n", "--remove-key unknown", ""),
]  # fmt: skip


@pytest.mark.parametrize(("before", "words", "after"), CHANGES)
def test_changes(kaa: Kaa, before: str, words: str, after: str) -> None:
    path = condarc(kaa, before)
    answer = kaa.ok("config", *words.split())
    assert (answer.out, answer.err) == ("", "")
    assert path.read_text() == after


@pytest.mark.parametrize(("before", "words", "after"), CHANGES)
def test_dry_runs_show_and_write_nothing(kaa: Kaa, before: str, words: str, after: str) -> None:
    path = condarc(kaa, before)
    assert kaa.ok("config", "--dry-run", *words.split()).out == after
    assert path.read_text() == before


def test_changes_as_json(kaa: Kaa) -> None:
    answer = kaa.ok("config", "--add", "channels", "a", "--json")
    expected = {"success": True, "rc_path": str(kaa.home / ".condarc"), "warnings": [], "get": {}}
    assert answer.json() == expected


def test_adding_what_is_there_moves_it(kaa: Kaa) -> None:
    path = condarc(kaa, "channels: [a, b]\n")
    answer = kaa.ok("config", "--add", "channels", "b")
    assert answer.err == "Warning: 'b' already in 'channels' list, moving to the top\n"
    assert path.read_text() == "channels:\n  - b\n  - a\n"
    assert "moving to the bottom" in kaa.ok("config", "--append", "channels", "b", "--json").json()["warnings"][0]


REFUSED: list[tuple[str, str, str, tuple[str, ...]]] = [
    # before, words, exception, parts of the message
    ("", "--set chanels a", "CondaKeyError", ("did you mean channel",)),
    ("", "--add zzzzzz a", "CondaKeyError", ("`kaa config --describe`",)),
    ("", "--set channels a", "CondaValueError", ("channels is a list", "--add channels")),
    ("", "--set proxy_servers a", "CondaValueError", ("proxy_servers is a map", "--set proxy_servers.KEY")),
    ("", "--set custom_multichannels.a b", "CondaValueError", ("is a list", "--add custom_multichannels.a")),
    ("", "--add quiet a", "CondaValueError", ("quiet is no list", "--set quiet")),
    ("", "--add proxy_servers a", "CondaValueError", ("proxy_servers is a map",)),
    ("", "--clear quiet", "CondaValueError", ("--remove-key",)),
    ("", "--set quiet maybe", "InvalidTypeError", ("true or false",)),
    ("", "--set fetch_threads x", "InvalidTypeError", ("whole number",)),
    ("channels: [a]\n", "--remove channels b", "CondaKeyError", ("does not hold 'b' in channels",)),
    ("", "--remove-key quiet", "CondaKeyError", ("does not hold quiet",)),
    ("channels: a\n", "--add channels b", "ConfigurationLoadError", (".condarc, line 1: channels is not a list",)),
    ("channels: [a\n", "--add channels b", "ConfigurationLoadError", (".condarc, line 2",)),
]


@pytest.mark.parametrize(("before", "words", "exception", "parts"), REFUSED)
def test_refusals_change_nothing(kaa: Kaa, before: str, words: str, exception: str, parts: tuple[str, ...]) -> None:
    path = condarc(kaa, before)
    answer = kaa("config", *words.split())
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.strip().startswith(f"{exception}: ")
    for part in parts:
        assert part in answer.err
    assert path.read_text() == before


def test_a_wrong_value_can_be_taken_out_as_the_message_says(kaa: Kaa) -> None:
    path = condarc(kaa, "quiet: perhaps\nchannels: [a]\n")
    hint = kaa("config", "--show").err.partition("kaa config ")[2].split()
    kaa.ok("config", *hint)
    assert path.read_text() == "channels: [a]\n"
    assert "channels" in kaa.ok("config", "--get").out


def test_which_file(kaa: Kaa, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environment = kaa.environment("e")
    (environment / "conda-meta").mkdir(parents=True)
    (environment / "conda-meta" / "history").touch()

    def added(*words: str) -> Path:
        answer = kaa.ok("config", *words, "--add", "channels", "a", "--json")
        path = Path(answer.json()["rc_path"])
        assert path.read_text() == "channels:\n  - a\n"
        return path

    assert added() == kaa.home / ".condarc"
    assert added("--system") == kaa.root / ".condarc"
    assert added("--file", str(tmp_path / "new" / "file.yml")) == tmp_path / "new" / "file.yml"
    assert added("-n", "e") == environment / ".condarc"
    monkeypatch.setenv("CONDA_PREFIX", str(tmp_path / "active"))
    assert added("--env") == tmp_path / "active" / ".condarc"
    assert added("-p", str(tmp_path / "other")) == tmp_path / "other" / ".condarc"
    monkeypatch.setenv("CONDARC", str(tmp_path / "named"))
    assert added() == tmp_path / "named"


def test_no_active_environment(kaa: Kaa) -> None:
    answer = kaa("config", "--env", "--add", "channels", "a")
    assert answer.code == 2
    assert "none is active" in answer.err


def test_files_of_environments_decide_nothing_about_trust(kaa: Kaa) -> None:
    environment = kaa.environment("e")
    (environment / "conda-meta").mkdir(parents=True)
    (environment / "conda-meta" / "history").touch()
    answer = kaa("config", "-n", "e", "--set", "ssl_verify", "false")
    assert answer.code == 1
    assert "ssl_verify has no effect in" in answer.err
    assert not (environment / ".condarc").exists()
    kaa.ok("config", "-n", "e", "--set", "channel_priority", "disabled")


def test_a_link_stays_a_link(kaa: Kaa) -> None:
    real = kaa.home / "dotfiles" / "condarc"
    real.parent.mkdir()
    real.write_text("# kept\n")
    (kaa.home / ".condarc").symlink_to(real)
    kaa.ok("config", "--set", "quiet", "true")
    assert (kaa.home / ".condarc").is_symlink()
    assert real.read_text() == "# kept\nquiet: true\n"


def with_input(text: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kaa", "config", "--stdin"], input=text, capture_output=True, text=True
    )


def test_standard_input(kaa: Kaa) -> None:
    path = condarc(kaa, "# mine\nquiet: true\n")
    done = with_input("channels: [a, b]\nquiet: false\nproxy_servers:\n  http: x\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert path.read_text().startswith("# mine\nquiet: false\n")
    assert kaa.ok("config", "--get", "--json").json()["get"] == {
        "quiet": False,
        "channels": ["a", "b"],
        "proxy_servers": {"http": "x"},
    }
    done = with_input("channels: a\n")
    assert (done.returncode, "standard input: channels is 'a'" in done.stderr) == (1, True)


def test_write_default(kaa: Kaa) -> None:
    path = condarc(kaa)
    assert kaa.ok("config", "--write-default").out == f"{path}\n"
    text = path.read_text()
    assert all(line.startswith("#") or not line for line in text.splitlines())
    assert all(f"# {name}: " in text for name, option in OPTIONS.items() if not option.inert)
    assert kaa.ok("config", "--get").out == ""
    answer = kaa("config", "--write-default")
    assert (answer.code, path.read_text()) == (2, text)
    answer = kaa.ok("config", "--write-default", "--file", "other", "--json")
    assert json.loads(answer.out)["rc_path"] == str(kaa.home / "other")


def test_nothing_to_do(kaa: Kaa) -> None:
    answer = kaa("config")
    assert (answer.code, answer.out) == (2, "")
    assert "kaa config --show" in answer.err


def test_passwords_are_not_shown(kaa: Kaa) -> None:
    condarc(kaa, "channels: ['https://me:hunter2@host/t/tk-99/c']\n")
    for words in (
        ["--show"],
        ["--show-sources"],
        ["--show", "--json"],
        ["--remove", "channels", "https://me:hunter2@h"],
    ):
        answer = kaa("config", *words)
        assert "hunter2" not in answer.out + answer.err
        assert "tk-99" not in answer.out + answer.err
