"""`kaa plugins list`: what extends kaa. Nothing does but the programs `kaa-<word>` on PATH."""

from __future__ import annotations

import argparse

from kaa.cli.arguments import add_output
from kaa.cli.output import print_json

HELP = "List plugins: kaa has none. Programs called kaa-NAME on PATH are commands (`kaa commands` names them)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    words = parser.add_subparsers(dest="word", metavar="WORD", required=True)
    listing = words.add_parser("list", help="list the plugins", allow_abbrev=False)
    add_output(listing)


def run(arguments: argparse.Namespace) -> int:
    if arguments.json:
        print_json([])
    else:
        print("# No plugins.")
    return 0
