"""Environments in lists: conda's text table and conda's JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from kaa.api.listing import EnvironmentSummary, list_environments
from kaa.api.session import Session


def environment_lines(session: Session) -> list[str]:
    """The table of `conda env list`: name, marks, path."""
    lines = ["", "# conda environments:", "#", "# * -> active", "# + -> frozen"]
    for environment in list_environments(session):
        marks = (" *" if environment.is_active else "") + (" +" if environment.is_frozen else "")
        lines.append(f"{environment.name:<20} {marks:<4} {environment.prefix}")
    return [*lines, ""]


def environment_paths(session: Session, environments: Sequence[EnvironmentSummary]) -> list[str]:
    """The paths of all environments in plain order; the root prefix is among them in any case."""
    return sorted({str(session.config.root_prefix), *(str(environment.prefix) for environment in environments)})


def list_json(session: Session) -> dict[str, object]:
    """What `kaa env list --json` prints: the keys of conda's older and newer forms that clients read."""
    environments = list_environments(session)
    root_prefix = str(session.config.root_prefix)
    active = session.environ.get("CONDA_PREFIX") or None
    return {
        "envs": environment_paths(session, environments),
        "envs_details": environment_details(environments),
        "envs_dirs": [str(path) for path in session.environments.directories],
        "conda_prefix": root_prefix,
        "root_prefix": root_prefix,
        "active_prefix": active,
        "default_prefix": active or root_prefix,
    }


def environment_details(environments: Sequence[EnvironmentSummary]) -> dict[str, dict[str, object]]:
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
        }
        for environment in environments
    }


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
