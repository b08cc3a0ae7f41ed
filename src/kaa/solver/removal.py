"""Removing packages: what goes is what was named, what cannot stand without it, and (on demand) what only it needed.

Nothing else changes, so no search is needed: the answer is a subset of what is installed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec import MatchSpec
from kaa.models.match_spec_syntax import name_of
from kaa.models.record import RepoDataRecord
from kaa.solver.failures import NotInstalled


def select_installed(specs: Iterable[MatchSpec], installed: Sequence[RepoDataRecord], *, job: str) -> list[str]:
    """The names of the installed records that the specs match; raises NotInstalled if one matches nothing."""
    names: dict[str, None] = {}
    missing = []
    for spec in specs:
        matching = [record.name for record in installed if spec.matches(record)]
        if not matching:
            missing.append(spec)
        names.update(dict.fromkeys(matching))
    if missing:
        raise NotInstalled(missing, job=job)
    return list(names)


def remaining(
    removed: Iterable[str],
    installed: Sequence[RepoDataRecord],
    asked_for: Iterable[str],
    *,
    prune: bool,
    dependents: bool = True,
    extras: Mapping[str, Collection[str]] | None = None,
) -> list[RepoDataRecord]:
    """What stays when these names go.

    `extras` (CEP 44) are those that were asked for, by name: what they bring is needed as well. With `dependents`,
    whatever needs one of the names goes as well; with `prune`, whatever only they needed, unless it is one of
    `asked_for`.
    """
    records = {record.name: record for record in sorted(installed, key=lambda record: record.name)}
    needs = {name: needed_names(record, records, (extras or {}).get(name, ())) for name, record in records.items()}
    gone = set(removed)
    if dependents:
        gone = reach(gone, turned(needs))
    if prune:
        gone |= orphans(gone, needs, set(asked_for))
    return [record for name, record in records.items() if name not in gone]


def needed_by(
    records: Iterable[RepoDataRecord], names: Iterable[str], extras: Mapping[str, Collection[str]]
) -> set[str]:
    """The names of the records without which those of these names, with their extras, cannot be."""
    by_name = {record.name: record for record in records}
    named = {name for name in names if name in by_name}
    return (
        reach(named, {name: needed_names(record, by_name, extras.get(name, ())) for name, record in by_name.items()})
        - named
    )


def needed_names(record: RepoDataRecord, records: dict[str, RepoDataRecord], extras: Collection[str] = ()) -> set[str]:
    """The installed names that a record cannot do without, nor the extras that it is to have."""
    texts = [*record.depends, *(text for extra in extras for text in record.extra_depends.get(extra, ()))]
    names = {name_of(text) for text in texts if "when" not in text or is_active(text, records)}
    return {name for name in names if name in records and name != record.name}


def is_active(text: str, records: dict[str, RepoDataRecord]) -> bool:
    """Whether the condition of a dependency string, if it has one, holds among these records."""
    try:
        spec = MatchSpec.parse(text, lenient=True)
    except InvalidText:
        return False
    if spec.when is None:
        return True

    def is_true(leaf: MatchSpec) -> bool:
        record = records.get(leaf.name or "")
        # Virtual packages are not among the records: what depends on them is taken to hold.
        return leaf.matches(record) if record is not None else (leaf.name or "").startswith("__")

    return spec.when.holds(is_true)


def reach(names: Iterable[str], edges: dict[str, set[str]]) -> set[str]:
    """These names and all that can be reached from them."""
    seen = set(names)
    waiting = list(seen)
    while waiting:
        for other in edges.get(waiting.pop(), ()):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def turned(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same edges, the other way round."""
    back: dict[str, set[str]] = {name: set() for name in edges}
    for name, others in edges.items():
        for other in others:
            back[other].add(name)
    return back


def orphans(gone: set[str], needs: dict[str, set[str]], asked_for: set[str]) -> set[str]:
    """What the gone ones needed and nothing else needs (cycles among themselves do not count)."""
    suspects = reach(gone, needs) - gone - asked_for
    kept = reach((name for name in needs if name not in suspects and name not in gone), needs)
    return suspects - kept
