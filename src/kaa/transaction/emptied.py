"""Which directories go with the files that went."""

from __future__ import annotations

import os
from pathlib import Path

from kaa.models.prefix_record import PrefixRecord
from kaa.transaction.actions import CLOBBERS, why_unsafe
from kaa.transaction.plan import Transaction
from kaa.transaction.prepare import Prepared
from kaa.transaction.unlink import directories_of


def emptied_directories(transaction: Transaction, prepared: Prepared) -> list[str]:
    """The directories that go if they are empty, inner ones first; those that installed packages ask for stay."""
    prefix = transaction.prefix
    wanted = {action.target for source in prepared.sources for action in source.actions.actions}
    wanted.update(path for record in transaction.kept for path in _recorded_directories(record))
    left = [path for _, paths in prepared.unlink for path in paths]
    left += [path for moves in prepared.settlement.moves.values() for path in moves]
    left += [path for path, _ in prepared.restored]
    left += (*transaction.files.leaving, *transaction.files.clear)
    for record, _ in prepared.unlink:
        left += [f"{path}/" for path in _recorded_directories(record) if _is_inside(path, prefix)]
    # Other programs leave empty directories where they had set files aside.
    aside = prefix / CLOBBERS
    if not aside.is_symlink():
        left += [f"{Path(folder).relative_to(prefix).as_posix()}/" for folder, _, _ in os.walk(aside)]
    return [directory for directory in directories_of(left) if directory not in wanted]


def _recorded_directories(record: PrefixRecord) -> list[str]:
    return [entry.path for entry in record.paths_data.paths if entry.path_type == "directory"]


def _is_inside(path: str, prefix: Path) -> bool:
    return not why_unsafe(path) and (prefix / path).parent.resolve().is_relative_to(prefix.resolve())
