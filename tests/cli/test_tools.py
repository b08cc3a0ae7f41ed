"""`kaa tool`: programs in environments of their own, their launchers, and what a kill leaves of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kaa.api.session import open_session
from kaa.api.tools import check_tools, read_tools
from tests.channels import File, Package, serve
from tests.cli.houses_with_channels import Street, program, tool_channel
from tests.shell.houses import KAA, House


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    channel = tool_channel(tmp_path / "channel")
    with serve(channel.folder) as server:
        yield Street(House(tmp_path / "house"), channel, server)


def bin_of(street: Street) -> Path:
    return street.house.root / "tools" / "bin"


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def launch(
    street: Street, name: str, *words: str, environ: Mapping[str, str] | None = None, input: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """Run a launcher, as a user who has its directory on PATH would."""
    return subprocess.run(
        [str(bin_of(street) / name), *words],
        env={**street.environ, **(environ or {})},
        input=input,
        capture_output=True,
        check=False,
    )


def listed(street: Street) -> dict[str, Any]:
    return {tool["name"]: tool for tool in json.loads(street.out("tool", "list", "--json"))["tools"]}


# -- the life of a tool -----------------------------------------------------------------------------------------------


def test_install_run_upgrade_uninstall(street: Street) -> None:
    told = street.out("tool", "install", "tool=1")
    assert told.startswith("Installed tool 1.0: tool\n")
    assert f'export PATH={bin_of(street)}:"$PATH"' in told
    assert launch(street, "tool", "a b").stdout == b"tool 1.0 a b\n"
    assert listed(street)["tool"]["launchers"] == [str(bin_of(street) / "tool")]
    # It keeps to what was asked for.
    assert street.out("tool", "upgrade", "tool") == "tool is up to date\n"
    street.out("tool", "install", "tool>=1")
    assert launch(street, "tool").stdout == b"tool 2.0\n"
    newer = program("#!/bin/sh\necho tool 3\n")
    street.channel.add(Package("tool", "3.0", files={"bin/tool": newer, "bin/tool-more": newer})).write()
    assert street.out("tool", "upgrade", "--all") == "tool 2.0 → 3.0\n"
    assert names_in(bin_of(street)) == ["tool", "tool-more"]
    assert launch(street, "tool-more").stdout == b"tool 3\n"
    street.out("tool", "install", "tool=2")
    assert names_in(bin_of(street)) == ["tool"]
    assert street.out("tool", "uninstall", "tool") == "Removed tool\n"
    assert names_in(bin_of(street)) == []
    assert not (street.house.root / "tools" / "tool").exists()
    assert street.out("tool", "list") == "No tools are installed.\n"


def test_tools_do_not_meet(street: Street) -> None:
    street.out("tool", "install", "tool=1")
    street.out("tool", "install", "greeter", "--with", "tool=2")
    assert launch(street, "tool").stdout == b"tool 1.0\n"
    assert launch(street, "greet").stdout == b"hello\ntool 2.0\n"
    assert set(listed(street)) == {"tool", "greeter"}
    assert not (street.house.home / ".conda" / "environments.txt").exists()


def test_programs_of_other_packages_are_exposed_on_demand(street: Street) -> None:
    street.out("tool", "install", "lib", "--expose", "tool")
    assert names_in(bin_of(street)) == ["tool"]


def test_the_channels_of_a_tool_are_remembered(street: Street, tmp_path: Path) -> None:
    other = tool_channel(tmp_path / "other")
    other.add(Package("rare", "1.0", files={"bin/rare": program("#!/bin/sh\necho one\n")})).write()
    street.out("tool", "install", "-O", "-c", str(other.folder), "rare")
    other.add(Package("rare", "2.0", files={"bin/rare": program("#!/bin/sh\necho two\n")})).write()
    assert street.out("tool", "upgrade", "rare") == "rare 1.0 → 2.0\n"
    assert launch(street, "rare").stdout == b"two\n"


def test_tool_run_installs_nothing(street: Street) -> None:
    assert street.out("tool", "run", "tool=1", "tool", "-x") == "tool 1.0 -x\n"
    assert street.out("tool", "run", "tool") == "tool 2.0\n"
    assert street.kaa("tool", "run", "tool", environ={"TOOL_CODE": "9"}).returncode == 9
    assert not (street.house.root / "tools").exists()


def test_clean_keeps_the_packages_of_tools(street: Street) -> None:
    street.out("tool", "install", "tool")
    street.out("clean", "--all", "--yes")
    assert (street.house.root / "pkgs" / "tool-2.0-0").is_dir()


# -- launchers --------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["plain", "with scripts", "active", "plainly active"])
def surroundings(request: pytest.FixtureRequest, street: Street) -> dict[str, str]:
    """A tool as a launcher finds it: entered by itself, or by kaa because of scripts or of an active environment."""
    street.out("tool", "install", "tool")
    if request.param == "with scripts":
        script = street.house.root / "tools" / "tool" / "etc" / "conda" / "activate.d" / "x.sh"
        script.parent.mkdir(parents=True)
        script.write_text("export FROM_SCRIPT=yes\n")
    if "active" in request.param:
        other = street.house.environment("ot her", variables={"LEFT": "behind"} if request.param == "active" else None)
        return {"CONDA_SHLVL": "1", "CONDA_PREFIX": str(other), "PATH": f"{other}/bin:/usr/bin:/bin"}
    return {}


def test_launchers_give_their_place_to_the_program(street: Street, surroundings: dict[str, str]) -> None:
    prefix = street.house.root / "tools" / "tool"
    asking = prefix / "bin" / "tool"
    asking.unlink()
    asking.write_text('#!/bin/sh\necho $$ $CONDA_PREFIX $CONDA_SHLVL "$PATH" $prefix "$@"\ncat\nexit 37\n')
    asking.chmod(0o755)
    process = subprocess.Popen(
        [str(bin_of(street) / "tool"), "a  b", "*"],
        env={**street.environ, **surroundings, "prefix": "mine"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    out, _ = process.communicate(b"\0\xff input")
    assert (
        out.decode(errors="replace")
        == f"{process.pid} {prefix} 1 {prefix}/bin:/usr/bin:/bin mine a  b *\n\0\ufffd input"
    )
    assert process.returncode == 37


def test_signals_end_the_program(street: Street, surroundings: dict[str, str]) -> None:
    asking = street.house.root / "tools" / "tool" / "bin" / "tool"
    asking.unlink()
    asking.write_text("#!/bin/sh\nkill -TERM $$\n")
    asking.chmod(0o755)
    assert launch(street, "tool", environ=surroundings).returncode == -signal.SIGTERM


def test_foreign_files_are_never_touched(street: Street, tmp_path: Path) -> None:
    directory = tmp_path / "my bin"
    directory.mkdir()
    (directory / "tool").write_text("mine\n")
    done = street.kaa("tool", "install", "tool", "--bin-dir", str(directory))
    assert done.returncode == 1
    assert b"there already, and not made for this tool" in done.stderr
    assert (directory / "tool").read_text() == "mine\n"
    assert listed(street) == {}
    assert not (street.house.root / "tools" / "tool").exists()
    (directory / "tool").unlink()
    street.out("tool", "install", "tool", "--bin-dir", str(directory))
    # What the user puts in the place of a launcher is the user's.
    (directory / "tool").unlink()
    (directory / "tool").write_text("mine again\n")
    done = street.kaa("tool", "upgrade", "tool")
    assert done.returncode == 0
    assert b"is not kaa's, and stays" in done.stderr
    street.out("tool", "uninstall", "tool")
    assert (directory / "tool").read_text() == "mine again\n"


def test_a_launcher_moves_with_the_choice_of_directory(street: Street, tmp_path: Path) -> None:
    street.out("tool", "install", "tool")
    street.out("tool", "install", "tool", "--bin-dir", str(tmp_path / "elsewhere"))
    assert names_in(bin_of(street)) == []
    assert names_in(tmp_path / "elsewhere") == ["tool"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["install", "lib"], "lib brings no programs"),
        (["install", "nobody"], "nobody"),
        (["install", "bin"], "launchers are in a directory of that name"),
        (["uninstall", "tool"], "no tool 'tool' is installed"),
        (["upgrade", "tool"], "no tool 'tool' is installed"),
        (["upgrade"], "no tool is named"),
    ],
)
def test_what_goes_wrong_is_told_and_leaves_nothing(street: Street, words: list[str], message: str) -> None:
    done = street.kaa("tool", *words)
    assert done.returncode in (1, 2)
    assert message in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert listed(street) == {}
    tools = street.house.root / "tools"
    assert not tools.exists() or {path.name for path in tools.iterdir()} <= {".records", ".lock"}


def test_what_was_removed_by_hand_is_put_right(street: Street) -> None:
    street.out("tool", "install", "tool")
    (bin_of(street) / "tool").unlink()
    assert set(listed(street)) == {"tool"}
    assert launch(street, "tool").stdout == b"tool 2.0\n"
    subprocess.run(["rm", "-r", str(street.house.root / "tools" / "tool")], check=True)
    assert listed(street) == {}
    assert names_in(bin_of(street)) == []


# -- kills ------------------------------------------------------------------------------------------------------------

WORK = """
import os, signal, sys
from pathlib import Path
from kaa.api.session import open_session
from kaa.api.tools import Tool, get_tool, install_tool, tools_directory, uninstall_tool, upgrade_tool
word, last, *kaa = sys.argv[1:]
step = 0
def checkpoint(name):
    global step
    step += 1
    print(step, name, flush=True)
    if step == int(last):
        os.kill(os.getpid(), signal.SIGKILL)
with open_session(checkpoint=checkpoint, register_envs=False) as session:
    directory = str(tools_directory(session.config.root_prefix) / "bin")
    if word == "uninstall":
        uninstall_tool(session, "tool", kaa)
    elif word == "upgrade":
        upgrade_tool(session, get_tool(session, "tool"), kaa)
    else:
        install_tool(session, Tool(name="tool", spec=word, directory=directory), kaa)
"""


def work(street: Street, word: str, last: int = 0) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", WORK, word, str(last), *KAA],
        env=street.environ,
        cwd=street.house.directory,
        capture_output=True,
        check=False,
    )


def agreed(street: Street) -> str:
    """What is installed after the next command has looked; fails where records, environments and launchers differ."""
    with open_session(environ=street.environ, root_prefix=street.house.root, register_envs=False) as session:
        check_tools(session, KAA)
        tools = read_tools(session)
    root = street.house.root / "tools"
    present = set(names_in(bin_of(street)))
    inside = {path.name for path in root.iterdir()} - {".lock", ".records", "bin"}
    assert set(names_in(root / ".records")) == {tool.name for tool in tools}
    if not tools:
        assert (present, inside) == (set(), set())
        return "none"
    [tool] = tools
    prefix = root / "tool"
    assert inside == {"tool"}
    assert tool.state == "ready"
    programs = {path.name for path in (prefix / "bin").iterdir()}
    assert present == programs == {Path(path).name for path in tool.launchers}
    [record] = (prefix / "conda-meta").glob("tool-*.json")
    return record.name.split("-")[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "word", "outcomes"),
    [
        (None, "tool=1", {"none", "1.0"}),
        ("tool=1", "tool=3", {"1.0", "3.0"}),
        ("tool", "upgrade", {"2.0", "3.0"}),
        ("tool=3", "tool=1", {"1.0", "3.0"}),
        ("tool=3", "uninstall", {"none", "3.0"}),
    ],
)
def test_killed_at_many_steps_environment_and_launchers_agree(
    street: Street, before: str | None, word: str, outcomes: set[str]
) -> None:
    newer = File(b"#!/bin/sh\necho tool 3\n", mode=0o755)

    def prepare() -> None:
        street.channel.repodata["linux-64"]["packages.conda"].pop("tool-3.0-0.conda", None)
        if before != "tool=3":
            street.channel.write()
        else:
            publish()
        subprocess.run(["rm", "-rf", str(street.house.root / "tools")], check=True)
        if before is not None:
            done = work(street, before)
            assert done.returncode == 0, done.stderr
        publish()

    def publish() -> None:
        more = Package("tool", "3.0", files={"bin/tool": newer, "bin/tool-more": newer})
        street.channel.add(more).write()

    prepare()
    done = work(street, word)
    assert done.returncode == 0, done.stderr
    steps = len(done.stdout.splitlines())
    last = agreed(street)
    seen = set()
    # Every third step, and those at the ends, where something begins or is complete.
    for step in sorted({1, 2, steps - 1, steps, *range(1, steps + 1, 3)}):
        prepare()
        killed = work(street, word, step)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        found = agreed(street)
        seen.add(found)
        assert found in outcomes, (step, killed.stdout)
        # And again it works.
        if found != last:
            assert work(street, word).returncode == 0, step
            assert agreed(street) == last
    assert seen == outcomes
