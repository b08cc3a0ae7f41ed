"""Drop old generations of an environment, and the kept files of pip's distributions that no other one needs."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import msgspec

from kaa.api.looking import looks_at_environment
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.events import Note
from kaa.host.files import remove_tree
from kaa.host.locks import LockHolder, file_lock
from kaa.models.cutoff import InvalidCutoff, parse_cutoff
from kaa.prefix.environments import absolute_location
from kaa.prefix.generations import (
    GenerationOutline,
    generation_file,
    generation_numbers,
    read_outline,
)
from kaa.prefix.interruption import LOCK, STAGING
from kaa.prefix.kept_distributions import iter_kept_files, kept_directory, kept_keys
from kaa.prefix.prefix import open_prefix
from kaa.transaction.journal import recover
from kaa.transaction.setting_aside import check_there

DEFAULT_COUNT = 10
"""How many generations stay when nothing else is said."""


class PrunePlan(msgspec.Struct, frozen=True):
    """Generations that go, and kept files that nothing needs then."""

    prefix: Path
    generations: tuple[GenerationOutline, ...]
    staying: tuple[int, ...]
    keys: tuple[str, ...]
    size: int
    """How many bytes that frees: what an environment has as well counts nothing"""


@looks_at_environment
def plan_pruning(
    session: Session, prefix: Path, *, keep: int | None = None, older_than: str | None = None
) -> PrunePlan:
    """What would go: generations that are neither among the latest `keep` nor younger than `older_than` (`30d`).

    Each of the two says nothing if it is not given; without both, the latest ten stay. The latest one always stays.
    Raises BrokenGeneration, InvalidCutoff, NotAnEnvironment.
    """
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    open_prefix(prefix)
    return _plan(prefix, DEFAULT_COUNT if keep is None and older_than is None else keep, _cutoff(older_than))


def prune_generations(session: Session, plan: PrunePlan) -> PrunePlan:
    """Drop what the plan says, as far as it is still so; gives what went."""
    prefix = plan.prefix

    def tell(holder: LockHolder | None) -> None:
        session.reporter(Note(f"waiting for {prefix}, which {holder or 'another process'} is changing"))

    with file_lock(prefix / LOCK, waiting=tell):
        recover(prefix)
        check_there(prefix)
        doomed = {one.number for one in plan.generations} - set(generation_numbers(prefix)[-1:])
        now = _drop(prefix, doomed)
        staging = prefix / STAGING
        staging.mkdir()
        for number in sorted(doomed):
            generation_file(prefix, number).unlink(missing_ok=True)
        for key in now.keys:
            # Moved away first: of what is kept there is all or nothing.
            kept_directory(prefix, key).rename(staging / key)
        remove_tree(staging)
    return now


def _plan(prefix: Path, keep: int | None, cutoff: int | None) -> PrunePlan:
    numbers = generation_numbers(prefix)
    latest = set(numbers[-max(keep or 0, 1) :])
    doomed = {
        number
        for number in numbers
        if number not in latest and (cutoff is None or _milliseconds(read_outline(prefix, number)) < cutoff)
    }
    return _drop(prefix, doomed)


def _drop(prefix: Path, doomed: set[int]) -> PrunePlan:
    """What goes along with these generations."""
    going: list[GenerationOutline] = []
    needed: set[str] = set()
    staying: list[int] = []
    for number in generation_numbers(prefix):
        generation = read_outline(prefix, number)
        if number in doomed:
            going.append(generation)
        else:
            staying.append(number)
            needed.update(one.key for one in generation.distributions)
    keys = tuple(key for key in kept_keys(prefix) if key not in needed)
    size = sum(generation_file(prefix, one.number).stat().st_size for one in going)
    size += sum(_freed(path) for key in keys for _, path in iter_kept_files(prefix, key))
    return PrunePlan(prefix, tuple(going), tuple(staying), keys, size)


def _freed(path: Path) -> int:
    """What removing a file frees: nothing while it has another name elsewhere."""
    state = path.lstat()
    return state.st_size if state.st_nlink == 1 and stat.S_ISREG(state.st_mode) else 0


def _cutoff(older_than: str | None) -> int | None:
    if older_than is None:
        return None
    cutoff = parse_cutoff(older_than, time.time_ns() // 1_000_000, source="--older-than")
    if cutoff is None:
        # "No cut-off" would be all of them here.
        raise InvalidCutoff(older_than, "--older-than")
    return cutoff


def _milliseconds(generation: GenerationOutline) -> int:
    """When a generation was made, in milliseconds since the epoch."""
    return parse_cutoff(generation.time, 0, source="time") or 0
