"""`kaa scripts`: which scripts the packages of an environment bring, and whether they may run."""

from __future__ import annotations

import argparse

import msgspec

from kaa.api.package_scripts import InstalledScript, decide_scripts, list_scripts
from kaa.api.session import Session
from kaa.cli.arguments import add_output, add_target
from kaa.cli.configuring import ArgumentsMissing, existing_target
from kaa.cli.output import print_json, table
from kaa.cli.progress import OCCASIONS, clean
from kaa.prefix.script_decisions import Verdict

HELP = """Show the scripts that the packages of an environment bring: those that run when a package comes or goes, and
those that run when the environment is entered or left. The option package_scripts says what becomes of them.

    kaa scripts --name demo
    kaa scripts --name demo --allow tool       let the scripts of that package run
    kaa scripts --name demo --deny             let none of this environment run

A decision is about the content of a script: in another version it is a new one. Scripts for linking run when their
package is linked the next time: kaa install --force-reinstall PACKAGE."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("packages", nargs="*", metavar="PACKAGE", help="only the scripts of these")
    verdict = parser.add_mutually_exclusive_group()
    verdict.add_argument("--allow", dest="verdict", action="store_const", const="allowed", help="let them run")
    verdict.add_argument("--deny", dest="verdict", action="store_const", const="denied", help="do not let them run")
    add_target(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    prefix = existing_target(arguments, session.config, session.environ)
    verdict: Verdict | None = arguments.verdict
    names = [name.lower() for name in arguments.packages]
    if verdict is not None:
        decide_scripts(session, prefix, names, verdict)
    found = [one for one in list_scripts(session, prefix) if not names or name_of(one) in names]
    if names and not found:
        raise ArgumentsMissing(f"{', '.join(names)}: no scripts of that package are installed in {prefix}")
    if session.config.json:
        print_json({"success": True, "prefix": str(prefix), "scripts": [script_json(one) for one in found]})
    elif found:
        print("\n".join(table([script_row(one) for one in found])))
    else:
        print(f"The packages in {prefix} bring no scripts.")
    return 0


def name_of(one: InstalledScript) -> str:
    """The name of the package that brings a script."""
    return one.script.package.rsplit("-", 2)[0]


def script_row(one: InstalledScript) -> tuple[str, ...]:
    """A script as a line of the list."""
    state = one.decision if one.decision in ("allowed", "denied") else "may run" if one.may_run else "does not run"
    return clean(one.script.package), clean(one.script.path), OCCASIONS[one.script.occasion], state


def script_json(one: InstalledScript) -> dict[str, object]:
    """The same as data."""
    return {**msgspec.to_builtins(one.script), "decision": one.decision, "may_run": one.may_run}
