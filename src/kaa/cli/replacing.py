"""Replace a whole environment by a new one, so that one of the two is there at any time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from kaa.api.environments import EnvironmentExists
from kaa.api.session import Session
from kaa.cli.prompt import confirm
from kaa.host.files import remove_tree
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import check_not_frozen
from kaa.transaction.plan import Transaction


def is_replacement(session: Session, prefix: Path) -> bool:
    """Whether an environment is there already, and the user agrees to lose it.

    Raises Declined if not, EnvironmentExists for the base, the active one and one behind a link, EnvironmentFrozen.
    """
    if not Prefix(prefix).is_environment():
        return False
    active = session.environ.get("CONDA_PREFIX")
    kept = [session.config.root_prefix, *([Path(active)] if active else [])]
    # A link would be moved aside, and what it leads to would stay: such an environment is not replaced either.
    if prefix.is_symlink() or prefix.resolve() in [path.resolve() for path in kept]:
        raise EnvironmentExists(prefix)
    if session.config.protect_frozen_envs:
        check_not_frozen(Prefix(prefix))
    if not (session.config.json or session.config.quiet):
        present = f"There is an environment at {prefix} already, with {len(Prefix(prefix).records())} packages."
        settled = session.config.dry_run or session.config.always_yes
        print(f"{present} The new one takes its place." if settled else present)
    if not session.config.dry_run:
        confirm(session.config, "Remove it and make a new one", default=False)
    return True


def free_path_beside(prefix: Path, purpose: str) -> Path:
    """A path in the same directory where nothing is."""
    number = 0
    while (path := prefix.with_name(f".{prefix.name}.{purpose}{number or ''}")).exists():
        number += 1
    return path


def at(transaction: Transaction, prefix: Path) -> Transaction:
    """The plan of a new environment, for another place."""
    return replace(transaction, prefix=prefix)


@contextlib.contextmanager
def set_aside(prefix: Path) -> Iterator[None]:
    """Move an environment out of the way; it comes back if the work fails, and is removed if it succeeds."""
    aside = free_path_beside(prefix, "replaced")
    prefix.rename(aside)
    try:
        yield
    except BaseException:
        remove_tree(prefix)
        aside.rename(prefix)
        raise
    remove_tree(aside)
