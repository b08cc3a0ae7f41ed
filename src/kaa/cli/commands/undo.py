"""`kaa undo`: take back the last change of an environment."""

from __future__ import annotations

import argparse

from kaa.api.going_back import plan_undo
from kaa.api.session import Session
from kaa.cli.changing import check_changeable, command_line
from kaa.cli.configuring import existing_target
from kaa.cli.going_back import add_common_arguments, go_back

HELP = """Take back the last change of an environment: packages, what was asked for, variables, pins, and what pip did.

If something else than kaa changed it since (pip by hand, say), that is taken back first. Undoing twice goes two
changes back; `kaa rollback` goes to any state, also back again. No network is needed, nor that a channel still has the
packages. What pip had installed comes back from the files that were kept of it; if they were edited in place since,
nothing is done unless --with-edited is given."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_common_arguments(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    prefix = existing_target(arguments, session.config, session.environ)
    check_changeable(session, prefix)
    plan = plan_undo(session, prefix, command=command_line(arguments), with_edited=arguments.with_edited)
    return go_back(session, plan)
