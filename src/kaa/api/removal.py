"""Remove a whole environment."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kaa.api.execution import remove_whole
from kaa.api.remembering import forget_needs
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.errors import KaaError
from kaa.prefix.environments import absolute_location, registry_file, unregister
from kaa.prefix.prefix import Prefix, open_prefix
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
    return RemovalPlan(transaction, _foreign_files(environment))


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

    def forget() -> None:
        unregister(registry_file(session.home), target)
        forget_needs(session, target)

    remove_whole(session, msgspec.structs.replace(plan.transaction, prefix=target), forget)
    if target != prefix:
        prefix.unlink(missing_ok=True)
        unregister(registry_file(session.home), prefix)
        forget_needs(session, prefix)


def _foreign_files(environment: Prefix) -> tuple[str, ...]:
    """The files of an environment that no package brought, bytecode and conda's own notes aside."""
    owned = {path for path, _ in environment.owners()}
    found = []
    for path in sorted(environment.path.rglob("*")):
        relative = path.relative_to(environment.path)
        if relative.parts[0] == "conda-meta" or "__pycache__" in relative.parts or path.is_dir():
            continue
        if relative.as_posix() not in owned:
            found.append(relative.as_posix())
    return tuple(found)
