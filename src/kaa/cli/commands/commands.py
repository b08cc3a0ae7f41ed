"""`kaa commands`: the names of all commands, one a line, for shells and scripts."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from kaa.cli.arguments import add_output
from kaa.cli.output import print_json
from kaa.cli.table import COMMANDS

HELP = "Print the names of all commands, those of other programs on PATH (kaa-NAME) included."

PREFIX = "kaa-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    own = {name for command in COMMANDS if not command.hidden for name in (command.name, *command.aliases)}
    names = sorted(own | set(external_commands(os.environ.get("PATH", ""))))
    if arguments.json:
        print_json(names)
    else:
        print("\n".join(names))
    return 0


def external_commands(search_path: str) -> Iterator[str]:
    """The words for which a program `kaa-<word>` is on the search path."""
    for directory in filter(None, search_path.split(os.pathsep)):
        try:
            entries = list(os.scandir(directory))
        except OSError:
            continue
        for entry in entries:
            name = entry.name.removesuffix(".exe").removesuffix(".bat")
            if name.startswith(PREFIX) and name != PREFIX and os.access(entry.path, os.X_OK) and entry.is_file():
                yield name.removeprefix(PREFIX)
