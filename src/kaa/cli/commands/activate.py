"""`kaa activate`, reached without the shell function: a program cannot change the shell that runs it."""

from __future__ import annotations

import argparse
import os

from kaa.cli.arguments import add_output
from kaa.cli.called import program_name
from kaa.errors import KaaError

HELP = """Enter an environment: its programs come first on PATH, its variables are set.

Without a name: the environment that default_activation_env names (base). This is a function of the shell, which
`kaa init` puts into the shell's start-up file.
"""


class HookMissing(KaaError):
    """The shell does not know the function kaa."""

    def __init__(self, verb: str, shell: str) -> None:
        by_hand = {
            "fish": "kaa shell hook fish | source",
            "tcsh": 'eval "`kaa shell hook tcsh`"',
            "csh": 'eval "`kaa shell hook csh`"',
            "xonsh": "execx($(kaa shell hook xonsh))",
            "pwsh": "kaa shell hook powershell | Out-String | Invoke-Expression",
        }.get(shell, f'eval "$(kaa shell hook {shell or "posix"})"')
        super().__init__(
            f"Run 'kaa init' before 'kaa {verb}': this shell has no function {program_name()} yet, and a program "
            "cannot change the shell that runs it.",
            hints=(
                f"kaa init {shell}".rstrip() + ", then open a new shell",
                f"for this shell alone: {by_hand}",
                "to run a single program in an environment: kaa run --name NAME PROGRAM",
            ),
        )
        self.verb = verb


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words and flags of this command."""
    parser.add_argument("environment", nargs="?", metavar="ENV", help="name or path of the environment")
    stack = parser.add_mutually_exclusive_group()
    stack.add_argument("--stack", action="store_true", help="keep the active environment beneath the new one")
    stack.add_argument("--no-stack", action="store_true", help="switch, whatever auto_stack says")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Say what is missing."""
    raise HookMissing("activate", login_shell())


def login_shell() -> str:
    """The name of the user's shell, as far as `$SHELL` tells."""
    return os.environ.get("SHELL", "").rpartition("/")[2]
