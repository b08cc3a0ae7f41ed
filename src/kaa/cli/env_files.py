"""Environments from files: `kaa env create`, `kaa env update`."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kaa.api.environment_files import (
    FileContent,
    channels_for,
    find_file,
    is_lock,
    parse_environment_file,
    read_environment_file,
    read_text,
)
from kaa.api.environments import ChangeOptions, EnvironmentExists, plan_create, plan_explicit, plan_install
from kaa.api.exact import plan_exactly
from kaa.api.explicit import fetch_explicit
from kaa.api.pip_part import prune_section
from kaa.api.pip_section import install_pip_section
from kaa.api.pip_sections import PipSection
from kaa.api.recording import change_variables, latest_number
from kaa.api.replacing import plan_anew
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.cli.changing import Request, change_options, check_changeable, perform, print_result
from kaa.cli.configuring import ArgumentsMissing, existing_target, new_target
from kaa.cli.creating import create, with_default_packages
from kaa.config.sources import expand_text
from kaa.envfiles.spec import EnvironmentSpec, is_yaml
from kaa.host.files import write_atomic
from kaa.models.match_spec import MatchSpec
from kaa.prefix.environments import check_environment_name
from kaa.prefix.prefix import Prefix
from kaa.transaction.plan import Transaction, plan_transaction


def create_from_file(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa env create`: asks nothing, and replaces nothing unless told to."""
    file = find_file(session, arguments.file)
    if is_lock(session, file):
        return create_from_lock(arguments, session, file)
    content = read_environment_file(session, file)
    spec, request = content.spec, request_of(session, content)
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
        section = section_of(inner, content, request)
        options = replace(change_options(arguments), section=section)
        result = create(inner, prefix, with_pip(section, request), options)
        # What comes now is of one piece with that.
        finish(inner, prefix, content, section, result, Together(0, options.command))
    return 0


def create_from_lock(arguments: argparse.Namespace, session: Session, file: str) -> int:
    """`kaa env create` of a lock."""
    prefix = target_of(arguments, session, EnvironmentSpec())
    code: int = importlib.import_module("kaa.cli.locked").create_from_lock(arguments, session, prefix, file, ask=False)
    return code


def update_from_file(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa env update`: makes the environment if it is not there."""
    file = find_file(session, arguments.file)
    if is_lock(session, file):
        return update_from_lock(arguments, session, file)
    news = with_specs(arguments, session, file)
    content = read_environment_file(session, file) if news is None else news.content
    spec, request = content.spec, request_of(session, content)
    prefix = target_of(arguments, session, spec, default_active=True)
    options = replace(change_options(arguments), prune=arguments.prune)
    settle(session, prefix)
    together = Together(latest_number(prefix), options.command)
    with session_for(arguments, session, spec) as inner:
        section = section_of(inner, content, request)
        request, options = with_pip(section, request), replace(options, section=section)
        if not Prefix(prefix).is_environment():
            result = create(inner, prefix, request, options)
        else:
            check_changeable(inner, prefix)
            transaction = plan_update_from(inner, prefix, request, options)
            if arguments.prune and not request.entries:
                # Before packages go, for pip may be among them.
                prune_section(inner, prefix, spec.pip, content.folder, command=options.command, since=together.since)
            result = perform(inner, transaction)
        if news is not None:
            # The packages are there; what is left can be done again from the file.
            write_atomic(news.path, news.text.encode())
        finish(inner, prefix, content, section, result, together, prune=arguments.prune)
    return 0


def update_from_lock(arguments: argparse.Namespace, session: Session, file: str) -> int:
    """`kaa env update` of a lock: what it does not name stays, unless --prune is given."""
    if arguments.specs or arguments.save:
        raise ArgumentsMissing(
            "--save writes into environment files, and a lock is made from them",
            hints=("change the file it was made from, and run `kaa lock` again",),
        )
    locked = importlib.import_module("kaa.cli.locked")
    prefix = target_of(arguments, session, EnvironmentSpec(), default_active=True)
    with locked.outright(session) as inner:
        code: int = locked.sync(arguments, inner, prefix, file, keep_others=not arguments.prune)
    return code


class News(msgspec.Struct, frozen=True):
    """An environment file with the specs of the command line in it; not written yet."""

    path: Path
    text: str
    content: FileContent


def with_specs(arguments: argparse.Namespace, session: Session, file: str) -> News | None:
    """What --save makes of a file; None without --save. Raises ArgumentsMissing."""
    if not arguments.save and not arguments.specs:
        return None
    if not (arguments.save and arguments.specs):
        raise ArgumentsMissing(
            "--save needs to know what to write into the file"
            if arguments.save
            else "specs and a file are given, and it is not said that they belong together",
            hints=(
                f"write them into the file: kaa env update --file {file} --save SPEC…",
                "install them and leave the file as it is: kaa install SPEC…",
            ),
        )
    if "://" in file or not is_yaml(file):
        raise ArgumentsMissing(
            f"nothing can be written into {file}", hints=("give an environment file on this machine",)
        )
    text, folder = read_text(session, file)
    # Loaded for this alone.
    edit = importlib.import_module("kaa.envfiles.environment_edit").with_specs
    changed: str = edit(text, arguments.specs, filename=file, subdir=session.subdir)
    path = session.cwd / expand_text(file, session.environ)
    return News(path, changed, parse_environment_file(session, changed, file, folder))


def request_of(session: Session, content: FileContent) -> Request:
    """What a file asks for; what means nothing in it is told."""
    tell_unknown_keys(session, content.filename, content.spec)
    return Request(content.spec.specs, content.entries)


def plan_update_from(session: Session, prefix: Path, request: Request, options: ChangeOptions) -> Transaction:
    """The way from what an environment holds to what a file says."""
    if request.entries:
        return plan_explicit(session, prefix, fetch_explicit(session, request.entries), options)
    if not options.prune:
        if not request.specs and not (options.section is not None and options.section.specs):
            return plan_transaction(prefix, session.subdir, Prefix(prefix).records(), Prefix(prefix).records())
        return plan_install(session, prefix, request.specs, options)
    # What the file does not ask for goes: the content is that of a new environment from this file.
    fresh = plan_anew(prefix, lambda place: plan_create(session, place, request.specs, options))
    return plan_exactly(prefix, fresh.subdir, fresh.final, fresh.requested_specs, command=options.command)


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


def session_for(
    arguments: argparse.Namespace, session: Session, spec: EnvironmentSpec, *, ask: bool = False
) -> Session:
    """A session that takes packages from the file's channels: after those of the command line, before the configured.

    Unless told so it asks nothing: whoever works with `kaa env` does so in scripts.
    """
    channels = channels_for(session, spec, arguments.channels or (), override=arguments.override_channels)
    config = session.config.with_values(channels=channels, always_yes=True if not ask else session.config.always_yes)
    return Session(config, session.reporter, environ=session.environ, cwd=session.cwd)


def section_of(session: Session, content: FileContent, request: Request) -> PipSection:
    """What the section for pip of a file asks for beside its request; a list of packages has none."""
    if not content.spec.pip:
        return PipSection()
    named = [spec.name for spec in request.specs if spec.name]
    # Loads all that is needed to read requirements.
    section: PipSection = importlib.import_module("kaa.api.pip_requirements").read_section(
        session, content.spec.pip, content.folder, named=named
    )
    return section


def with_pip(section: PipSection, request: Request) -> Request:
    """The request with pip itself, if something is left for it, and the request does not ask for it."""
    if not section.left or request.entries or any(wanted.name == "pip" for wanted in request.specs):
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
    content: FileContent,
    section: PipSection,
    result: dict[str, object],
    together: Together,
    *,
    prune: bool = False,
) -> None:
    """What comes after the packages: those of pip, the variables, the result."""
    spec, folder = content.spec, content.folder
    actions = result.get("actions")
    if section.left and isinstance(actions, dict):
        actions["PIP"] = list(section.left)
    since, command = together.since, together.command
    if not session.config.dry_run:
        if section.left:
            install_pip_section(session, prefix, section.left, folder, command=command, since=since)
        if prune and spec.pip:
            prune_section(session, prefix, spec.pip, folder, command=command, since=since)
        if spec.variables:
            news = dict(spec.variables)
            change_variables(session, prefix, lambda old: old | news, command=command, since=since)
    print_result(session, result)
