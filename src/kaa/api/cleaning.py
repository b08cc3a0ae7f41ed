"""What of the caches can go, and removing it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from kaa.api.session import Session
from kaa.package_cache.clean import CleanPlan, execute_clean
from kaa.package_cache.clean import plan_clean as plan_cache
from kaa.prefix.environments import read_registry, registry_file
from kaa.prefix.prefix import BrokenPrefixRecord, Prefix, read_record


def plan_clean(
    session: Session,
    *,
    archives: bool = False,
    packages: bool = False,
    index_cache: bool = False,
    temporary: bool = False,
) -> CleanPlan:
    """What of these kinds can be removed; packages that any known environment was linked from stay."""
    return plan_cache(
        session.package_cache,
        archives=archives,
        packages=packages,
        index_cache=index_cache,
        temporary=temporary,
        in_use=_sources(session) if packages else (),
    )


def clean(session: Session, plan: CleanPlan) -> int:
    """Remove what a plan names; the bytes given back. Raises CleanFailed."""
    return execute_clean(plan, session.reporter)


def _sources(session: Session) -> set[Path]:
    """The package directories that known environments name as the source of their files."""
    found: set[Path] = set()
    for path in session.environments.list(read_registry(registry_file(session.home))):
        # A broken environment is no reason to keep nothing of it: what can be read of it counts.
        for file in Prefix(path).record_files():
            with contextlib.suppress(BrokenPrefixRecord):
                record = read_record(file)
                if record.link is not None and record.link.source:
                    found.add(Path(record.link.source))
    return found
