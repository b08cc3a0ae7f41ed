"""`kaa deactivate`, reached without the shell function: a program cannot change the shell that runs it."""

from __future__ import annotations

import argparse

from kaa.cli.arguments import add_output
from kaa.cli.commands.activate import HookMissing, login_shell

HELP = """Leave the active environment and go back to the one before.

This is a function of the shell, which `kaa init` puts into the shell's start-up file.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of this command."""
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Say what is missing."""
    raise HookMissing("deactivate", login_shell())
