"""Questions people ask of an index: which records match a spec, and which names look like a misspelt one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterable
from heapq import nlargest

from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.version import InvalidVersion, Version

_ALIKE = 0.72
"""The least similarity (0 to 1) of names that are worth showing."""
_SEPARATORS = str.maketrans("", "", "-_.")


def find_records(
    spec: MatchSpec, names: Iterable[str], records: Callable[[str], Iterable[RepoDataRecord]]
) -> list[RepoDataRecord]:
    """The records that `spec` matches among those of `names`: by name, then version, build number and time, rising."""
    found: list[RepoDataRecord] = []
    for name in sorted(names):
        if spec.name_glob is None or spec.name_glob.matches(name):
            found += sorted((record for record in records(name) if spec.matches(record)), key=_age)
    return found


def _age(record: RepoDataRecord) -> tuple[bool, Version, int, int, str]:
    """What sorts the records of one name; those whose version cannot be read go first."""
    try:
        version, readable = Version(record.version), True
    except InvalidVersion:
        version, readable = Version("0"), False
    return readable, version, record.build_number, record.timestamp or 0, record.build


def find_near_names(name: str, names: Collection[str], limit: int = 5) -> list[str]:
    """The names that somebody may have meant by `name`, the likeliest first.

    >>> find_near_names("python_dateutil", ["python-dateutil", "python", "zlib"])
    ['python-dateutil']
    """
    wanted = name.lower()
    folded = wanted.translate(_SEPARATORS)
    matcher = importlib.import_module("difflib").SequenceMatcher()
    matcher.set_seq2(folded)
    scored: list[tuple[float, str]] = []
    for other in names:
        candidate = other.translate(_SEPARATORS)
        if candidate == folded:
            scored.append((2.0, other))
            continue
        matcher.set_seq1(candidate)
        if matcher.real_quick_ratio() >= _ALIKE and matcher.quick_ratio() >= _ALIKE:
            ratio = matcher.ratio()
            if ratio >= _ALIKE:
                scored.append((ratio, other))
        elif len(folded) > 3 and candidate in (f"python{folded}", f"py{folded}", f"lib{folded}"):
            scored.append((_ALIKE, other))
    best = nlargest(limit, scored, key=lambda pair: (pair[0], [-ord(letter) for letter in pair[1]]))
    return [other for _, other in best if other != name]
