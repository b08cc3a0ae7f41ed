"""What there is: the packages of an environment, the environments of this machine."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.api.settling import warn_of_interruption
from kaa.host.files import is_writable
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.environments import absolute_location, read_registry, registry_file
from kaa.prefix.prefix import Prefix, open_prefix
from kaa.prefix.python_packages import PythonDistribution, find_distributions
from kaa.prefix.state import is_frozen


class EnvironmentContent(msgspec.Struct, frozen=True):
    """The packages of an environment, by name, and what pip put beside them."""

    prefix: Path
    records: tuple[PrefixRecord, ...]
    pip: tuple[PythonDistribution, ...]


class EnvironmentSummary(msgspec.Struct, frozen=True):
    """An environment as lists show it; times are in seconds since the epoch."""

    prefix: Path
    name: str
    """Empty for an environment outside every environments directory."""
    is_base: bool
    is_active: bool
    is_frozen: bool
    is_writable: bool
    created: float | None
    last_modified: float | None


def read_environment(session: Session, prefix: Path) -> EnvironmentContent:
    """What an environment holds; raises NotAnEnvironment, BrokenPrefixRecord."""
    prefix = absolute_location(prefix, session.cwd)
    environment = open_prefix(prefix)
    warn_of_interruption(session, prefix)
    records = environment.records()
    return EnvironmentContent(prefix, records, find_distributions(environment, records))


def list_environments(session: Session) -> tuple[EnvironmentSummary, ...]:
    """All environments that are known: the base, those in the environments directories, the registered ones."""
    registered = read_registry(registry_file(session.home))
    return tuple(summarize(session, path) for path in session.environments.list(registered))


def summarize(session: Session, prefix: Path) -> EnvironmentSummary:
    """One environment as lists show it."""
    environment = Prefix(prefix)
    name = session.environments.name_of(prefix)
    active = session.environ.get("CONDA_PREFIX", "")
    return EnvironmentSummary(
        prefix=prefix,
        name="" if name == str(prefix) else name,
        is_base=prefix == session.config.root_prefix,
        is_active=bool(active) and Path(active) == prefix,
        is_frozen=is_frozen(environment),
        is_writable=is_writable(prefix),
        created=_created(environment),
        last_modified=_modified(environment.history_file),
    )


def _created(environment: Prefix) -> float | None:
    """When an environment was made, as conda notes it, else as its directory says."""
    try:
        return float((environment.conda_meta / "created_at").read_text())
    except (OSError, ValueError):
        return _modified(environment.conda_meta)


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None
