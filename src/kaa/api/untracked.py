"""Who brought the files of an environment: packages, pip, or nobody that is known."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kaa.api.externally_managed import is_ours, marker_path
from kaa.api.looking import looks_at_environment
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.prefix.distribution_files import read_distributions
from kaa.prefix.environments import absolute_location
from kaa.prefix.prefix import Prefix, open_prefix
from kaa.transaction.plan import python_of


class Owned(msgspec.Struct, frozen=True):
    """A path, the environment that it is in, and the packages that brought it."""

    path: Path
    prefix: Path | None = None
    packages: tuple[str, ...] = ()
    """`name version build`"""


def find_owners(session: Session, paths: Sequence[str]) -> tuple[Owned, ...]:
    """Which packages brought these files, each in the environment that it lies in."""
    files: dict[Path, dict[str, list[str]]] = {}
    found = []
    for text in paths:
        path = absolute_location(Path(text), session.cwd)
        prefix = next((parent for parent in path.parents if Prefix(parent).is_environment()), None)
        if prefix is None:
            found.append(Owned(path))
            continue
        if prefix not in files:
            files[prefix] = _owners(Prefix(prefix))
        owners = files[prefix].get(path.relative_to(prefix).as_posix(), [])
        found.append(Owned(path, prefix, tuple(owners)))
    return tuple(found)


def _owners(environment: Prefix) -> dict[str, list[str]]:
    owners: dict[str, list[str]] = {}
    for record in environment.records():
        for path in record.files:
            owners.setdefault(path, []).append(f"{record.name} {record.version} {record.build}")
    return owners


@looks_at_environment
def untracked_files(session: Session, prefix: Path) -> tuple[str, ...]:
    """The files that neither a package nor pip brought, as paths below the environment.

    Bytecode, what conda-meta holds, and other environments within this one are left out.
    """
    prefix = absolute_location(prefix, session.cwd)
    settle(session, prefix)
    environment = open_prefix(prefix)
    records = environment.records()
    owned = {path for record in records for path in record.files}
    for files in read_distributions(environment, records).values():
        owned |= files
    marker = marker_path(python_of(records, session.subdir))
    if marker and is_ours(prefix / marker):
        owned.add(marker)
    apart = {path for path in (*session.package_directories, *session.environments.directories) if path != prefix}
    found: list[str] = []
    pending = [prefix]
    while pending:
        for path in sorted(pending.pop().iterdir()):
            relative = path.relative_to(prefix).as_posix()
            if path.is_dir() and not path.is_symlink():
                inner = path in apart or Prefix(path).is_environment()
                if not inner and path.name != "__pycache__" and relative != "conda-meta":
                    pending.append(path)
            elif relative not in owned:
                found.append(relative)
    return tuple(sorted(found))


def remove_untracked(prefix: Path, files: Sequence[str]) -> None:
    """Remove these files, and the directories that are empty without them."""
    for relative in files:
        path = prefix / relative
        # With the directory above it, if somebody else was here first.
        with contextlib.suppress(NotADirectoryError):
            path.unlink(missing_ok=True)
        for parent in path.parents:
            try:
                if parent == prefix or any(parent.iterdir()):
                    break
                parent.rmdir()
            except (FileNotFoundError, NotADirectoryError):
                continue
