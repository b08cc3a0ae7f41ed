"""`kaa search`: what the channels offer."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from kaa.api.listing import list_environments, read_environment
from kaa.api.searching import PackagesNotOffered, search_dependents, search_packages
from kaa.api.session import Session
from kaa.api.specs import parse_specs
from kaa.cli.arguments import add_channels, add_network, add_output, ignored
from kaa.cli.output import print_json, size_text, table
from kaa.cli.records import ChannelNames, channel_names, full_json
from kaa.models.artifact import WHEEL
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord

MOST_WHEELS = 20
"""Of how many wheels of a name the metadata is fetched to be shown."""

HELP = """Show what the channels offer: a name, a pattern such as '*numpy*', or a spec such as 'numpy>=2'."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", nargs="?", default="*", metavar="SPEC", help="what to look for (default: everything)")
    parser.add_argument("-i", "--info", action="store_true", help="show all facts of every package found")
    parser.add_argument("--envs", action="store_true", help="search the environments of this machine instead")
    parser.add_argument("--skip-flexible-search", action="store_true", help="do not try '*name*' when nothing is found")
    parser.add_argument("--reverse-dependency", action="store_true", help="show what depends on the package instead")
    for name in ("--canonical", "--names-only", "--spec"):
        ignored(parser, name)
    ignored(parser, "-o", "--outdated")
    ignored(parser, "-f", "--full-name")
    add_channels(parser)
    add_network(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    [spec] = parse_specs(session, [arguments.spec])
    if arguments.envs:
        return search_environments(session, spec)
    if arguments.reverse_dependency:
        found: Mapping[str, Sequence[RepoDataRecord]] = search_dependents(session, spec)
    else:
        found = find(session, spec, flexible=not arguments.skip_flexible_search)
    names = channel_names(session)
    if session.config.json:
        print_json({name: [full_json(record) for record in records] for name, records in found.items()})
    elif arguments.info:
        found = whole(session, found)
        print("\n\n".join("\n".join(facts(record, names)) for records in found.values() for record in records))
    else:
        print("\n".join(rows(found, names)))
    return 0


def whole(session: Session, found: Mapping[str, Sequence[RepoDataRecord]]) -> Mapping[str, Sequence[RepoDataRecord]]:
    """The records with what the metadata of wheels says, of the newest of each name: that is read one by one."""
    newest = [record for records in found.values() for record in records[-MOST_WHEELS:] if record.fn.endswith(WHEEL)]
    if not newest:
        return found
    addresses = importlib.import_module("kaa.api.wheel_addresses")
    named = [addresses.WheelAddress(record.url, record.sha256, record.channel) for record in newest]
    told = {record.url: record for record in addresses.records_of_wheels(session, named, session.subdir)}
    return {
        name: [
            replace(record, depends=told[record.url].depends, license=told[record.url].license)
            if record.url in told
            else record
            for record in records
        ]
        for name, records in found.items()
    }


def find(session: Session, spec: MatchSpec, *, flexible: bool) -> Mapping[str, Sequence[RepoDataRecord]]:
    """What matches; when nothing has the plain name, what has it as a part of its name."""
    try:
        return search_packages(session, spec)
    except PackagesNotOffered as error:
        if not flexible or spec.name is None or str(spec) != spec.name:
            raise
        try:
            return search_packages(session, MatchSpec.parse(f"*{spec.name}*"))
        except PackagesNotOffered:
            raise error from None


def search_environments(session: Session, spec: MatchSpec) -> int:
    """Which environments of this machine hold what matches."""
    found = []
    for environment in list_environments(session):
        records = [record for record in read_environment(session, environment.prefix).records if spec.matches(record)]
        if records:
            found.append((environment.prefix, records))
    if session.config.json:
        print_json(
            [
                {"location": str(prefix), "package_records": [full_json(record) for record in records]}
                for prefix, records in found
            ]
        )
        return 0
    names = channel_names(session)
    lines = [
        (record.name, record.version, record.build, names.of(record), str(prefix))
        for prefix, records in found
        for record in records
    ]
    print("\n".join(table(lines, header=("# Name", "Version", "Build", "Channel", "Location"))))
    return 0


def rows(found: Mapping[str, Sequence[RepoDataRecord]], names: ChannelNames) -> list[str]:
    """The table of what was found, oldest first."""
    lines = [
        (record.name, record.version, record.build, names.of(record))
        for records in found.values()
        for record in records
    ]
    return table(lines, header=("# Name", "Version", "Build", "Channel"))


def facts(record: RepoDataRecord, names: ChannelNames) -> list[str]:
    """All that a record says, one fact a line."""
    title = f"{record.name} {record.version} {record.build}"
    pairs = [
        ("file name", record.fn),
        ("name", record.name),
        ("version", record.version),
        ("build", record.build),
        ("build number", str(record.build_number)),
        ("size", size_text(record.size) if record.size is not None else ""),
        ("license", record.license or ""),
        ("channel", names.of(record)),
        ("subdir", record.subdir),
        ("url", record.url),
        ("md5", record.md5 or ""),
        ("sha256", record.sha256 or ""),
        ("noarch", record.noarch or ""),
    ]
    lines = [title, "-" * len(title), *table([(key, value) for key, value in pairs if value])]
    for heading, items in (("depends", record.depends), ("constrains", record.constrains)):
        if items:
            lines += [f"{heading}:", *(f"  - {item}" for item in items)]
    return lines
