"""`kaa package`: make packages of wheels and of an interpreter of this machine; tell whose a file is."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from kaa.api.session import Session
from kaa.channels.index import index_channel
from kaa.cli.arguments import add_output
from kaa.cli.channel_report import report_left_out
from kaa.cli.configuring import ArgumentsMissing
from kaa.cli.output import error_json, error_text, print_json, size_text
from kaa.cli.untracked import add_untracked_arguments, look_at_files
from kaa.errors import KaaError
from kaa.pypi.interpreters.bundled_pip import package_pip
from kaa.pypi.interpreters.interpreter import find_interpreter
from kaa.pypi.interpreters.packaging import package_python
from kaa.pypi.wheel import PackagedWheel, package_wheel

HELP = """Make packages and put them into a channel of your own.

kaa package wheel FILE… --channel DIR       a wheel becomes a package
kaa package python [PYTHON] --channel DIR   a Python of this machine becomes a package that needs it no more
kaa package --untracked                     the files of an environment that nobody is known to have brought
kaa package --which PATH…                   the packages that brought these files
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_untracked_arguments(parser)
    add_output(parser)
    words = parser.add_subparsers(dest="word", metavar="WORD")

    wheel = words.add_parser("wheel", help="make packages of wheels", allow_abbrev=False)
    wheel.add_argument("wheels", nargs="+", metavar="FILE", help="a wheel")
    _add_target(wheel)
    wheel.add_argument(
        "--v3",
        action="store_true",
        help="keep conditions and extras of dependencies (repodata version 3, which not every program reads)",
    )
    wheel.add_argument("--python", metavar="X.Y", help="make packages for this Python alone")
    wheel.add_argument(
        "--subdir",
        "--platform",
        dest="subdir",
        metavar="SUBDIR",
        help="the platform to make a package for if its dependencies differ between platforms (default: this one)",
    )
    add_output(wheel)
    wheel.set_defaults(perform=make_of_wheels)

    python = words.add_parser("python", help="make a package of a Python of this machine", allow_abbrev=False)
    python.add_argument(
        "interpreter",
        nargs="?",
        default="python3",
        metavar="PYTHON",
        help="a path or a name (default: python3 on PATH)",
    )
    _add_target(python)
    python.add_argument("--no-pip", action="store_true", help="make no packages of the pip that comes with it")
    add_output(python)
    python.set_defaults(perform=make_of_python)


def _add_target(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--channel",
        dest="folder",
        metavar="DIR",
        required=True,
        help="the folder of the channel; made if missing",
    )
    parser.add_argument("--no-index", action="store_true", help="leave the channel's index as it is")
    parser.add_argument("--level", type=int, metavar="N", help="how hard to compress, 1 to 19 (default: 12)")


def run(arguments: argparse.Namespace, session: Session) -> int:
    if arguments.word is None:
        return look_at_files(arguments, session)
    if arguments.level is not None and not 1 <= arguments.level <= 19:
        raise ArgumentsMissing("--level goes from 1 to 19")
    Path(arguments.folder).mkdir(parents=True, exist_ok=True)
    code: int = arguments.perform(arguments, session)
    return code


def make_of_wheels(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa package wheel`: a wheel that is refused keeps nobody from the others."""
    if arguments.python and not re.fullmatch(r"3\.[0-9]+", arguments.python):
        raise ArgumentsMissing(f"--python {arguments.python} is not of the form 3.12")
    made: list[PackagedWheel] = []
    failed: list[KaaError] = []
    for text in arguments.wheels:
        try:
            made.append(_make_of_wheel(Path(text), arguments, session))
        except KaaError as error:
            failed.append(error)
    for failure in failed:
        if not session.config.json:
            print(error_text(failure), file=sys.stderr)
    code = _finish(arguments, session, made)
    if session.config.json:
        print_json({"packages": _described(made), "errors": [error_json(failure) for failure in failed]})
    return 1 if failed else code


def _make_of_wheel(path: Path, arguments: argparse.Namespace, session: Session) -> PackagedWheel:
    if not path.is_file():
        raise ArgumentsMissing(f"there is no file {path}")
    return package_wheel(
        path,
        Path(arguments.folder),
        subdir=session.subdir,
        v3=arguments.v3,
        python=arguments.python,
        level=arguments.level,
    )


def make_of_python(arguments: argparse.Namespace, session: Session) -> int:
    """`kaa package python`."""
    interpreter = find_interpreter(arguments.interpreter, session.environ.get("PATH", ""))
    folder = Path(arguments.folder)
    python = package_python(
        interpreter, folder, environ=session.environ, reporter=session.reporter, level=arguments.level
    )
    notes = list(python.notes)
    made: list[PackagedWheel] = []
    if not arguments.no_pip:
        made = package_pip(python.interpreter, folder, subdir=python.path.parent.name, level=arguments.level)
        if not made:
            notes.append(f"{interpreter} has no pip, so there is no package of it")
    of_python = PackagedWheel(interpreter, (python.path,), tuple(notes))
    code = _finish(arguments, session, [of_python, *made])
    if session.config.json:
        print_json({"packages": _described([of_python, *made]), "carried_libraries": list(python.carried)})
    return code


def _finish(arguments: argparse.Namespace, session: Session, made: Sequence[PackagedWheel]) -> int:
    """Tell what was made, and index the channel."""
    if not session.config.json:
        for package in made:
            for path in package.paths:
                print(f"{path}  ({size_text(path.stat().st_size)})")
            for note in package.notes:
                print(f"  note: {note}", file=sys.stderr)
    if arguments.no_index or not made:
        return 0
    indexed = index_channel(Path(arguments.folder), reporter=session.reporter)
    return report_left_out(indexed)


def _described(made: Sequence[PackagedWheel]) -> list[dict[str, object]]:
    return [
        {"source": str(package.wheel), "notes": list(package.notes), "path": str(path), "size": path.stat().st_size}
        for package in made
        for path in package.paths
    ]
