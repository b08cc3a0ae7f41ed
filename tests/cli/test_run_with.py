"""`kaa run --with` and scripts that say what they need: temporary environments, made once and used again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels import Package, serve
from tests.cli.houses_with_channels import Street, tool_channel
from tests.shell.houses import House


@pytest.fixture
def street(tmp_path: Path) -> Iterator[Street]:
    channel = tool_channel(tmp_path / "channel")
    with serve(channel.folder) as server:
        yield Street(House(tmp_path / "house"), channel, server)


# -- the program ------------------------------------------------------------------------------------------------------


def test_a_program_runs_in_an_environment_that_is_made_once(street: Street) -> None:
    assert street.out("run", "--with", "tool", "tool", "a b", "*") == "tool 2.0 a b *\n"
    [prefix] = street.environments()
    seen = len(street.server.requests)
    done = street.kaa("run", "--with", "tool", "tool")
    assert (done.stdout, done.stderr) == (b"tool 2.0\n", b"")
    assert len(street.server.requests) == seen
    assert street.environments() == [prefix]
    # It is nobody's to enter: it is not listed.
    assert str(prefix) not in json.loads(street.out("env", "list", "--json"))["envs"]


@pytest.mark.parametrize("code", [0, 1, 7, 127, 255])
def test_exit_codes_are_the_programs(street: Street, code: int) -> None:
    assert street.kaa("run", "--with", "tool", "tool", environ={"TOOL_CODE": str(code)}).returncode == code


def test_standard_input_reaches_the_program_untouched(street: Street) -> None:
    data = bytes(range(256)) * 5000
    assert street.kaa("run", "--with", "tool", "cat", input=data).stdout == data


def test_signals_reach_the_program(street: Street) -> None:
    waiting = "trap 'exit 42' TERM; echo up; while :; do sleep 0.01; done"
    process = street.start("run", "--with", "tool", "sh", "-c", waiting)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 42


# -- what is asked for ------------------------------------------------------------------------------------------------


def test_other_requests_have_other_environments_and_equal_answers_share_one(street: Street) -> None:
    assert street.out("run", "--with", "tool=1", "tool") == "tool 1.0\n"
    assert street.out("run", "--with", "tool", "tool") == "tool 2.0\n"
    assert len(street.environments()) == 2
    assert street.out("run", "--with", "tool", "--with", "lib=2", "tool") == "tool 2.0\n"
    assert len(street.environments()) == 2
    assert len(list((street.temporary / ".asked").iterdir())) == 3


def test_the_order_of_packages_does_not_matter(street: Street) -> None:
    for words in (["tool", "greeter"], ["greeter", "tool"]):
        with_words = [word for name in words for word in ("--with", name)]
        assert street.out("run", *with_words, "greet") == "hello\ntool 2.0\n"
    assert len(list((street.temporary / ".asked").iterdir())) == 1


def test_channels_of_the_command_line(street: Street, tmp_path: Path) -> None:
    other = tool_channel(tmp_path / "other")
    other.add(Package("only-here", files={"share/x": "x"})).write()
    assert street.kaa("run", "--with", "only-here", "true").returncode == 1
    street.out("run", "-c", str(other.folder), "--with", "only-here", "true")
    street.out("run", "-O", "-c", str(other.folder), "--with", "only-here", "true")


@pytest.mark.parametrize("words", [["--refresh"], ["-c", "x"]])
def test_options_that_would_mean_nothing_are_refused(street: Street, words: list[str]) -> None:
    done = street.kaa("run", *words, "true")
    assert done.returncode == 2
    assert b"none is wanted" in done.stderr


def test_a_package_that_nobody_has_is_told_and_leaves_nothing(street: Street) -> None:
    done = street.kaa("run", "--with", "nobody", "true")
    assert done.returncode == 1
    assert b"nobody" in done.stderr
    assert street.environments() == []


# -- beside an environment --------------------------------------------------------------------------------------------


def test_the_packages_of_an_environment_and_more(street: Street) -> None:
    street.out("create", "-y", "-n", "work", "tool=1")
    before = sorted(path.name for path in (street.house.root / "envs" / "work").rglob("*"))
    street.out("env", "config", "vars", "set", "-n", "work", "WORD=yes")
    told = street.out("run", "-n", "work", "--with", "greeter", "sh", "-c", "greet; echo $WORD $CONDA_PREFIX")
    [prefix] = street.environments()
    assert told == f"hello\ntool 1.0\nyes {prefix}\n"
    assert set(before) <= {path.name for path in (street.house.root / "envs" / "work").rglob("*")}
    assert not (street.house.root / "envs" / "work" / "bin" / "greet").exists()
    # Another state of it is another request.
    street.out("install", "-y", "-n", "work", "tool=2")
    assert street.out("run", "-n", "work", "--with", "greeter", "greet") == "hello\ntool 2.0\n"


# -- age, refresh, no network -----------------------------------------------------------------------------------------


def make_old(street: Street) -> None:
    for path in (street.temporary / ".asked").iterdir():
        path.write_text(json.dumps({**json.loads(path.read_text()), "solved": 1_000_000_000}))


@pytest.mark.parametrize("way", ["refresh", "age"])
def test_newer_packages_come_after_a_time_or_when_asked_for(street: Street, way: str) -> None:
    assert street.out("run", "--with", "lib", "sh", "-c", "cat $CONDA_PREFIX/lib/libx.so") == "library 2.0"
    street.channel.add(Package("lib", "3.0", files={"lib/libx.so": "library 3.0"})).write()
    again = ["run", "--with", "lib", "sh", "-c", "cat $CONDA_PREFIX/lib/libx.so"]
    assert street.out(*again) == "library 2.0"
    if way == "age":
        make_old(street)
        assert street.out(*again) == "library 3.0"
    else:
        assert street.out("run", "--refresh", *again[1:]) == "library 3.0"
    assert street.out(*again) == "library 3.0"
    assert len(street.environments()) == 2


def test_an_old_environment_is_used_where_channels_cannot_be_asked(street: Street) -> None:
    street.out("run", "--with", "tool", "tool")
    make_old(street)
    assert street.out("run", "--offline", "--with", "tool", "tool") == "tool 2.0\n"
    dead = {"CONDA_REPODATA_TTL": "0"}
    street.server.credentials = "nobody knows it"
    done = street.kaa("run", "--with", "tool", "tool", environ=dead)
    assert (done.returncode, done.stdout) == (0, b"tool 2.0\n")
    assert b"the environment of an earlier run is used" in done.stderr


# -- several at once, interruption ------------------------------------------------------------------------------------


def test_several_at_once_make_one(street: Street) -> None:
    running = [street.start("run", "--with", "tool", "tool", str(number)) for number in range(4)]
    for number, process in enumerate(running):
        out, err = process.communicate()
        assert (process.returncode, out) == (0, f"tool 2.0 {number}\n".encode()), err
    assert len(street.environments()) == 1
    assert street.server.count("tool-2.0-0.conda") == 1


STEPS = """
import os, signal, sys
from pathlib import Path
from kaa.api.environments import ChangeOptions
from kaa.api.session import open_session
from kaa.api.temporary_environments import make_temporary, plan_temporary
step = 0
def checkpoint(name):
    global step
    step += 1
    print(step, name, flush=True)
    if step == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
with open_session(checkpoint=checkpoint, register_envs=False) as session:
    options = ChangeOptions()
    make_temporary(session, "question", lambda: plan_temporary(session, ["tool"], options=options))
"""


@pytest.mark.slow
def test_killed_at_many_steps_the_next_run_has_a_whole_environment(street: Street) -> None:
    def work(step: int) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-c", STEPS, str(step)],
            env=street.environ,
            cwd=street.house.directory,
            capture_output=True,
            check=False,
        )

    steps = len(work(0).stdout.splitlines())
    assert steps > 4
    for step in sorted({1, 2, steps - 1, steps, *range(1, steps + 1, 3)}):
        for path in street.environments():
            street.out("clean", "-y", "--temporary-environments")
            assert not path.exists()
        assert work(step).returncode == -signal.SIGKILL
        assert street.out("run", "--with", "tool", "tool") == "tool 2.0\n", step
        [prefix] = street.environments()
        street.out("verify", "-p", str(prefix))


# -- cleaning ---------------------------------------------------------------------------------------------------------


def test_clean_removes_what_nobody_uses_and_its_packages_and_leaves_what_is_in_use(street: Street) -> None:
    street.out("run", "--with", "tool=1", "tool")
    [idle] = street.environments()
    running = street.start("run", "--with", "tool=2", "sh", "-c", "echo up; read line; tool")
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    [used] = [path for path in street.environments() if path != idle]
    planned = json.loads(street.out("clean", "--all", "--dry-run", "--json"))
    assert planned["temporary_environments"] == [str(idle)]
    assert idle.exists()
    done = json.loads(street.out("clean", "--all", "--yes", "--json"))
    assert done["temporary_environments"] == [str(idle)]
    assert not idle.exists()
    packages = {path.name for path in (street.house.root / "pkgs").iterdir()}
    assert "lib-1.0-0" not in packages
    assert "lib-2.0-0" in packages
    out, _ = running.communicate(b"\n")
    assert out == b"tool 2.0\n"
    assert json.loads(street.out("clean", "--all", "--yes", "--json"))["temporary_environments"] == [str(used)]
    assert street.environments() == []
    assert list((street.temporary / ".asked").iterdir()) == []
    assert street.out("run", "--with", "tool=1", "tool") == "tool 1.0\n"


def test_what_a_child_in_the_background_uses_stays(street: Street) -> None:
    running = street.start("run", "--with", "tool", "sh", "-c", "exec 3<&0; (read line <&3; tool) & echo up")
    assert running.stdout is not None
    assert running.stdout.readline() == b"up\n"
    assert running.wait() == 0
    assert json.loads(street.out("clean", "--all", "--yes", "--json"))["temporary_environments"] == []
    assert running.stdin is not None
    running.stdin.write(b"\n")
    running.stdin.close()
    assert running.stdout.read() == b"tool 2.0\n"
    running.stdout.close()
    assert running.stderr is not None
    running.stderr.close()


def test_clean_by_age(street: Street) -> None:
    street.out("run", "--with", "tool", "tool")
    [prefix] = street.environments()
    words = ["clean", "-y", "--temporary-environments", "--older-than", "30d"]
    street.out(*words)
    assert prefix.exists()
    os.utime(prefix / "conda-meta" / "kaa-temporary", (1_000_000_000, 1_000_000_000))
    street.out(*words)
    assert not prefix.exists()


def test_the_root_prefix_can_still_become_an_environment(street: Street) -> None:
    street.out("run", "--with", "tool", "tool")
    street.out("create", "-y", "-p", str(street.house.root), "lib")


# -- scripts ----------------------------------------------------------------------------------------------------------

PYTHON_SCRIPT = """#!/usr/bin/env -S kaa run --script
# /// script
# requires-python = "{python}"
# dependencies = [{dependencies}]
# ///
print("never run by a real python here")
"""


def script(street: Street, text: str, name: str = "work.py") -> Path:
    path = street.house.directory / name
    path.write_text(text)
    return path


def installed(street: Street) -> set[str]:
    [prefix] = street.environments()
    return {path.name.rsplit("-", 1)[0] for path in (prefix / "conda-meta").glob("*-*-*.json")}


def test_a_python_script_with_requirements(street: Street) -> None:
    dependencies = '"requests[socks]>=2,<3", "Typing-Extensions", "ruamel.yaml", "pywin32; sys_platform == \'win32\'"'
    path = script(street, PYTHON_SCRIPT.format(python=">=3.9", dependencies=dependencies))
    done = street.kaa("run", path.name, "a b")
    assert (done.returncode, done.stdout) == (5, b"python 3 work.py a b\n"), done.stderr
    assert b"the extras socks are not asked for" in done.stderr
    assert installed(street) == {"python-3.12.4", "requests-2.1", "typing_extensions-2.1", "ruamel.yaml-2.1"}


@pytest.mark.parametrize(("python", "more"), [(">=3.10", set()), ("<3.10", {"tomli-2.1"})])
def test_a_requirement_for_some_pythons(street: Street, python: str, more: set[str]) -> None:
    script(street, PYTHON_SCRIPT.format(python=python, dependencies="\"tomli; python_version < '3.10'\""))
    assert street.kaa("run", "work.py").returncode == 5
    assert {name for name in installed(street) if not name.startswith("python")} == more


def test_a_requirement_that_no_channel_has(street: Street) -> None:
    script(street, PYTHON_SCRIPT.format(python="", dependencies='"only-on-pypi>=1", "requests"'))
    done = street.kaa("run", "work.py")
    assert done.returncode == 1
    assert b"only-on-pypi>=1" in done.stderr
    assert b"add pypi to the channels" in done.stderr
    assert street.environments() == []


def test_a_python_file_without_a_block_is_a_program_like_any_other(street: Street) -> None:
    street.out("create", "-y", "-n", "work", "tool")
    path = script(street, "#!/bin/sh\necho plain\n")
    path.chmod(0o755)
    assert street.out("run", "-n", "work", "./work.py") == "plain\n"
    assert not street.temporary.exists()


CONDA_SCRIPT = """-- /// conda-script
-- entrypoint = {{ unix = '''sh -c 'cat "$0"; echo "$@" $CACHE; tool' ${{SCRIPT}}''', win = "no" }}
-- platforms = {platforms}
-- [dependencies]
-- tool = "1.*"
-- lib = {{ version = "*", when = "__linux" }}
-- requests = {{ version = "*", when = "__win" }}
-- /// end-conda-script
"""


def test_a_script_of_any_language(street: Street) -> None:
    text = CONDA_SCRIPT.format(platforms='["linux-64"]')
    path = script(street, text, "my work.lua")
    told = street.out("run", "--script", path.name, "a b")
    assert told.startswith(text + "a b ")
    assert told.endswith("tool 1.0\n")
    assert installed(street) == {"tool-1.0", "lib-1.0"}


def test_a_script_for_other_platforms(street: Street) -> None:
    script(street, CONDA_SCRIPT.format(platforms='["osx-arm64"]'), "x.lua")
    done = street.kaa("run", "--script", "x.lua")
    assert done.returncode == 1
    assert b"x.lua is for osx-arm64, and this is linux-64" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("print(1)\n", "it has no block"),
        ("# /// conda-script\n# channels = 1\n# ///\n", "channels is no list of texts"),
        ("# /// conda-script\n# [dependencies]\n# a = '>>2'\n# ///\n", "the block at line 1"),
    ],
)
def test_scripts_that_cannot_be_run(street: Street, text: str, message: str) -> None:
    script(street, text, "x")
    done = street.kaa("run", "--script", "x")
    assert done.returncode == 1
    assert message in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_packages_beside_those_of_the_script(street: Street) -> None:
    script(street, PYTHON_SCRIPT.format(python="", dependencies=""))
    assert street.kaa("run", "--with", "tool=1", "work.py").returncode == 5
    assert installed(street) == {"python-3.12.4", "tool-1.0", "lib-1.0"}
