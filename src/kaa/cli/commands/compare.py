"""`kaa compare`: whether an environment holds what a file asks for."""

from __future__ import annotations

import argparse

from kaa.api.comparing import Lack, compare_with_file
from kaa.api.session import Session
from kaa.cli.arguments import add_output, add_target
from kaa.cli.configuring import existing_target
from kaa.cli.output import print_json
from kaa.cli.progress import clean

HELP = """Tell whether an environment holds what a file asks for: an environment.yml, a list of specs or of packages.

The exit code is 0 when nothing is missing, else 1. What the environment holds beyond the file does not matter."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the file, or its address")
    add_target(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    prefix = existing_target(arguments, session.config, session.environ)
    lacks = compare_with_file(session, prefix, arguments.file)
    sentences = [sentence(lack) for lack in lacks] or [f"{prefix} holds all that {arguments.file} asks for."]
    if session.config.json:
        print_json(sentences)
    else:
        print("\n".join(map(clean, sentences)))
    return 1 if lacks else 0


def sentence(lack: Lack) -> str:
    """`tool >=2 is not there`, `tool >=2 is asked for; tool 1.0 0 is there`."""
    wanted = f"{lack.wanted} (by pip)" if lack.by_pip else lack.wanted
    return f"{wanted} is asked for; {lack.found} is there" if lack.found else f"{wanted} is not there"
