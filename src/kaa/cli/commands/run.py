"""`kaa run`: run a program inside an environment."""

from __future__ import annotations

import argparse
import sys

from kaa.cli.arguments import add_output, add_target, ignored
from kaa.cli.entering import Entering, tell
from kaa.errors import KaaError
from kaa.shell.activation import active_prefix
from kaa.shell.dialects.table import get_dialect
from kaa.shell.run import enter_directory, execute, find_bash, initial_environ, plan_run

HELP = """Run a program inside an environment, without activating it in your shell.

The program takes kaa's place: standard input, terminal, signals and exit code are its own. All words behind the
program's name are the program's. Without --name or --prefix: the active environment, else base.
"""


class NoCommand(KaaError):
    """`kaa run` without a program."""

    conda_name = "ArgumentError"
    exit_code = 2

    def __init__(self) -> None:
        super().__init__("There is no program to run.", hints=("kaa run --name NAME python --version",))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words and flags of this command."""
    add_target(parser)
    parser.add_argument("--cwd", metavar="DIR", help="the directory to run in")
    ignored(parser, "-s", "--no-capture-output", "--live-stream")
    ignored(parser, "--debug-wrapper-scripts")
    ignored(parser, "--dev")
    add_output(parser)
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="PROGRAM …", help="the program and its words")


def run(arguments: argparse.Namespace) -> int:
    """Become the program; returns only by an error."""
    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    if not command:
        raise NoCommand
    environ = initial_environ()
    entering = Entering(arguments, environ, sys.argv[0])
    if arguments.prefix is not None:
        prefix = entering.at(arguments.prefix)
    elif arguments.name is not None:
        prefix = entering.find(arguments.name)
    else:
        prefix = entering.at(active_prefix(environ) or entering.installation.root_prefix)
    if arguments.cwd is not None:
        enter_directory(arguments.cwd, environ)
    program, warnings = plan_run(entering.shell(get_dialect("posix")), prefix, command, bash=find_bash(environ))
    tell(warnings)
    execute(program)
