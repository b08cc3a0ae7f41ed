"""`kaa export`: an environment as a file (the same as `kaa env export`)."""

from __future__ import annotations

import argparse

from kaa.api.session import Session
from kaa.cli.exporting import add_export_arguments, export

HELP = "Print an environment as a file from which it can be made again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_export_arguments(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    return export(arguments, session)
