"""Why something must not be: the facts of the world of packages behind the incompatibilities of a search.

Small values of the solver are msgspec structs: defining a frozen dataclass takes a millisecond of start-up, a struct
takes 40 µs.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from kaa.models.match_spec import MatchSpec

Job: TypeAlias = Literal["install", "update", "history", "freeze"]


class Requested(msgspec.Struct, frozen=True):
    """A spec that has to be met, and the job it comes from."""

    spec: MatchSpec
    job: Job


class Pinned(msgspec.Struct, frozen=True):
    """A pin: what gets installed of this name has to meet it."""

    spec: MatchSpec


class Removed(msgspec.Struct, frozen=True):
    """A package that is to be removed."""

    spec: MatchSpec


class Depends(msgspec.Struct, frozen=True):
    """Candidates of `name` depend on `needs`."""

    name: str
    needs: str


class Constrains(msgspec.Struct, frozen=True):
    """Candidates of `name` accept some candidates of `accepts` only."""

    name: str
    accepts: str


class Conditional(msgspec.Struct, frozen=True):
    """A dependency string of candidates of `name` with a condition, or one that an extra adds."""

    name: str
    text: str
    needs: str


class Unreadable(msgspec.Struct, frozen=True):
    """Candidates of `name` have a dependency string that cannot be read."""

    name: str
    text: str
    message: str


class TooNew(msgspec.Struct, frozen=True):
    """Candidates of `name` in a channel that were not on offer yet at `cutoff`, or of which no time is known."""

    name: str
    channel: str
    cutoff: int
    """In milliseconds since 1970."""
    candidates: int
    """How many there are."""
    undated: int = 0
    """Of how many of these no time is known."""


class NotOnHand(msgspec.Struct, frozen=True):
    """Candidates of `name` that would have to be fetched, which may not be done."""

    name: str
    candidates: int


class Unusable(msgspec.Struct, frozen=True):
    """A candidate of `name` of which could not be read what it asks for."""

    name: str
    why: str


Reason: TypeAlias = (
    Requested | Pinned | Removed | TooNew | NotOnHand | Depends | Constrains | Conditional | Unreadable | Unusable
)
