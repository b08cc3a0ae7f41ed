"""What of the caches can go, and removing it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from kaa.api.package_roots import find_roots
from kaa.api.session import Session
from kaa.package_cache.clean import CleanPlan, CleanRequest, Removable
from kaa.package_cache.clean import plan_clean as plan_cache
from kaa.package_cache.extracted_package import read_record
from kaa.package_cache.holds import host_name
from kaa.package_cache.needs import Needs
from kaa.package_cache.removing import Cleaned, execute_clean
from kaa.package_cache.roots import remove_root, root_file, write_root
from kaa.prefix.environments import absolute_location, registry_file, unregister
from kaa.prefix.presence import find_presence


def plan_clean(session: Session, request: CleanRequest, *, forget: Sequence[Path] = ()) -> CleanPlan:
    """What can be removed; what any environment or generation needs, or may need, stays.

    `forget` names environments that are gone for good, whatever is known of them; raises StillThere for others.
    """
    wants_needs = request.packages or request.archives or forget
    found = find_roots(session, forget=forget) if wants_needs else None
    plan = plan_cache(session.package_cache, request, found.needs if found else None)
    if found is None:
        return plan
    forgotten = tuple(absolute_location(path, session.cwd) for path in forget)
    return msgspec.structs.replace(plan, gone=tuple(found.gone), forgotten=forgotten, unread_registries=found.closed)


def clean(session: Session, plan: CleanPlan, *, checkpoint: Callable[[str], None] | None = None) -> Cleaned:
    """Remove what a plan names, as far as nothing needs it by now; raises CleanFailed."""
    step = checkpoint or session.checkpoint
    kept: tuple[tuple[Path, str], ...] = ()
    if plan.packages:
        # Time may have passed since: a person was asked.
        found = find_roots(session, forget=plan.forgotten)
        reasons = {one: _why(found.needs, one) for one in plan.packages}
        kept = tuple((one.path, why) for one, why in reasons.items() if why)
        plan = msgspec.structs.replace(plan, packages=tuple(one for one, why in reasons.items() if not why))
        # For the day when their disk is not there.
        for prefix, needs in found.unnoted.items():
            write_root(_own_roots(plan.directories, prefix), prefix, needs, exact=True)
    done = execute_clean(plan, session.reporter, checkpoint=step)
    for prefix, host in plan.gone:
        remove_root(session.package_cache.directories, prefix, hosts=[host])
    # Without its root file nobody would know that it is gone for good.
    for prefix in {*plan.forgotten, *(prefix for prefix, _ in plan.gone)}:
        if find_presence(prefix).state != "here":
            unregister(registry_file(session.home), prefix)
    return msgspec.structs.replace(done, stayed=(*kept, *done.stayed))


def _own_roots(directories: Iterable[Path], prefix: Path) -> Iterator[Path]:
    """The cache directories in which no other user has noted what an environment needs."""
    for directory in directories:
        try:
            if root_file(directory, prefix, host_name()).stat().st_uid == os.geteuid():
                yield directory
        except FileNotFoundError:
            yield directory
        except OSError:
            continue


def _why(needs: Needs, one: Removable) -> str:
    """Why a package is needed now that nobody needed when it was planned."""
    reasons = needs.why(one.path, read_record(one.path))
    unknown = needs.unknown_for(one.path.parent)
    return (reasons or tuple(f"{other.path} may need it" for other in unknown) or ("",))[0]
