"""`kaa repair`: bring the files of environments back to what their packages brought."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kaa.api.execution import missing_packages
from kaa.api.repair_plan import Left, PackageRepair, RepairPlan
from kaa.api.repairing import plan_repair, repair_environment
from kaa.api.session import Session
from kaa.cli.arguments import add_building, add_channels, add_frozen, add_network, add_output, add_prompts, flag
from kaa.cli.changing import EnvironmentNotWritable, command_line
from kaa.cli.commands.verify import add_targets, counted, find_targets
from kaa.cli.output import print_json
from kaa.cli.progress import clean
from kaa.cli.prompt import Declined, confirm
from kaa.cli.records import channel_names
from kaa.cli.showing import plan_lines, result_json
from kaa.host.files import is_writable
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import check_not_frozen

HELP = """Bring the files of an environment back to what its packages brought: from the package cache, else fetched.

    kaa repair -n demo
    kaa repair -n demo numpy
    kaa repair --all --dry-run

Everything that `kaa verify` finds is put right where that is possible. Files that you or a program changed are kept
below conda-meta/replaced/ in the environment, and what pip put in a package's place goes. Dependencies that are not met
are installed with --dependencies; without it the command is named.

The exit code is 0 when nothing is wrong afterwards, and 1 when something is left."""

MOST_PATHS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="repair these packages only")
    add_targets(parser)
    parser.add_argument("--dependencies", action="store_true", help="install what packages need and is not there")
    flag(
        parser,
        "--verify-only",
        option="dry_run",
        help=argparse.SUPPRESS,
    )
    add_building(add_channels(parser))
    add_network(parser)
    add_frozen(parser)
    add_prompts(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    documents = []
    prefixes, errors = find_targets(arguments, session)
    if errors:
        raise errors[0]
    for prefix in prefixes:
        check_repairable(session, prefix)
        plan = plan_repair(
            session,
            prefix,
            arguments.packages,
            dependencies=arguments.dependencies,
            command=command_line(arguments),
        )
        documents.append(perform(session, plan))
    clean_ones = [document["clean"] for document in documents]
    if session.config.json:
        print_json({"success": True, "clean": all(clean_ones), "environments": documents})
    return 0 if all(clean_ones) else 1


def check_repairable(session: Session, prefix: Path) -> None:
    """Raise before any work is done if the environment is frozen, or cannot be written to."""
    environment = Prefix(prefix)
    if session.config.protect_frozen_envs:
        check_not_frozen(environment)
    if environment.conda_meta.is_dir() and not is_writable(environment.conda_meta) and not session.config.dry_run:
        raise EnvironmentNotWritable(prefix)


def perform(session: Session, plan: RepairPlan) -> dict[str, object]:
    """Show a plan, ask, carry it out; gives the whole as data."""
    config = session.config
    if not config.json:
        print("\n".join(clean(line) for line in repair_lines(plan, session)), flush=True)
    before = {"problems_before": plan.before.problems, **repair_json(plan, session)}
    if plan.is_empty or config.dry_run:
        if not config.json:
            print_left(plan.left)
        return {**before, "clean": plan.before.is_clean and not plan.left, "dry_run": config.dry_run, "left": plan.left}
    try:
        confirm(config)
    except Declined:
        # Other environments may follow.
        print("Nothing was changed.")
        return {**before, "clean": False, "left": plan.left}
    outcome = repair_environment(session, plan)
    if not config.json:
        print_left(outcome.left)
        problems = outcome.after.problems
        name = session.environments.name_of(plan.prefix)
        print(
            f"{name}: {counted(problems, 'problem')} left; `kaa verify` names them."
            if problems
            else f"{name}: repaired."
        )
    return {**before, "clean": outcome.is_clean, "problems": outcome.after.problems, "left": outcome.left}


# -- for people -------------------------------------------------------------------------------------------------------


def repair_lines(plan: RepairPlan, session: Session) -> Iterator[str]:
    """What a repair does, and why."""
    if plan.is_empty:
        name = session.environments.name_of(plan.prefix)
        yield f"{name}: nothing is wrong." if not plan.left else f"{name}: nothing can be repaired."
        return
    transaction = plan.transaction
    yield ""
    yield from plan_lines(transaction, missing_packages(session, transaction), channel_names(session))
    yield ""
    for package in plan.packages:
        yield from package_lines(package)
    if plan.history is not None:
        yield "  conda-meta/history is written anew"
    for path in plan.set_aside:
        yield f"  {path} does not count and is moved away"
    kept = plan.kept
    if kept:
        yield f"What was changed is kept in {plan.prefix}/{plan.directory}:"
        yield from (f"    {path}" for path in kept[:MOST_PATHS])
        if len(kept) > MOST_PATHS:
            yield f"    and {len(kept) - MOST_PATHS} more"
    yield ""


SOURCES = {
    "cache": "linked again from the package cache",
    "archive": "unpacked again from its archive, and linked",
    "channel": "fetched and linked again",
    "": "its record is written again",
}


def package_lines(package: PackageRepair) -> Iterator[str]:
    """What is done about a package, and why."""
    yield f"  {package.record.dist}: {'; '.join(package.why)}"
    yield f"    {SOURCES[package.source]}"
    for distribution in package.distributions:
        yield f"    {distribution} of pip goes ({counted(len(package.remove), 'file')})"


def print_left(left: tuple[Left, ...]) -> None:
    """Say what is not repaired, and what to do about it."""
    for one in left:
        print(f"not repaired: {clean(one.what)}: {clean(one.reason)}")
        if one.url:
            digest = f"  sha256 {one.sha256}" if one.sha256 else f"  md5 {one.md5}" if one.md5 else ""
            print(f"  {clean(one.url)}{digest}")
        print(f"  try: {clean(one.advice)}")


# -- for programs -----------------------------------------------------------------------------------------------------


def repair_json(plan: RepairPlan, session: Session) -> dict[str, object]:
    """A plan as data."""
    transaction = plan.transaction
    missing = missing_packages(session, transaction)
    document = result_json(transaction, missing, channel_names(session), dry_run=session.config.dry_run)
    return {
        **{key: value for key, value in document.items() if key != "success"},
        "packages": [
            {"dist": package.record.dist, **msgspec.to_builtins(msgspec.structs.asdict(package) | {"record": None})}
            for package in plan.packages
        ],
        "set_aside": plan.set_aside,
        "kept": {path: f"{plan.directory}/{path}" for path in plan.kept},
        "history": plan.history is not None,
    }
