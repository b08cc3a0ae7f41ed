"""From parsed arguments to an open session: the configuration, the target environment, the reporter."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from kaa.api.session import Session
from kaa.cli.configuring import configure
from kaa.cli.progress import reporting
from kaa.errors import KaaError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def run_with_session(run: Callable[[argparse.Namespace, Session], int], arguments: argparse.Namespace) -> int:
    """Open a session as the arguments and the configuration say, and run a command in it."""
    environ: Mapping[str, str] = os.environ
    config = configure(arguments, environ)
    # From here on the command (and the report of an error) goes by what counts, wherever it was set.
    arguments.json = config.json
    with reporting(config) as reporter, Session(config, reporter, environ=environ, cwd=Path.cwd()) as session:
        session.consent = lambda count: importlib.import_module("kaa.cli.prompt").consent_to_scripts(config, count)
        try:
            return run(arguments, session)
        except KaaError as error:
            base = str(config.root_prefix)
            if getattr(error, "location", None) != base or Path(base, "conda-meta").exists():
                raise
            named = bool(getattr(arguments, "name", None) or getattr(arguments, "prefix", None))
            raise importlib.import_module("kaa.shell.location").BaseIsEmpty(base, named=named) from None
