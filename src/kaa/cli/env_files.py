"""Environments from files and to files: `kaa env create`, `kaa env update`, `kaa env export`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kaa.api.environments import ChangeOptions, EnvironmentExists, plan_create, plan_explicit, plan_install
from kaa.api.explicit import fetch_explicit
from kaa.api.listing import EnvironmentContent, read_environment
from kaa.api.pip_section import install_pip_section
from kaa.api.recording import change_variables, latest_number
from kaa.api.replacing import plan_anew
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.cli.arguments import add_channels, add_output, add_target, flag
from kaa.cli.changing import (
    EnvironmentFileMissing,
    Request,
    change_options,
    check_changeable,
    perform,
    print_result,
)
from kaa.cli.commands.create import create, with_default_packages
from kaa.cli.commands.list import created_by, explicit_list
from kaa.cli.configuring import ArgumentsMissing, existing_target, new_target
from kaa.cli.output import print_json, to_json
from kaa.cli.records import channel_names
from kaa.config.sources import expand_text
from kaa.envfiles.bounded_yaml import LARGEST_TEXT
from kaa.envfiles.environment_yaml import environment_document, environment_text, parse_environment_yaml
from kaa.envfiles.spec import EnvironmentSpec, InvalidEnvironmentFile
from kaa.envfiles.text_specs import header, parse_text_specs
from kaa.host.files import read_bounded, write_atomic
from kaa.models.match_spec import MatchSpec
from kaa.prefix.environments import check_environment_name
from kaa.prefix.history import read_history
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import UNSET, read_variables
from kaa.transaction.plan import Transaction, plan_transaction

DEFAULT_FILES = ("environment.yml", "environment.yaml")
FORMATS = ("environment-yaml", "environment-json", "explicit", "requirements")


# -- from files -------------------------------------------------------------------------------------------------------


def create_from_file(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa env create`: asks nothing, and replaces nothing unless told to."""
    spec, request, folder = read_environment_file(session, arguments.file)
    if spec.name and not (arguments.name or arguments.prefix or spec.prefix):
        # A file is not to take hold of the base environment by its name (CEP 24).
        check_environment_name(spec.name)
    prefix = target_of(arguments, session, spec)
    settle(session, prefix)
    if Prefix(prefix).is_environment() and not (arguments.force or session.config.always_yes):
        raise EnvironmentExists(prefix)
    if not request.entries and not arguments.no_default_packages:
        request = with_default_packages(request, session.config.create_default_packages)
    with session_for(arguments, session, spec) as inner:
        options = change_options(arguments)
        result = create(inner, prefix, with_pip(inner, spec, request), options)
        # What comes now is of one piece with that.
        finish(inner, prefix, spec, folder, result, Together(0, options.command))
    return 0


def update_from_file(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa env update`: makes the environment if it is not there."""
    spec, request, folder = read_environment_file(session, arguments.file)
    prefix = target_of(arguments, session, spec, default_active=True)
    options = replace(change_options(arguments), prune=arguments.prune)
    settle(session, prefix)
    together = Together(latest_number(prefix), options.command)
    with session_for(arguments, session, spec) as inner:
        request = with_pip(inner, spec, request)
        if not Prefix(prefix).is_environment():
            result = create(inner, prefix, request, options)
        else:
            check_changeable(inner, prefix)
            result = perform(inner, plan_update_from(inner, prefix, request, options))
        finish(inner, prefix, spec, folder, result, together)
    return 0


def plan_update_from(session: Session, prefix: Path, request: Request, options: ChangeOptions) -> Transaction:
    """The way from what an environment holds to what a file says."""
    if request.entries:
        return plan_explicit(session, prefix, fetch_explicit(session, request.entries), options)
    if not options.prune:
        if not request.specs:
            return plan_transaction(prefix, session.subdir, Prefix(prefix).records(), Prefix(prefix).records())
        return plan_install(session, prefix, request.specs, options)
    # What the file does not ask for goes: the content is that of a new environment from this file.
    fresh = plan_anew(prefix, lambda place: plan_create(session, place, request.specs, options))
    current = Prefix(prefix).records()
    kept = {record.name for record in fresh.final}
    return plan_transaction(
        prefix,
        fresh.subdir,
        current,
        fresh.final,
        requested_specs=fresh.requested_specs,
        removed_specs=[record.name for record in current if record.name not in kept],
        command=options.command,
    )


def read_environment_file(session: Session, file: str | None) -> tuple[EnvironmentSpec, Request, Path]:
    """What a file says, what it asks for, and the directory that paths in it are relative to."""
    name = file or next((name for name in DEFAULT_FILES if (session.cwd / name).is_file()), DEFAULT_FILES[0])
    text, folder = read_text(session, name)
    if name.partition("?")[0].endswith((".yml", ".yaml")):
        spec = parse_environment_yaml(text, filename=name, subdir=session.subdir)
        tell_unknown_keys(session, name, spec)
        return spec, Request(specs=spec.specs), folder
    content = parse_text_specs(text, filename=name, expand=lambda location: expand_text(location, session.environ))
    return EnvironmentSpec(specs=content.specs), Request(content.specs, content.entries), folder


def read_text(session: Session, file: str) -> tuple[str, Path]:
    """The text of a file or address, and the directory it is in."""
    try:
        if "://" in file:
            return session.client.get(session.credentials.add_url(file)).content.decode(), session.cwd
        path = session.cwd / expand_text(file, session.environ)
        return read_bounded(path, LARGEST_TEXT).decode(), path.parent
    except OSError as error:
        raise EnvironmentFileMissing(file, error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise InvalidEnvironmentFile(file, f"is not UTF-8 text (byte {error.start})") from error


def tell_unknown_keys(session: Session, file: str, spec: EnvironmentSpec) -> None:
    """Programs look for conda's word in the output; JSON on standard output stays alone there."""
    if spec.unknown_keys:
        print(
            f"EnvironmentSectionNotValid: these keys of {file} mean nothing: {', '.join(spec.unknown_keys)}",
            file=sys.stderr if session.config.json else sys.stdout,
        )


def target_of(
    arguments: argparse.Namespace, session: Session, spec: EnvironmentSpec, *, default_active: bool = False
) -> Path:
    """Where the environment is, or is to be: the command line, else the file, else (update) the active one."""
    prefix = new_target(arguments, session.config, session.environ)
    if prefix is not None:
        return prefix
    if spec.prefix:
        return session.cwd / expand_text(spec.prefix, session.environ)
    if spec.name:
        return session.environments.place(spec.name)
    if default_active:
        return existing_target(arguments, session.config, session.environ)
    raise ArgumentsMissing(
        "the file names no environment, so one of --name and --prefix is needed",
        hints=("kaa env create --name NAME …", "add a line `name: NAME` to the file"),
    )


def session_for(arguments: argparse.Namespace, session: Session, spec: EnvironmentSpec) -> Session:
    """A session that takes packages from the file's channels: after those of the command line, before the configured.

    It asks nothing: whoever works with environment files does so in scripts.
    """
    given = tuple(arguments.channels or ())
    if arguments.override_channels:
        channels = given
    else:
        configured = [] if spec.only_these_channels else session.config.channels
        file_channels = [expand_text(channel, session.environ) for channel in spec.channels]
        channels = tuple(dict.fromkeys([*given, *file_channels, *configured]))
    config = session.config.with_values(channels=channels, always_yes=True)
    return Session(config, session.reporter, environ=session.environ, cwd=session.cwd)


def with_pip(session: Session, spec: EnvironmentSpec, request: Request) -> Request:
    """The request with pip itself, if the file has a section for it and does not ask for it."""
    if not spec.pip or request.entries or any(wanted.name == "pip" for wanted in request.specs):
        return request
    return Request((*request.specs, MatchSpec.parse("pip")), request.entries)


class Together(msgspec.Struct, frozen=True):
    """What makes the parts of one command one change: they are taken back together."""

    since: int
    """The latest generation before the command"""
    command: str


def finish(
    session: Session,
    prefix: Path,
    spec: EnvironmentSpec,
    folder: Path,
    result: dict[str, object],
    together: Together,
) -> None:
    """What comes after the packages: those of pip, the variables, the result."""
    actions = result.get("actions")
    if spec.pip and isinstance(actions, dict):
        actions["PIP"] = list(spec.pip)
    since, command = together.since, together.command
    if not session.config.dry_run:
        if spec.pip:
            install_pip_section(session, prefix, spec.pip, folder, command=command, since=since)
        if spec.variables:
            news = dict(spec.variables)
            change_variables(session, prefix, lambda old: old | news, command=command, since=since)
    print_result(session, result)


# -- to files ---------------------------------------------------------------------------------------------------------


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `kaa env export` and `kaa export`."""
    add_target(parser)
    add_channels(parser)
    parser.add_argument("-f", "--file", metavar="FILE", help="write to this file")
    parser.add_argument("--format", choices=FORMATS, help="environment-yaml, unless the name of the file says other")
    parser.add_argument("--no-builds", action="store_true", help="leave builds out")
    parser.add_argument("--ignore-channels", action="store_true", help="leave channels out")
    parser.add_argument("--from-history", action="store_true", help="only what was asked for, as it was asked for")
    flag(parser, "--override-platforms", option="_ignored", help=argparse.SUPPRESS)
    add_output(parser)


def export(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa env export`."""
    prefix = existing_target(arguments, session.config, session.environ)
    content = read_environment(session, prefix)
    spec = exported(arguments, session, content)
    form = arguments.format or format_of(arguments.file)
    text = exported_text(session, content, spec, form)
    if arguments.file:
        path = session.cwd / expand_text(arguments.file, session.environ)
        write_atomic(path, text.encode())
        if session.config.json:
            print_json({"success": True, "file": str(path), "format": form, "warnings": []})
    elif session.config.json and arguments.format is None:
        print_json(environment_document(spec))
    else:
        print(text, end="")
    return 0


def format_of(file: str | None) -> str:
    """The format that the name of a file asks for."""
    if file and file.endswith(".json"):
        return "environment-json"
    return "requirements" if file and file.endswith(".txt") else "environment-yaml"


def exported_text(session: Session, content: EnvironmentContent, spec: EnvironmentSpec, form: str) -> str:
    """The environment in one of the formats."""
    if form == "explicit":
        return explicit_list(session.subdir, content.records, md5=True, sha256=False) + "\n"
    if form == "requirements":
        return header(session.subdir, created_by()) + "".join(f"{wanted}\n" for wanted in spec.specs)
    if form == "environment-json":
        return to_json(environment_document(spec)) + "\n"
    return environment_text(spec)


def exported(arguments: argparse.Namespace, session: Session, content: EnvironmentContent) -> EnvironmentSpec:
    """An environment as a file would describe it."""
    if arguments.from_history:
        specs = tuple(MatchSpec.parse(text) for text in requested(content))
    else:
        specs = tuple(
            MatchSpec.parse(f"{record.name}={record.version}" + ("" if arguments.no_builds else f"={record.build}"))
            for record in sorted(content.records, key=lambda record: record.name)
        )
    variables = {name: value for name, value in read_variables(Prefix(content.prefix)).items() if value != UNSET}
    return EnvironmentSpec(
        name=session.environments.name_of(content.prefix),
        prefix=str(content.prefix),
        channels=() if arguments.ignore_channels else exported_channels(arguments, session, content),
        specs=specs,
        pip=() if arguments.from_history else tuple(f"{found.name}=={found.version}" for found in content.pip),
        variables=variables,
    )


def exported_channels(arguments: argparse.Namespace, session: Session, content: EnvironmentContent) -> tuple[str, ...]:
    """The channels that the packages came from: the configured ones in their order, then the others."""
    given = tuple(arguments.channels or ())
    if arguments.override_channels:
        return given
    names = channel_names(session)
    used = dict.fromkeys(names.of(record) for record in content.records if record.channel)
    configured = [channel.name for channel in session.channels()] if session.config.channels else []
    in_order = [name for name in configured if name in used or not used]
    return tuple(dict.fromkeys([*given, *in_order, *used]))


def requested(content: EnvironmentContent) -> Iterable[str]:
    """The specs that the user asked for and that still hold."""
    installed = [record.name for record in content.records]
    from_history = read_history(Prefix(content.prefix)).requested_specs(installed)
    from_records = {record.name: record.requested_specs[-1] for record in content.records if record.requested_specs}
    return {**from_records, **from_history}.values()
