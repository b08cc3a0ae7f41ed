"""`kaa rollback`: go back to any generation of an environment."""

from __future__ import annotations

import argparse

from kaa.api.going_back import plan_rollback
from kaa.api.session import Session
from kaa.cli.changing import check_changeable, command_line
from kaa.cli.configuring import existing_target
from kaa.cli.going_back import add_common_arguments, go_back

HELP = """Make an environment again what it was in one of its generations, earlier or later.

    kaa rollback -n demo 3

`kaa history` shows the generations. Going back makes a new generation, so that this can be taken back as well. As with
`kaa undo`, no network is needed, and what pip had installed comes back, too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("number", type=number, metavar="NUMBER", help="the number of a generation")
    add_common_arguments(parser)


def number(text: str) -> int:
    """The number of a generation."""
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not the number of a generation")


def run(arguments: argparse.Namespace, session: Session) -> int:
    prefix = existing_target(arguments, session.config, session.environ)
    check_changeable(session, prefix)
    plan = plan_rollback(
        session,
        prefix,
        arguments.number,
        command=command_line(arguments),
        with_edited=arguments.with_edited,
    )
    return go_back(session, plan)
