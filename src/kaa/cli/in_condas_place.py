"""`kaa init --conda`: kaa answers to the name conda in its root prefix."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import kaa
from kaa.cli.entering import Entering
from kaa.cli.main import CONDA_VERSION
from kaa.cli.output import print_json
from kaa.host.locks import file_lock
from kaa.host.process import run as run_program
from kaa.models.redaction import redact
from kaa.prefix.interruption import LOCK
from kaa.shell.conda_files import CondaPlace, conda_files
from kaa.shell.conda_root import (
    CondaPlan,
    describe_conda_plan,
    execute_conda_plan,
    plan_conda,
    plan_conda_removal,
    site_packages_of,
)


def run(arguments: argparse.Namespace) -> int:
    """Plan, say what changes, and change it."""
    root = Entering(arguments, os.environ, sys.argv[0]).installation.root_prefix
    told = plan(root, reverse=arguments.reverse)
    if not arguments.dry_run and told.changes:
        Path(root, "conda-meta").mkdir(parents=True, exist_ok=True)
        with file_lock(Path(root) / LOCK):
            told = plan(root, reverse=arguments.reverse)
            execute_conda_plan(
                told,
                date=time.strftime("%Y-%m-%d %H:%M:%S"),
                command=redact(" ".join([sys.argv[0], *arguments.words])),
                program=f"kaa {kaa.__version__}",
            )
    if arguments.json:
        print_json(describe_conda_plan(told, dry_run=bool(arguments.dry_run)))
    else:
        tell(told, arguments)
    return 0


def plan(root_prefix: str, *, reverse: bool) -> CondaPlan:
    """What is to change in the root prefix."""
    if reverse:
        return plan_conda_removal(root_prefix)
    place = CondaPlace(
        root_prefix, sys.executable, CONDA_VERSION, site_packages_of(root_prefix), found_without_variables()
    )
    return plan_conda(root_prefix, conda_files(place), CONDA_VERSION)


def found_without_variables() -> bool:
    """Whether this interpreter finds kaa without the variables that bear on Python, as in programs of environments."""
    if "PYTHONPATH" not in os.environ:
        return True
    return run_program([sys.executable, "-EP", "-c", "import kaa.cli.main"]).code == 0


def tell(told: CondaPlan, arguments: argparse.Namespace) -> None:
    """Say what changed, or would change."""
    would = "would be " if arguments.dry_run else ""
    for word, paths in (("written", told.written), ("removed", told.removed)):
        for path in paths:
            print(f"{would}{word}  {told.root_prefix}/{path}")
    for path in told.kept:
        print(f"changed by somebody since, left as it is  {told.root_prefix}/{path}", file=sys.stderr)
    if not told.changes:
        print("nothing to change")
    elif not arguments.dry_run and not arguments.reverse and not arguments.quiet:
        print(
            f"\nkaa now answers to the name conda: {told.root_prefix}/bin/conda\n"
            f"Put {told.root_prefix}/condabin on PATH, or teach your shell: {told.root_prefix}/bin/conda init"
        )
