"""The record that a package would have if it were linked into an environment; nothing is linked for it."""

# Paths are strings here, as everywhere in a transaction.
# ruff: noqa: PTH123
from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

from kaa.models.prefix_record import LinkType, PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.transaction.actions import How, PackageActions, PathAction, plan_actions
from kaa.transaction.clobber import aside_path
from kaa.transaction.link import prefix_record
from kaa.transaction.placeholder import PrefixTooLong, replaced
from kaa.transaction.plan import PythonInfo
from kaa.transaction.prepare import Source
from kaa.transaction.wheel_files import find_record, with_installation


def expected_record(
    record: RepoDataRecord,
    package: ExtractedPackage,
    prefix: Path,
    subdir: str,
    python: PythonInfo | None,
    *,
    requested_specs: tuple[str, ...] = (),
) -> PrefixRecord:
    """What linking a package writes down, its files with another prefix included.

    Bytecode counts as far as it is there, and files that are kept aside for other packages are recorded where they lie.
    Raises what linking raises for a package that cannot be linked.
    """
    planned = plan_actions(
        record,
        package.paths(),
        package.link(),
        prefix=str(prefix),
        subdir=subdir,
        python=python,
        compile_bytecode=True,
    )
    planned = with_installation(planned, package, python, requested=_was_requested(planned, prefix))
    actions = [_as_unpacked(action, package.directory) for action in planned.actions]
    actions = [one for one in actions if one.how is not How.BYTECODE or os.path.lexists(prefix / one.target)]
    aside = {one.target: aside_path(record.name, one.target) for one in actions}
    aside = {target: kept for target, kept in aside.items() if os.path.lexists(prefix / kept)}
    rendered = {
        action.target: ("", _rendered_hash(action, package.directory, prefix, subdir))
        for action in actions
        if action.how is How.RENDER
    }
    return prefix_record(
        record,
        Source(package, PackageActions(record, tuple(actions)), str(package.directory)),
        actions,
        aside,
        rendered,
        link_type=LinkType.HARDLINK,
        requested_specs=requested_specs,
    )


def _was_requested(planned: PackageActions, prefix: Path) -> bool:
    """Whether a wheel was linked because a user asked for it."""
    position = find_record(planned)
    return position is not None and (prefix / planned.actions[position].target).with_name("REQUESTED").is_file()


def _as_unpacked(action: PathAction, directory: Path) -> PathAction:
    """The action for a path, which is a link where the package calls it a file and unpacked a link."""
    if action.entry is None or action.how in (How.SOFTLINK, How.DIRECTORY):
        return action
    try:
        is_link = stat.S_ISLNK(os.lstat(directory / action.source).st_mode)
    except OSError:
        return action
    return action._replace(how=How.SOFTLINK, path_type="softlink") if is_link else action


def _rendered_hash(action: PathAction, directory: Path, prefix: Path, subdir: str) -> str:
    entry = action.entry
    placeholder = (entry.prefix_placeholder or "") if entry is not None else ""
    with open(directory / action.source, "rb") as stream:
        data = stream.read()
    binary = entry is not None and entry.file_mode == "binary"
    try:
        content = replaced(data, placeholder.encode(), os.fsencode(prefix), subdir, binary=binary)
    except ValueError:
        raise PrefixTooLong(action.target, placeholder, str(prefix)) from None
    return hashlib.sha256(content).hexdigest()
