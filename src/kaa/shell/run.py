"""Run a program inside an environment, in the place of this process.

The program gets this process's place: its process id, its standard streams, its terminal, the signals sent to it, and
its exit code is the one that the caller sees. The environment is entered from scratch, whatever is active. Scripts of
environments need a shell: it is started only if there are any, and it gives its place to the program as well.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from kaa.errors import KaaError
from kaa.models.value import Value
from kaa.shell.activation import SourceScript, apply
from kaa.shell.dialects.posix import DIALECT as POSIX
from kaa.shell.script import Shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_LAST_STEP = """\
case "$1" in
    (*/*) ;;
    (*) command -v "$1" >/dev/null 2>&1 || {
        printf 'kaa run: %s: no such program in the environment, nor elsewhere on PATH\\n' "$1" >&2
        exit 127
    };;
esac
exec "$@"
"""


class CommandNotFound(KaaError):
    """There is no program of that name."""

    exit_code = 127

    def __init__(self, command: str, prefix: str) -> None:
        super().__init__(
            f"{command}: no such program in {prefix}, nor elsewhere on PATH."
            if "/" not in command
            else f"{command}: no such file.",
            hints=(f"list what the environment has: kaa list --prefix {prefix}",),
        )
        self.command = command
        self.prefix = prefix


class CommandNotExecutable(KaaError):
    """There is a file of that name, but it cannot be run."""

    exit_code = 126

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path}: cannot be run: {reason}.", hints=(f"look at it: ls -l {path}",))
        self.path = path
        self.reason = reason


class DirectoryNotFound(KaaError):
    """The directory to run in cannot be entered."""

    def __init__(self, directory: str, reason: str) -> None:
        super().__init__(f"--cwd {directory}: {reason}.", hints=("give a directory that is there",))
        self.directory = directory


class Program(Value):
    """What is to take the place of this process."""

    command: tuple[str, ...]
    environ: Mapping[str, str]
    prefix: str
    """The environment, for messages."""


def plan_run(shell: Shell, prefix: str, command: Sequence[str], *, bash: str | None) -> tuple[Program, tuple[str, ...]]:
    """The program that runs `command` in the environment at `prefix`, and what the user is to hear.

    `bash` is the shell for environments' scripts, which are seldom written for less; /bin/sh does it if there is none.
    """
    left = shell.leave_all()
    entered = shell.after(left.actions).activate(prefix)
    actions = (*left.actions, *entered.actions)
    first = next((index for index, action in enumerate(actions) if isinstance(action, SourceScript)), None)
    # What comes before the first script is a matter of variables, and of no shell.
    environ = apply(shell.environ, actions[:first])
    if first is None:
        return Program(tuple(command), environ, prefix), entered.warnings
    interpreter = (bash, "--noprofile", "--norc") if bash else ("/bin/sh",)
    text = POSIX.render(actions[first:]) + _LAST_STEP
    return Program((*interpreter, "-c", text, "kaa run", *command), environ, prefix), entered.warnings


def find_bash(environ: Mapping[str, str]) -> str | None:
    """The bash of this machine."""
    for directory in [*environ.get("PATH", "").split(os.pathsep), "/bin", "/usr/bin", "/usr/local/bin"]:
        if directory.startswith("/") and os.access(f"{directory}/bash", os.X_OK):
            return f"{directory}/bash"
    return None


def initial_environ() -> dict[str, str]:
    """The variables that this process was started with.

    Python adds LC_CTYPE when it finds the locale C (PEP 538); the program that we run must not see it.
    """
    environ = dict(os.environ)
    if environ.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8"):
        try:
            with open("/proc/self/environ", "rb") as stream:  # noqa: PTH123
                given = stream.read().split(b"\0")
        except OSError:
            return environ
        if not any(variable.startswith(b"LC_CTYPE=") for variable in given):
            del environ["LC_CTYPE"]
    return environ


def enter_directory(directory: str, environ: dict[str, str]) -> None:
    """Change to the directory, and let `$PWD` say so as a shell would."""
    try:
        os.chdir(directory)
    except OSError as error:
        raise DirectoryNotFound(directory, error.strerror or "cannot be entered") from error
    environ["PWD"] = os.path.normpath(os.path.join(environ.get("PWD") or "/", directory))  # noqa: PTH118
    if not os.path.samefile(environ["PWD"], "."):  # noqa: PTH121
        environ["PWD"] = os.getcwd()  # noqa: PTH109


def execute(program: Program) -> NoReturn:
    """Give this process's place to the program."""
    path = find_executable(program)
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these two; the program must find them as every program does.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        os.execve(path, program.command, program.environ)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise CommandNotExecutable(path, _reason(path, error)) from error
    # A script without a first line that says who reads it: shells read it themselves.
    os.execve("/bin/sh", ("/bin/sh", path, *program.command[1:]), program.environ)


def find_executable(program: Program) -> str:
    """The file that the command's first word means; raises CommandNotFound or CommandNotExecutable."""
    word, found = program.command[0], None
    if "/" in word:
        candidates = [word]
    else:
        directories = program.environ.get("PATH", os.defpath).split(os.pathsep)
        candidates = [os.path.join(directory or ".", word) for directory in directories]  # noqa: PTH118
    for path in candidates:
        if os.path.isfile(path) and os.access(path, os.X_OK):  # noqa: PTH113
            return path
        if os.path.exists(path) and ("/" in word or os.path.isfile(path)):  # noqa: PTH110, PTH113
            found = found or path
    if found is None or not word:
        raise CommandNotFound(word, program.prefix)
    raise CommandNotExecutable(found, "it is a directory" if os.path.isdir(found) else "no permission to execute it")  # noqa: PTH112


def _reason(path: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        try:
            with open(path, "rb") as stream:  # noqa: PTH123
                line = stream.readline(500)
        except OSError:
            line = b""
        if line.startswith(b"#!"):
            interpreter = os.fsdecode(line[2:].strip())
            return f"its interpreter is not there: {interpreter}"
    return error.strerror or str(error)
