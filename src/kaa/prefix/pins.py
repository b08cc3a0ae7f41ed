"""The pins of an environment (`conda-meta/pinned`) as match specs, which who only looks at it does not load."""

from __future__ import annotations

from pathlib import Path

from kaa.models.match_spec import InvalidMatchSpec, MatchSpec
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import read_pinned_lines


class InvalidPin(InvalidMatchSpec):
    """A line of `conda-meta/pinned` is no match spec."""

    noun = "pin"

    def __init__(self, path: Path, error: InvalidMatchSpec) -> None:
        self.path = str(path)
        hints = (f"correct that line in {path}", "leave pins aside once, with --no-pin")
        super().__init__(error.text, error.position, error.reason, hints=hints)


def read_pinned(prefix: Prefix) -> tuple[MatchSpec, ...]:
    """The match specs in `conda-meta/pinned`, in its order; raises InvalidPin for a line that is none."""
    pins = []
    for line in read_pinned_lines(prefix):
        try:
            pins.append(MatchSpec.parse(line))
        except InvalidMatchSpec as error:
            raise InvalidPin(prefix.conda_meta / "pinned", error) from error
    return tuple(pins)
