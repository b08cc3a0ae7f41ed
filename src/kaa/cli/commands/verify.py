"""`kaa verify`: what of environments is not as it was installed."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.api.verifying import every_environment, verify_environment
from kaa.cli.arguments import add_output
from kaa.cli.configuring import existing_target
from kaa.cli.output import error_json, print_json, report_error, size_text
from kaa.cli.progress import clean
from kaa.errors import KaaError
from kaa.prefix.damage import DamagedPackage
from kaa.prefix.verification import UnmetDependency, Verification

HELP = """Tell what of an environment is not as it was installed: every file is compared with its package's hash.

    kaa verify -n demo -n other

The exit code is 0 when nothing is wrong, 1 when something is, and 2 when an environment could not be looked at. Files
of pip and of your own are no problem; -v lists those that no package brought. `kaa repair` puts right what can be."""

COULD_NOT_LOOK = 2

MOST_PATHS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    add_output(parser)


def add_targets(parser: argparse.ArgumentParser) -> None:
    """--name and --prefix, several times, and --all."""
    group = parser.add_argument_group("which environments")
    group.add_argument(
        "-n",
        "--name",
        dest="targets",
        action="append",
        type=lambda text: ("name", text),
        metavar="NAME",
        help="the environment of that name; may be repeated",
    )
    group.add_argument(
        "-p",
        "--prefix",
        dest="targets",
        action="append",
        type=lambda text: ("prefix", text),
        metavar="DIR",
        help="the environment in that directory; may be repeated",
    )
    group.add_argument("--all", dest="every", action="store_true", help="every environment that is known")


def run(arguments: argparse.Namespace, session: Session) -> int:
    prefixes, errors = find_targets(arguments, session)
    found: list[Verification] = []
    for prefix in prefixes:
        try:
            found.append(verify_environment(session, prefix))
        except KaaError as error:
            errors.append(error)
    if session.config.json and (found or not errors):
        print_json(verify_json(found, errors))
    else:
        lines = [line for one in found for line in verification_lines(one, session)]
        print("\n".join(clean(line) for line in lines), end="\n" if lines else "")
        for problem in errors:
            report_error(problem, as_json=session.config.json)
    if errors:
        return COULD_NOT_LOOK
    return 0 if all(one.is_clean for one in found) else 1


def find_targets(arguments: argparse.Namespace, session: Session) -> tuple[list[Path], list[KaaError]]:
    """The environments that are named, each once, or all; else the active one or base. And the names of none."""
    if arguments.every:
        return list(every_environment(session)), []
    prefixes: list[Path] = []
    errors: list[KaaError] = []
    for kind, text in arguments.targets or [("name", None)]:
        named = argparse.Namespace(**{kind: text})
        try:
            prefixes.append(existing_target(named, session.config, session.environ))
        except KaaError as error:
            errors.append(error)
    return list(dict.fromkeys(prefixes)), errors


# -- for people -------------------------------------------------------------------------------------------------------


def verification_lines(found: Verification, session: Session) -> Iterator[str]:
    """What is wrong with one environment, by package."""
    everything = session.config.verbosity > 0
    name = session.environments.name_of(Path(found.prefix))
    yield f"{name}: {counted(found.packages, 'package')}, {counted(found.files, 'file')}, {size_text(found.size)}"
    if found.busy:
        yield f"  {found.busy} is changing this environment now; ask again when that has ended"
    if found.interrupted:
        yield "  a change of this environment was interrupted; finish it or take it back:"
        yield f"    kaa recover --prefix {shlex.quote(found.prefix)}"
    if found.moved_from:
        yield f"  it was moved here from {found.moved_from}, which its programs still look for"
    for broken in found.broken_records:
        yield f"  {broken.path} ({broken.kind}): {broken.reason}"
    yield from package_lines(found, MOST_PATHS if not everything else None)
    yield from foreign_lines(found, everything=everything)
    if not found.problems:
        yield "Nothing is wrong."
        return
    yield f"{counted(found.problems, 'problem')}."
    if not found.busy:
        yield f"  try: kaa repair --prefix {shlex.quote(found.prefix)}"


def counted(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def package_lines(found: Verification, most: int | None) -> Iterator[str]:
    """What is wrong with packages: their files, then their dependencies."""
    damaged = {package.dist: package for package in found.damaged}
    unmet: dict[str, list[UnmetDependency]] = {}
    for one in found.unmet:
        unmet.setdefault(one.package, []).append(one)
    for dist in sorted({*damaged, *unmet}):
        yield f"  {dist}"
        if dist in damaged:
            yield from damage_lines(damaged[dist], most)
        for one in unmet.get(dist, ()):
            there = f"there is {', '.join(one.installed)}" if one.installed else "nothing like it is there"
            says = "needs" if one.kind == "depends" else "goes only with"
            yield f"    {says} {one.spec}, and {there}"


def damage_lines(package: DamagedPackage, most: int | None) -> Iterator[str]:
    """The changed and the missing files of a package, at most so many."""
    lines = [f"    changed  {one.path}: {one.reason}" for one in package.changed]
    lines += [f"    missing  {path}" for path in package.missing]
    yield from lines[:most]
    if most is not None and len(lines) > most:
        yield f"    and {len(lines) - most} more; -v lists all"
    if package.overwritten_by:
        yield f"    overwritten by pip: {', '.join(package.overwritten_by)}"


def foreign_lines(found: Verification, *, everything: bool) -> Iterator[str]:
    """What no package brought."""
    for one in found.pip:
        installer = one.installer or "pip or its like"
        yield f"  installed by {installer}: {one.name} {one.version} ({counted(one.files, 'file')})"
    if found.files_of_broken_records:
        yield f"  {counted(len(found.files_of_broken_records), 'file')} of packages whose records are broken"
    if found.user_files:
        yield f"  {counted(len(found.user_files), 'file')} of no package{':' if everything else '; -v lists them'}"
        if everything:
            yield from (f"    {path}" for path in found.user_files)


# -- for programs -----------------------------------------------------------------------------------------------------


def verify_json(found: list[Verification], errors: list[KaaError]) -> dict[str, object]:
    """The same as data."""
    return {
        "success": not errors,
        "clean": not errors and all(one.is_clean for one in found),
        "environments": [
            {"clean": one.is_clean, "problems": one.problems, **msgspec.to_builtins(one)} for one in found
        ],
        "errors": [error_json(error) for error in errors],
    }
