"""`kaa rename`: give an environment another name."""

from __future__ import annotations

import argparse

from kaa.api.relocating import plan_rename
from kaa.api.session import Session
from kaa.cli.arguments import add_frozen, add_output, add_prompts, add_target
from kaa.cli.changing import command_line
from kaa.cli.configuring import existing_target
from kaa.cli.relocating import add_force, carry_out_relocation, place_of

HELP = """Give an environment another name.

    kaa rename --name old new

The environment is made anew under its new name from its own files, compared, and only then the old one goes; nothing is
downloaded. Everything in it comes along, the user's own files too."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("destination", metavar="NEW", help="the new name, or a path")
    add_target(parser)
    add_force(parser)
    add_frozen(parser)
    add_prompts(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    source = existing_target(arguments, session.config, session.environ)
    target = place_of(arguments.destination, source, session.config, session.environ)
    plan = plan_rename(session, source, target, replace=arguments.force, command=command_line(arguments))
    return carry_out_relocation(session, plan, ask=True)
