"""`kaa shell`: print the text that a shell evaluates to enter, leave or refresh an environment, or when it starts."""

from __future__ import annotations

import importlib
import os
import sys

from kaa.cli.arguments import add_output
from kaa.cli.called import program_name
from kaa.cli.entering import Entering, tell
from kaa.cli.plain_words import SUPPRESS
from kaa.errors import KaaError
from kaa.shell.dialects.table import MODULES, get_dialect
from kaa.shell.kept import ReadVariables
from kaa.shell.script import Shell, ShellText, Steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

HELP = """Print what a shell evaluates to enter or leave an environment.

`kaa init` puts the hook into the start-up files of your shells; by hand it is, for instance:

    eval "$(kaa shell hook bash)"           bash, zsh, dash
    kaa shell hook fish | source            fish
    eval "`kaa shell hook tcsh`"            tcsh
    execx($(kaa shell hook xonsh))          xonsh
    kaa shell hook powershell | Out-String | Invoke-Expression
"""

VERBS = ("hook", "activate", "deactivate", "reactivate")


class SuperfluousEnvironment(KaaError):
    """An environment was named where none can be meant."""

    conda_name = "ArgumentError"
    exit_code = 2

    def __init__(self, verb: str, word: str) -> None:
        super().__init__(f"{verb} takes no environment, but {word!r} was given.", hints=(f"kaa {verb}",))
        self.verb = verb
        self.word = word


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words and flags of this command."""
    parser.add_argument("verb", choices=VERBS, help="what to print the text for")
    parser.add_argument("shell", metavar="SHELL", help=f"one of {', '.join(MODULES)}")
    parser.add_argument("environment", nargs="?", metavar="ENV", help="name or path of the environment (activate)")
    add_stacking(parser)
    # The file in which the shell's function will look for these steps the next time.
    parser.add_argument("--keep", metavar="FILE", help=SUPPRESS)
    add_output(parser)


def add_stacking(parser: argparse.ArgumentParser) -> None:
    """--stack and --no-stack."""
    stack = parser.add_mutually_exclusive_group()
    stack.add_argument(
        "--stack", dest="stack", action="store_const", const=True, help="keep the active environment beneath"
    )
    stack.add_argument(
        "--no-stack", dest="stack", action="store_const", const=False, help="switch, whatever auto_stack says"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the text on standard output; warnings go to standard error."""
    dialect = get_dialect(arguments.shell)
    environ = ReadVariables(os.environ) if arguments.keep else os.environ
    entering = Entering(arguments, environ, sys.argv[0])
    shell = entering.shell(dialect)
    verb, word = arguments.verb, arguments.environment
    if verb != "activate" and word is not None:
        raise SuperfluousEnvironment(verb, word)
    steps = Steps() if verb == "hook" else steps_for(entering, shell, verb, word, arguments.stack)
    made = hook_text(entering, arguments.shell) if verb == "hook" else shell.text_of(steps)
    tell(made.warnings)
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(made.text))
    sys.stdout.buffer.flush()
    if arguments.keep and verb in ("activate", "deactivate"):
        called = (word or entering.config.default_activation_env) if verb == "activate" else None
        keeping = importlib.import_module("kaa.cli.keeping")
        keeping.keep_steps(arguments.keep, entering, shell, called, arguments.shell, steps)
    return 0


def steps_for(entering: Entering, shell: Shell, verb: str, word: str | None, stack: bool | None) -> Steps:
    """The steps to activate the environment that a word means, to deactivate or to reactivate the active one."""
    if verb == "activate":
        prefix = entering.find(entering.config.default_activation_env if word is None else word)
        return shell.activate(prefix, stack=stack)
    return shell.deactivate() if verb == "deactivate" else shell.reactivate()


def hook_text(entering: Entering, name: str) -> ShellText:
    """The hook; a default environment that is not there must not cost the shell its function."""
    shell = entering.shell(get_dialect(name))
    try:
        default = entering.default()
    except KaaError as error:
        tell((f"no environment is active: {error.message}",))
        default = None
    return shell.hook(default, name=program_name())
