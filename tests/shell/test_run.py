"""`kaa run`: the program takes kaa's place, with streams, terminal, signals and exit code, in the right variables."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaa.shell.activation import ActivationSettings, Installation, apply
from kaa.shell.dialects.posix import DIALECT
from kaa.shell.run import Program, find_bash, plan_run
from kaa.shell.script import Shell
from tests.shell.houses import KAA, House, make_environment

SCRIPT = {"activate.d/1.sh": "FROM_SCRIPT=yes\nexport FROM_SCRIPT\n"}


@pytest.fixture(params=[False, True], ids=["without scripts", "with scripts"])
def scripts(request: pytest.FixtureRequest) -> dict[str, str]:
    """An environment with and without scripts: once the program is started by kaa, once by a shell."""
    return SCRIPT if request.param else {}


def program(prefix: Path, name: str, text: str, mode: int = 0o755) -> Path:
    """An executable of an environment."""
    path = prefix / "bin" / name
    path.write_text(text)
    path.chmod(mode)
    return path


def dumped(output: bytes) -> dict[str, str]:
    return dict(item.split("=", 1) for item in os.fsdecode(output).split("\0") if item)


# -- the variables ----------------------------------------------------------------------------------------------------


def test_the_program_sees_the_environment_and_nothing_else_changes(house: House) -> None:
    prefix = house.environment("a", variables={"FOO": "it's\n$(x)", "GONE": "***unset***"})
    given = {"GONE": "x", "ODD": "a\nb", "LANG": "", "PWD": str(house.directory)}
    inside = dumped(house.kaa("run", "-n", "a", "env", "-0", environ=given).stdout)
    before = {**house.environ, **given}
    del before["GONE"]
    changed = {name for name in inside.keys() | before.keys() if inside.get(name) != before.get(name)}
    assert changed == {
        *("PATH", "FOO", "CONDA_PREFIX", "CONDA_SHLVL", "CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER"),
        *("CONDA_EXE", "_CONDA_EXE", "CONDA_PYTHON_EXE", "_CONDA_ROOT", "_CE_M", "_CE_CONDA"),
        *("KAA_EXE", "__KAA_SHLVL_1_NAMES", "__CONDA_SHLVL_0_GONE"),
    } - ({"KAA_EXE"} if len(KAA) > 1 else set())
    assert (inside["FOO"], inside["CONDA_SHLVL"], inside["CONDA_PREFIX"]) == ("it's\n$(x)", "1", str(prefix))
    assert inside["PATH"] == f"{prefix}/bin:/usr/bin:/bin"


def test_pythons_own_locale_variable_does_not_leak(house: House) -> None:
    house.environment("a")
    plain = {name: value for name, value in house.environ.items() if name != "LANG"}
    for locale in ({}, {"LC_CTYPE": "C.UTF-8"}):
        done = subprocess.run(
            [*KAA, "run", "-n", "a", "env", "-0"], env={**plain, **locale}, capture_output=True, check=True
        )
        assert dumped(done.stdout).get("LC_CTYPE") == locale.get("LC_CTYPE")


def test_programs_of_the_environment_come_first(house: House, scripts: dict[str, str]) -> None:
    prefix = house.environment("a", scripts=scripts)
    program(prefix, "ls", "#!/bin/sh\necho mine\n")
    assert house.kaa("run", "-n", "a", "ls").stdout == b"mine\n"


def test_which_environment(house: House) -> None:
    a = house.environment("a")
    make_environment(house.directory / "project" / "env")
    base = make_environment(house.directory / "base")
    ask = ("printenv", "CONDA_PREFIX")
    assert house.kaa("run", "--name", "a", *ask).stdout.decode() == f"{a}\n"
    assert house.kaa("run", "-p", "project/env", *ask).stdout.decode() == f"{house.directory}/project/env\n"
    assert house.kaa("run", "-n", "base", *ask).returncode == 1
    assert house.kaa("run", "--root-prefix", str(base), *ask).stdout.decode() == f"{base}\n"
    active = {"CONDA_SHLVL": "1", "CONDA_PREFIX": str(a)}
    assert house.kaa("run", *ask, environ=active).stdout.decode() == f"{a}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("-n", "nope", "true"), b"EnvironmentNameNotFound: No environment is named 'nope'"),
        (("-p", "./nope", "true"), b"EnvironmentLocationNotFound: Not an environment"),
    ],
)
def test_a_missing_environment(house: House, words: tuple[str, ...], said: bytes) -> None:
    done = house.kaa("run", *words)
    assert done.returncode == 1
    assert said in done.stderr


def test_the_active_environment_is_left_first(house: House) -> None:
    """From scratch: level 1, without the directories, variables and effects of what is active."""
    leave_1 = {"deactivate.d/1.sh": "echo left a\nunset FROM_A\n", "activate.d/1.sh": "echo entered a\n"}
    a = house.environment("a", variables={"FOO": "a"}, scripts=leave_1)
    b = house.environment("b", variables={"BAR": "b"})
    active = {
        "PATH": f"{a}/bin:/usr/bin:/bin",
        "CONDA_SHLVL": "1",
        "CONDA_PREFIX": str(a),
        "FOO": "a",
        "FROM_A": "x",
        "__CONDA_SHLVL_0_FOO": "mine",
        "__KAA_SHLVL_1_NAMES": "FOO",
    }
    done = house.kaa("run", "-n", "b", "sh", "-c", "echo $PATH $CONDA_SHLVL $FOO $BAR ${FROM_A-gone}", environ=active)
    assert done.stdout.decode() == f"left a\n{b}/bin:/usr/bin:/bin 1 mine b gone\n"


def test_environments_that_were_switched_away_from_are_not_entered_on_the_way(house: House) -> None:
    def noisy(name: str) -> dict[str, str]:
        return {"activate.d/1.sh": f"echo +{name}\n", "deactivate.d/1.sh": f"echo -{name}\n"}

    a, b, c, d = (house.environment(name, scripts=noisy(name)) for name in "abcd")
    active = {
        "PATH": f"{c}/bin:{b}/bin:/usr/bin:/bin",
        "CONDA_SHLVL": "3",
        "CONDA_PREFIX": str(c),
        "CONDA_PREFIX_1": str(a),
        "CONDA_PREFIX_2": str(b),
        "CONDA_STACKED_3": "true",
    }
    done = house.kaa("run", "-n", "d", "sh", "-c", "echo $PATH", environ=active)
    assert done.stdout.decode() == f"-c\n-b\n+d\n{d}/bin:/usr/bin:/bin\n"


# -- the words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--",),
        ("--no-capture-output",),
        ("-s",),
        ("--live-stream", "--"),
        ("--dev", "--debug-wrapper-scripts"),
        ("-v",),
        ("-q",),
    ],
)
def test_flags_of_conda_are_accepted_and_the_rest_is_the_programs(
    house: House, flags: tuple[str, ...], scripts: dict[str, str]
) -> None:
    house.environment("a", scripts=scripts)
    words = ["-n", "x", "--help", "--", "--cwd", "a b", "", "$HOME", "*", "'"]
    done = house.kaa("run", "-n", "a", *flags, "printf", "[%s]", *words)
    assert done.stdout.decode() == "".join(f"[{word}]" for word in words)


@pytest.mark.parametrize("words", [("-n", "a"), ("-n", "a", "--")])
def test_no_program(house: House, words: tuple[str, ...]) -> None:
    house.environment("a")
    done = house.kaa("run", *words)
    assert done.returncode == 2
    assert b"no program to run" in done.stderr


def test_the_directory_to_run_in(house: House, scripts: dict[str, str]) -> None:
    prefix = house.environment("a", scripts=scripts)
    (house.directory / "link").symlink_to(prefix)
    for directory in ("link/bin", str(house.directory / "link" / "bin")):
        done = house.kaa(
            "run",
            "-n",
            "a",
            "--cwd",
            directory,
            "sh",
            "-c",
            "printenv PWD; pwd -P",
            environ={"PWD": str(house.directory)},
        )
        assert done.stdout.decode() == f"{house.directory}/link/bin\n{prefix}/bin\n"
    missing = house.kaa("run", "-n", "a", "--cwd", "nope", "true")
    assert missing.returncode == 1
    assert b"--cwd nope: No such file or directory" in missing.stderr


# -- exit codes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_the_exit_code_is_the_programs(house: House, scripts: dict[str, str], code: int) -> None:
    house.environment("a", scripts=scripts)
    done = house.kaa("run", "-n", "a", "sh", "-c", f"exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


def test_a_program_that_is_not_there(house: House, scripts: dict[str, str]) -> None:
    house.environment("a", scripts=scripts)
    for word in ("nope", "./nope", "/nope/nope"):
        done = house.kaa("run", "-n", "a", word)
        assert done.returncode == 127
        assert "nope: no" in done.stderr.decode().lower()


def test_a_program_that_cannot_be_run(house: House, scripts: dict[str, str]) -> None:
    prefix = house.environment("a", scripts=scripts)
    path = program(prefix, "data", "text", mode=0o644)
    for word in (str(path), str(prefix)):
        done = house.kaa("run", "-n", "a", word)
        assert done.returncode == 126
        assert word in done.stderr.decode()


def test_why_a_program_cannot_be_run(house: House) -> None:
    prefix = house.environment("a")
    path = program(prefix, "broken", "#!/no/such/python -E\n")
    done = house.kaa("run", "-n", "a", "broken")
    assert done.returncode == 126
    assert f"{path}: cannot be run: its interpreter is not there: /no/such/python -E" in done.stderr.decode()
    program(prefix, "plain", "text", mode=0o644)
    assert b"no permission to execute it" in house.kaa("run", "-n", "a", "plain").stderr
    assert b"it is a directory" in house.kaa("run", "-n", "a", str(prefix)).stderr


def test_a_script_without_a_first_line_is_read_by_sh(house: House, scripts: dict[str, str]) -> None:
    prefix = house.environment("a", scripts=scripts)
    program(prefix, "plain", 'echo "$1"\n')
    assert house.kaa("run", "-n", "a", "plain", "a b").stdout == b"a b\n"


# -- streams, signals, terminal ---------------------------------------------------------------------------------------


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300_000))
def test_standard_input_and_output_are_the_programs(house: House, scripts: dict[str, str], data: bytes) -> None:
    if not (house.root / "envs" / "a").exists():
        house.environment("a", scripts=scripts)
    assert house.kaa("run", "-n", "a", "cat", input=data).stdout == data


def test_standard_output_and_error_stay_apart(house: House, scripts: dict[str, str]) -> None:
    house.environment("a", scripts=scripts)
    done = house.kaa("run", "-n", "a", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == (b"out\n", b"err\n")


def test_other_open_files_are_handed_on(house: House, scripts: dict[str, str]) -> None:
    house.environment("a", scripts=scripts)
    reading, writing = os.pipe()
    try:
        subprocess.run(
            [*KAA, "run", "-n", "a", "sh", "-c", f"echo here > /dev/fd/{writing}"],
            env=house.environ,
            pass_fds=(writing,),
            check=True,
        )
        assert os.read(reading, 100) == b"here\n"
    finally:
        os.close(reading)
        os.close(writing)


def started(house: House, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([*KAA, "run", "-n", "a", *words], env=house.environ, stdout=subprocess.PIPE)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL, signal.SIGUSR1])
def test_signals_reach_the_program(house: House, scripts: dict[str, str], number: signal.Signals) -> None:
    house.environment("a", scripts=scripts)
    with started(house, "sh", "-c", "echo $$; exec sleep 60") as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(number)
        assert process.wait() == -number


def test_a_program_that_handles_a_signal_decides_itself(house: House, scripts: dict[str, str]) -> None:
    house.environment("a", scripts=scripts)
    with started(house, "sh", "-c", "trap 'exit 42' TERM; echo ready; while :; do sleep 0.05; done") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait() == 42


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_the_program_ignores_the_same_signals_as_without_kaa(house: House, scripts: dict[str, str]) -> None:
    house.environment("a", scripts=scripts)

    def ignored(output: bytes) -> bytes:
        return next(line for line in output.splitlines() if line.startswith(b"SigIgn"))

    direct = subprocess.run(["cat", "/proc/self/status"], capture_output=True, check=True).stdout
    assert ignored(house.kaa("run", "-n", "a", "cat", "/proc/self/status").stdout) == ignored(direct)


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The two ends of a terminal that shows a line end as it was written."""
    outer, inner = pty.openpty()
    attributes = termios.tcgetattr(inner)
    attributes[1] &= ~termios.ONLCR
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(inner, termios.TCSANOW, attributes)
    yield outer, inner
    os.close(outer)
    os.close(inner)


def on_terminal(house: House, inner: int, *words: str) -> subprocess.Popen[bytes]:
    """Start kaa as a shell would at this terminal: it leads the foreground."""
    return subprocess.Popen(
        ["setsid", "--ctty", *KAA, "run", "-n", "a", *words],
        env=house.environ,
        stdin=inner,
        stdout=inner,
        stderr=inner,
    )


def test_the_terminal_is_the_programs(house: House, scripts: dict[str, str], terminal: tuple[int, int]) -> None:
    house.environment("a", scripts=scripts)
    outer, inner = terminal
    with on_terminal(house, inner, "sh", "-c", "test -t 0 -a -t 1 -a -t 2 && echo yes; read x; echo got $x") as process:
        assert os.read(outer, 100) == b"yes\n"
        os.write(outer, b"words\n")
        assert process.wait() == 0
        assert os.read(outer, 100) == b"got words\n"


def test_an_interrupt_at_the_terminal_ends_the_program(
    house: House, scripts: dict[str, str], terminal: tuple[int, int]
) -> None:
    house.environment("a", scripts=scripts)
    outer, inner = terminal
    with on_terminal(house, inner, "sh", "-c", "echo ready; exec sleep 60") as process:
        assert os.read(outer, 100) == b"ready\n"
        os.write(outer, b"\x03")
        assert process.wait() == -signal.SIGINT


# -- scripts ----------------------------------------------------------------------------------------------------------


def test_scripts_run_in_order_and_see_the_environment(house: House) -> None:
    scripts = {
        "activate.d/b.sh": 'export ORDER="$ORDER b"\n',
        "activate.d/a.sh": 'export ORDER="a in $CONDA_DEFAULT_ENV"\nexport PATH="/from/script:$PATH"\n',
        "activate.d/c.fish": "exit 1\n",
        "deactivate.d/a.sh": "exit 1\n",
    }
    prefix = house.environment("a", scripts=scripts)
    done = house.kaa("run", "-n", "a", "sh", "-c", 'echo "$ORDER"; echo "$PATH"')
    assert done.stdout.decode() == f"a in a b\n/from/script:{prefix}/bin:/usr/bin:/bin\n"


@pytest.mark.skipif(find_bash(os.environ) is None, reason="bash is not installed")
def test_scripts_may_be_written_for_bash(house: House) -> None:
    house.environment("a", scripts={"activate.d/a.sh": "words=(one two)\n[[ x == x ]] && export WORD=${words[1]}\n"})
    assert house.kaa("run", "-n", "a", "printenv", "WORD").stdout == b"two\n"


def test_a_script_that_fails_does_not_keep_the_program_from_running(house: House) -> None:
    house.environment("a", scripts={"activate.d/a.sh": "false\n", "activate.d/b.sh": "return 3\n"})
    done = house.kaa("run", "-n", "a", "echo", "ran")
    assert (done.returncode, done.stdout) == (0, b"ran\n")


def shell_in(house: House) -> Shell:
    installation = Installation(str(house.root), ("kaa",), sys.executable)
    return Shell(DIALECT, {"PATH": "/usr/bin:/bin"}, installation, ActivationSettings())


def test_no_shell_is_started_without_scripts(house: House) -> None:
    plain = house.environment("a", variables={"FOO": "x"})
    planned, _ = plan_run(shell_in(house), str(plain), ["x", "y"], bash="/bin/bash")
    steps = shell_in(house).activate(str(plain)).actions
    assert planned == Program(("x", "y"), apply({"PATH": "/usr/bin:/bin"}, steps), str(plain))


@pytest.mark.parametrize(
    ("bash", "words"), [("/x/bash", ("/x/bash", "--noprofile", "--norc", "-c")), (None, ("/bin/sh", "-c"))]
)
def test_the_shell_for_scripts(house: House, bash: str | None, words: tuple[str, ...]) -> None:
    scripted = house.environment("a", variables={"FOO": "x"}, scripts=SCRIPT)
    planned, _ = plan_run(shell_in(house), str(scripted), ["x", "y"], bash=bash)
    assert planned.command[: len(words)] == words
    assert planned.command[-3:] == ("kaa run", "x", "y")
    assert planned.environ["FOO"] == "x"


def test_find_bash(tmp_path: Path) -> None:
    path = tmp_path / "bash"
    path.touch(mode=0o755)
    assert find_bash({"PATH": f"relative:{tmp_path}"}) == str(path)


def test_warnings_are_told(house: House) -> None:
    house.environment("a", variables={"FOO": 1, "PATH": "/evil", "lower": "x"})
    done = house.kaa("run", "-n", "a", "printenv", "LOWER")
    assert done.stdout == b"x\n"
    assert b"warning: " in done.stderr
    assert b"PATH is reserved" in done.stderr
