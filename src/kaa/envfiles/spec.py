"""What an environment is to hold, as an environment file of any format says it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kaa.errors import KaaError
from kaa.models.match_spec import MatchSpec


def is_yaml(file: str) -> bool:
    """Whether a file is an environment file, going by its name or address."""
    return file.partition("?")[0].endswith((".yml", ".yaml"))


class InvalidEnvironmentFile(KaaError, ValueError):
    """A file that describes no environment; says the file, the line and what is wrong with it."""

    conda_name = "CondaValueError"

    def __init__(self, filename: str, reason: str, *, line: int | None = None, hints: tuple[str, ...] = ()) -> None:
        self.filename = filename
        self.line = line
        self.reason = reason
        place = f"{filename}, line {line}" if line else filename
        super().__init__(f"{place}: {reason}" if place else reason, hints=hints)


class EnvironmentFileMissing(KaaError):
    """A file that was named cannot be read."""

    conda_name = "EnvironmentFileNotFound"

    def __init__(self, filename: str, reason: str) -> None:
        super().__init__(f"{filename} cannot be read: {reason}", hints=("give the path of a file with --file",))
        self.filename = filename
        self.reason = reason


class EnvironmentSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Names, channels and specs of one environment, before anything is solved."""

    name: str | None = None
    prefix: str | None = None
    """As it is written; `~` and variables are for whoever knows them."""
    channels: tuple[str, ...] = ()
    """As they are written, without `nodefaults`."""
    only_these_channels: bool = False
    """Whether the configured channels are not to be added (`nodefaults`)."""
    specs: tuple[MatchSpec, ...] = ()
    pip: tuple[str, ...] = ()
    """Lines of pip's requirements format, installed with pip afterwards."""
    variables: Mapping[str, str] = msgspec.field(default_factory=dict)
    platforms: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()
    """Top-level keys that mean nothing here; a reader may be told."""
