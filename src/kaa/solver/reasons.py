"""Why something must not be: the facts of the world of packages behind the incompatibilities of a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from kaa.models.match_spec import MatchSpec

Job: TypeAlias = Literal["install", "update", "history", "freeze"]


@dataclass(frozen=True, slots=True)
class Requested:
    """A spec that has to be met, and the job it comes from."""

    spec: MatchSpec
    job: Job


@dataclass(frozen=True, slots=True)
class Pinned:
    """A pin: what gets installed of this name has to meet it."""

    spec: MatchSpec


@dataclass(frozen=True, slots=True)
class Removed:
    """A package that is to be removed."""

    spec: MatchSpec


@dataclass(frozen=True, slots=True)
class Depends:
    """Candidates of `name` depend on `needs`."""

    name: str
    needs: str


@dataclass(frozen=True, slots=True)
class Constrains:
    """Candidates of `name` accept some candidates of `accepts` only."""

    name: str
    accepts: str


@dataclass(frozen=True, slots=True)
class Conditional:
    """A dependency string of candidates of `name` with a condition, or one that an extra adds."""

    name: str
    text: str
    needs: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Candidates of `name` have a dependency string that cannot be read."""

    name: str
    text: str
    message: str


Reason: TypeAlias = Requested | Pinned | Removed | Depends | Constrains | Conditional | Unreadable
