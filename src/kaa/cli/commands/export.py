"""`kaa export`: an environment as a file (the same as `kaa env export`)."""

from __future__ import annotations

import argparse

from kaa.api.session import Session
from kaa.cli import env_files

HELP = "Print an environment as a file from which it can be made again."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    env_files.add_export_arguments(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    return env_files.export(arguments, session)
