"""`kaa channel`: make a channel of a folder of packages."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.channels.index import IndexedSubdir, index_channel
from kaa.channels.sharding import shard_channel
from kaa.cli.arguments import add_output
from kaa.cli.channel_report import report_left_out
from kaa.cli.configuring import ArgumentsMissing
from kaa.cli.output import print_json, table
from kaa.models.repodata import ChannelRelations
from kaa.models.subdir import is_well_formed

HELP = """Make channels.

kaa channel index DIR            write repodata.json, repodata.json.zst and run_exports.json for the packages in DIR
kaa channel index --shards DIR   the same, and sharded repodata
kaa channel index --base ../conda-forge DIR   say that conda-forge goes with this channel, and comes before it
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    index = words.add_parser(
        "index",
        help="write the index of a channel",
        description="Write the index of a channel: of noarch, and of every platform that has a folder in it. Packages "
        "that have not changed since the last time are not read again. Damaged packages are left out, and told about.",
        allow_abbrev=False,
    )
    index.add_argument("folder", metavar="DIR", help="the folder of the channel")
    index.add_argument(
        "--subdir",
        "--platform",
        dest="subdirs",
        action="append",
        metavar="SUBDIR",
        help="index this one, and noarch; may be repeated",
    )
    index.add_argument("--verify", action="store_true", help="unpack every package, to see whether that is possible")
    index.add_argument(
        "--shards",
        action="store_true",
        help="write sharded repodata, too, so that clients fetch only the packages that they look at; a channel that "
        "has it keeps it, also without this flag",
    )
    index.add_argument(
        "--from-repodata",
        action="store_true",
        help="leave repodata.json as it is, and write shards for what it says; the packages need not be there",
    )
    relations = index.add_argument_group("channels that go with this one")
    relations.add_argument(
        "--base", metavar="../NAME", help="the channel that this one builds on, and that comes first"
    )
    relations.add_argument("--overrides", metavar="../NAME", help="the channel that this one comes before")
    relations.add_argument("--no-relations", action="store_true", help="say no longer that others go with this one")
    add_output(index)
    index.set_defaults(perform=index_folder)


def run(arguments: argparse.Namespace, session: Session) -> int:
    code: int = arguments.perform(arguments, session)
    return code


def index_folder(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa channel index`."""
    for subdir in arguments.subdirs or ():
        if not is_well_formed(subdir):
            raise ArgumentsMissing(f"{subdir} is not the name of a platform", hints=("a name such as linux-64",))
    relations = relations_of(arguments)
    if arguments.from_repodata:
        return shard_folder(arguments, session)
    indexed = index_channel(
        Path(arguments.folder),
        subdirs=arguments.subdirs,
        reporter=session.reporter,
        verify=arguments.verify,
        shards=arguments.shards,
        relations=relations,
    )
    if session.config.json:
        print_json([_described(subdir) for subdir in indexed])
        return 1 if any(subdir.left_out for subdir in indexed) else 0
    print("\n".join(table(_rows(indexed), header=("subdir", "packages", "read"))))
    return report_left_out(indexed)


def relations_of(arguments: argparse.Namespace) -> ChannelRelations | None:
    """What the channel is to say of others; None for what it says already."""
    given = arguments.base is not None or arguments.overrides is not None
    if not given and not arguments.no_relations:
        return None
    if given and arguments.no_relations:
        raise ArgumentsMissing("--no-relations contradicts --base and --overrides", hints=("leave one of them out",))
    for flag, is_given in (("--subdir", bool(arguments.subdirs)), ("--from-repodata", arguments.from_repodata)):
        if is_given:
            reason = "what a channel says of others is said in all its subdirs"
            raise ArgumentsMissing(f"--base, --overrides and --no-relations do not go with {flag}: {reason}")
    return ChannelRelations(base=arguments.base, overrides=arguments.overrides)


def shard_folder(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa channel index --from-repodata`."""
    sharded = shard_channel(Path(arguments.folder), subdirs=arguments.subdirs, reporter=session.reporter)
    if session.config.json:
        print_json(msgspec.to_builtins(sharded))
        return 0
    rows = [(found.subdir, str(found.shards), str(found.written)) for found in sharded]
    print("\n".join(table(rows, header=("subdir", "shards", "written"))))
    for found in sharded:
        for name in found.left_out:
            print(f"left out of {found.subdir}: {name!a} is no file name of a package", file=sys.stderr)
    return 0


def _rows(indexed: Sequence[IndexedSubdir]) -> list[tuple[str, ...]]:
    return [(subdir.subdir, str(subdir.packages), str(subdir.read)) for subdir in indexed]


def _described(subdir: IndexedSubdir) -> dict[str, object]:
    return {
        "subdir": subdir.subdir,
        "packages": subdir.packages,
        "read": subdir.read,
        "shards": None if subdir.shards is None else subdir.shards.shards,
        "left_out": [{"path": str(file.path), "reason": file.reason} for file in subdir.left_out],
    }
