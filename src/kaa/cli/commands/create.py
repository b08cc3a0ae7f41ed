"""`kaa create`: make a new environment."""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from kaa.api.environments import ChangeOptions, plan_create, plan_explicit
from kaa.api.explicit import fetch_explicit
from kaa.api.replacing import Replaced, find_replaced, plan_anew
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
from kaa.cli.changing import Request, change_options, perform, print_result, read_request
from kaa.cli.configuring import ArgumentsMissing, new_target
from kaa.cli.main import program_name
from kaa.cli.prompt import confirm
from kaa.envfiles.lock import is_lock_name
from kaa.models.match_spec import MatchSpec
from kaa.transaction.plan import Transaction

HELP = """Make a new environment, by name or in a directory.

    kaa create --name demo python=3.12 numpy
    kaa create --prefix ./env --file specs.txt
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
    prefix = new_target(arguments, session.config, session.environ)
    if prefix is None:
        raise ArgumentsMissing(
            "one of --name and --prefix is needed, to know where the environment is to be",
            hints=("kaa create --name NAME …", "kaa create --prefix ./env …"),
        )
    if arguments.clone is not None:
        code: int = importlib.import_module("kaa.cli.relocating").clone(arguments, session, prefix)
        return code
    if any(map(is_lock_name, arguments.files)):
        locks = importlib.import_module("kaa.cli.locked")
        lock = locks.the_only_one(arguments.files, arguments.specs)
        done: int = locks.create_from_lock(arguments, session, prefix, lock, ask=True)
        return done
    request = read_request(session, arguments.specs, arguments.files)
    if not request.entries and not arguments.no_default_packages:
        request = with_default_packages(request, session.config.create_default_packages)
    options = change_options(arguments)
    result = create(session, prefix, request, options, download_only=arguments.download_only)
    print_result(session, result)
    if not (session.config.json or session.config.quiet or arguments.download_only):
        print(how_to_enter(session, prefix))
    return 0


def how_to_enter(session: Session, prefix: Path) -> str:
    """What to type next, with the name of the environment or its quoted path."""
    name = session.environments.name_of(prefix)
    word, flag = (shlex.quote(name), "-p") if name == str(prefix) else (name, "-n")
    kaa = program_name()
    return f"\nTo enter it:            {kaa} activate {word}\nTo run something in it: {kaa} run {flag} {word} PROGRAM\n"


def with_default_packages(request: Request, defaults: Sequence[str]) -> Request:
    """The request with the packages that every environment gets, as far as it does not name them itself."""
    named = {spec.name for spec in request.specs}
    more = [spec for spec in map(MatchSpec.parse, defaults) if spec.name not in named]
    return Request((*request.specs, *more), request.entries)


def create(
    session: Session, prefix: Path, request: Request, options: ChangeOptions, *, download_only: bool = False
) -> dict[str, object]:
    """Plan, show, ask and make; where an environment is already, it is replaced if the user wants that."""
    return create_planned(
        session, prefix, lambda place: plan(session, place, request, options), download_only=download_only
    )


def create_planned(
    session: Session, prefix: Path, plan: Callable[[Path], Transaction], *, download_only: bool = False
) -> dict[str, object]:
    """`create` of what `plan` gives for a path."""
    replaced = agreed_replacement(session, prefix)
    if replaced is None:
        transaction = plan(prefix)
        return perform(session, transaction, download_only=download_only, is_new=True)

    def change(session: Session, transaction: Transaction) -> None:
        # Brings all along that changes an environment.
        importlib.import_module("kaa.api.replacement").replace_environment(session, transaction, replaced)

    transaction = plan_anew(prefix, plan)
    return perform(session, transaction, download_only=download_only, is_new=True, change=change)


def agreed_replacement(session: Session, prefix: Path) -> Replaced | None:
    """The environment that is there already and that the user agrees to lose; raises Declined, EnvironmentExists."""
    replaced = find_replaced(session, prefix)
    if replaced is None:
        return None
    if not (session.config.json or session.config.quiet):
        present = f"There is an environment at {prefix} already, with {len(replaced.packages)} packages."
        settled = session.config.dry_run or session.config.always_yes
        print(f"{present} The new one takes its place." if settled else present)
    if not session.config.dry_run:
        confirm(session.config, "Remove it and make a new one", default=False)
    return replaced


def plan(session: Session, prefix: Path, request: Request, options: ChangeOptions) -> Transaction:
    """The plan of a new environment."""
    if request.entries:
        return plan_explicit(session, prefix, fetch_explicit(session, request.entries), options)
    return plan_create(session, prefix, request.specs, options)
