"""Plan an environment that holds certain packages and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from kaa.models.record import RepoDataRecord
from kaa.prefix.history import requested_specs
from kaa.prefix.prefix import Prefix
from kaa.transaction.plan import NO_FILES, FileChanges, Transaction, plan_transaction


def plan_exactly(
    prefix: Path,
    subdir: str,
    records: Sequence[RepoDataRecord],
    requested: Mapping[str, str],
    *,
    command: str = "",
    reinstall: frozenset[str] = frozenset(),
    files: FileChanges = NO_FILES,
) -> Transaction:
    """The way to exactly `records`; `requested` are the only specs, by name, that count as asked for then.

    Packages that are named to `reinstall` are linked anew although they are there.
    """
    environment = Prefix(prefix)
    current = environment.records() if environment.is_environment() else ()
    wanted = {record.name for record in records}
    forgotten = [name for name in requested_specs(environment, current) if name not in requested and name in wanted]
    return plan_transaction(
        prefix,
        subdir,
        current,
        tuple(records),
        reinstall=reinstall & wanted,
        requested_specs=dict(requested),
        removed_specs=[*(record.name for record in current if record.name not in wanted), *forgotten],
        command=command,
        files=files,
    )
