"""What became of an environment over time: its generations, and in what two of them differ."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from kaa.api.session import Session
from kaa.api.settling import warn_of_interruption
from kaa.prefix.current_state import EnvironmentLook
from kaa.prefix.differences import Described, Differences, differences
from kaa.prefix.environments import absolute_location
from kaa.prefix.generations import (
    BrokenGeneration,
    GenerationOutline,
    NoSuchGeneration,
    State,
    generation_numbers,
    read_generation,
    read_outline,
)
from kaa.prefix.history import Revision, read_history
from kaa.prefix.prefix import Prefix, open_prefix

NOW: Literal["now"] = "now"
Point: TypeAlias = int | Literal["now"]
"""A generation by its number, or the environment as it is."""


class HistoryEntry(msgspec.Struct, frozen=True):
    """A generation, and in what it differs from the one before it."""

    generation: GenerationOutline
    changes: Differences


class EarlierRevision(msgspec.Struct, frozen=True):
    """A change that conda's history tells of, from before the first generation; nothing goes back to it."""

    number: int
    revision: Revision


class EnvironmentHistory(msgspec.Struct, frozen=True):
    """All that is known of how an environment became what it is."""

    prefix: Path
    entries: tuple[HistoryEntry, ...]
    """Oldest first"""
    since: Differences
    """In what the environment differs from the latest generation now: what others than kaa did"""
    earlier: tuple[EarlierRevision, ...] = ()
    broken: tuple[str, ...] = ()
    """What is wrong with the generations that cannot be read"""


class Comparison(msgspec.Struct, frozen=True):
    """In what an environment differs between two points in time."""

    prefix: Path
    old: Point
    new: Point
    changes: Differences


def read_environment_history(session: Session, prefix: Path) -> EnvironmentHistory:
    """The generations of an environment with what changed from each to the next; raises NotAnEnvironment."""
    prefix = absolute_location(prefix, session.cwd)
    environment = open_prefix(prefix)
    warn_of_interruption(session, prefix)
    entries: list[HistoryEntry] = []
    broken: list[str] = []
    previous: Described = State()
    for number in generation_numbers(prefix):
        try:
            generation = read_outline(prefix, number)
        except BrokenGeneration as error:
            broken.append(error.message)
            continue
        entries.append(HistoryEntry(generation, differences(previous, generation)))
        previous = generation
    history = read_history(environment)
    first = entries[0].generation.revision if entries else len(history.revisions)
    earlier = [EarlierRevision(number, one) for number, one in enumerate(history.revisions[: max(first, 0)])]
    since = differences(previous, state_of(environment)) if entries else Differences()
    return EnvironmentHistory(prefix, tuple(entries), since, tuple(earlier), tuple(broken))


def state_of(environment: Prefix) -> State:
    """What an environment is now."""
    return EnvironmentLook(environment).state(environment.records(), read_history(environment))


def compare_generations(
    session: Session, prefix: Path, old: Point | None = None, new: Point | None = None
) -> Comparison:
    """In what an environment differs between two points in time.

    Without them: the generation before the latest, and the latest; of a single generation, it and now. Raises
    NotAnEnvironment, NoSuchGeneration, BrokenGeneration.
    """
    prefix = absolute_location(prefix, session.cwd)
    environment = open_prefix(prefix)
    warn_of_interruption(session, prefix)
    numbers = generation_numbers(prefix)
    if old is None:
        if not numbers:
            raise NoSuchGeneration(prefix, 1, ())
        old, new = (numbers[-2], numbers[-1]) if len(numbers) > 1 else (numbers[-1], NOW)
    elif new is None:
        old, new = (numbers[-1] if numbers and old == NOW else old), NOW

    def described(point: Point) -> Described:
        return read_generation(prefix, point) if isinstance(point, int) else state_of(environment)

    assert new is not None
    return Comparison(prefix, old, new, differences(described(old), described(new)))
