"""`kaa install --revision N`: an environment becomes again what it was after a change of its history."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from kaa.api.going_back import plan_rollback
from kaa.api.revisions import find_generation_of, plan_earlier_revision
from kaa.api.session import Session
from kaa.cli.changing import carry_out, check_changeable, command_line
from kaa.cli.going_back import go_back
from kaa.errors import KaaError


class NothingBesideRevision(KaaError):
    """A revision is a whole state; nothing else can be asked for with it."""

    conda_name = "TooManyArgumentsError"
    exit_code = 2

    def __init__(self, words: Sequence[str]) -> None:
        self.unexpected = tuple(words)
        super().__init__(
            f"--revision brings back a state as it was, and takes no packages: {' '.join(words)}",
            hints=("go back first, then add packages with `kaa install`",),
        )


def go_to_revision(arguments: argparse.Namespace, session: Session, prefix: Path) -> int:
    """Show the way, ask, and go it."""
    if words := [*arguments.specs, *arguments.files]:
        raise NothingBesideRevision(words)
    check_changeable(session, prefix)
    command = command_line(arguments)
    generation = find_generation_of(session, prefix, arguments.revision)
    if generation is not None:
        return go_back(session, plan_rollback(session, prefix, generation, command=command))
    transaction = plan_earlier_revision(session, prefix, arguments.revision, command=command)
    return carry_out(session, transaction, download_only=arguments.download_only)
