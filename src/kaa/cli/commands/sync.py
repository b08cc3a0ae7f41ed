"""`kaa sync`: make an environment equal to a lock."""

from __future__ import annotations

import argparse
from pathlib import Path

from kaa.api.lock_formats import find_lock
from kaa.api.session import Session
from kaa.cli.arguments import (
    add_building,
    add_channels,
    add_frozen,
    add_linking,
    add_network,
    add_output,
    add_prompts,
    add_target,
)
from kaa.cli.configuring import ArgumentsMissing, existing_target, new_target
from kaa.cli.locked import sync
from kaa.envfiles.lock import LOCK_NAMES

HELP = """Make an environment equal to a lock: what it names comes, what it does not name goes.

    kaa sync --name demo
    kaa sync conda-lock.yml --prefix ./env

The environment is made if it is not there. Packages are recognised by their hashes, and taken from the package cache,
from a configured channel that has the same bytes (a folder and a mirror are such), or from the address in the lock."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "lock", nargs="?", metavar="LOCK", help=f"the lock (default: the one here, of {', '.join(LOCK_NAMES)})"
    )
    parser.add_argument("--environment", metavar="NAME", help="which environment of the lock (default: `default`)")
    add_target(parser)
    add_building(add_channels(parser))
    add_linking(parser)
    add_frozen(parser)
    add_prompts(parser)
    add_network(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    return sync(arguments, session, target_of(arguments, session), find_lock(session, arguments.lock))


def target_of(arguments: argparse.Namespace, session: Session) -> Path:
    """--name or --prefix, else the active environment, but never the base one that nobody named."""
    named = new_target(arguments, session.config, session.environ)
    if named is not None:
        return named
    active = existing_target(arguments, session.config, session.environ)
    if active == session.config.root_prefix:
        raise ArgumentsMissing(
            "one of --name and --prefix is needed, to know which environment is to be equal to the lock",
            hints=("kaa sync --name NAME", "activate it first"),
        )
    return active
