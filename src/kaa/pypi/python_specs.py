"""What a wheel asks of python: what its tags say and what `Requires-Python` says, as one conda version spec."""

from __future__ import annotations

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from kaa.pypi.pep440 import NotConvertible, conda_version_spec
from kaa.pypi.wheel_tags import Release

_LATEST_PATCH = 40
"""More than any minor version of Python has had."""


class PythonSpecs:
    """Puts both together; each pair is worked out once, for thousands of files share them."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[Release, Release | None], str], str | None] = {}
        self._ranges: dict[str, tuple[SpecifierSet, tuple[str, ...]] | None] = {}

    def clauses(self, pythons: tuple[Release, Release | None], requires_python: str) -> str | None:
        """The version spec of python, None where no version satisfies both.

        A `Requires-Python` that cannot be read asks for nothing, as for other installers.

        >>> PythonSpecs().clauses(((3, 11), (3, 12)), ">=3.8"), PythonSpecs().clauses(((3, 0), None), ">=3.8,<3.13")
        ('>=3.11,<3.12.0a0', '>=3.8,<3.13a0')
        """
        key = pythons, requires_python
        try:
            return self._known[key]
        except KeyError:
            found = self._known[key] = self._joined(pythons, requires_python)
            return found

    def _joined(self, pythons: tuple[Release, Release | None], requires_python: str) -> str | None:
        first, end = pythons
        clauses = [f">={first[0]}.{first[1]}" if first[1] else f">={first[0]}"]
        if end is not None:
            clauses.append(f"<{end[0]}.{end[1]}.0a0")
        asked = self._range(requires_python)
        if asked is None:
            return ",".join(clauses)
        specifiers, own = asked
        if end is not None:
            within = [
                Version(f"{first[0]}.{minor}.{patch}")
                for minor in range(first[1], end[1])
                for patch in range(_LATEST_PATCH)
            ]
            admitted = [specifiers.contains(version, prereleases=True) for version in within]
            if not any(admitted):
                return None
            return ",".join(clauses if all(admitted) else [*clauses, *own])
        return ",".join(_tightest([*clauses, *own]))

    def _range(self, text: str) -> tuple[SpecifierSet, tuple[str, ...]] | None:
        try:
            return self._ranges[text]
        except KeyError:
            pass
        found = None
        if text.strip():
            try:
                found = SpecifierSet(text), tuple(conda_version_spec(text).split(","))
            except (InvalidSpecifier, NotConvertible):
                found = None
        self._ranges[text] = found
        return found


def _tightest(clauses: list[str]) -> list[str]:
    """The clauses with one lower bound, the highest."""
    lower = [clause for clause in clauses if clause.startswith(">=")]
    highest = max(lower, key=lambda clause: Version(clause[2:]))
    return list(dict.fromkeys([highest, *(clause for clause in clauses if clause not in lower)]))
