"""`kaa install`: add packages to an environment."""

from __future__ import annotations

import argparse
import importlib

from kaa.api.environments import NothingRequested, is_satisfied, plan_explicit, plan_install, plan_update
from kaa.api.explicit import fetch_explicit
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
    add_update_mode,
    ignored,
)
from kaa.cli.changing import carry_out, change_options, check_changeable, read_request, tell_nothing_to_do
from kaa.cli.configuring import existing_target
from kaa.envfiles.lock import is_description

HELP = """Add packages to an environment, changing of the rest as little as possible.

A SPEC is a name with conditions, such as numpy, 'numpy>=2' or conda-forge::numpy=2.1,
or the URL or path of a package."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_specs(parser, "what to install")
    add_files(parser)
    add_target(parser)
    add_channels(parser)
    add_solving(parser)
    add_update_mode(parser)
    add_linking(parser)
    parser.add_argument("--force-reinstall", action="store_true", help="link the named packages again in any case")
    parser.add_argument(
        "--revision",
        type=revision_number,
        metavar="NUMBER",
        help="make the environment again what it was in that revision (`kaa list --revisions` shows them)",
    )
    add_frozen(parser)
    add_prompts(parser)
    add_network(parser)
    add_output(parser)
    ignored(parser, "--force")
    ignored(parser, "--prune")
    ignored(parser, "--no-default-packages")


def revision_number(text: str) -> int:
    """The number of a revision."""
    if text.isascii() and text.isdecimal():
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not the number of a revision")


def run(arguments: argparse.Namespace, session: Session) -> int:
    prefix = existing_target(arguments, session.config, session.environ)
    if arguments.revision is not None:
        gone: int = importlib.import_module("kaa.cli.going_to_revision").go_to_revision(arguments, session, prefix)
        return gone
    if any(map(is_description, arguments.files)):
        code: int | None = importlib.import_module("kaa.cli.from_files").install_from_files(arguments, session, prefix)
        if code is not None:
            return code
    request = read_request(session, arguments.specs, arguments.files, prefix)
    options = change_options(arguments)
    check_changeable(session, prefix)
    if request.entries:
        transaction = plan_explicit(session, prefix, fetch_explicit(session, request.entries), options)
    elif not request.specs and options.update_all:
        transaction = plan_update(session, prefix, (), options)
    else:
        if not request.specs:
            raise NothingRequested("install")
        if arguments.satisfied_skip_solve and is_satisfied(session, prefix, request.specs):
            tell_nothing_to_do(session)
            return 0
        transaction = plan_install(session, prefix, request.specs, options)
    return carry_out(session, transaction, download_only=arguments.download_only)
