"""Make the temporary environment for `kaa run` and `kaa tool run`; what comes of it is told on standard error."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from kaa.api.environments import ChangeOptions
from kaa.api.session import Session
from kaa.api.temporary_environments import make_temporary, plan_temporary
from kaa.cli.progress import reporting
from kaa.cli.prompt import consent_to_scripts
from kaa.config.options import Config
from kaa.config.values import pypi_names
from kaa.envfiles.script_blocks import PYTHON_BLOCK, ScriptBlock
from kaa.errors import KaaError
from kaa.events import Warned
from kaa.index.fetch import ChannelUnreachable
from kaa.models.match_spec import MatchSpec
from kaa.models.redaction import redact
from kaa.net.client import HttpStatusError, Offline
from kaa.net.transport import HostUnreachable, IncompleteBody
from kaa.pypi.names import ProjectNames
from kaa.pypi.pep440 import conda_version_spec
from kaa.pypi.script_requirements import NotInChannels, ScriptRequirements, conda_specs
from kaa.transaction.plan import Transaction

if TYPE_CHECKING:
    from kaa.cli.temporary import Wanted


class ConditionUnclear(KaaError):
    """A condition of a block asks for something other than the machine."""

    conda_name = "CondaValueError"

    def __init__(self, spec: str) -> None:
        self.spec = spec
        super().__init__(
            f'{spec}: only virtual packages can be asked for, as in when="__linux"',
            hints=("leave the condition out, or write two scripts",),
        )


def is_of_the_network(error: KaaError) -> bool:
    """Whether an error is of a kind that may be gone the next time."""
    return isinstance(error, ChannelUnreachable | HostUnreachable | HttpStatusError | IncompleteBody | Offline)


def make(config: Config, environ: Mapping[str, str], wanted: Wanted, question: str, *, refresh: bool) -> Path:
    """The environment that answers a question, made where it is not there."""
    with reporting(config) as reporter, Session(config, reporter, environ=environ, cwd=Path.cwd()) as session:
        session.consent = lambda count: consent_to_scripts(config, count)
        return make_temporary(
            session,
            question,
            lambda: plan(session, wanted),
            variables_of=wanted.base,
            refresh=refresh,
        )


def plan(session: Session, wanted: Wanted) -> Transaction:
    """Solve what is wanted."""
    options = ChangeOptions(command=redact(" ".join(["kaa", "run", *wanted.specs])))
    block = wanted.block
    if block is None:
        return plan_temporary(session, wanted.specs, base=wanted.base, options=options)
    specs: tuple[str | MatchSpec, ...] = (*wanted.specs, *_specs_here(session, block))
    if block.kind != PYTHON_BLOCK:
        return plan_temporary(session, specs, base=wanted.base, options=options)
    channels = session.channels()
    if all(channel.is_pypi for channel in channels):
        return _plan_of_pypi(session, wanted, block, specs, options, [channel.name for channel in channels])
    asked = _python_specs(session, block)
    transaction = plan_temporary(session, (*asked.specs, *specs), base=wanted.base, options=options)
    if asked.is_open:
        # What else is needed depends on the version of python, which is known only now.
        version = next(record.version for record in transaction.final if record.name == "python")
        asked = _python_specs(session, block, version)
        transaction = plan_temporary(session, (*asked.specs, *specs), base=wanted.base, options=options)
    for note in asked.notes:
        session.reporter(Warned(note))
    return transaction


def _plan_of_pypi(
    session: Session,
    wanted: Wanted,
    block: ScriptBlock,
    specs: tuple[str | MatchSpec, ...],
    options: ChangeOptions,
    channels: list[str],
) -> Transaction:
    """Solve what a Python script wants where all channels are indexes of Python packages: its requirements as such."""
    requirements = importlib.import_module("kaa.api.pip_requirements")
    section = requirements.read_section(session, block.requirements, session.cwd)
    if section.left:
        raise NotInChannels(section.left, channels, "only pip could install it")
    python = f"python {conda_version_spec(block.requires_python)}".strip()
    return plan_temporary(
        session, (python, *specs), base=wanted.base, options=msgspec.structs.replace(options, section=section)
    )


def _python_specs(session: Session, block: ScriptBlock, python: str = "") -> ScriptRequirements:
    channels = session.channels()
    with session.open_index(channels, session.subdir) as index:
        return conda_specs(
            block.requirements,
            block.requires_python,
            session.subdir,
            lambda name: bool(index.groups(name)),
            [channel.name for channel in channels],
            python=python,
            known_name=ProjectNames(pypi_names(session.config)).find_conda_name,
        )


def _specs_here(session: Session, block: ScriptBlock) -> list[MatchSpec]:
    """The packages of a block that are for this machine, whose conditions are decided then."""
    here = [package.record() for package in session.virtual_packages(session.subdir)]
    found = []
    for text in block.specs:
        spec = MatchSpec.parse(text)

        def is_true(asked: MatchSpec, text: str = text) -> bool:
            if not (asked.name or "").startswith("__"):
                raise ConditionUnclear(text)
            return any(asked.matches(record) for record in here)

        if spec.when is None or spec.when.holds(is_true):
            found.append(msgspec.structs.replace(spec, when=None))
    return found
