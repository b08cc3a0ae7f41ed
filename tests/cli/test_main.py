"""The frame of the program: words to commands, exit codes, errors as text and JSON, and what a start costs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kaa import __version__
from kaa.cli.dispatch import find_program, split_leading
from kaa.cli.main import CONDA_VERSION, version_line
from kaa.cli.table import COMMANDS, GROUPS, find_command
from tests.channels import ChannelBuilder
from tests.cli.commands import Answer, Kaa

PYTHON = [sys.executable, "-m", "kaa"]


def start(*words: str, environ: dict[str, str] | None = None, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [*PYTHON, *words], env={**os.environ, **(environ or {})}, capture_output=True, text=True, **options
    )


# -- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", ["--version", "-V"])
def test_the_version(kaa: Kaa, flag: str) -> None:
    assert kaa(flag) == Answer(0, f"kaa {__version__}\n", "")


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("/usr/bin/kaa", f"kaa {__version__}"),
        ("/opt/bin/conda", f"conda {CONDA_VERSION}"),
        (r"C:\kaa\Scripts\conda.exe", f"conda {CONDA_VERSION}"),
        ("condax", f"kaa {__version__}"),
    ],
)
def test_who_calls_it_conda_reads_a_version_of_conda(program: str, line: str) -> None:
    assert version_line(program) == line


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"], ["--json"], ["-v", "--help"]])
def test_help(kaa: Kaa, words: list[str]) -> None:
    answer = kaa(*words)
    assert (answer.code, answer.err) == (0, "")
    for command in COMMANDS:
        assert f"  {command.name}" in answer.out
        assert command.help in answer.out
    for group in GROUPS:
        assert f"{group}:" in answer.out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_has_help_and_takes_no_unknown_flag(kaa: Kaa, command: object) -> None:
    name = getattr(command, "name", "")
    answer = kaa(name, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(f"usage: kaa {name}")
    if name != "run":
        answer = kaa(name, "--no-such-flag")
        assert answer.code == 2
        assert answer.out == ""
        assert f"usage: kaa {name}" in answer.err


def test_names_and_aliases_are_unique() -> None:
    names = [name for command in COMMANDS for name in (command.name, *command.aliases)]
    assert len(names) == len(set(names))
    for name in names:
        command = find_command(name)
        assert command is not None
        assert name in (command.name, *command.aliases)
    assert find_command("nothing") is None
    assert {command.group for command in COMMANDS} == set(GROUPS)


WRONG = [
    (["lst"], "did you mean list?"),
    (["qqqq"], "`kaa --help` lists the commands"),
    (["a/b"], "there is no command"),
    (["--nothing", "list"], "unknown flag --nothing before the command"),
    (["--root-prefix"], "--root-prefix needs a value"),
]


@pytest.mark.parametrize(("words", "message"), WRONG)
def test_words_that_mean_nothing(kaa: Kaa, words: list[str], message: str) -> None:
    answer = kaa(*words)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err


@pytest.mark.parametrize(
    ("words", "leading", "rest"),
    [
        (["list"], [], ["list"]),
        (["--json", "list", "-q"], ["--json"], ["list", "-q"]),
        (["-v", "--root-prefix", "/r", "env", "list"], ["-v", "--root-prefix", "/r"], ["env", "list"]),
        (["--root-prefix=/r", "list"], ["--root-prefix=/r"], ["list"]),
        (["--json"], ["--json"], []),
        ([], [], []),
    ],
)
def test_flags_before_the_command(words: list[str], leading: list[str], rest: list[str]) -> None:
    assert split_leading(words) == (leading, rest)


def test_flags_before_the_command_count(kaa: Kaa, tmp_path: Path) -> None:
    other = tmp_path / "other"
    answer = kaa.ok("--json", "--root-prefix", str(other), "info", "--base")
    assert answer.json() == {"root_prefix": str(other)}


def test_words_may_stand_between_flags(kaa: Kaa, channel: ChannelBuilder) -> None:
    answer = kaa.ok("create", "lib", "-O", "-c", str(channel.folder), "alone", "-n", "x", "-d", "--json", "notes")
    assert {record["name"] for record in answer.json()["actions"]["LINK"]} == {"lib", "alone", "notes"}


def test_other_programs_become_commands(kaa: Kaa, tmp_path: Path) -> None:
    program = tmp_path / "kaa-hello"
    program.write_text('#!/bin/sh\necho hello "$@"\nexit 7\n')
    program.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert find_program("kaa-hello", path) == program
    assert find_program("kaa-hello", "") is None
    done = start("hello", "--json", "a b", environ={"PATH": path})
    assert (done.returncode, done.stdout, done.stderr) == (7, "hello --json a b\n", "")
    program.chmod(0o644)
    assert find_program("kaa-hello", str(tmp_path)) is None


# -- errors -----------------------------------------------------------------------------------------------------------


def test_an_error_as_text(kaa: Kaa) -> None:
    answer = kaa("list", "-n", "nobody")
    assert (answer.code, answer.out) == (1, "")
    lines = answer.err.splitlines()
    assert lines[0] == ""
    assert lines[1].startswith("EnvironmentNameNotFound: ")
    assert all(line.startswith("  try: ") for line in lines[2:-1])


@pytest.mark.parametrize(
    ("words", "environ"),
    [(["--json"], {}), ([], {"CONDA_JSON": "yes"}), ([], {"KAA_JSON": "1"})],
)
def test_an_error_as_json(kaa: Kaa, monkeypatch: pytest.MonkeyPatch, words: list[str], environ: dict[str, str]) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    answer = kaa("list", "-n", "nobody", *words)
    assert answer.code == 1
    document = answer.json()
    assert document["exception_name"] == "EnvironmentNameNotFound"
    assert document["exception_type"] == "<class 'conda.exceptions.EnvironmentNameNotFound'>"
    assert document["error"] == f"EnvironmentNameNotFound: {document['message']}"
    assert document["caused_by"] == "None"
    assert document["name"] == "nobody"
    assert document["guidance"]["hints"]
    assert list(document) == sorted(document)


def test_json_may_be_a_setting(kaa: Kaa) -> None:
    (kaa.home / ".condarc").write_text("json: true\n")
    assert kaa.ok("info", "--base").json() == {"root_prefix": str(kaa.root)}
    assert kaa("list", "-n", "nobody").json()["exception_name"] == "EnvironmentNameNotFound"


def test_a_broken_condarc_is_told_by_every_command(kaa: Kaa) -> None:
    (kaa.home / ".condarc").write_text("channels: [a\n")
    for words in (["list"], ["info"], ["create", "-n", "x"], ["config", "--show"]):
        answer = kaa(*words)
        assert answer.code == 1
        assert f"{kaa.home / '.condarc'}, line 2: " in answer.err


def test_a_crash_shows_the_traceback_and_what_to_do(kaa: Kaa, monkeypatch: pytest.MonkeyPatch) -> None:
    # A working directory that is gone is nothing that kaa expects.
    gone = kaa.home / "gone"
    gone.mkdir()
    done = subprocess.run(
        [
            "/bin/sh",
            "-c",
            f"cd {gone} && rmdir {gone} && exec {' '.join(PYTHON)} list -c https://u:hunter2@host/t/tk-x/c",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" in done.stderr
    assert "Please report it" in done.stderr
    assert "hunter2" not in done.stderr
    assert "tk-x" not in done.stderr


def test_an_interrupt_ends_with_1_and_no_traceback(kaa: Kaa, channel: ChannelBuilder) -> None:
    words = ["create", "-n", "x", "-O", "-c", str(channel.folder), "lib"]
    process = subprocess.Popen(
        [*PYTHON, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    shown = ""
    while not shown.endswith("? "):
        shown += process.stdout.read(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 1
    assert "Traceback" not in err
    assert err.endswith("\ninterrupted\n")
    assert not kaa.environment("x").exists()


@pytest.mark.parametrize("words", ["--version", "--help", "config --describe", "list -n nobody --json"])
def test_a_reader_that_has_enough(kaa: Kaa, words: str) -> None:
    # The reading end of the pipe is closed before anything is written to it.
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*PYTHON, *words.split()], stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


# -- the cost of a start ----------------------------------------------------------------------------------------------

HEAVY = {"msgspec", "ssl", "yaml", "ruamel", "subprocess", "rich", "urllib3", "zstandard", "email", "http", "asyncio"}


def modules_of(*words: str) -> set[str]:
    """What a command has loaded when it is done, in a Python that has loaded nothing else."""
    code = (
        "import sys\n"
        "from kaa.cli.main import main\n"
        f"code = main({list(words)!r})\n"
        "sys.stderr.write(' '.join(sys.modules))\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_the_version_loads_next_to_nothing() -> None:
    loaded = modules_of("--version")
    assert not loaded & (HEAVY | {"argparse", "dataclasses", "typing", "json", "pathlib"})
    assert {name for name in loaded if name.startswith("kaa")} == {"kaa", "kaa.cli", "kaa.cli.called", "kaa.cli.main"}


def test_help_loads_no_command() -> None:
    loaded = modules_of("--help")
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith("kaa.cli.commands.")}


def test_config_needs_neither_network_nor_yaml_for_a_plain_file(tmp_path: Path) -> None:
    loaded = modules_of("config", "--show", "channels")
    assert not loaded & {"ssl", "ruamel", "rich", "urllib3", "zstandard", "http"}
    assert "kaa.api.session" not in loaded


def test_progress_loads_rich_only_on_a_terminal(kaa: Kaa) -> None:
    assert "rich" not in modules_of("info", "--base")
