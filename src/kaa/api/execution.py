"""Carry out a plan: fetch what is missing, then change the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from kaa.api.package_scripts import remember_installed, review_scripts
from kaa.api.remembering import remember_needs
from kaa.api.session import Session
from kaa.config.values import link_options
from kaa.errors import KaaError
from kaa.host.platform import current_subdir
from kaa.models.artifact import is_sdist
from kaa.models.record import RepoDataRecord
from kaa.package_cache.cache import ExtractedPackage
from kaa.package_cache.extracted_package import read_record
from kaa.package_cache.fetch import ensure
from kaa.package_cache.holds import hold
from kaa.package_cache.validate import find_damage
from kaa.prefix.environments import registry_file
from kaa.prefix.prefix import Prefix
from kaa.transaction.plan import PutFile, Transaction


def execute(session: Session, transaction: Transaction) -> None:
    """Make the environment what the transaction says, or leave it as it was and raise."""
    # From before anything is looked for until all is linked and noted: no clean takes these packages.
    with hold(session.package_cache, transaction.to_link):
        packages = fetch_packages(session, transaction.to_link)
        review = review_scripts(session, transaction, packages)
        if not Prefix(transaction.prefix).is_environment():
            transaction = _with_platform(transaction)
        if session.config.externally_managed:
            transaction = _marked(transaction)
        try:
            _change(session, transaction, packages, review.refused)
        except KaaError:
            if all(find_damage(package) is None for package in packages):
                raise
            # Something else took files out of the cache meanwhile; the environment is what it was.
            packages = fetch_packages(session, transaction.to_link)
            _change(session, transaction, packages, review.refused)
        remember_needs(session, transaction, packages)
    remember_installed(session, transaction, review)


def _change(
    session: Session, transaction: Transaction, packages: Sequence[ExtractedPackage], refused_scripts: frozenset[str]
) -> None:
    # A fifth of what is loaded for a change, and plans that are only shown have no use for it.
    from kaa.transaction.execute import execute as execute_transaction  # noqa: PLC0415

    execute_transaction(
        transaction,
        {package.record.dist: package for package in packages},
        link_options(
            session.config,
            environ=session.environ,
            registry=registry_file(session.home) if session.config.register_envs else None,
            channel_name=session.channel_config.canonical_name,
            # `fetch_packages` has looked at every file of every package just now.
            files_checked=True,
            refused_scripts=refused_scripts,
        ),
        session.reporter,
        checkpoint=session.checkpoint,
    )


def remove_whole(session: Session, transaction: Transaction, gone: Callable[[], None]) -> None:
    """Remove the environment that a transaction empties; `gone` is called as soon as it is no more."""
    from kaa.transaction.removal import remove_whole as remove  # noqa: PLC0415

    review = review_scripts(session, transaction, ())
    options = link_options(session.config, environ=session.environ, refused_scripts=review.refused)
    remove(transaction, options, session.reporter, checkpoint=session.checkpoint, gone=gone)


def _with_platform(transaction: Transaction) -> Transaction:
    """The plan of a new environment, which says for which platform it is, where that is not this machine's.

    conda does the same, in the environment's own condarc: packages that run anywhere do not tell.
    """
    if transaction.subdir == current_subdir() or os.path.lexists(transaction.prefix / ".condarc"):
        return transaction
    put = (*transaction.files.put, PutFile(".condarc", content=f"subdir: {transaction.subdir}\n".encode()))
    return replace(transaction, files=replace(transaction.files, put=put))


def _marked(transaction: Transaction) -> Transaction:
    """The change with the mark of PEP 668."""
    from kaa.api.externally_managed import marked  # noqa: PLC0415

    return marked(transaction)


def fetch_packages(session: Session, records: Sequence[RepoDataRecord]) -> list[ExtractedPackage]:
    """Download, verify and extract what the cache does not hold yet; the extracted packages, in the given order."""
    return ensure(
        with_wheels(session, records),
        session.package_cache,
        session.client,
        session.reporter,
        parallel=session.config.fetch_threads or DEFAULT_THREADS,
    )


def with_wheels(session: Session, records: Sequence[RepoDataRecord]) -> Sequence[RepoDataRecord]:
    """The records, after the wheels were built of those that are sdists and not in the cache."""
    if not any(is_sdist(record.fn) for record in records):
        return records
    # Seldom, and it loads all that a solve loads.
    from kaa.api.building import with_built  # noqa: PLC0415

    return with_built(session, records)


def missing_packages(session: Session, transaction: Transaction) -> list[RepoDataRecord]:
    """The packages of a transaction that are not in the cache: what executing it would fetch."""
    return [record for record in transaction.to_link if session.package_cache.find(record) is None]


def from_elsewhere(session: Session, transaction: Transaction) -> list[RepoDataRecord]:
    """The packages that the cache holds from another address, or not in the directory that their names tell.

    Programs that read the plan of a dry run take the records of packages that need no fetching from the cache.
    """
    found = []
    for record in transaction.to_link:
        package = session.package_cache.find(record)
        if package is None:
            continue
        kept = read_record(package.directory)
        if kept is None or kept.url != record.url or package.directory.name != record.dist:
            found.append(record)
    return found


DEFAULT_THREADS = 5
"""Downloads at once, unless the configuration says otherwise."""
