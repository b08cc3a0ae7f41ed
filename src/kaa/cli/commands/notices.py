"""`kaa notices`: what the channels have to say to those who use them."""

from __future__ import annotations

import argparse
import sys

import msgspec

from kaa.api.notices import fetch_notices
from kaa.api.session import Session
from kaa.cli.arguments import add_channels, add_network, add_output
from kaa.cli.output import print_json
from kaa.cli.progress import clean

HELP = """Show the notices of the channels.

kaa asks for them here, and beside other work only where number_channel_notices says so."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_channels(parser)
    add_network(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    found = fetch_notices(session)
    for one in found:
        if one.problem:
            print(f"warning: {one.problem}", file=sys.stderr)
    if session.config.json:
        print_json(
            [
                {"channel_name": one.channel.name, **msgspec.to_builtins(notice)}
                for one in found
                for notice in one.notices
            ]
        )
        return 0
    lines = [f"{one.channel.name} [{notice.level}]: {notice.message}" for one in found for notice in one.notices]
    print("\n".join(map(clean, lines)) or "# No notices.")
    return 0
