"""What an environment needs, noted in the package cache after each change, and when its packages were used."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.package_cache.roots import mark_used, remove_root, write_root
from kaa.prefix.environments import SKIPPED, has_environment, registry_file, unregister
from kaa.prefix.package_needs import iter_package_needs
from kaa.transaction.plan import Transaction


def remember_needs(session: Session, transaction: Transaction, packages: Iterable[ExtractedPackage]) -> None:
    """Note what an environment needs after a change that linked `packages`; where that is not possible, do nothing."""
    linked = {package.record.dist: package.record for package in packages}
    mark_used(packages)
    if SKIPPED in str(transaction.prefix):
        return
    # A package of a file gets its hash when it is unpacked.
    final = (linked.get(record.dist, record) for record in transaction.final)
    needs = [(record.dist, record.sha256 or record.md5 or record.url) for record in final]
    write_root(_present(session), transaction.prefix, needs)


def remember_environment(session: Session, prefix: Path) -> None:
    """Note what an environment needs, as it is: after it was moved, or made by something else."""
    try:
        needs = {(need.dist, need.digest) for need in iter_package_needs(prefix)}
    except (OSError, KaaError):
        return
    write_root(_present(session), prefix, needs, exact=True)


def forget_environment(session: Session, prefix: Path) -> None:
    """Note that an environment is gone; another one that has come to its place is not forgotten."""
    unregister(registry_file(session.home), prefix)
    if not has_environment(prefix):
        remove_root(_present(session), prefix)


def _present(session: Session) -> list[Path]:
    return [path for path in session.package_cache.directories if path.is_dir()]
