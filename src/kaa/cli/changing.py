"""What the commands that change an environment have in common: read requests, show the plan, ask, carry it out."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from kaa.api.environments import ChangeOptions, Solver
from kaa.api.execution import execute, fetch_packages, from_elsewhere, missing_packages
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.api.specs import parse_file_spec, parse_specs
from kaa.cli.called import program_name
from kaa.cli.output import print_json
from kaa.cli.prompt import DryRunEnds, confirm
from kaa.cli.records import channel_names
from kaa.cli.showing import plan_lines, result_json
from kaa.config.sources import expand_text
from kaa.envfiles.bounded_yaml import LARGEST_TEXT
from kaa.envfiles.spec import EnvironmentFileMissing, InvalidEnvironmentFile
from kaa.envfiles.text_specs import ExplicitEntry, TextSpecs, parse_text_specs
from kaa.errors import KaaError
from kaa.host.files import is_writable, read_bounded
from kaa.models.match_spec import MatchSpec
from kaa.models.redaction import redact
from kaa.prefix.prefix import open_prefix
from kaa.prefix.state import check_not_frozen
from kaa.solver.solve import solve
from kaa.transaction.plan import Transaction

NOTHING_TO_DO = "All requested packages already installed."
PACKAGE_EXTENSIONS = (".conda", ".tar.bz2")


class MixedRequest(KaaError):
    """Packages by address and specs to solve in one request."""

    conda_name = "CondaValueError"

    def __init__(self) -> None:
        super().__init__(
            "packages given by URL or path are linked as they are, and cannot be mixed with specs to solve",
            hints=("do it in two steps: the packages by address first, then the specs",),
        )


class Request(msgspec.Struct, frozen=True):
    """What the words and files of a command line ask for: specs, or packages by address."""

    specs: tuple[MatchSpec, ...] = ()
    entries: tuple[ExplicitEntry, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.specs and not self.entries


def read_request(session: Session, words: Sequence[str], files: Sequence[str], prefix: Path | None = None) -> Request:
    """The request of positional words and --file; raises InvalidMatchSpec, InvalidEnvironmentFile, MixedRequest.

    `prefix` is the environment that it is for, if there is one.
    """
    named = [word for word in words if is_package_address(word)]
    specs = list(parse_specs(session, [word for word in words if not is_package_address(word)], prefix))
    # The addresses on a command line have the form of lines in an explicit list.
    entries = list(parse_text_specs("\n".join(["@EXPLICIT", *named]), filename="the command line").entries)
    for file in files:
        content = read_specs_file(session, file)
        specs += content.specs
        entries += content.entries
    if specs and entries:
        raise MixedRequest
    return Request(tuple(specs), tuple(entries))


def is_package_address(word: str) -> bool:
    """Whether a word is the URL or path of a package file, not a spec."""
    location = word.partition("#")[0]
    return location.endswith(PACKAGE_EXTENSIONS) and ("/" in location or "\\" in location or Path(location).is_file())


def read_specs_file(session: Session, file: str) -> TextSpecs:
    """The content of a text file of specs; `-` is standard input."""
    read = partial(parse_file_spec, session)
    if file == "-":
        return parse_text_specs(sys.stdin.read(), filename="standard input", expand=lambda text: text, read=read)
    path = session.cwd / expand_text(file, session.environ)
    try:
        text = read_bounded(path, LARGEST_TEXT).decode()
    except OSError as error:
        raise EnvironmentFileMissing(str(path), error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise InvalidEnvironmentFile(str(path), f"is not UTF-8 text (byte {error.start})") from error
    return parse_text_specs(text, filename=str(path), expand=lambda text: expand_text(text, session.environ), read=read)


def check_changeable(session: Session, prefix: Path) -> None:
    """Raise before any work is done if the environment is none, is frozen, or cannot be written to."""
    settle(session, prefix)
    environment = open_prefix(prefix)
    if session.config.protect_frozen_envs:
        check_not_frozen(environment)
    if not is_writable(environment.conda_meta) and not session.config.dry_run:
        raise EnvironmentNotWritable(prefix)


class EnvironmentNotWritable(KaaError):
    """The user may not change an environment."""

    conda_name = "EnvironmentNotWritableError"

    def __init__(self, prefix: Path) -> None:
        super().__init__(
            f"{prefix} cannot be changed: no write permission",
            hints=("change an environment of your own: kaa create --name NAME …", "ask the owner of that directory"),
        )
        self.environment_location = str(prefix)


def change_options(arguments: argparse.Namespace) -> ChangeOptions:
    """What the flags of the command line say about a change."""

    def given(name: str) -> bool:
        return bool(getattr(arguments, name, False))

    return ChangeOptions(
        no_deps=given("no_deps"),
        only_deps=given("only_deps"),
        freeze_installed=given("freeze_installed"),
        update_specs=given("update_specs") or updates_as_conda_does(arguments),
        update_deps=given("update_deps"),
        update_all=given("update_all"),
        no_pin=given("no_pin"),
        force_reinstall=given("force_reinstall"),
        prune=given("prune"),
        command=command_line(arguments),
        solver=solver_of(arguments),
    )


def updates_as_conda_does(arguments: argparse.Namespace) -> bool:
    """Whether a named package that is installed becomes newer: with conda's own `install` it does.

    Programs that drive conda count on it; kaa by its own name keeps a package that will do.
    """
    if program_name() != "conda" or not hasattr(arguments, "update_specs"):
        return False
    return not (arguments.freeze_installed or arguments.update_deps or arguments.update_all)


def solver_of(arguments: argparse.Namespace) -> Solver:
    """What solves; with --save-problem it writes down what it saw."""
    file = getattr(arguments, "save_problem", None)
    if file is None:
        return solve
    writer: Solver = importlib.import_module("kaa.api.problems").ProblemWriter(Path(file))
    return writer


def command_line(arguments: argparse.Namespace) -> str:
    """The command line that these arguments come from, as the history keeps it: without credentials."""
    return redact(" ".join([sys.argv[0], *arguments.words]))


def carry_out(session: Session, transaction: Transaction, *, download_only: bool = False, is_new: bool = False) -> int:
    """Show a plan, ask, carry it out as far as the configuration wants that, and print the result."""
    print_result(session, perform(session, transaction, download_only=download_only, is_new=is_new))
    return 0


def perform(
    session: Session,
    transaction: Transaction,
    *,
    download_only: bool = False,
    is_new: bool = False,
    change: Callable[[Session, Transaction], None] = execute,
) -> dict[str, object]:
    """`carry_out` without the printing of the result, which is returned in its JSON form; `change` does the change."""
    config = session.config
    names = channel_names(session)
    if transaction.is_empty and not is_new:
        if not config.dry_run and not download_only:
            # The request itself is worth remembering although no package changes.
            execute(session, transaction)
        return {"success": True, "message": NOTHING_TO_DO}
    missing = missing_packages(session, transaction)
    if not config.json and not (config.quiet and config.always_yes):
        # Flushed: what follows goes to standard error, and must not overtake the plan.
        print("\n".join(["", *plan_lines(transaction, missing, names), ""]), flush=True)
    if config.dry_run:
        if not config.json:
            raise DryRunEnds
        return result_json(transaction, [*missing, *from_elsewhere(session, transaction)], names, dry_run=True)
    confirm(config)
    if download_only:
        fetch_packages(session, missing)
    else:
        change(session, transaction)
        if config.number_channel_notices and not (config.json or config.quiet or config.offline):
            importlib.import_module("kaa.cli.notices_beside").tell_new_notices(session)
    return result_json(transaction, missing, names, dry_run=False)


def print_result(session: Session, result: dict[str, object]) -> None:
    """Print the result of a change; people are only told when there was nothing to do."""
    if session.config.json:
        print_json(result)
    elif "message" in result:
        print(f"\n# {result['message']}\n")


def tell_nothing_to_do(session: Session) -> None:
    """Say that everything is there already."""
    print_result(session, {"success": True, "message": NOTHING_TO_DO})
