"""`kaa diff`: in what an environment differs between two points in time."""

from __future__ import annotations

import argparse

from kaa.api.generations import NOW, Point, compare_generations
from kaa.api.session import Session
from kaa.cli.arguments import add_output, add_target
from kaa.cli.configuring import existing_target
from kaa.cli.differing import difference_lines, differences_json
from kaa.cli.output import print_json
from kaa.cli.progress import clean
from kaa.cli.records import channel_names

HELP = """Show what changed in an environment: packages, what was asked for, what pip installed, variables and pins.

    kaa diff            from the generation before the latest to the latest
    kaa diff 3          from generation 3 to the environment as it is
    kaa diff 3 7        from generation 3 to generation 7
    kaa diff now        from the latest generation to the environment as it is

`kaa history` shows the generations."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("old", nargs="?", type=point, metavar="FROM", help="the number of a generation, or now")
    parser.add_argument("new", nargs="?", type=point, metavar="TO", help="the number of a generation, or now")
    add_target(parser)
    add_output(parser)


def point(text: str) -> Point:
    """A generation by its number, or `now`."""
    if text == NOW:
        return NOW
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is neither the number of a generation nor `now`")


def run(arguments: argparse.Namespace, session: Session) -> int:
    prefix = existing_target(arguments, session.config, session.environ)
    found = compare_generations(session, prefix, arguments.old, arguments.new)
    if session.config.json:
        document = {"success": True, "prefix": str(found.prefix), "old": found.old, "new": found.new}
        print_json({**document, "same": found.changes.is_empty, **differences_json(found.changes)})
        return 0
    lines = list(difference_lines(found.changes, channel_names(session))) or ["  Nothing is different."]
    print("\n".join(clean(line) for line in [f"{shown(found.old)} -> {shown(found.new)}", *lines]))
    return 0


def shown(one: Point) -> str:
    """`generation 3`, `now`"""
    return one if isinstance(one, str) else f"generation {one}"
