"""`kaa remove`: take packages out of an environment, or the whole environment away."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from kaa.api.environments import NothingRequested, PackagesNotInstalled, plan_remove
from kaa.api.listing import read_environment
from kaa.api.removal import check_not_base, plan_environment_removal, remove_environment
from kaa.api.session import Session
from kaa.cli.arguments import (
    add_channels,
    add_frozen,
    add_network,
    add_old_flags,
    add_output,
    add_prompts,
    add_solving,
    add_specs,
    add_target,
    ignored,
)
from kaa.cli.changing import carry_out, change_options, check_changeable
from kaa.cli.configuring import existing_target
from kaa.cli.output import print_json
from kaa.cli.prompt import DryRunEnds, confirm
from kaa.cli.records import channel_names
from kaa.cli.showing import plan_lines, result_json

HELP = """Take packages out of an environment, with what needs them.

With --all the whole environment goes, its directory included."""

SHOWN_FILES = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_specs(parser, "the name of a package to remove")
    add_target(parser)
    parser.add_argument("--all", action="store_true", help="remove every package, and the environment itself")
    parser.add_argument("--keep-env", action="store_true", help="with --all: keep the empty environment")
    parser.add_argument(
        "--force-remove", "--force", action="store_true", help="leave packages that need the removed ones, broken"
    )
    parser.add_argument("--prune", action="store_true", help="take along what only the removed packages needed")
    add_channels(parser)
    add_solving(parser)
    add_frozen(parser)
    add_prompts(parser)
    add_network(parser)
    add_output(parser)
    parser.add_argument(
        "--features", action="store_true", help="the SPECs are features: remove the packages that bring them"
    )
    add_old_flags(parser)
    ignored(parser, "--copy")


def run(arguments: argparse.Namespace, session: Session) -> int:
    prefix = existing_target(arguments, session.config, session.environ)
    options = change_options(arguments)
    check_changeable(session, prefix)
    if arguments.all and not arguments.keep_env:
        return remove_whole(session, prefix, options.command)
    names = list(arguments.specs)
    if arguments.all:
        check_not_base(session, prefix)
        names = [record.name for record in read_environment(session, prefix).records]
    if not names:
        raise NothingRequested("remove")
    if arguments.features:
        names = names_with_features(session, prefix, names)
    options = replace(
        options,
        no_deps=options.no_deps or arguments.force_remove,
        prune=arguments.prune and not arguments.force_remove,
    )
    return carry_out(session, plan_remove(session, prefix, names, options))


def names_with_features(session: Session, prefix: Path, features: Sequence[str]) -> list[str]:
    """The packages that bring any of these features; raises PackagesNotInstalled with the features that none brings."""
    records = read_environment(session, prefix).records
    brought = {record.name: set(record.track_features.replace(",", " ").split()) for record in records}
    absent = [feature for feature in features if not any(feature in found for found in brought.values())]
    if absent:
        raise PackagesNotInstalled(prefix, [f"feature {feature}" for feature in absent])
    return [name for name, found in brought.items() if found.intersection(features)]


def remove_whole(session: Session, prefix: Path, command: str) -> int:
    """Show what goes with an environment, ask, and remove it."""
    config = session.config
    plan = plan_environment_removal(session, prefix, command=command)
    names = channel_names(session)
    if not config.json and not (config.quiet and config.always_yes):
        packages = plan_lines(plan.transaction, (), names) if plan.transaction.operations else []
        print("\n".join(["", *packages, f"The environment goes with its directory: {prefix}", ""]), flush=True)
    if config.dry_run and not config.json:
        raise DryRunEnds
    if not config.dry_run:
        confirm(config)
        if plan.foreign_files:
            confirm_files(session, prefix, plan.foreign_files)
        remove_environment(session, plan)
    if config.json:
        print_json(result_json(plan.transaction, (), names, dry_run=config.dry_run))
    return 0


def confirm_files(session: Session, prefix: Path, files: tuple[str, ...]) -> None:
    """Ask about files that no package brought: they cannot be had again."""
    config = session.config
    if config.always_yes or config.json:
        return
    print(f"These files in {prefix} belong to no package and go with it:")
    print("\n".join(f"  {file}" for file in files[:SHOWN_FILES]))
    if len(files) > SHOWN_FILES:
        print(f"  and {len(files) - SHOWN_FILES} more")
    confirm(config, "Remove them", default=False)
