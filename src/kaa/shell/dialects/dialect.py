"""What a shell's dialect can do: write the steps of an activation, and the hook that asks for them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable

from kaa.models.typed import Protocol
from kaa.models.value import Value
from kaa.shell.activation import ShellAction


class Hook(Value):
    """The parts of a hook."""

    command: tuple[str, ...]
    """The words that run kaa."""
    path: str
    """Where the shell's hook file is."""
    source: str
    """What it says."""
    start: tuple[ShellAction, ...]
    """The steps that every new shell takes."""
    entry: tuple[ShellAction, ...]
    """The steps into the environment that a new shell starts in, for this very shell."""
    default: str | None
    """The prefix of that environment."""
    name: str = "kaa"
    """What the function is called."""


def kept_below(command: tuple[str, ...]) -> str:
    """Where the activations are kept that this kaa writes, below the directory of the user's caches."""
    crc32 = importlib.import_module("binascii").crc32
    return f"kaa/activation/{crc32(os.fsencode(chr(0).join(command))):08x}"


class Dialect(Protocol):
    """One shell's syntax."""

    @property
    def script_extensions(self) -> tuple[str, ...]:
        """The kinds of scripts of an environment that the shell can run, the preferred one first."""

    @property
    def hook_file(self) -> str:
        """The file in `hooks/` that defines the shell function."""

    def holds(self, value: str) -> bool:
        """Whether a variable of the shell can hold the value."""

    def render(self, actions: Iterable[ShellAction]) -> str:
        """The text that takes the steps when the shell evaluates it."""

    def hook(self, hook: Hook) -> str:
        """The text that a shell evaluates when it starts."""
