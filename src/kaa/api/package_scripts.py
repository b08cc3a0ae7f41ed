"""Whether scripts of packages may run: they are listed before they first run, and the policy `package_scripts` decides.

`run`: they run, as with conda, unless one was denied by name. `ask`: those run that were allowed; the user is asked
about new ones, and where nobody can be asked they do not run. `deny`: none runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import cast

import msgspec

from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.events import ScriptsFound, Warned
from kaa.host.files import remove_unfinished, write_atomic
from kaa.host.locks import file_lock
from kaa.host.platform import current_subdir
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.prefix.environments import absolute_location
from kaa.prefix.prefix import open_prefix
from kaa.prefix.script_decisions import Decision, Policy, ScriptGate, Verdict, decisions_file, read_decisions
from kaa.transaction.package_scripts import PackageScript, scripts_of_installed, scripts_of_package
from kaa.transaction.plan import Transaction


class NoSuchScripts(KaaError):
    """A decision was made about a package that brings no scripts."""

    conda_name = "CondaValueError"

    def __init__(self, prefix: Path, names: Sequence[str]) -> None:
        self.prefix = str(prefix)
        self.packages = tuple(names)
        super().__init__(
            f"no scripts of {', '.join(names)} are installed in {prefix}",
            hints=(f"see which packages bring scripts: kaa scripts --prefix {prefix}",),
        )


class InstalledScript(msgspec.Struct, frozen=True):
    """A script in an environment, what was decided about it, and whether it may run now."""

    script: PackageScript
    decision: Verdict | None
    may_run: bool


class Review(msgspec.Struct, frozen=True):
    """What came of looking at the scripts that a change brings."""

    refused: frozenset[str] = frozenset()
    """The packages (dist strings) whose scripts must not run on linking and unlinking."""
    verdicts: Mapping[tuple[str, str], Verdict] = msgspec.field(default_factory=dict)
    """What was decided, by package and path."""


def review_scripts(session: Session, transaction: Transaction, packages: Sequence[ExtractedPackage]) -> Review:
    """List what is new among the scripts that a change brings, and have it decided; raises BrokenDecisions."""
    scripts = [script for package in packages for script in scripts_of_package(package, transaction.subdir)]
    for record in transaction.to_unlink:
        found = scripts_of_installed(record, transaction.prefix, transaction.subdir)
        scripts += [script for script in found if script.occasion == "pre-unlink"]
    if not scripts:
        return Review()
    file = decisions_file(session.home)
    decisions = read_decisions(file)
    policy = cast(Policy, session.config.package_scripts)
    # What was only shown under another policy was not allowed by that.
    known = ("shown", "allowed", "denied") if policy == "run" else ("allowed", "denied")
    new = [one for one in scripts if one.sha256 not in decisions or decisions[one.sha256].verdict not in known]
    if new and policy != "deny":
        verdict = _decide(session, policy, new)
        if verdict is not None:
            made = {script.sha256: Decision(verdict, script.package, script.path) for script in new}
            decisions |= made
            _remember(session, file, made)
    gate = ScriptGate(policy, decisions)
    refused = [script for script in scripts if not gate.may_run_content(script.sha256)]
    if refused:
        session.reporter(Warned(_refusal(refused, policy)))
    decided = {script: decisions[script.sha256].verdict for script in scripts if script.sha256 in decisions}
    return Review(
        frozenset(script.package for script in refused),
        {(script.package, script.path): verdict for script, verdict in decided.items() if verdict != "shown"},
    )


def remember_installed(session: Session, transaction: Transaction, review: Review) -> None:
    """After a change: what was decided about a script counts for it as it is installed, with the prefix in its text."""
    if not review.verdicts:
        return
    environment = open_prefix(transaction.prefix)
    made = {}
    for dist in sorted({package for package, _ in review.verdicts}):
        record = environment.find(dist.rsplit("-", 2)[0])
        if record is not None and record.dist == dist:
            for script in scripts_of_installed(record, transaction.prefix, transaction.subdir):
                verdict = review.verdicts.get((dist, script.path))
                if verdict is not None:
                    made[script.sha256] = Decision(verdict, dist, script.path)
    _remember(session, decisions_file(session.home), made)


def list_scripts(session: Session, prefix: Path) -> tuple[InstalledScript, ...]:
    """The scripts of an environment's packages; raises NotAnEnvironment, BrokenPrefixRecord, BrokenDecisions."""
    prefix = absolute_location(prefix, session.cwd)
    decisions = read_decisions(decisions_file(session.home))
    gate = ScriptGate(cast(Policy, session.config.package_scripts), decisions)
    found = []
    for record in open_prefix(prefix).records():
        for script in scripts_of_installed(record, prefix, session.config.subdir or current_subdir()):
            known = decisions.get(script.sha256)
            may_run = gate.may_run_content(script.sha256)
            found.append(InstalledScript(script, known.verdict if known else None, may_run))
    return tuple(found)


def decide_scripts(session: Session, prefix: Path, names: Sequence[str], verdict: Verdict) -> tuple[PackageScript, ...]:
    """Allow or deny the scripts of the packages named (of all without names), by their content; gives the scripts.

    Raises NoSuchScripts, and what `list_scripts` raises.
    """
    prefix = absolute_location(prefix, session.cwd)
    scripts = [one.script for one in list_scripts(session, prefix)]
    known = {script.package.rsplit("-", 2)[0] for script in scripts}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NoSuchScripts(prefix, unknown)
    chosen = tuple(script for script in scripts if not names or script.package.rsplit("-", 2)[0] in names)
    made = {script.sha256: Decision(verdict, script.package, script.path) for script in chosen}
    record_decisions(decisions_file(session.home), made)
    return chosen


def _decide(session: Session, policy: Policy, new: Sequence[PackageScript]) -> Verdict | None:
    """Show new scripts, and the verdict on them; None when it is open, because nobody could be asked."""
    listed = tuple((script.package, script.path, script.occasion) for script in new)
    session.reporter(ScriptsFound(listed))
    if policy == "run":
        return "shown"
    answer = session.consent(len(new))
    return None if answer is None else "allowed" if answer else "denied"


def _refusal(refused: Iterable[PackageScript], policy: Policy) -> str:
    names = sorted({script.package for script in refused})
    return (
        f"scripts of {', '.join(names)} are not run (package_scripts: {policy}); "
        "see them with `kaa scripts`, and allow them with `kaa scripts --allow PACKAGE`"
    )


def _remember(session: Session, file: Path, made: Mapping[str, Decision]) -> None:
    try:
        record_decisions(file, made)
    except OSError as error:
        session.reporter(Warned(f"what was decided about scripts cannot be kept in {file}: {error.strerror or error}"))


def record_decisions(file: Path, decisions: Mapping[str, Decision]) -> None:
    """Add decisions to a user's file; a later one about the same content counts. Raises BrokenDecisions, OSError."""
    if not decisions:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(file.with_name(".scripts.lock"), timeout=10):
        known = read_decisions(file)
        if all(known.get(digest) == decision for digest, decision in decisions.items()):
            return
        every = {
            digest: {"decision": one.verdict, "package": one.package, "path": one.path}
            for digest, one in (known | dict(decisions)).items()
        }
        remove_unfinished(file)
        content = json.dumps({"scripts": every}, indent=2, sort_keys=True).encode() + b"\n"
        write_atomic(file, content, mode=0o600, sync=True)
