"""Remove a whole environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kaa.api.execution import remove_whole
from kaa.api.looking import looks_at_environment
from kaa.api.remembering import forget_environment
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.errors import KaaError
from kaa.prefix.environments import absolute_location
from kaa.prefix.prefix import open_prefix
from kaa.transaction.plan import Transaction, plan_transaction


class EnvironmentInUse(KaaError):
    """An environment must not be removed: it is the base, or the active one."""

    conda_name = "CondaEnvironmentError"

    def __init__(self, prefix: Path, reason: str, hint: str) -> None:
        self.prefix = str(prefix)
        self.reason = reason
        super().__init__(f"{prefix} is not removed: {reason}", hints=(hint,))


class RemovalPlan(msgspec.Struct, frozen=True):
    """An environment that goes: its packages, and the files in it that belong to none."""

    transaction: Transaction
    foreign_files: tuple[str, ...]
    """Posix paths below the environment; they are lost with it."""


@looks_at_environment
def plan_environment_removal(session: Session, prefix: Path, *, command: str = "") -> RemovalPlan:
    """What removing an environment means; raises NotAnEnvironment, EnvironmentInUse."""
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    environment = open_prefix(prefix)
    check_not_base(session, prefix)
    # A link to an environment is that environment.
    target = prefix.resolve()
    active = session.environ.get("CONDA_PREFIX")
    if active and Path(active).resolve() == target:
        raise EnvironmentInUse(prefix, "it is active in this shell", "leave it first with `kaa deactivate`")
    records = environment.records()
    transaction = plan_transaction(prefix, session.subdir, records, (), command=command)
    owned = {path for record in records for path in record.files}
    foreign = sorted(path for path in _iter_files(prefix) if path not in owned)
    # Another one may have removed it meanwhile: then there was nothing to see.
    open_prefix(prefix)
    return RemovalPlan(transaction, tuple(foreign))


def check_not_base(session: Session, prefix: Path) -> None:
    """Raise EnvironmentInUse for the base environment, which is neither removed nor emptied."""
    if prefix.resolve() == session.config.root_prefix.resolve():
        raise EnvironmentInUse(
            prefix, "it is the base environment", "remove single packages from it with `kaa remove -n base …`"
        )


def remove_environment(session: Session, plan: RemovalPlan) -> None:
    """Remove an environment with all that is in it, after the pre-unlink scripts of its packages.

    It is there, or it is not: a kill is taken back, or finished, by the next command that names it. Where the
    environment was named by a link to its directory, both go.
    """
    prefix = plan.transaction.prefix
    target = prefix.resolve()

    transaction = msgspec.structs.replace(plan.transaction, prefix=target)
    remove_whole(session, transaction, lambda: forget_environment(session, target))
    if target != prefix:
        prefix.unlink(missing_ok=True)
        forget_environment(session, prefix)


def _iter_files(prefix: Path) -> Iterator[str]:
    """The files of an environment as posix paths, bytecode and conda's own notes aside."""
    for folder, folders, files in os.walk(prefix):
        below = Path(folder).relative_to(prefix).as_posix()
        start = "" if below == "." else f"{below}/"
        left_out = {"__pycache__"} if start else {"__pycache__", "conda-meta"}
        folders[:] = [name for name in folders if name not in left_out]
        yield from (start + name for name in files)
