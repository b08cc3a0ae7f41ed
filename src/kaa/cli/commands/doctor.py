"""`kaa doctor`: look at an installation as a whole, and put right what can safely be put right."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kaa.api.doctoring import choose_checks, examine, health_checks, mend
from kaa.api.health import Diagnosis, Finding, Patient
from kaa.api.session import Session
from kaa.cli.arguments import add_frozen, add_network, add_output, flag
from kaa.cli.commands.init import plan_for, users_shell
from kaa.cli.configuring import ArgumentsMissing, configure, existing_target, root_prefix_of
from kaa.cli.entering import Entering
from kaa.cli.output import print_json, table
from kaa.cli.program import as_called
from kaa.cli.progress import clean, reporting
from kaa.cli.prompt import Declined, confirm
from kaa.config.options import Config
from kaa.errors import KaaError
from kaa.host.directories import home_directory
from kaa.shell.init import Edit, installed_shells, startup_file

HELP = """Look at this installation as a whole: configuration, shells, caches, environments.

    kaa doctor                     the installation, and a quick look at all environments
    kaa doctor -n demo             one environment, file by file
    kaa doctor package-cache path  these checks alone; --list names all
    kaa doctor --fix               put right what can safely be put right, each after a question

The exit code is 0 when nothing is wrong, 1 when there are errors (with --strict: or warnings), 2 when a check cannot be
made as it was asked for."""

MARKS = {"ok": "ok", "warning": "warning", "error": "ERROR", "skipped": "skipped"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="make these checks only")
    group = parser.add_argument_group("which environments").add_mutually_exclusive_group()
    group.add_argument("-n", "--name", metavar="NAME", help="look closely at the environment of that name")
    group.add_argument("-p", "--prefix", metavar="DIR", help="look closely at the environment in that directory")
    parser.add_argument("--list", dest="listing", action="store_true", help="list the checks")
    parser.add_argument("--fix", "--heal", dest="fix", action="store_true", help="put right what can safely be")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors for the exit code")
    flag(parser, "-y", "--yes", option="always_yes", help="do not ask")
    flag(parser, "-d", "--dry-run", option="dry_run", help="with --fix: show what would be done, and stop")
    add_network(parser)
    add_frozen(parser)
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    if arguments.listing:
        list_checks(arguments)
        return 0
    environ: Mapping[str, str] = os.environ
    try:
        config = configure(arguments, environ)
    except ArgumentsMissing:
        raise
    except KaaError as error:
        # That is the first thing that a doctor is asked about.
        return Visit(arguments, None).run(make_patient(arguments, environ, None, error))
    arguments.json = config.json
    with reporting(config) as reporter, Session(config, reporter, environ=environ, cwd=Path.cwd()) as session:
        return Visit(arguments, config).run(make_patient(arguments, environ, session, None))


def list_checks(arguments: argparse.Namespace) -> None:
    """Name the checks."""
    checks = health_checks()
    if arguments.json:
        print_json(
            {"checks": [{"name": one.name, "help": one.help, "environment": one.of_environment} for one in checks]}
        )
    else:
        rows = [(one.name, one.help, "with -n or -p" if one.of_environment else "") for one in checks]
        print("\n".join(table(rows)))


def make_patient(
    arguments: argparse.Namespace, environ: Mapping[str, str], session: Session | None, problem: KaaError | None
) -> Patient:
    """What the checks look at."""
    prefixes: tuple[Path, ...] = ()
    if session is not None:
        prefixes = (existing_target(arguments, session.config, environ),)
    return Patient(
        environ=environ,
        home=home_directory(environ),
        cwd=Path.cwd(),
        root_prefix=root_prefix_of(arguments, environ),
        session=session,
        problem=problem,
        prefixes=prefixes,
        startup=lambda: startup_edits(arguments, environ),
        program=sys.argv[0],
    )


def startup_edits(arguments: argparse.Namespace, environ: Mapping[str, str]) -> list[tuple[str, Edit | KaaError]]:
    """What `kaa init` would write for the shells of this machine, that of the user first."""
    home = str(home_directory(environ))
    found: dict[str, tuple[str, Edit | KaaError]] = {}
    entering = Entering(arguments, environ, sys.argv[0])
    for shell in (users_shell(), *installed_shells(environ, home=home, system=sys.platform)):
        path = startup_file(shell, environ, home=home, system=sys.platform)
        if path in found:
            continue
        try:
            found[path] = shell, plan_for(entering, shell, path)
        except KaaError as error:
            found[path] = shell, error
    return list(found.values())


class Visit:
    """One run: what is told as it is found, and what is put right."""

    def __init__(self, arguments: argparse.Namespace, config: Config | None) -> None:
        self.arguments = arguments
        self.as_json = bool(arguments.json)
        self.config = config
        self.everything = bool(config and config.verbosity)
        self.fixed: list[dict[str, object]] = []

    def run(self, patient: Patient) -> int:
        """Make the checks, put right what is wanted, and answer the exit code."""
        arguments = self.arguments
        closely = bool(arguments.name or arguments.prefix)
        checks = choose_checks(arguments.checks, of_environment=closely)
        found: list[Diagnosis] = []
        for diagnosis in examine(patient, checks):
            found.append(diagnosis)
            self._tell(diagnosis)
        mendable = [(one.check, finding) for one in found for finding in one.findings if finding.fix is not None]
        if arguments.fix and self._mend(mendable):
            # What is left is what counts.
            again = choose_checks([check.name for check in checks], of_environment=closely)
            found = list(examine(patient, again))
        elif mendable and not arguments.fix and not self.as_json:
            print(as_called(f"\n`kaa doctor --fix` can put right {len(mendable)} of these."))
        if self.as_json:
            print_json(self._document(found))
        bad = {"error", "warning"} if arguments.strict else {"error"}
        return 1 if any(one.status in bad for one in found) else 0

    def _tell(self, diagnosis: Diagnosis) -> None:
        if self.as_json:
            return
        shown = [one for one in diagnosis.findings if self.everything or one.status != "ok"]
        print(f"{MARKS[diagnosis.status]:<8} {diagnosis.check}")
        for finding in shown:
            print(f"         {clean(as_called(finding.what))}")
            if finding.advice:
                print(f"           try: {clean(as_called(finding.advice))}")
        sys.stdout.flush()

    def _mend(self, mendable: Sequence[tuple[str, Finding]]) -> bool:
        """Put right what the user agrees to; whether anything was."""
        for check, finding in mendable:
            fix = finding.fix
            if fix is None or self.config is None:
                continue
            entry: dict[str, object] = {"check": check, "what": fix.what, "done": False}
            self.fixed.append(entry)
            if self.config.dry_run:
                self._say(f"would {fix.what}")
                continue
            try:
                self._say(f"\n{fix.what}:")
                confirm(self.config)
            except Declined:
                continue
            problem = mend(finding)
            entry |= {"done": not problem, "problem": problem}
            self._say(f"not done: {problem}" if problem else "done")
        return any(entry["done"] for entry in self.fixed)

    def _say(self, text: str) -> None:
        if not self.as_json:
            print(clean(as_called(text)), flush=True)

    def _document(self, found: Sequence[Diagnosis]) -> dict[str, object]:
        return {
            "success": True,
            "healthy": all(one.status in ("ok", "skipped") for one in found),
            "checks": [
                {
                    "name": one.check,
                    "status": one.status,
                    "findings": [
                        {
                            "status": finding.status,
                            "what": as_called(finding.what),
                            "advice": as_called(finding.advice),
                            "fix": as_called(finding.fix.what) if finding.fix is not None else None,
                        }
                        for finding in one.findings
                    ],
                }
                for one in found
            ],
            "fixed": self.fixed,
        }
