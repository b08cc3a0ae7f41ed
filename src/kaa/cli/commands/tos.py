"""`kaa tos`: terms of service of channels, which kaa does not ask for; scripts that accept them go on working."""

from __future__ import annotations

import argparse

from kaa.cli.arguments import add_channels, add_output, ignored
from kaa.cli.output import print_json

HELP = """Nothing to do: kaa keeps no record of who accepted which channel's terms, and asks for none.

The words and options of the plugin of that name are taken, so that scripts which call it go on working."""

WORDS = ("accept", "reject", "view", "interactive", "info", "clean")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("word", nargs="?", choices=WORDS, help="what to do")
    add_channels(parser)
    for name in ("--site", "--system", "--user", "--env", "--ignore-cache"):
        ignored(parser, name)
    for name in ("--tos-root", "--cache-timeout"):
        ignored(parser, name, nargs=None)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.json:
        print_json({})
    else:
        print("# kaa asks for no terms of service; those of a channel are with the channel.")
    return 0
