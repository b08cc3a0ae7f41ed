"""`kaa recover`: finish or take back an interrupted change."""

from __future__ import annotations

import argparse

from kaa.api.recovering import Recovery, recover_environment
from kaa.api.session import Session
from kaa.cli.arguments import add_output, add_target
from kaa.cli.configuring import existing_target
from kaa.cli.output import print_json

HELP = """Finish or take back an interrupted change of an environment, from what lies there, without a network.

A change that was complete is finished; any other is taken back, and the environment is what it was before."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    recovery = recover_environment(session, existing_target(arguments, session.config, session.environ))
    if session.config.json:
        prefix = str(recovery.prefix)
        print_json({"success": True, "prefix": prefix, "outcome": recovery.outcome, "exists": recovery.exists})
    else:
        print(recovery_text(recovery))
    return 0


def recovery_text(recovery: Recovery) -> str:
    """What was done, in a sentence."""
    prefix = recovery.prefix
    if recovery.outcome == "nothing":
        return f"No change of {prefix} was interrupted; there is nothing to do."
    if recovery.outcome == "finished":
        if recovery.exists:
            return f"The interrupted change of {prefix} was complete; it is finished now."
        return f"The interrupted removal of {prefix} is finished now; there is no environment."
    if recovery.exists:
        return f"The interrupted change of {prefix} is taken back; the environment is what it was before."
    return f"The interrupted creation of {prefix} is taken back; there is no environment."
