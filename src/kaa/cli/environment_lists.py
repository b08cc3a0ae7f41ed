"""Environments in lists: conda's text table and conda's JSON."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from kaa.api.listing import EnvironmentSummary, list_environments
from kaa.api.session import Session
from kaa.cli.output import size_text


def environment_lines(session: Session, *, sizes: bool = False) -> list[str]:
    """The table of `conda env list`: name, marks, path; the size before the path, for readers of the last word."""
    lines = ["", "# conda environments:", "#", "# * -> active", "# + -> frozen"]
    for environment in list_environments(session):
        marks = (" *" if environment.is_active else "") + (" +" if environment.is_frozen else "")
        size = f"{size_text(measure_environment(environment.prefix)):>9} " if sizes else ""
        lines.append(f"{environment.name:<20} {marks:<4} {size}{environment.prefix}")
    return [*lines, ""]


def environment_paths(session: Session, environments: Sequence[EnvironmentSummary]) -> list[str]:
    """The paths of all environments in plain order; the root prefix is among them in any case."""
    return sorted({str(session.config.root_prefix), *(str(environment.prefix) for environment in environments)})


def list_json(session: Session, *, sizes: bool = False) -> dict[str, object]:
    """What `kaa env list --json` prints: the keys of conda's older and newer forms that clients read."""
    environments = list_environments(session)
    root_prefix = str(session.config.root_prefix)
    active = session.environ.get("CONDA_PREFIX") or None
    return {
        "envs": environment_paths(session, environments),
        "envs_details": environment_details(environments, sizes=sizes),
        "envs_dirs": [str(path) for path in session.environments.directories],
        "conda_prefix": root_prefix,
        "root_prefix": root_prefix,
        "active_prefix": active,
        "default_prefix": active or root_prefix,
    }


def environment_details(
    environments: Sequence[EnvironmentSummary], *, sizes: bool = False
) -> dict[str, dict[str, object]]:
    """The `envs_details` of conda's JSON, by path."""
    return {
        str(environment.prefix): {
            "name": environment.name,
            "created": _iso(environment.created),
            "last_modified": _iso(environment.last_modified),
            "active": environment.is_active,
            "base": environment.is_base,
            "frozen": environment.is_frozen,
            "writable": environment.is_writable,
            **({"size": measure_environment(environment.prefix)} if sizes else {}),
        }
        for environment in environments
    }


def measure_environment(prefix: Path) -> int:
    """The bytes of an environment's files, each counted once; environments and package caches within it are not."""
    total = 0
    seen: set[tuple[int, int]] = set()
    pending = [str(prefix)]
    while pending:
        try:
            entries = list(os.scandir(pending.pop()))
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not _is_apart(Path(entry.path)):
                    pending.append(entry.path)
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                # Removed since it was listed.
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_size
    return total


def _is_apart(directory: Path) -> bool:
    return (directory / "conda-meta" / "history").is_file() or (directory / "urls.txt").is_file()


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
