"""`kaa history`, `diff`, `undo`, `rollback`: real environments, changed by kaa, by real pip and by hand."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaa.api.going_back import plan_undo, restore_generation
from kaa.api.session import open_session
from kaa.channels.index import index_channel
from kaa.prefix.generations import generation_file, latest_generation
from kaa.prefix.history import requested_specs
from kaa.prefix.prefix import Prefix
from kaa.pypi.interpreters.bundled_pip import package_pip
from kaa.pypi.interpreters.interpreter import ask_interpreter
from kaa.pypi.interpreters.packaging import package_python
from kaa.pypi.wheel import package_wheel
from kaa.transaction.plan import EnvironmentChanged
from tests.channels import serve
from tests.cli.commands import Kaa
from tests.cli.generation_worlds import pip, python_channel, state, wheels
from tests.transaction.world import SITE


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`wheels` and a `channel` of packages."""
    folder = tmp_path_factory.mktemp("generations")
    python_channel(folder / "channel", wheels(folder / "wheels"))
    return folder


@pytest.fixture
def only(folder: Path) -> list[str]:
    return ["-O", "-c", str(folder / "channel")]


@pytest.fixture
def offered(folder: Path) -> list[str]:
    """What makes pip take the wheels made here and no others."""
    return ["--no-index", "--find-links", str(folder / "wheels")]


def history(kaa: Kaa, name: str = "env") -> list[dict[str, Any]]:
    """The generations as `kaa history --json` tells them."""
    return list(kaa.ok("history", "-n", name, "--json").json()["generations"])


def changed(old: dict[str, str], new: dict[str, str]) -> set[str]:
    """The paths that came, went or hold something else; short enough to be shown where there are thousands."""
    return {path for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


def check_requests(prefix: Path) -> None:
    """What conda's history and the records say was asked for is what the latest generation says."""
    generation = latest_generation(prefix)
    assert generation is not None
    assert requested_specs(Prefix(prefix)) == generation.requested_specs
    for record in Prefix(prefix).records():
        assert record.requested_specs == tuple(
            spec for name, spec in generation.requested_specs.items() if name == record.name
        )


# -- pip by hand ------------------------------------------------------------------------------------------------------


def test_an_update_by_pip_in_one_of_three_environments(kaa: Kaa, only: list[str], offered: list[str]) -> None:
    for name in ("one", "two", "three"):
        kaa.ok("create", "-y", "-n", name, *only, "speech")
    prefix = kaa.environment("one")
    module = f"{SITE}/speech/__init__.py"
    assert (prefix / module).stat().st_ino == (kaa.environment("two") / module).stat().st_ino
    before = {name: state(kaa.environment(name)) for name in ("one", "two", "three")}
    pip(prefix, "install", "--upgrade", *offered, "speech")
    updated = state(prefix)
    assert "speech 2.0" in (prefix / module).read_text()
    assert {name: state(kaa.environment(name)) for name in ("two", "three")} == {
        name: before[name] for name in ("two", "three")
    }
    [package] = kaa("verify", "-n", "one", "--json").json()["environments"][0]["damaged"]
    assert (package["dist"].split("-")[0], package["overwritten_by"]) == ("speech", ["speech 2.0"])
    assert "pip +1: speech" in kaa.ok("history", "-n", "one").out

    answer = kaa.ok("undo", "-n", "one", "-y")
    assert "    - speech 2.0\n" in answer.out
    assert state(prefix) == before["one"]
    assert kaa.ok("verify", "-n", "one").out.endswith("Nothing is wrong.\n")
    assert [(one["cause"], one["restored"]) for one in history(kaa, "one")] == [
        ("change", None),
        ("found", None),
        ("undo", 1),
    ]
    check_requests(prefix)

    kaa.ok("rollback", "-n", "one", "-y", "2")
    assert state(prefix) == updated
    kaa.ok("rollback", "-n", "one", "-y", "1", "--offline")
    assert state(prefix) == before["one"]
    assert state(kaa.environment("two")) == before["two"]


@pytest.mark.slow
def test_undoing_takes_back_only_what_pip_did_when_pip_was_last(kaa: Kaa, only: list[str], offered: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "speech")
    prefix = kaa.environment("env")
    first = state(prefix)
    kaa.ok("install", "-y", "-n", "env", *only, "tool=1")
    second = state(prefix)
    pip(prefix, "install", *offered, "extra")
    kaa.ok("undo", "-n", "env", "-y")
    assert state(prefix) == second
    kaa.ok("undo", "-n", "env", "-y")
    assert state(prefix) == first


def edit_pins(kaa: Kaa, text: str) -> int:
    return (kaa.environment("env") / "conda-meta/pinned").write_text(text)


CHANGES: dict[str, Callable[[Kaa, list[str], list[str]], object]] = {
    "install": lambda kaa, only, offered: kaa.ok("install", "-y", "-n", "env", *only, "extra"),
    "update": lambda kaa, only, offered: kaa.ok("update", "-y", "-n", "env", *only, "--all"),
    "downgrade": lambda kaa, only, offered: kaa.ok("install", "-y", "-n", "env", *only, "lib=1", "tool=1"),
    "remove with dependents": lambda kaa, only, offered: kaa.ok("remove", "-y", "-n", "env", "lib"),
    "remove everything": lambda kaa, only, offered: kaa.ok("remove", "-y", "-n", "env", "--all", "--keep-env"),
    "ask for what is there": lambda kaa, only, offered: kaa.ok("install", "-y", "-n", "env", *only, "lib"),
    "set variables": lambda kaa, only, offered: kaa.ok(
        "env", "config", "vars", "set", "-n", "env", "A=other", "NEW=value"
    ),
    "unset a variable": lambda kaa, only, offered: kaa.ok("env", "config", "vars", "unset", "-n", "env", "A"),
    "pins": lambda kaa, only, offered: edit_pins(kaa, "lib <2  # not yet\n"),
    "no pins": lambda kaa, only, offered: (kaa.environment("env") / "conda-meta/pinned").unlink(),
    "pip installs": lambda kaa, only, offered: pip(kaa.environment("env"), "install", *offered, "extra==2.0"),
    "pip updates a package": lambda kaa, only, offered: pip(
        kaa.environment("env"), "install", "-U", *offered, "speech"
    ),
    "pip installs the same again": lambda kaa, only, offered: pip(
        kaa.environment("env"), "install", "--force-reinstall", *offered, "speech==1.0"
    ),
    "pip takes a package away": lambda kaa, only, offered: pip(kaa.environment("env"), "uninstall", "-y", "speech"),
    "pip takes its own away": lambda kaa, only, offered: pip(kaa.environment("env"), "uninstall", "-y", "extra"),
    "pip installs over a package": lambda kaa, only, offered: pip(kaa.environment("env"), "install", *offered, "other"),
    "pip takes away what it had put over a package": lambda kaa, only, offered: (
        pip(kaa.environment("env"), "install", *offered, "other"),
        kaa.ok("install", "-y", "-n", "env", *only, "lib=1"),
        pip(kaa.environment("env"), "uninstall", "-y", "other"),
    ),
    "a package over pip's": lambda kaa, only, offered: (
        pip(kaa.environment("env"), "install", *offered, "extra==1.0"),
        kaa.ok("install", "-y", "-n", "env", *only, "extra"),
    ),
    "of everything something": lambda kaa, only, offered: (
        pip(kaa.environment("env"), "install", "-U", *offered, "speech", "extra"),
        kaa.ok("env", "config", "vars", "set", "-n", "env", "B=2"),
        edit_pins(kaa, "tool 2.*\n"),
        kaa.ok("update", "-y", "-n", "env", *only, "--no-pin", "--all"),
        pip(kaa.environment("env"), "uninstall", "-y", "extra"),
    ),
}


NOT_AS_BROKEN = ("pip takes away what it had put over a package", "a package over pip's")
"""Where what comes back is sounder than what was: no file of a package is missing again, no leftovers lie about."""


FAST = ("install", "pins", "of everything something")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in CHANGES]
)
def test_there_and_back(kaa: Kaa, only: list[str], offered: list[str], name: str) -> None:
    """Every change is taken back, made again by going to its generation, and taken back from there."""
    prefix = kaa.environment("env")
    kaa.ok("create", "-y", "-n", "env", *only, "speech", "tool=1")
    if name.startswith("pip takes its own"):
        pip(prefix, "install", *offered, "extra==1.0")
    kaa.ok("env", "config", "vars", "set", "-n", "env", "A=value")
    edit_pins(kaa, "# mine\nlib <3\n")
    kaa.ok("env", "config", "vars", "set", "-n", "env", "A=a")
    start = history(kaa)[-1]["number"]
    before = state(prefix)

    CHANGES[name](kaa, only, offered)
    after = state(prefix)
    kaa.ok("rollback", "-n", "env", "-y", str(start), "--offline")
    assert state(prefix) == before
    check_requests(prefix)
    assert kaa.ok("history", "-n", "env", "--json").json()["changed_since"] is False

    made = history(kaa)[-2]["number"] if history(kaa)[-1]["cause"] == "rollback" else 0
    kaa.ok("rollback", "-n", "env", "-y", str(made), "--offline")
    if name not in NOT_AS_BROKEN:
        assert state(prefix) == after
    else:
        assert kaa.ok("verify", "-n", "env").out.endswith("Nothing is wrong.\n")
    check_requests(prefix)
    kaa.ok("undo", "-n", "env", "-y", "--offline")
    assert state(prefix) == before
    kaa.ok("list", "-n", "env", "--revisions")


# -- undoing several times --------------------------------------------------------------------------------------------


GROWTH = (["create", "lib=1"], ["install", "tool=1"], ["update", "--all"], ["remove", "tool"])


@pytest.fixture(scope="module")
def grown_home(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]]]:
    """A home with an environment of four generations, and what it was in each."""
    home = tmp_path_factory.mktemp("grown")
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "KAA_ROOT_PREFIX": str(home / "root")}
    states = []
    for verb, *words in GROWTH:
        channels = ["-O", "-c", str(folder / "channel")] if verb != "remove" else []
        command = [sys.executable, "-m", "kaa", verb, "-y", "-q", "-n", "env", *channels, *words]
        subprocess.run(command, env={**environ, "CONDA_SUBDIR": "linux-64"}, check=True)
        states.append(state(home / "root/envs/env"))
    return home, states


@pytest.fixture
def grown(kaa: Kaa, grown_home: tuple[Path, list[dict[str, str]]]) -> list[dict[str, str]]:
    """The same in the home of this test."""
    shutil.copytree(grown_home[0], kaa.home, dirs_exist_ok=True, symlinks=True)
    return grown_home[1]


def test_undoing_until_there_is_nothing_more(kaa: Kaa, grown: list[dict[str, str]]) -> None:
    prefix = kaa.environment("env")
    for expected in reversed(grown[:-1]):
        kaa.ok("undo", "-n", "env", "-y", "--offline")
        assert state(prefix) == expected
        check_requests(prefix)
    answer = kaa("undo", "-n", "env", "-y")
    assert answer.code == 1
    assert "nothing can be undone" in answer.err
    assert "it was made like this" in answer.err
    assert [one["restored"] for one in history(kaa)[4:]] == [3, 2, 1]
    # Every step back can be taken back itself: by going to a state, and from there by undoing that.
    kaa.ok("rollback", "-n", "env", "-y", "4")
    assert state(prefix) == grown[3]
    kaa.ok("undo", "-n", "env", "-y")
    assert state(prefix) == grown[0]


def test_a_new_change_after_an_undo(kaa: Kaa, only: list[str], grown: list[dict[str, str]]) -> None:
    prefix = kaa.environment("env")
    kaa.ok("undo", "-n", "env", "-y")
    kaa.ok("install", "-y", "-n", "env", *only, "speech")
    kaa.ok("undo", "-n", "env", "-y")
    assert state(prefix) == grown[2]
    kaa.ok("undo", "-n", "env", "-y")
    assert state(prefix) == grown[1]


def test_going_where_one_is(kaa: Kaa, grown: list[dict[str, str]]) -> None:
    before = kaa.tree(kaa.environment("env"))
    assert "is generation 4 already" in kaa.ok("rollback", "-n", "env", "-y", "4").out
    answer = kaa.ok("rollback", "-n", "env", "4", "--json").json()
    assert answer == {"success": True, "message": "The environment is generation 4 already.", "generation": 4}
    assert kaa.tree(kaa.environment("env")) == before


@pytest.mark.parametrize("words", [["undo", "-d"], ["undo", "--json", "-d"], ["rollback", "1", "-d"]])
def test_a_dry_run_changes_nothing(kaa: Kaa, grown: list[dict[str, str]], words: list[str]) -> None:
    before = kaa.tree(kaa.environment("env"))
    answer = kaa.ok(*words, "-n", "env")
    if "--json" in words:
        document = answer.json()
        assert (document["dry_run"], document["restored"], document["generation"]) == (True, 3, None)
        assert [one["name"] for one in document["changes"]["packages"]] == ["tool"]
        assert [one["name"] for one in document["actions"]["LINK"]] == ["tool"]
    else:
        assert "    + tool" in answer.out or "    ~ lib 2.0 -> 1.0" in answer.out
    assert kaa.tree(kaa.environment("env")) == before


def test_without_a_yes_nothing_happens(kaa: Kaa, grown: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    before = kaa.tree(kaa.environment("env"))
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    assert "Proceed ([y]/n)?" in kaa("undo", "-n", "env").out
    assert kaa.tree(kaa.environment("env")) == before


def test_a_frozen_environment_stays(kaa: Kaa, grown: list[dict[str, str]]) -> None:
    (kaa.environment("env") / "conda-meta/frozen").touch()
    answer = kaa("undo", "-n", "env", "-y")
    assert (answer.code, answer.err.split(":")[0].strip()) == (1, "EnvironmentIsFrozenError")
    kaa.ok("undo", "-n", "env", "-y", "--override-frozen")
    assert state(kaa.environment("env")).keys() >= grown[2].keys()


# -- without a channel ------------------------------------------------------------------------------------------------


@pytest.fixture
def own_channel(folder: Path, tmp_path: Path) -> Path:
    shutil.copytree(folder / "channel", tmp_path / "own")
    return tmp_path / "own"


def served(kaa: Kaa, channel: Path) -> None:
    """Make an environment of what a server offers, and update it; the server is gone then."""
    with serve(channel) as server:
        kaa.ok("create", "-y", "-n", "env", "-O", "-c", server.url, "tool=1", "lib=1")
        kaa.ok("update", "-y", "-n", "env", "-O", "-c", server.url, "--all")


@pytest.mark.parametrize("offline", [["--offline"], []])
def test_the_channel_is_gone_and_the_package_deleted(kaa: Kaa, own_channel: Path, offline: list[str]) -> None:
    served(kaa, own_channel)
    shutil.rmtree(own_channel)
    kaa.ok("clean", "-y", "--all")
    kaa.ok("undo", "-n", "env", "-y", *offline)
    assert [record.version for record in Prefix(kaa.environment("env")).records()] == ["1.0", "1.0"]
    assert kaa.ok("verify", "-n", "env").out.endswith("Nothing is wrong.\n")


def test_all_that_is_lost_is_named(kaa: Kaa, own_channel: Path) -> None:
    served(kaa, own_channel)
    shutil.rmtree(own_channel)
    for path in kaa.packages.glob("*-1.0-*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    before = kaa.tree(kaa.environment("env"))
    answer = kaa("undo", "-n", "env", "-y", "--json")
    document = answer.json()
    assert (answer.code, sorted(document["packages"])) == (1, ["lib-1.0-0", "tool-1.0-0"])
    assert document["generation"] == 1
    assert len(document["reasons"]) == 2
    assert kaa.tree(kaa.environment("env")) == before


def test_what_the_cache_lost_is_fetched_again(kaa: Kaa, own_channel: Path) -> None:
    url = own_channel.as_uri()
    kaa.ok("create", "-y", "-n", "env", "-O", "-c", url, "tool=1", "lib=1")
    kaa.ok("update", "-y", "-n", "env", "-O", "-c", url, "--all")
    shutil.rmtree(kaa.packages)
    kaa.ok("undo", "-n", "env", "-y")
    assert kaa.ok("verify", "-n", "env").out.endswith("Nothing is wrong.\n")


# -- kept files -------------------------------------------------------------------------------------------------------


def test_an_edited_file_is_not_put_back_unasked(kaa: Kaa, only: list[str], offered: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "python")
    prefix = kaa.environment("env")
    pip(prefix, "install", *offered, "extra==1.0")
    kaa.ok("install", "-y", "-n", "env", *only, "lib")
    kept = next((prefix / "conda-meta/generations/files").iterdir())
    with (kept / SITE / "extra.py").open("a") as stream:
        stream.write("edited = True\n")
    pip(prefix, "uninstall", "-y", "extra")
    before = kaa.tree(prefix)
    answer = kaa("undo", "-n", "env", "-y", "--json")
    assert (answer.code, answer.json()["changed"]) == (1, [f"{SITE}/extra.py"])
    assert any("--with-edited" in hint for hint in answer.json()["guidance"]["hints"])
    assert kaa.tree(prefix) == before
    kaa.ok("undo", "-n", "env", "-y", "--with-edited")
    assert (prefix / SITE / "extra.py").read_text().endswith("edited = True\n")


@pytest.mark.slow
def test_kept_files_that_are_gone(kaa: Kaa, only: list[str], offered: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "python")
    prefix = kaa.environment("env")
    pip(prefix, "install", *offered, "extra==1.0")
    kaa.ok("install", "-y", "-n", "env", *only, "lib")
    shutil.rmtree(prefix / "conda-meta/generations/files")
    pip(prefix, "uninstall", "-y", "extra")
    answer = kaa("undo", "-n", "env", "-y")
    assert answer.code == 1
    assert "extra 1.0" in answer.err


def test_pip_between_plan_and_execution(kaa: Kaa, only: list[str], offered: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "speech")
    kaa.ok("install", "-y", "-n", "env", *only, "lib")
    prefix = kaa.environment("env")
    with open_session(root_prefix=kaa.root) as session:
        plan = plan_undo(session, prefix)
        pip(prefix, "install", *offered, "extra==1.0")
        before = kaa.tree(prefix)
        with pytest.raises(EnvironmentChanged) as caught:
            restore_generation(session, plan)
    assert caught.value.differing == ("extra",)
    after = kaa.tree(prefix)
    assert {path: after[path] for path in before} == before
    assert after.keys() - before.keys() <= {"conda-meta/generations/files"}


# -- other causes -----------------------------------------------------------------------------------------------------


def test_a_file_with_variables_is_one_change(kaa: Kaa, only: list[str], folder: Path) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "lib=1")
    prefix = kaa.environment("env")
    before = state(prefix)
    file = kaa.home / "more.yml"
    file.write_text(
        f"name: env\nchannels: [{folder / 'channel'}, nodefaults]\ndependencies: [tool=1]\nvariables: {{A: b}}\n"
    )
    kaa.ok("env", "update", "-f", str(file))
    assert [(one["cause"], one["parent"]) for one in history(kaa)] == [
        ("change", None),
        ("change", 1),
        ("variables", 1),
    ]
    kaa.ok("undo", "-n", "env", "-y")
    assert state(prefix) == before


def test_the_values_of_variables_are_not_in_the_history(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "lib=1")
    prefix = kaa.environment("env")
    (prefix / "conda-meta/state").write_text("{}")
    (prefix / "conda-meta/state").chmod(0o600)
    kaa.ok("env", "config", "vars", "set", "-n", "env", "TOKEN=secret")
    assert history(kaa)[-1]["command"] == "kaa env config vars set TOKEN=***"
    for path in (generation_file(prefix, 2), prefix / "conda-meta/state"):
        assert "secret" in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
    assert "secret" not in (prefix / "conda-meta/history").read_text()


def test_an_environment_of_before(kaa: Kaa, only: list[str]) -> None:
    """Made by another program: its past is shown, and the first change notes what it was."""
    kaa.ok("create", "-y", "-n", "env", *only, "lib=1")
    kaa.ok("update", "-y", "-n", "env", *only, "lib")
    prefix = kaa.environment("env")
    shutil.rmtree(prefix / "conda-meta/generations")
    before = state(prefix)
    document = kaa.ok("history", "-n", "env", "--json").json()
    assert (document["generations"], [one["revision"] for one in document["earlier_revisions"]]) == ([], [0, 1])
    assert "nothing was recorded" in kaa("undo", "-n", "env").err
    kaa.ok("install", "-y", "-n", "env", *only, "tool")
    assert [one["cause"] for one in history(kaa)] == ["found", "change"]
    shown = kaa.ok("history", "-n", "env").out
    assert shown.count("of conda's history") == 1
    kaa.ok("undo", "-n", "env", "-y")
    assert state(prefix) == before


def test_a_generation_that_cannot_be_read(kaa: Kaa, only: list[str], grown: list[dict[str, str]]) -> None:
    prefix = kaa.environment("env")
    generation_file(prefix, 4).write_bytes(b"{")
    assert "generation" in kaa.ok("history", "-n", "env").out
    assert kaa.ok("history", "-n", "env", "--json").json()["broken"] != []
    kaa.ok("install", "-y", "-n", "env", *only, "speech")
    assert [one["number"] for one in history(kaa)] == [1, 2, 3, 5, 6]
    kaa.ok("rollback", "-n", "env", "-y", "5")
    assert state(prefix) == grown[3]
    assert kaa("undo", "-n", "env", "-y").code == 1


# -- showing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "first", "lines"),
    [
        ([], "generation 3 -> generation 4", ["    - tool 2.0 0 ", "    - tool=1"]),
        (["1", "3"], "generation 1 -> generation 3", ["    ~ lib 1.0 -> 2.0", "    + tool 2.0 0 "]),
        (["3", "1"], "generation 3 -> generation 1", ["    ~ lib 2.0 -> 1.0", "    - tool 2.0 0 "]),
        (["2"], "generation 2 -> now", ["    ~ lib 1.0 -> 2.0", "    - tool 1.0 0 "]),
        (["now"], "generation 4 -> now", ["  variables:", "    + A = b", "    + lib <3"]),
        (["4", "now"], "generation 4 -> now", ["    + A = b"]),
        (["2", "2"], "generation 2 -> generation 2", ["  Nothing is different."]),
    ],
)
def test_differences(kaa: Kaa, grown: list[dict[str, str]], words: list[str], first: str, lines: list[str]) -> None:
    prefix = kaa.environment("env")
    (prefix / "conda-meta/state").write_text('{"env_vars": {"A": "b"}}')
    (prefix / "conda-meta/pinned").write_text("lib <3\n")
    shown = kaa.ok("diff", "-n", "env", *words).out
    assert shown.splitlines()[0] == first
    for line in lines:
        assert line in shown
    document = kaa.ok("diff", "-n", "env", *words, "--json").json()
    assert document["same"] is ("Nothing" in shown)
    assert len(document["packages"]) == shown.count("lib 1.0 ->") + shown.count("lib 2.0 ->") + shown.count(" tool ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["diff", "0"], "neither the number of a generation"),
        (["diff", "x"], "neither the number of a generation"),
        (["diff", "99"], "has no generation 99; there are 1 to 4"),
        (["rollback", "99"], "has no generation 99; there are 1 to 4"),
        (["rollback", "-1"], ""),
        (["rollback"], "NUMBER"),
        (["history", "--keep", "3"], "add --prune"),
        (["history", "--prune", "--keep", "0"], "it takes 1 or more"),
        (["history", "--prune", "--older-than", "soon"], "--older-than is 'soon'"),
        (["history", "--prune", "--older-than", "false"], "--older-than is 'false'"),
    ],
)
def test_what_cannot_be_asked(kaa: Kaa, grown: list[dict[str, str]], words: list[str], said: str) -> None:
    before = kaa.tree(kaa.environment("env"))
    answer = kaa(*words, "-n", "env")
    assert answer.code in (1, 2)
    assert said in answer.err
    assert kaa.tree(kaa.environment("env")) == before


# -- pruning ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "staying"),
    [
        ([], [1, 2, 3, 4]),
        (["--keep", "2"], [3, 4]),
        (["--keep", "9"], [1, 2, 3, 4]),
        (["--older-than", "1d"], [3, 4]),
        (["--older-than", "0"], [4]),
        (["--keep", "1", "--older-than", "1d"], [3, 4]),
        (["--keep", "3", "--older-than", "1d"], [2, 3, 4]),
    ],
)
def test_pruning(kaa: Kaa, grown: list[dict[str, str]], words: list[str], staying: list[int]) -> None:
    prefix = kaa.environment("env")
    for number in (1, 2):
        path = generation_file(prefix, number)
        path.write_text(path.read_text().replace('"time":"20', '"time":"19'))
    before = kaa.tree(prefix)
    sizes = {number: generation_file(prefix, number).stat().st_size for number in (1, 2, 3, 4)}
    planned = kaa.ok("history", "-n", "env", "--prune", *words, "--dry-run", "--json").json()
    assert kaa.tree(prefix) == before
    assert planned["staying"] == staying
    done = kaa.ok("history", "-n", "env", "--prune", *words, "--yes", "--json").json()
    assert {**done, "dry_run": True} == planned
    assert [one["number"] for one in history(kaa)] == staying
    assert done["size"] == sum(sizes[number] for number in done["dropped"])
    assert latest_generation(prefix) is not None
    if 3 not in staying:
        answer = kaa("undo", "-n", "env", "-y")
        assert (answer.code, "was pruned" in answer.err) == (1, True)


@pytest.mark.slow
def test_pruning_drops_kept_files_that_nothing_needs(kaa: Kaa, only: list[str], offered: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "python")
    prefix = kaa.environment("env")
    for version in ("1.0", "2.0"):
        pip(prefix, "install", *offered, f"extra=={version}")
        kaa.ok("env", "config", "vars", "set", "-n", "env", f"A={version}")
    kept = prefix / "conda-meta/generations/files"
    assert [path.name.rpartition("-")[0] for path in sorted(kept.iterdir())] == ["extra-1.0", "extra-2.0"]
    shown = kaa.ok("history", "-n", "env", "--prune", "--keep", "1", "--dry-run").out
    assert "  kept files of extra-1.0\n" in shown
    kaa.ok("history", "-n", "env", "--prune", "--keep", "1", "-y")
    assert [path.name.rpartition("-")[0] for path in kept.iterdir()] == ["extra-2.0"]
    assert (prefix / SITE / "extra.py").read_text() == "version = '2.0'\n"


# -- a real python ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="pythons are packaged on Linux only")
def test_a_real_python_and_its_own_pip(kaa: Kaa, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = tmp_path / "real"
    original = ask_interpreter(Path(sys.executable))
    packaged = package_python(Path(sys.executable), channel, environ={}, level=1)
    subdir = packaged.path.parent.name
    if not package_pip(original, channel, subdir=subdir, level=1):
        pytest.skip("this python has no pip")
    for name in ("speech", "extra"):
        package_wheel(folder / "wheels" / f"{name}-1.0-py3-none-any.whl", channel, subdir=subdir, level=1)
    index_channel(channel, workers=1)
    monkeypatch.setenv("CONDA_SUBDIR", subdir)
    # What running python leaves is nobody's.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    only = ["-O", "-c", str(channel)]
    for name in ("one", "two"):
        kaa.ok("create", "-y", "-n", name, *only, "pip", "speech")
    prefix, other = kaa.environment("one"), kaa.environment("two")
    before, untouched = state(prefix), state(other)
    python = prefix / f"bin/python{original.minor}"
    offered = ["--no-index", "--find-links", str(folder / "wheels")]
    command = [str(python), "-m", "pip", "--no-cache-dir", "-q", "install", "--upgrade", *offered, "speech", "extra"]
    subprocess.run(command, check=True, env=environ)
    by_pip = state(prefix)
    assert (
        subprocess.run([prefix / "bin/speak"], capture_output=True, env=environ, check=True).stdout == b"speech 2.0\n"
    )
    assert state(other) == untouched
    kaa.ok("undo", "-n", "one", "-y", "--offline")
    assert changed(before, state(prefix)) == set()
    assert kaa.ok("verify", "-n", "one").out.endswith("Nothing is wrong.\n")
    assert (
        subprocess.run([prefix / "bin/speak"], capture_output=True, env=environ, check=True).stdout == b"speech 1.0\n"
    )
    kaa.ok("rollback", "-n", "one", "-y", "2")
    assert changed(by_pip, state(prefix)) == set()
    assert state(other) == untouched

    # An environment file with a section for pip is one change.
    file = tmp_path / "more.yml"
    section = ["--no-index", f"--find-links {folder / 'wheels'}", "extra==1.0", "other"]
    lines = "".join(f"    - {line}\n" for line in section)
    file.write_text(
        f"name: two\nchannels: [{channel}, nodefaults]\ndependencies:\n  - pip:\n{lines}variables: {{A: b}}\n"
    )
    kaa.ok("env", "update", "-f", str(file))
    assert [(one["cause"], one["parent"]) for one in history(kaa, "two")][1:] == [("change", 1), ("variables", 1)]
    assert (other / f"lib/python{original.minor}/site-packages/other.py").exists()
    kaa.ok("undo", "-n", "two", "-y", "--offline")
    assert changed(untouched, state(other)) == set()
    assert kaa.ok("verify", "-n", "two").out.endswith("Nothing is wrong.\n")
