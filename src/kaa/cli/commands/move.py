"""`kaa move`: move an environment to another path or disk."""

from __future__ import annotations

import argparse
from pathlib import Path

from kaa.api.relocating import plan_move
from kaa.api.session import Session
from kaa.cli.arguments import add_frozen, add_output, add_prompts, add_target
from kaa.cli.changing import command_line
from kaa.cli.configuring import existing_target
from kaa.cli.relocating import add_force, carry_out_relocation
from kaa.config.sources import expand_text
from kaa.prefix.environments import absolute_location

HELP = """Move an environment to another path, on this disk or another one.

    kaa move --name demo /data/envs/demo

It works at its new path: what holds the old one inside is written anew. The old one goes when the new one is complete
and on the disk."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="where the environment is to be")
    add_target(parser)
    add_force(parser)
    add_frozen(parser)
    add_prompts(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    source = existing_target(arguments, session.config, session.environ)
    target = absolute_location(Path(expand_text(arguments.path, session.environ)), session.cwd)
    plan = plan_move(session, source, target, replace=arguments.force, command=command_line(arguments))
    return carry_out_relocation(session, plan, ask=True)
