"""The root of every error that kaa raises on purpose.

Concrete errors live beside the code that raises them. Each carries its facts as attributes (they become the fields of
the JSON form) and renders what failed, on what, and what to try.
"""

from __future__ import annotations

from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import ClassVar


class KaaError(Exception):
    """What failed, on what, and what to try.

    `message` is one or more plain sentences; `hints` are ways out, each one a sentence that starts with a verb.
    """

    exit_code: ClassVar[int] = 1
    conda_name: ClassVar[str] = "CondaError"
    """The exception name under which conda's clients know this failure (JSON output)."""

    def __init__(self, message: str, *, hints: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints

    def __str__(self) -> str:
        return "\n".join([self.message, *(f"  try: {hint}" for hint in self.hints)])

    def fields(self) -> Mapping[str, object]:
        """The facts of this error, for machines."""
        return {key: value for key, value in vars(self).items() if key not in {"message", "hints"} and key[0] != "_"}
