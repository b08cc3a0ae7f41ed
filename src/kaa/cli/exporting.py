"""`kaa export`, `kaa env export`: an environment as a file."""

from __future__ import annotations

import argparse
import importlib

from msgspec.structs import replace

from kaa.api.exporting import (
    Wanted,
    check_platforms,
    exported_lock,
    exported_spec,
    listed_specs,
    records_by_platform,
)
from kaa.api.listing import EnvironmentContent, read_environment
from kaa.api.session import Session
from kaa.cli.arguments import add_channels, add_network, add_output, add_target, flag
from kaa.cli.configuring import ArgumentsMissing, existing_target
from kaa.cli.explicit_lists import explicit_list, list_header
from kaa.cli.output import print_json, to_json
from kaa.config.sources import expand_text
from kaa.envfiles.environment_yaml import environment_document, environment_text
from kaa.envfiles.lock import is_lock_name
from kaa.envfiles.spec import EnvironmentSpec
from kaa.host.files import write_atomic

YAML, JSON, EXPLICIT, REQUIREMENTS = "environment-yaml", "environment-json", "explicit", "requirements"
FORMATS = (YAML, JSON, EXPLICIT, REQUIREMENTS, "kaa-lock", "conda-lock", "pixi-lock", "pixi-lock-v7")


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `kaa env export` and `kaa export`."""
    add_target(parser)
    add_channels(parser, several_platforms=True)
    parser.add_argument("-f", "--file", metavar="FILE", help="write to this file")
    parser.add_argument("--format", choices=FORMATS, help="environment-yaml, unless the name of the file says other")
    parser.add_argument("--no-builds", action="store_true", help="leave builds out")
    parser.add_argument("--ignore-channels", action="store_true", help="leave channels out")
    parser.add_argument("--from-history", action="store_true", help="only what was asked for, as it was asked for")
    parser.add_argument("--without-pip", action="store_true", help="leave out what pip installed")
    parser.add_argument("--sha256", action="store_true", help="with --format explicit: SHA-256 in place of MD5")
    flag(parser, "--override-platforms", option="_ignored", help=argparse.SUPPRESS)
    add_network(parser)
    add_output(parser)


def export(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa env export`."""
    prefix = existing_target(arguments, session.config, session.environ)
    content = read_environment(session, prefix)
    form = arguments.format or format_of(arguments.file)
    wanted = wanted_of(arguments)
    if session.config.json and not arguments.file and arguments.format is None:
        form = JSON
    text = exported_text(arguments, session, content, wanted, form)
    if arguments.file:
        path = session.cwd / expand_text(arguments.file, session.environ)
        write_atomic(path, text.encode())
        if session.config.json:
            print_json({"success": True, "file": str(path), "format": form, "warnings": []})
    else:
        print(text, end="")
    return 0


def wanted_of(arguments: argparse.Namespace) -> Wanted:
    """What the command line says about an export."""
    return Wanted(
        from_history=arguments.from_history,
        builds=not arguments.no_builds,
        pip=not arguments.without_pip,
        channels=tuple(arguments.channels or ()),
        only_these_channels=arguments.override_channels,
        no_channels=arguments.ignore_channels,
        platforms=tuple(dict.fromkeys(arguments.platforms or ())),
    )


def format_of(file: str | None) -> str:
    """The format that the name of a file asks for."""
    if not file:
        return YAML
    if is_lock_name(file):
        form: str = importlib.import_module("kaa.api.lock_formats").lock_format_of(file)
        return form
    if file.endswith(".json"):
        return JSON
    return REQUIREMENTS if file.endswith(".txt") else YAML


def exported_text(
    arguments: argparse.Namespace, session: Session, content: EnvironmentContent, wanted: Wanted, form: str
) -> str:
    """The environment in one of the formats."""
    if form == EXPLICIT:
        return explicit_text(arguments, session, content, wanted)
    if form in (YAML, JSON, REQUIREMENTS):
        spec = exported_spec(session, content, wanted)
        if wanted.platforms:
            check_platforms(session, content, spec, wanted)
        if form == REQUIREMENTS:
            spec = replace(spec, specs=listed_specs(session, content, spec), pip=())
        return spec_text(session, spec, form)
    formats = importlib.import_module("kaa.api.lock_formats")
    lock = formats.as_written(session, exported_lock(session, content, wanted), form)
    text: str = formats.lock_text(lock, form)
    return text


def explicit_text(arguments: argparse.Namespace, session: Session, content: EnvironmentContent, wanted: Wanted) -> str:
    """An explicit list, which is for one platform."""
    if len(wanted.platforms) > 1:
        raise ArgumentsMissing(
            "an explicit list is for one platform",
            hints=("export once for each of them", "write a lock, which is for several: --format kaa-lock"),
        )
    [(platform, records)] = records_by_platform(session, content, wanted).items()
    return explicit_list(platform, records, md5=not arguments.sha256, sha256=arguments.sha256) + "\n"


def spec_text(session: Session, spec: EnvironmentSpec, form: str) -> str:
    """What an environment file, in one of its forms, or a list of specs says."""
    if form == REQUIREMENTS:
        return list_header(session.subdir) + "".join(f"{wanted}\n" for wanted in spec.specs)
    return to_json(environment_document(spec)) + "\n" if form == JSON else environment_text(spec)
