"""Checks of the package cache and of the index cache."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kaa.api.cleaning import clean, plan_clean
from kaa.api.health import Finding, Fix, Patient, ok, session_of
from kaa.api.session import Session
from kaa.host.files import is_writable, remove_tree
from kaa.index.cache_check import find_unusable
from kaa.package_cache.clean import CleanPlan, CleanRequest
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.package_cache.fetch import ensure
from kaa.package_cache.validate import find_damage

MOST = 10
"""So many of a kind are named."""


def check_package_cache(patient: Patient) -> Iterator[Finding]:
    """The directories: which is filled, who may write there, what in them is damaged or left over."""
    session = session_of(patient)
    directories = session.package_cache.directories
    filled = next((path for path in directories if is_writable(path)), None)
    if filled is None:
        advice = "set pkgs_dirs, or CONDA_PKGS_DIRS, to a directory of your own"
        yield Finding("error", f"no cache directory can be written to: {', '.join(map(str, directories))}", advice)
    for path in directories:
        if not path.exists():
            continue
        role = "new packages go there" if path == filled else "it is read" if is_writable(path) else "it is read only"
        yield ok(f"{path}: {role}")
        yield from _open_to_all(path)
    yield from _damaged(session)
    yield from _leftovers(session)


def _open_to_all(path: Path) -> Iterator[Finding]:
    mode = path.stat().st_mode
    if os.name != "nt" and mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        what = f"everybody may write to {path}, and so change what others run"
        yield Finding("warning", what, f"chmod o-w {path}; share a cache through a group instead")


def _damaged(session: Session) -> Iterator[Finding]:
    """Packages with files that are missing or of another size."""
    count = 0
    for package in session.package_cache.iter_packages():
        damage = find_damage(package)
        if damage is None:
            continue
        count += 1
        if count <= MOST:
            fix = Fix(f"unpack {package.record.dist} again, from its archive or its address", _again(session, package))
            what = f"{package.directory}: {damage}"
            yield Finding("error", what, "it is unpacked again when it is needed next", fix)
    if count > MOST:
        yield Finding("error", f"and {count - MOST} more packages are damaged", "kaa doctor --fix, and look again")


def _again(session: Session, package: ExtractedPackage) -> Callable[[], None]:
    def perform() -> None:
        ensure([package.record], session.package_cache, session.client, session.reporter)

    return perform


def _leftovers(session: Session) -> Iterator[Finding]:
    """Files of downloads and of unpacking that ended before their time."""
    plan = plan_clean(session, CleanRequest(temporary=True))
    if plan.temporary:
        names = _listed([one.path.name for one in plan.temporary])
        fix = Fix(f"remove {len(plan.temporary)} unfinished files of the package cache", _clean(session, plan))
        yield Finding("warning", f"unfinished files in the package cache: {names}", "kaa clean --tempfiles", fix)


def _clean(session: Session, plan: CleanPlan) -> Callable[[], None]:
    def perform() -> None:
        clean(session, plan)

    return perform


def check_index_cache(patient: Patient) -> Iterator[Finding]:
    """What is known of channels: files that cannot be used are fetched or made again."""
    for directory in session_of(patient).package_cache.directories:
        unusable = find_unusable(directory / "cache")
        paths = [one.path for one in unusable]
        if unusable:
            what = f"{directory / 'cache'}: {_listed([f'{one.path.name}: {one.reason}' for one in unusable])}"
            fix = Fix(f"remove {len(paths)} unusable files of the index cache", _remove(paths))
            yield Finding("warning", what, "kaa clean --index-cache", fix if is_writable(directory / "cache") else None)


def _remove(paths: Sequence[Path]) -> Callable[[], None]:
    def perform() -> None:
        for path in paths:
            remove_tree(path) if path.is_dir() else path.unlink(missing_ok=True)

    return perform


def _listed(texts: Sequence[str]) -> str:
    more = f", and {len(texts) - MOST} more" if len(texts) > MOST else ""
    return ", ".join(texts[:MOST]) + more
