"""`kaa update`: bring installed packages to newer versions."""

from __future__ import annotations

import argparse
import importlib
import shlex
from collections.abc import Sequence

from kaa.api.environments import NothingRequested, plan_explicit, plan_update
from kaa.api.explicit import fetch_explicit
from kaa.api.listing import read_environment
from kaa.api.session import Session
from kaa.cli.arguments import (
    add_channels,
    add_files,
    add_frozen,
    add_linking,
    add_network,
    add_output,
    add_prompts,
    add_solving,
    add_specs,
    add_target,
    add_update_mode,
    ignored,
)
from kaa.cli.changing import carry_out, change_options, check_changeable, read_request, tell_nothing_to_do
from kaa.cli.configuring import existing_target
from kaa.envfiles.lock import is_description
from kaa.errors import KaaError
from kaa.models.match_spec import MatchSpec

HELP = """Bring packages to the newest versions that fit: those named, or all with --all."""


class ConditionInUpdate(KaaError):
    """A name to be updated came with a version."""

    conda_name = "CondaUpdatePackageError"

    def __init__(self, prefix: str, specs: Sequence[str]) -> None:
        super().__init__(
            f"update takes names only, not conditions: {', '.join(specs)}",
            hints=(
                f"to get a certain version: kaa install --prefix {shlex.quote(prefix)} {' '.join(map(repr, specs))}",
            ),
        )
        self.packages = list(specs)


class NotInstalled(KaaError):
    """A package to be updated is not there."""

    conda_name = "PackageNotInstalledError"

    def __init__(self, prefix: str, names: Sequence[str]) -> None:
        super().__init__(
            f"not installed in {prefix}: {', '.join(names)}",
            hints=(f"kaa install --prefix {shlex.quote(prefix)} {' '.join(names)}",),
        )
        self.prefix = prefix
        self.package_name = list(names)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_specs(parser, "the name of a package to update")
    add_files(parser)
    add_target(parser)
    add_channels(parser)
    add_solving(parser)
    add_update_mode(parser)
    add_linking(parser)
    parser.add_argument("--force-reinstall", action="store_true", help="link the named packages again in any case")
    add_frozen(parser)
    add_prompts(parser)
    add_network(parser)
    add_output(parser)
    ignored(parser, "--force")
    ignored(parser, "--prune")


def run(arguments: argparse.Namespace, session: Session) -> int:
    prefix = existing_target(arguments, session.config, session.environ)
    if any(map(is_description, arguments.files)):
        code: int | None = importlib.import_module("kaa.cli.from_files").install_from_files(arguments, session, prefix)
        if code is not None:
            return code
    request = read_request(session, arguments.specs, arguments.files, prefix)
    specs = request.specs
    options = change_options(arguments)
    check_changeable(session, prefix)
    if request.entries:
        transaction = plan_explicit(session, prefix, fetch_explicit(session, request.entries), options)
        return carry_out(session, transaction, download_only=arguments.download_only)
    if not specs and not options.update_all:
        raise NothingRequested("update")
    conditions = [str(spec) for spec in specs if not is_name(spec)]
    if conditions:
        raise ConditionInUpdate(str(prefix), conditions)
    names = [spec.name for spec in specs if spec.name]
    installed = {record.name for record in read_environment(session, prefix).records}
    missing = [name for name in names if name not in installed]
    if missing:
        raise NotInstalled(str(prefix), missing)
    if names and arguments.satisfied_skip_solve:
        # All of them are installed, and nothing more is asked of them.
        tell_nothing_to_do(session)
        return 0
    transaction = plan_update(session, prefix, specs, options)
    return carry_out(session, transaction, download_only=arguments.download_only)


def is_name(spec: MatchSpec) -> bool:
    """Whether a spec is a name, and perhaps a channel, without a condition."""
    return spec.version is None and spec.build is None and spec.build_number is None
