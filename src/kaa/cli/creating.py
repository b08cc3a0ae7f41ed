"""What the commands that make environments share: ask before one is replaced, make it, say how to enter it."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from kaa.api.environments import ChangeOptions, plan_create, plan_explicit
from kaa.api.explicit import fetch_explicit
from kaa.api.replacing import Replaced, find_replaced, plan_anew
from kaa.api.session import Session
from kaa.cli.called import program_name
from kaa.cli.changing import Request, perform
from kaa.cli.prompt import confirm
from kaa.models.match_spec import MatchSpec
from kaa.transaction.plan import Transaction


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
