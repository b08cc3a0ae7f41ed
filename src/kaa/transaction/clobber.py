"""Who owns a path when several packages want it. Pure.

The package that comes later in the order of dependencies has the path. That order depends on nothing but the packages
of the environment, and so does the outcome: not on the order in which they were installed. The files of the others are
kept in `__clobbers__/<package>/<path>`, are recorded there (`original_path` says where they belong; this is how
rattler keeps them, too), and come back when the owner of the path goes. A file that no package brought and that
differs from what takes its place is kept below `__clobbers__/__unowned__` in the same way.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from kaa.errors import KaaError
from kaa.models.prefix_record import PrefixRecord
from kaa.transaction.actions import CLOBBERS, How, PackageActions, PathAction, bytecode_source

UNOWNED = "__unowned__"
"""Stands for a package name in `__clobbers__`; no package can be called so."""


class Conflict(msgspec.Struct, frozen=True):
    """A path that two packages bring, or that somebody else's file has (`loser` None)."""

    path: str
    winner: str
    loser: str | None
    same_content: bool = False

    def __str__(self) -> str:
        other = self.loser or "a file that no package brought"
        return f"{self.path}: {self.winner} takes the place of {other}"


class PathConflictError(KaaError):
    """Packages want the same paths, and that was to be prevented or cannot be."""

    conda_name = "ClobberError"

    def __init__(self, conflicts: Sequence[Conflict], *, always: bool = False) -> None:
        self.conflicts = [str(conflict) for conflict in conflicts]
        listed = "".join(f"\n  {conflict}" for conflict in self.conflicts[:20])
        more = f"\n  and {len(conflicts) - 20} more" if len(conflicts) > 20 else ""
        what = "is a file for one and a directory for the other" if always else "would be taken from its owner"
        hints = ["leave one of the packages out"]
        if not always:
            hints.append("allow it with path_conflict: clobber; the other file is kept aside then")
        super().__init__(f"{len(conflicts)} path(s) {what}:{listed}{more}", hints=tuple(hints))


class Settlement(msgspec.Struct, frozen=True):
    """Who gets what, as far as anything is contested."""

    conflicts: tuple[Conflict, ...] = ()
    linked_aside: Mapping[str, Mapping[str, str]] = msgspec.field(default_factory=dict)
    """Package → target → where its new file goes instead."""
    moves: Mapping[str, Mapping[str, str]] = msgspec.field(default_factory=dict)
    """Installed package → path → path that its file is moved to: aside, or back to its place."""
    shared: frozenset[str] = frozenset()
    """Paths of removed packages that a package which stays has, too: they are not removed."""
    early_links: frozenset[str] = frozenset()
    """Targets of symbolic links that other packages use as directories: they are made first."""


class _Claim(msgspec.Struct):
    """One package's claim to a path."""

    package: str
    path: str
    """The path as the package spells it."""
    location: str | None
    """Where an installed package has it now; None for a file that is still to be linked."""
    action: PathAction | None = None
    content: str | None = None
    """What an installed file is known to hold: its hash."""


def aside_path(package: str, path: str) -> str:
    """Where a package's file is kept while another one has its place."""
    return f"{CLOBBERS}/{package}/{path}"


def original_path(path: str) -> str | None:
    """The place that a path in `__clobbers__` was kept from; None for any other path."""
    parts = path.split("/", 2)
    return parts[2] if len(parts) == 3 and parts[0] == CLOBBERS else None


def settle(
    new: Sequence[PackageActions],
    kept: Sequence[PrefixRecord],
    removed: Sequence[PrefixRecord],
    order: Sequence[str],
    key: Callable[[str], str],
) -> Settlement:
    """Decide every contested path; `order` names the final packages, dependencies first.

    Raises PathConflictError where one package's file is another one's directory.
    """
    rank = {name: position for position, name in enumerate(order)}
    claims = _claims(new, kept, key)
    early = _check_directories(new, kept, key)
    conflicts: list[Conflict] = []
    linked_aside: dict[str, dict[str, str]] = defaultdict(dict)
    moves: dict[str, dict[str, str]] = defaultdict(dict)
    owner_of: dict[str, str] = {}
    # Modules first: bytecode goes where its module goes.
    for path in sorted(claims, key=lambda path: bytecode_source(path) is not None):
        source = bytecode_source(path)
        module_owner = owner_of.get(key(source)) if source is not None else None
        allowed = [claim for claim in claims[path] if module_owner in (None, claim.package)]
        winner = max(allowed, key=lambda claim: rank.get(claim.package, -1), default=None)
        if winner is not None:
            owner_of[path] = winner.package
        for claim in claims[path]:
            if claim is winner:
                if claim.location not in (None, claim.path):
                    moves[claim.package][claim.location or ""] = claim.path
            elif claim.location is None:
                linked_aside[claim.package][claim.path] = aside_path(claim.package, claim.path)
            elif claim.location == claim.path and (winner is None or not _both_in_place(claim, winner)):
                moves[claim.package][claim.path] = aside_path(claim.package, claim.path)
            if winner is not None and module_owner is None and _is_news(claim, winner):
                conflicts.append(Conflict(claim.path, winner.package, claim.package, _same_content(claim, winner)))
    return Settlement(tuple(conflicts), dict(linked_aside), dict(moves), _shared(kept, removed), early)


def _is_news(loser: _Claim, winner: _Claim) -> bool:
    """Whether a conflict comes with this transaction: it did not exist while both were installed."""
    if loser is winner or (loser.location is not None and loser.location != loser.path):
        return False
    return loser.location is None or winner.location is None


def _claims(
    new: Sequence[PackageActions], kept: Sequence[PrefixRecord], key: Callable[[str], str]
) -> dict[str, list[_Claim]]:
    """The contested paths: with several claims, or kept aside while nobody has the place; with their bytecode."""
    first: dict[str, tuple[str, PathAction]] = {}
    contested: dict[str, list[_Claim]] = {}
    for package in new:
        name = package.record.name
        for action in package.actions:
            if action.how is How.DIRECTORY:
                continue
            path = key(action.target)
            other = first.setdefault(path, (name, action))
            if other[1] is not action:
                claims = contested.setdefault(path, [_Claim(other[0], other[1].target, None, other[1])])
                claims.append(_Claim(name, action.target, None, action))
    for path, claims in _installed_claims(first.keys(), kept, key).items():
        if path not in contested and path in first:
            name, action = first[path]
            contested[path] = [_Claim(name, action.target, None, action)]
        contested.setdefault(path, []).extend(claims)
    _add_bytecode(contested, new, kept, key)
    return contested


def _installed_claims(
    wanted: Collection[str], kept: Sequence[PrefixRecord], key: Callable[[str], str]
) -> dict[str, list[_Claim]]:
    """What installed packages claim of `wanted`, and all claims to paths that something is kept aside from."""
    installed: dict[str, list[_Claim]] = {}
    for record in kept:
        directories = digests = None
        for path in record.files:
            place = original_path(path)
            if place is not None:
                installed.setdefault(key(place), []).append(_Claim(record.name, place, path))
            elif key(path) in wanted:
                if directories is None or digests is None:
                    directories, digests = _directories(record), _digests(record)
                if path not in directories:
                    claim = _Claim(record.name, path, path, content=digests.get(path))
                    installed.setdefault(key(path), []).append(claim)
    _add_holders(installed, kept, key)
    return installed


def _directories(record: PrefixRecord) -> frozenset[str]:
    return frozenset(entry.path for entry in record.paths_data.paths if entry.path_type == "directory")


def _digests(record: PrefixRecord) -> Mapping[str, str]:
    """Path below the environment → hash of the installed file, where that is recorded."""
    paths = record.paths_data.paths
    if len(paths) != len(record.files):
        return {entry.path: entry.sha256_in_prefix for entry in paths if entry.sha256_in_prefix}
    pairs = zip(record.files, paths, strict=True)
    return {path: entry.sha256_in_prefix for path, entry in pairs if entry.sha256_in_prefix}


def _add_holders(installed: dict[str, list[_Claim]], kept: Sequence[PrefixRecord], key: Callable[[str], str]) -> None:
    """For every path that something is kept aside from, also the package that has the place now."""
    if not installed:
        return
    for record in kept:
        for path in record.files:
            claims = installed.get(key(path))
            if claims is not None and all((claim.package, claim.location) != (record.name, path) for claim in claims):
                claims.append(_Claim(record.name, path, path))


def _add_bytecode(
    contested: dict[str, list[_Claim]],
    new: Sequence[PackageActions],
    kept: Sequence[PrefixRecord],
    key: Callable[[str], str],
) -> None:
    """The bytecode of contested modules, contested itself or not."""
    modules = {path for path in contested if path.endswith(".py")}
    if not modules:
        return
    packages = {claim.package for path in modules for claim in contested[path]}

    def add(claim: _Claim) -> None:
        source = bytecode_source(claim.path)
        if source is None or key(source) not in modules:
            return
        claims = contested.setdefault(key(claim.path), [])
        if all((other.package, other.location) != (claim.package, claim.location) for other in claims):
            claims.append(claim)

    for package in new:
        if package.record.name in packages:
            for action in package.actions:
                add(_Claim(package.record.name, action.target, None, action))
    for record in kept:
        if record.name in packages:
            for path in record.files:
                add(_Claim(record.name, original_path(path) or path, path))


def _both_in_place(one: _Claim, other: _Claim) -> bool:
    """Whether two installed packages record the same file (conda lets them): it is left as it is."""
    return one.location == one.path and other.location == other.path


def _same_content(one: _Claim, other: _Claim) -> bool:
    """Whether two files are known to be equal once they are installed."""
    ours, theirs = _content(one), _content(other)
    return ours is not None and ours == theirs


def _content(claim: _Claim) -> str | None:
    """What stands for the content of a file: equal for equal files, None when it is not known."""
    if claim.action is None:
        return claim.content
    if claim.action.how is How.WRITE:
        return hashlib.sha256(claim.action.content).hexdigest()
    entry = claim.action.entry
    if entry is None or entry.sha256 is None:
        return None
    kind = entry.path_type if claim.action.how is How.SOFTLINK else ""
    return f"{entry.sha256}{kind}{entry.prefix_placeholder or ''}"


def _shared(kept: Sequence[PrefixRecord], removed: Sequence[PrefixRecord]) -> frozenset[str]:
    going = {path for record in removed for path in record.files}
    return frozenset(path for record in kept for path in record.files if path in going) if going else frozenset()


def _check_directories(
    new: Sequence[PackageActions], kept: Sequence[PrefixRecord], key: Callable[[str], str]
) -> frozenset[str]:
    """Raise where a file is needed as a directory; gives the new symbolic links that stand for directories."""
    targets: dict[str, tuple[str, PathAction]] = {}
    parents: set[str] = set()
    for package in new:
        for action in package.actions:
            if action.how is How.DIRECTORY:
                parents.add(key(action.target))
            else:
                targets[key(action.target)] = (package.record.name, action)
    parents |= parent_directories({*targets, *parents})
    conflicts: list[Conflict] = []
    early: set[str] = set()
    for path in parents & targets.keys():
        name, action = targets[path]
        if action.how is How.SOFTLINK:
            early.add(action.target)
        else:
            conflicts.append(Conflict(action.target, name, _below(path, new, key)))
    for record in kept:
        held = {key(path): path for path in record.files}
        for path in parents & held.keys():
            if not any(entry.path == held[path] and entry.path_type != "hardlink" for entry in record.paths_data.paths):
                conflicts.append(Conflict(held[path], _below(path, new, key), record.name))
        for path in parent_directories(held) & targets.keys():
            conflicts.append(Conflict(targets[path][1].target, targets[path][0], record.name))
    if conflicts:
        raise PathConflictError(conflicts, always=True)
    return frozenset(early)


def _below(path: str, new: Sequence[PackageActions], key: Callable[[str], str]) -> str:
    """A new package that has files below `path`, or the directory itself."""
    below = path + "/"
    return next(p.record.name for p in new for a in p.actions if (key(a.target) + "/").startswith(below))


def parent_directories(paths: Iterable[str]) -> set[str]:
    """Every directory above any of `paths`."""
    found: set[str] = set()
    for parent in {path.rpartition("/")[0] for path in paths}:
        while parent and parent not in found:
            found.add(parent)
            parent = parent.rpartition("/")[0]
    return found
