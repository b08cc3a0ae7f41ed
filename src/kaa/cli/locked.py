"""Environments made from locks: `kaa sync`; --file with a lock of `kaa create`, `kaa env create`, `kaa env update`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from kaa.api.environment_files import is_lock
from kaa.api.environments import EnvironmentExists
from kaa.api.lock_formats import read_lock
from kaa.api.locked import Locked, choose_locked, plan_locked
from kaa.api.pip_part import requirement_line, sync_distributions
from kaa.api.recording import change_variables, latest_number
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.cli.changing import change_options, check_changeable, perform, print_result
from kaa.cli.configuring import ArgumentsMissing
from kaa.cli.creating import create_planned, how_to_enter
from kaa.config.sources import expand_text
from kaa.prefix.prefix import Prefix


def read_locked(session: Session, file: str, environment: str | None = None) -> Locked:
    """What a lock means on this machine."""
    lock, folder = read_lock(session, file)
    return choose_locked(session, lock, expand_text(file, session.environ), folder, environment)


def find_lock_among(session: Session, files: Sequence[str], words: Sequence[str]) -> str | None:
    """The lock among files; nothing can be put beside it, for it says everything. Raises ArgumentsMissing."""
    lock = next((file for file in files if is_lock(session, file)), None)
    if lock is not None and (len(files) > 1 or words):
        raise ArgumentsMissing(
            f"{lock} is a lock, which says all that the environment is to hold",
            hints=("leave the other files and specs out", "lock them together: kaa lock FILE…"),
        )
    return lock


def create_from_lock(arguments: argparse.Namespace, session: Session, prefix: Path, file: str, *, ask: bool) -> int:
    """A new environment; with `ask` one that is there already is replaced if the user agrees."""
    locked = read_locked(session, file, getattr(arguments, "environment", None))
    settle(session, prefix)
    if not ask and Prefix(prefix).is_environment() and not (arguments.force or session.config.always_yes):
        raise EnvironmentExists(prefix)
    options = change_options(arguments)
    only_fetch = bool(getattr(arguments, "download_only", False))
    with outright(session) if not ask else session as inner:
        result = create_planned(
            inner, prefix, lambda place: plan_locked(inner, place, locked, options), download_only=only_fetch
        )
        if not only_fetch:
            complete(inner, prefix, locked, result, options.command, since=0)
        print_result(inner, result)
    if ask and not (session.config.json or session.config.quiet or only_fetch or session.config.dry_run):
        print(how_to_enter(session, prefix))
    return 0


def sync(arguments: argparse.Namespace, session: Session, prefix: Path, file: str, *, keep_others: bool = False) -> int:
    """The environment becomes equal to the lock; it is made if it is not there."""
    locked = read_locked(session, file, getattr(arguments, "environment", None))
    options = change_options(arguments)
    settle(session, prefix)
    since = latest_number(prefix)
    is_new = not Prefix(prefix).is_environment()
    if not is_new:
        check_changeable(session, prefix)
    only_fetch = bool(getattr(arguments, "download_only", False))
    transaction = plan_locked(session, prefix, locked, options, keep_others=keep_others)
    result = perform(session, transaction, download_only=only_fetch, is_new=is_new)
    if not only_fetch:
        complete(session, prefix, locked, result, options.command, since=since)
    print_result(session, result)
    return 0


def outright(session: Session) -> Session:
    """A session that asks nothing: whoever works with environment files does so in scripts."""
    config = session.config.with_values(always_yes=True)
    return Session(config, session.reporter, environ=session.environ, cwd=session.cwd)


def complete(
    session: Session, prefix: Path, locked: Locked, result: dict[str, object], command: str, *, since: int
) -> None:
    """What comes after the packages: the distributions from PyPI, and the variables."""
    actions = result.get("actions")
    if locked.distributions and isinstance(actions, dict):
        actions["PIP"] = [requirement_line(one, locked.folder) for one in locked.distributions]
    if session.config.dry_run:
        return
    sync_distributions(
        session, prefix, locked.distributions, locked.folder, ours=locked.projects, command=command, since=since
    )
    if locked.environment.variables:
        news = dict(locked.environment.variables)
        change_variables(session, prefix, lambda old: old | news, command=command, since=since)
