"""What happened, as values: lower rooms call one `Reporter`; terminal, JSON and web are functions of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A named part of the work begins: "Reading channels", "Solving", "Downloading", "Linking" and the like."""

    stage: str
    total: int | None = None
    """How many units (`StageAdvanced`) the stage has, when that is known."""


@dataclass(frozen=True, slots=True)
class StageAdvanced:
    """One unit of a stage is done; `what` names it (a package, a channel)."""

    stage: str
    what: str


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage ended after `seconds` of wall time."""

    stage: str
    seconds: float


@dataclass(frozen=True, slots=True)
class DownloadStarted:
    """A download begins; `size` is in bytes when known. `what` never holds credentials."""

    what: str
    size: int | None


@dataclass(frozen=True, slots=True)
class BytesReceived:
    """`count` more bytes of the download `what` have come."""

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class DownloadFinished:
    """The download `what` is complete and verified."""

    what: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth knowing that changes nothing: a record left out, a link that fell back to a copy."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that a user should act on some day; the work goes on."""

    text: str


@dataclass(frozen=True, slots=True)
class PackageMessage:
    """Text that a package's link script left for the user."""

    package: str
    text: str


Event: TypeAlias = (
    StageStarted
    | StageAdvanced
    | StageFinished
    | DownloadStarted
    | BytesReceived
    | DownloadFinished
    | Note
    | Warned
    | PackageMessage
)

Reporter: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """The reporter that tells nobody."""
