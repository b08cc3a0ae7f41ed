"""Environment files and locks with --file of `kaa create`, `kaa install` and `kaa update`, beside specs and lists."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from kaa.api.environment_files import FileContent, put_together, read_environment_file
from kaa.api.environments import NothingRequested, plan_install
from kaa.api.pip_section import install_pip_section
from kaa.api.pip_sections import PipSection, put_together_sections
from kaa.api.recording import change_variables, latest_number
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.cli.changing import (
    MixedRequest,
    Request,
    change_options,
    check_changeable,
    perform,
    print_result,
    read_request,
)
from kaa.cli.configuring import TargetMissing, new_target
from kaa.cli.creating import create, how_to_enter, with_default_packages
from kaa.cli.env_files import section_of, session_for, tell_unknown_keys, with_pip
from kaa.cli.locked import create_from_lock, find_lock_among, sync
from kaa.config.sources import expand_text
from kaa.envfiles.spec import EnvironmentSpec, is_yaml
from kaa.prefix.environments import check_environment_name


class Gathered(msgspec.Struct, frozen=True):
    """What the specs and files of a command line say together; `contents` are the environment files among them."""

    spec: EnvironmentSpec
    contents: tuple[FileContent, ...]


def gather(session: Session, words: Sequence[str], files: Sequence[str]) -> Gathered | None:
    """All of it, the specs first, then the files as they come; None where none of the files is an environment file.

    Raises MixedRequest where packages by address are among it, for those are not solved with specs.
    """
    contents = tuple(read_environment_file(session, file) for file in files if is_yaml(file))
    if not contents:
        return None
    request = read_request(session, words, [file for file in files if not is_yaml(file)])
    if request.entries:
        raise MixedRequest
    for content in contents:
        tell_unknown_keys(session, content.filename, content.spec)
    every = [EnvironmentSpec(specs=request.specs), *(content.spec for content in contents)]
    return Gathered(put_together(every), contents)


def create_from_files(arguments: argparse.Namespace, session: Session) -> int | None:
    """`kaa create`; None where the files are lists after all. Where no target is given, it is that of the files."""
    prefix = new_target(arguments, session.config, session.environ)
    lock = find_lock_among(session, arguments.files, arguments.specs)
    if lock is not None:
        if prefix is None:
            raise TargetMissing
        return create_from_lock(arguments, session, prefix, lock, ask=True)
    gathered = gather(session, arguments.specs, arguments.files)
    if gathered is None:
        return None
    prefix = prefix or _place_of(session, gathered.spec)
    settle(session, prefix)
    request = Request(gathered.spec.specs)
    if not arguments.no_default_packages:
        request = with_default_packages(request, session.config.create_default_packages)
    options = change_options(arguments)
    with session_for(arguments, session, gathered.spec, ask=True) as inner:
        sections = sections_of(inner, gathered, request)
        section = put_together_sections(sections)
        request, options = with_pip(section, request), replace(options, section=section)
        result = create(inner, prefix, request, options, download_only=arguments.download_only)
        if not arguments.download_only:
            complete(inner, prefix, gathered, sections, result, options.command, since=0)
        print_result(inner, result)
    if not (session.config.json or session.config.quiet or arguments.download_only):
        print(how_to_enter(session, prefix))
    return 0


def _place_of(session: Session, spec: EnvironmentSpec) -> Path:
    """Where the files say that the environment is to be; raises TargetMissing."""
    if spec.prefix:
        return session.cwd / expand_text(spec.prefix, session.environ)
    if not spec.name:
        raise TargetMissing
    # A file is not to take hold of the base environment by its name (CEP 24).
    check_environment_name(spec.name)
    return session.environments.place(spec.name)


def install_from_files(arguments: argparse.Namespace, session: Session, prefix: Path) -> int | None:
    """`kaa install` and `kaa update`: what the files do not name stays. None where the files are lists after all."""
    lock = find_lock_among(session, arguments.files, arguments.specs)
    if lock is not None:
        check_changeable(session, prefix)
        return sync(arguments, session, prefix, lock, keep_others=True)
    gathered = gather(session, arguments.specs, arguments.files)
    if gathered is None:
        return None
    check_changeable(session, prefix)
    spec, options = gathered.spec, change_options(arguments)
    if not (spec.specs or spec.pip or spec.variables):
        raise NothingRequested("install")
    since = latest_number(prefix)
    with session_for(arguments, session, spec, ask=True) as inner:
        result: dict[str, object] = {"success": True}
        request = Request(spec.specs)
        sections = sections_of(inner, gathered, request)
        section = put_together_sections(sections)
        request, options = with_pip(section, request), replace(options, section=section)
        if request.specs or section.specs:
            transaction = plan_install(inner, prefix, request.specs, options)
            result = perform(inner, transaction, download_only=arguments.download_only)
        if not arguments.download_only:
            complete(inner, prefix, gathered, sections, result, options.command, since=since)
        print_result(inner, result)
    return 0


def sections_of(session: Session, gathered: Gathered, request: Request) -> tuple[PipSection, ...]:
    """What the sections for pip of the files ask for, file by file: paths in them are relative to the file."""
    return tuple(section_of(session, content, request) for content in gathered.contents)


def complete(
    session: Session,
    prefix: Path,
    gathered: Gathered,
    sections: Sequence[PipSection],
    result: dict[str, object],
    command: str,
    *,
    since: int,
) -> None:
    """What comes after the packages: what is left for pip, and the variables."""
    actions = result.get("actions")
    if isinstance(actions, dict) and any(section.left for section in sections):
        actions["PIP"] = [line for section in sections for line in section.left]
    if session.config.dry_run:
        return
    for content, section in zip(gathered.contents, sections, strict=True):
        if section.left:
            install_pip_section(session, prefix, section.left, content.folder, command=command, since=since)
    if gathered.spec.variables:
        news = dict(gathered.spec.variables)
        change_variables(session, prefix, lambda old: old | news, command=command, since=since)
