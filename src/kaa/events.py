"""What happened, as values: lower rooms call one `Reporter`; terminal, JSON and web are functions of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec


class StageStarted(msgspec.Struct, frozen=True):
    """A named part of the work begins: "Reading channels", "Solving", "Downloading", "Linking" and the like."""

    stage: str
    total: int | None = None
    """How many units (`StageAdvanced`) the stage has, when that is known."""


class StageAdvanced(msgspec.Struct, frozen=True):
    """One unit of a stage is done; `what` names it (a package, a channel)."""

    stage: str
    what: str


class StageFinished(msgspec.Struct, frozen=True):
    """A stage ended after `seconds` of wall time."""

    stage: str
    seconds: float


class DownloadStarted(msgspec.Struct, frozen=True):
    """A download begins; `size` is in bytes when known. `what` never holds credentials."""

    what: str
    size: int | None


class BytesReceived(msgspec.Struct, frozen=True):
    """`count` more bytes of the download `what` have come."""

    what: str
    count: int


class DownloadFinished(msgspec.Struct, frozen=True):
    """The download `what` is complete and verified."""

    what: str


class Note(msgspec.Struct, frozen=True):
    """Something worth knowing that changes nothing: a record left out, a link that fell back to a copy."""

    text: str


class Warned(msgspec.Struct, frozen=True):
    """Something that a user should act on some day; the work goes on."""

    text: str


class PackageMessage(msgspec.Struct, frozen=True):
    """Text that a package's link script left for the user."""

    package: str
    text: str


class ScriptsFound(msgspec.Struct, frozen=True):
    """Scripts of packages that were not seen before: (package, path below the environment, when it runs)."""

    scripts: tuple[tuple[str, str, str], ...]


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
    | ScriptsFound
)

Reporter: TypeAlias = Callable[[Event], None]


def silent(event: Event) -> None:
    """The reporter that tells nobody."""
