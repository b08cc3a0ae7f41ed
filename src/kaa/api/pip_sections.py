"""What `pip:` sections of files ask for, as far as it takes part in the solve, and what is left for pip itself.

`kaa.api.pip_requirements` reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from kaa.errors import KaaError
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord


class OtherFileChosen(KaaError):
    """A package is not among the files that a requirement allows."""

    conda_name = "CondaVerificationError"

    def __init__(self, record: RepoDataRecord) -> None:
        self.package = record.dist
        self.sha256 = record.sha256
        super().__init__(
            f"{record.fn} has the hash sha256:{record.sha256}, and the section for pip allows others only",
            hints=("write the hashes anew", "leave the section to pip: pip_section: pip"),
        )


class PipSection(msgspec.Struct, frozen=True):
    """What lines for pip ask for, with what of it takes part in the solve."""

    specs: tuple[MatchSpec, ...] = ()
    constraints: tuple[MatchSpec, ...] = ()
    """What holds for packages if they are installed."""
    wheels: tuple[RepoDataRecord, ...] = ()
    """Those that are named by address or path."""
    channels: tuple[str, ...] = ()
    """Where the names come from; behind all other channels."""
    left: tuple[str, ...] = ()
    """The lines for pip itself."""
    hashes: Mapping[str, tuple[str, ...]] = {}
    """By the name of a package those of the files that will do."""
    for_python: Callable[[str], PipSection] | None = None
    """All that it asks for, for a version of python; None where that says it all already."""

    @property
    def names(self) -> frozenset[str]:
        """The packages that are asked for by name."""
        return frozenset(spec.name for spec in (*self.specs, *self.constraints) if spec.name)

    def check(self, records: Sequence[RepoDataRecord]) -> None:
        """Raise OtherFileChosen for a package that is not one of the files that were allowed."""
        for record in records:
            allowed = self.hashes.get(record.name)
            if allowed and record.sha256 not in allowed:
                raise OtherFileChosen(record)


def put_together_sections(sections: Sequence[PipSection]) -> PipSection:
    """One section of several."""
    hashes: dict[str, tuple[str, ...]] = {}
    for section in sections:
        hashes |= section.hashes

    def for_python(version: str) -> PipSection:
        known = [section if section.for_python is None else section.for_python(version) for section in sections]
        return put_together_sections(known)

    return PipSection(
        specs=tuple(spec for section in sections for spec in section.specs),
        constraints=tuple(spec for section in sections for spec in section.constraints),
        wheels=tuple(record for section in sections for record in section.wheels),
        channels=tuple(dict.fromkeys(channel for section in sections for channel in section.channels)),
        left=tuple(line for section in sections for line in section.left),
        hashes=hashes,
        for_python=for_python if any(section.for_python is not None for section in sections) else None,
    )
