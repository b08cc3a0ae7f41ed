"""`kaa run`: run a program inside an environment."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kaa.cli.arguments import add_building, add_output, add_target, flag, ignored
from kaa.cli.entering import Entering, tell
from kaa.cli.plain_words import REMAINDER
from kaa.errors import KaaError
from kaa.shell.activation import active_prefix
from kaa.shell.dialects.table import get_dialect
from kaa.shell.run import enter_directory, execute, find_bash, initial_environ, plan_run

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import NoReturn

HELP = """Run a program inside an environment, without activating it in your shell.

    kaa run -n demo python --version
    kaa run --with jq --with curl sh -c 'curl -s https://example.org/data.json | jq .'
    kaa run script.py

The program takes kaa's place: standard input, terminal, signals and exit code are its own. All words behind the
program's name are the program's. Without --name or --prefix: the active environment, else base.

With --with the program runs in a temporary environment, which holds these packages, and those of the environment that
--name or --prefix says. It is made once, and used again by whoever asks for the same; after a week it is solved again.
A Python file with a block `# /// script` (PEP 723), and any file with a block `# /// conda-script`, runs in a temporary
environment with what the block asks for.
"""


class NoCommand(KaaError):
    """`kaa run` without a program."""

    conda_name = "ArgumentError"
    exit_code = 2

    def __init__(self) -> None:
        super().__init__("There is no program to run.", hints=("kaa run --name NAME python --version",))


class NoTemporaryEnvironment(KaaError):
    """An option was given that only has a meaning for a temporary environment."""

    conda_name = "ArgumentError"
    exit_code = 2

    def __init__(self, option: str) -> None:
        self.option = option
        super().__init__(
            f"{option} says how a temporary environment is made, and none is wanted",
            hints=("name a package with --with, or run a script that says what it needs",),
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words and flags of this command."""
    add_target(parser)
    parser.add_argument("--cwd", metavar="DIR", help="the directory to run in")
    parser.add_argument(
        "--script", action="store_true", help="the program is a script with such a block, whatever its name"
    )
    ignored(parser, "-s", "--no-capture-output", "--live-stream")
    ignored(parser, "--debug-wrapper-scripts")
    ignored(parser, "--dev")
    add_temporary(parser)
    add_output(parser)
    parser.add_argument("command", nargs=REMAINDER, metavar="PROGRAM …", help="the program and its words")


def add_temporary(parser: argparse.ArgumentParser) -> None:
    """--with, -c, -O, --refresh, --offline."""
    group = parser.add_argument_group("a temporary environment")
    group.add_argument(
        "--with",
        dest="with_specs",
        action="append",
        default=[],
        metavar="SPEC",
        help="run in a temporary environment with this package; may be repeated",
    )
    group.add_argument(
        "-c",
        "--channel",
        dest="channels",
        action="append",
        metavar="CHANNEL",
        help="take packages from this channel as well, before the others; may be repeated",
    )
    group.add_argument(
        "-O", "--override-channels", action="store_true", help="use the channels given with -c and no others"
    )
    group.add_argument("--refresh", action="store_true", help="solve it again, whether it is old or not")
    add_building(group)
    flag(group, "--offline", option="offline", help="use what is on this machine")


def run(arguments: argparse.Namespace) -> int:
    """Become the program; returns only by an error."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise NoCommand
    environ = initial_environ()
    entering = Entering(arguments, environ, sys.argv[0])
    script = None
    if arguments.script or may_be_script(command[0], arguments.cwd):
        script = importlib.import_module("kaa.cli.scripts").read_script(
            command[0], arguments.cwd, entering.config.subdir, must_be=arguments.script
        )
    if script is not None or arguments.with_specs:
        base = target(arguments, entering)
        block = None if script is None else script.block
        temporary = importlib.import_module("kaa.cli.temporary")
        wanted = temporary.Wanted(arguments.with_specs, base=None if base is None else Path(base), block=block)
        prefix = temporary.enter_temporary(arguments, environ, wanted)
    else:
        for option, given in (("--channel", arguments.channels), ("--refresh", arguments.refresh)):
            if given:
                raise NoTemporaryEnvironment(option)
        prefix = target(arguments, entering) or _active_or_base(entering, environ)
    if script is not None:
        command = script.command(command, prefix, environ)
    become(entering, environ, prefix, command, cwd=arguments.cwd)


def _active_or_base(entering: Entering, environ: Mapping[str, str]) -> str:
    active = active_prefix(environ)
    return entering.at(active) if active else entering.base()


def target(arguments: argparse.Namespace, entering: Entering) -> str | None:
    """The environment that --name or --prefix says."""
    if arguments.prefix is not None:
        return entering.at(arguments.prefix)
    return entering.find(arguments.name) if arguments.name is not None else None


def may_be_script(word: str, cwd: str | None) -> bool:
    """Whether a program is a file of Python, so that it is worth looking whether it says what it needs."""
    return word.endswith(".py") and os.path.isfile(os.path.join(cwd or "", word))  # noqa: PTH113, PTH118


def become(
    entering: Entering, environ: dict[str, str], prefix: str, command: Sequence[str], *, cwd: str | None = None
) -> NoReturn:
    """Give this process's place to a program in an environment."""
    if cwd is not None:
        enter_directory(cwd, environ)
    program, warnings = plan_run(entering.shell(get_dialect("posix")), prefix, command, bash=find_bash(environ))
    tell(warnings)
    execute(program)
