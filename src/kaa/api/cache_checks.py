"""Checks of the package cache and of the index cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kaa.api.cache_report import CacheDirectory, cache_report
from kaa.api.cleaning import clean, plan_clean
from kaa.api.health import Finding, Fix, Patient, ok, session_of
from kaa.api.session import Session
from kaa.host.files import is_writable, remove_tree
from kaa.index.cache_check import find_unusable
from kaa.package_cache.cache import LOCKS
from kaa.package_cache.clean import CleanPlan, CleanRequest
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.package_cache.fetch import ensure
from kaa.package_cache.protection import is_unprotected, protect
from kaa.package_cache.validate import find_damage

MOST = 10
"""So many of a kind are named."""


def check_package_cache(patient: Patient) -> Iterator[Finding]:
    """The directories: which is filled, who may write there, what in them is damaged or left over."""
    session = session_of(patient)
    report = cache_report(session)
    if report.filled is None:
        paths = ", ".join(one.path for one in report.directories)
        advice = "set pkgs_dirs, or CONDA_PKGS_DIRS, to a directory of your own"
        yield Finding("error", f"no cache directory can be written to: {paths}", advice)
    for directory in report.directories:
        yield from _directory(directory)
    yield from _open_files(session)
    yield from _damaged(session)
    yield from _leftovers(session)


def _directory(one: CacheDirectory) -> Iterator[Finding]:
    """Who may use a directory, and how files come out of it."""
    if one.untrusted:
        advice = "ask its owner to close it to others, or take it out of pkgs_dirs"
        yield Finding("warning", f"{one.path} is not used: {one.untrusted}", advice)
    elif one.exists:
        whose = f"{one.owner}:{one.group} {one.mode}, {one.file_system or 'file system unknown'}"
        yield ok(f"{one.path}: {one.use} ({whose})")
    for link in one.links:
        if link.reason:
            what = f"files come from {one.path} into {link.directory} as copies: {link.reason}"
            advice = "keep package cache and environments on one file system, as pkgs_dirs and envs_dirs say"
            yield Finding("warning", what, advice)
        else:
            yield ok(f"files come from {one.path} into {link.directory} by {link.method}")


def _open_files(session: Session) -> Iterator[Finding]:
    """Packages whose files could be written to through an environment that links them."""
    packages = [one for one in session.package_cache.iter_packages() if is_unprotected(one.directory)]
    if packages:
        names = _listed([one.directory.name for one in packages])
        count = f"{len(packages)} {'package' if len(packages) == 1 else 'packages'}"
        what = f"files of {count} can be written to, and with them those of environments: {names}"
        fix = Fix(f"make the files of {count} of the cache read-only", _protect(packages))
        yield Finding("warning", what, "they are protected when they are used next", fix)


def _protect(packages: Sequence[ExtractedPackage]) -> Callable[[], None]:
    def perform() -> None:
        for one in packages:
            protect(one.directory, one.directory.parent / LOCKS / f"{one.record.dist}.lock")

    return perform


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
