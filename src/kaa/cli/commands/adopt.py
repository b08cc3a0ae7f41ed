"""`kaa adopt`: take over what pip or its like installed by hand."""

from __future__ import annotations

import argparse

from kaa.api.adopting import Adoption, plan_adoption
from kaa.api.execution import execute
from kaa.api.session import Session
from kaa.cli.arguments import add_frozen, add_network, add_output, add_prompts, add_target
from kaa.cli.changing import check_changeable, command_line
from kaa.cli.configuring import existing_target
from kaa.cli.output import print_json
from kaa.cli.progress import clean
from kaa.cli.prompt import DryRunEnds, confirm
from kaa.cli.records import channel_names
from kaa.cli.showing import plan_lines, result_json

HELP = """Make packages of what pip, uv or another installer put into an environment by hand.

    kaa adopt --name demo            everything that can be taken over
    kaa adopt --name demo requests   only this

The indexes that pip or uv is configured for (see pypi_indexes) are asked for the wheels that were installed. A wheel is
taken if its files are those of the installation, and none of them was edited; the package is then linked in its place,
and is listed, locked, repaired, updated and removed like any other. What stays as it is, is named with the reason.
`kaa undo` takes all of it back."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", metavar="NAME", nargs="*", help="a project to take over (default: all)")
    add_target(parser)
    add_frozen(parser)
    add_prompts(parser)
    add_network(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    config = session.config
    prefix = existing_target(arguments, config, session.environ)
    check_changeable(session, prefix)
    adoption = plan_adoption(session, prefix, arguments.names, command=command_line(arguments))
    transaction, names = adoption.transaction, channel_names(session)
    if not config.json and not (config.quiet and config.always_yes):
        lines = [*(plan_lines(transaction, (), names) if adoption.adopted else ()), *_left_lines(adoption)]
        print("\n".join(["", *map(clean, lines), ""]), flush=True)
    if adoption.adopted and not (config.dry_run and config.json):
        if config.dry_run:
            raise DryRunEnds
        confirm(config)
        execute(session, transaction)
    if config.json:
        document = result_json(transaction, (), names, dry_run=config.dry_run)
        print_json({**document, **_json(adoption)})
    elif not adoption.adopted and not adoption.left:
        print("# Nothing was installed by hand.\n")
    # Who names something wants that, and not something else.
    return 1 if arguments.names and adoption.left else 0


def _left_lines(adoption: Adoption) -> list[str]:
    if not adoption.left:
        return []
    lines = [f"  {one.name} {one.version}: {one.reason}" for one in adoption.left]
    return ["", "These stay as they are:", *lines]


def _json(adoption: Adoption) -> dict[str, object]:
    return {
        "adopted": [
            {"name": one.distribution.name, "version": one.distribution.version, "package": one.record.dist}
            for one in adoption.adopted
        ],
        "left": [{"name": one.name, "version": one.version, "reason": one.reason} for one in adoption.left],
    }
