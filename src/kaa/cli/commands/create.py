"""`kaa create`: make a new environment."""

from __future__ import annotations

import argparse
import importlib

from kaa.api.session import Session
from kaa.cli.arguments import (
    add_channels,
    add_files,
    add_frozen,
    add_linking,
    add_network,
    add_output,
    add_prompts,
    add_solving,
    add_specs,
    add_target,
    ignored,
)
from kaa.cli.changing import change_options, print_result, read_request
from kaa.cli.configuring import TargetMissing, new_target
from kaa.cli.creating import create, how_to_enter, with_default_packages
from kaa.envfiles.lock import is_description

HELP = """Make a new environment, by name or in a directory.

    kaa create --name demo python=3.12 numpy
    kaa create --prefix ./env --file specs.txt
    kaa create --name demo --file environment.yml pytest
    kaa create --name demo --file kaa.lock
    kaa create --name copy --clone demo"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_specs(parser, "what the environment is to hold")
    add_files(parser)
    add_target(parser)
    parser.add_argument(
        "--no-default-packages", action="store_true", help="leave create_default_packages of the configuration out"
    )
    add_cloning(parser)
    add_channels(parser)
    add_solving(parser)
    add_linking(parser)
    add_frozen(parser)
    add_prompts(parser)
    add_network(parser)
    add_output(parser)
    ignored(parser, "--force")
    ignored(parser, "--prune")


def add_cloning(parser: argparse.ArgumentParser) -> None:
    """--clone, and what of an environment comes along."""
    group = parser.add_argument_group("copying an environment")
    group.add_argument(
        "--clone", metavar="ENV", help="make a copy of this environment (a name or a path) from its own files"
    )
    group.add_argument(
        "--with-user-files", action="store_true", help="with --clone: copy the files that no package brought, too"
    )
    group.add_argument("--keep-frozen", action="store_true", help="with --clone: a frozen environment's copy is frozen")


def run(arguments: argparse.Namespace, session: Session) -> int:
    if arguments.clone is None and any(map(is_description, arguments.files)):
        made: int | None = importlib.import_module("kaa.cli.from_files").create_from_files(arguments, session)
        if made is not None:
            return made
    prefix = new_target(arguments, session.config, session.environ)
    if prefix is None:
        raise TargetMissing
    if arguments.clone is not None:
        code: int = importlib.import_module("kaa.cli.relocating").clone(arguments, session, prefix)
        return code
    request = read_request(session, arguments.specs, arguments.files)
    if not request.entries and not arguments.no_default_packages:
        request = with_default_packages(request, session.config.create_default_packages)
    options = change_options(arguments)
    result = create(session, prefix, request, options, download_only=arguments.download_only)
    print_result(session, result)
    if not (session.config.json or session.config.quiet or arguments.download_only):
        print(how_to_enter(session, prefix))
    return 0
