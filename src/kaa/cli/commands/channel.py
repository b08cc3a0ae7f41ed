"""`kaa channel`: make a channel of a folder of packages."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from kaa.api.session import Session
from kaa.channels.index import IndexedSubdir, index_channel
from kaa.cli.arguments import add_output
from kaa.cli.channel_report import report_left_out
from kaa.cli.configuring import ArgumentsMissing
from kaa.cli.output import print_json, table
from kaa.models.subdir import is_well_formed

HELP = """Make channels.

kaa channel index DIR   write repodata.json, repodata.json.zst and run_exports.json for the packages in DIR
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
    indexed = index_channel(
        Path(arguments.folder),
        subdirs=arguments.subdirs,
        reporter=session.reporter,
        verify=arguments.verify,
        shards=arguments.shards,
    )
    if session.config.json:
        print_json([_described(subdir) for subdir in indexed])
        return 1 if any(subdir.left_out for subdir in indexed) else 0
    print("\n".join(table(_rows(indexed), header=("subdir", "packages", "read"))))
    return report_left_out(indexed)


def _rows(indexed: Sequence[IndexedSubdir]) -> list[tuple[str, ...]]:
    return [(subdir.subdir, str(subdir.packages), str(subdir.read)) for subdir in indexed]


def _described(subdir: IndexedSubdir) -> dict[str, object]:
    return {
        "subdir": subdir.subdir,
        "packages": subdir.packages,
        "read": subdir.read,
        "left_out": [{"path": str(file.path), "reason": file.reason} for file in subdir.left_out],
    }
