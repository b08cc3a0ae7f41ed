"""Why a package is in an environment, or would be: `kaa why`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kaa.api.environments import ChangeOptions, plan_create, plan_install
from kaa.api.listing import read_environment
from kaa.api.session import Session
from kaa.api.specs import read_specs
from kaa.errors import KaaError
from kaa.index.query import find_near_names
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.prefix.history import requested_specs
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import PythonDistribution
from kaa.solver.presence import Presence, presence_of
from kaa.transaction.plan import Transaction

PLACE_OF_PLANS = ".kaa-plan"
"""Below the root prefix: where the environment would be that is only planned. Nothing is ever there."""


class NotThere(KaaError):
    """A package that was asked about is not in an environment, or not in a plan."""

    conda_name = "PackageNotInstalledError"

    def __init__(
        self, spec: MatchSpec, where: Path | None, installed: RepoDataRecord | None, near: Sequence[str]
    ) -> None:
        self.package_name = spec.name
        self.spec = str(spec)
        self.where = "what would be installed" if where is None else str(where)
        self.near_names = list(near)
        hints = [f"ask about one of these: {', '.join(near)}"] if near else []
        question = f"kaa why-not {shlex.quote(str(spec))}"
        if where is None:
            hints.append(f"ask what keeps it out, with the same --plan: {question} --plan …")
        else:
            hints.append(f"ask what keeps it out: {question} --prefix {shlex.quote(str(where))}")
        found = f"is not in {self.where}" + ("" if installed is None else f", which has {installed.dist}")
        super().__init__(f"{spec} {found}", hints=tuple(hints))


class Why(msgspec.Struct, frozen=True):
    """Why a package is there; one that pip installed has no `presence`, one of conda no `pip` (or both do)."""

    name: str
    prefix: Path | None
    """The environment; None for a plan of a new one."""
    presence: Presence | None
    pip: PythonDistribution | None = None
    is_virtual: bool = False

    @property
    def record(self) -> RepoDataRecord | None:
        """The package."""
        return self.presence.records.get(self.name) if self.presence is not None else None

    @property
    def is_unneeded(self) -> bool:
        """Whether nobody asked for it, and nothing that somebody asked for needs it."""
        presence = self.presence
        return (
            presence is not None
            and not self.is_virtual
            and presence.requested is None
            and not any(origin in presence.requests for origin in presence.origins)
        )


def explain_presence(session: Session, prefix: Path, package: str | MatchSpec) -> Why:
    """Who needs a package of an environment; raises NotAnEnvironment, NotThere, InvalidMatchSpec."""
    [spec] = read_specs(session, [package])
    content = read_environment(session, prefix)
    name = spec.name or ""
    requests = requested_specs(Prefix(content.prefix))
    pip = next((found for found in content.pip if found.normalized_name == name.replace("_", "-")), None)
    present = any(record.name == name for record in content.records)
    if pip is not None and not present:
        return Why(pip.name, content.prefix, None, pip)
    others = [found.normalized_name for found in content.pip]
    presence = _find(session, spec, content.records, requests, content.prefix, others)
    return Why(name, content.prefix, presence, pip, is_virtual=name.startswith("__"))


def explain_planned_presence(
    session: Session,
    package: str | MatchSpec,
    specs: Sequence[str | MatchSpec],
    prefix: Path | None = None,
    options: ChangeOptions = ChangeOptions(),
) -> Why:
    """Who would need a package if `specs` were installed, in a new environment or in the one at `prefix`.

    Nothing is changed. Raises what planning raises, and NotThere.
    """
    [spec] = read_specs(session, [package])
    transaction = plan_only(session, specs, prefix, options)
    requests = {} if prefix is None else requested_specs(Prefix(transaction.prefix))
    requests |= transaction.requested_specs
    presence = _find(session, spec, transaction.final, requests, None, ())
    name = spec.name or ""
    return Why(name, None if prefix is None else transaction.prefix, presence, is_virtual=name.startswith("__"))


def plan_only(
    session: Session, specs: Sequence[str | MatchSpec], prefix: Path | None, options: ChangeOptions
) -> Transaction:
    """The plan to install specs, in a new environment (at a place that does not matter) or in the one at `prefix`."""
    if prefix is not None:
        return plan_install(session, prefix, specs, options)
    return plan_create(session, session.config.root_prefix / PLACE_OF_PLANS, specs, options)


def _find(
    session: Session,
    spec: MatchSpec,
    records: Sequence[RepoDataRecord],
    requests: dict[str, str],
    where: Path | None,
    others: Sequence[str],
) -> Presence:
    name = spec.name or ""
    record = next((record for record in records if record.name == name), None)
    presence = presence_of(name, records, requests)
    if name.startswith("__") and (presence.needs or presence.constrains):
        return presence
    if record is None or not spec.matches(record):
        near = find_near_names(name, {record.name for record in records} | set(others)) if record is None else ()
        raise NotThere(spec, where, record, near)
    return presence
