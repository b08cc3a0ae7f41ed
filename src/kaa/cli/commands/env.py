"""`kaa env`: environments as wholes, and their files (environment.yml)."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

from kaa.api.session import Session
from kaa.cli.arguments import (
    add_channels,
    add_file_format,
    add_frozen,
    add_linking,
    add_network,
    add_output,
    add_prompts,
    add_solving,
    add_target,
    ignored,
)
from kaa.cli.configuring import existing_target
from kaa.cli.environment_lists import environment_lines, list_json
from kaa.cli.output import print_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

HELP = "List, make, update, export and remove environments."

FILE = "environment.yml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    _add_list(words)

    creating = words.add_parser("create", help="make an environment from a file", allow_abbrev=False)
    creating.add_argument("-f", "--file", default=None, metavar="FILE", help=f"the file (default: {FILE})")
    add_file_format(creating)
    creating.add_argument("--force", action="store_true", help="replace an environment that is there already")
    creating.add_argument("--no-default-packages", action="store_true", help="leave create_default_packages out")
    ignored(creating, "--prune")
    _add_change(creating)
    add_frozen(creating)
    creating.set_defaults(perform=_loaded("kaa.cli.env_files", "create_from_file"))

    updating = words.add_parser("update", help="bring an environment to what a file says", allow_abbrev=False)
    updating.add_argument("-f", "--file", default=None, metavar="FILE", help=f"the file (default: {FILE})")
    updating.add_argument("specs", nargs="*", metavar="SPEC", help="with --save: what the file is to say from now on")
    updating.add_argument(
        "--save", action="store_true", help="write the SPECs into the file, keeping the rest of it as it stands"
    )
    updating.add_argument("--prune", action="store_true", help="remove what the file does not ask for")
    _add_change(updating, dry_run=False)
    add_frozen(updating)
    updating.set_defaults(perform=_loaded("kaa.cli.env_files", "update_from_file"))

    removing = words.add_parser("remove", help="remove an environment", allow_abbrev=False)
    add_target(removing)
    add_prompts(removing)
    add_frozen(removing)
    add_output(removing)
    ignored(removing, "--solver", nargs=None)
    removing.set_defaults(perform=remove_one)

    export = words.add_parser("export", help="print an environment as a file", allow_abbrev=False)
    importlib.import_module("kaa.cli.exporting").add_export_arguments(export)
    export.set_defaults(perform=_loaded("kaa.cli.exporting", "export"))

    configuring = words.add_parser("config", help="variables of an environment", allow_abbrev=False)
    importlib.import_module("kaa.cli.env_variables").add_arguments(configuring)


def _loaded(module: str, name: str) -> Callable[[argparse.Namespace, Session], int]:
    """The function of a module that is loaded when it is called."""

    def perform(arguments: argparse.Namespace, session: Session) -> int:
        code: int = getattr(importlib.import_module(module), name)(arguments, session)
        return code

    return perform


def add_arguments_for(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """The arguments as far as the words can need them: programs ask often for the list, and need no other word."""
    if next((word for word in words if not word.startswith("-")), "") == "list":
        _add_list(parser.add_subparsers(dest="word", metavar="WORD", required=True))
    else:
        add_arguments(parser)


def _add_list(words: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    listing = words.add_parser("list", help="list the environments", allow_abbrev=False)
    listing.add_argument("--size", action="store_true", help="how much room each environment takes")
    add_output(listing)
    listing.set_defaults(perform=list_all)


def _add_change(parser: argparse.ArgumentParser, *, dry_run: bool = True) -> None:
    add_target(parser)
    add_channels(parser)
    add_solving(parser)
    add_linking(parser)
    if dry_run:
        add_prompts(parser)
    else:
        ignored(parser, "-y", "--yes")
    add_network(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    code: int = arguments.perform(arguments, session)
    return code


def list_all(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa env list`."""
    if session.config.json:
        print_json(list_json(session, sizes=arguments.size))
    else:
        print("\n".join(environment_lines(session, sizes=arguments.size)))
    return 0


def remove_one(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa env remove`."""
    changing = importlib.import_module("kaa.cli.changing")
    prefix = existing_target(arguments, session.config, session.environ)
    changing.check_changeable(session, prefix)
    words = changing.command_line(arguments)
    code: int = importlib.import_module("kaa.cli.commands.remove").remove_whole(session, prefix, words)
    return code
