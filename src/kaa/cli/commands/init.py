"""`kaa init`: teach shells to enter environments, by a few lines in their start-up files."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType

from kaa.cli.arguments import add_output, flag, ignored
from kaa.cli.called import program_name
from kaa.cli.entering import Entering
from kaa.cli.output import print_json
from kaa.errors import KaaError
from kaa.host.directories import home_directory
from kaa.shell.dialects.table import MODULES, get_dialect
from kaa.shell.init import (
    Edit,
    UnfitStartupFile,
    describe,
    execute,
    installed_shells,
    plan_install,
    plan_removal,
    read_startup_file,
    startup_file,
    startup_lines,
)
from kaa.shell.init_places import plan_for_all_users, search_path_lines, system_file

HELP = """Teach shells to activate environments: write a few lines into their start-up files.

The lines stand between two marks; nothing else in the files changes. Without a shell: the one you use ($SHELL).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The words and flags of this command."""
    parser.add_argument("shells", nargs="*", metavar="SHELL", help="bash, zsh, fish, tcsh, xonsh, powershell, …")
    parser.add_argument("--all", action="store_true", help="all shells of this machine")
    parser.add_argument("--reverse", action="store_true", help="take the lines out again")
    parser.add_argument(
        "--conda",
        "--install",
        action="store_true",
        help="instead of that, let kaa answer to the name conda in the root prefix: bin/conda, bin/activate, …",
    )
    flag(parser, "-d", "--dry-run", option="dry_run", help="show what would change, and stop")
    parser.add_argument("--no-user", action="store_true", help="leave the start-up files of the user alone")
    parser.add_argument("--system", action="store_true", help="write start-up files for all users of this machine")
    parser.add_argument(
        "--condabin", action="store_true", help="only put condabin of the root prefix on PATH, without a shell function"
    )
    ignored(parser, "--user")
    ignored(parser, "--anaconda-prompt")
    ignored(parser, "-y", "--yes")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    """Plan the edits, then write them and say which files changed."""
    if arguments.conda:
        in_condas_place: ModuleType = importlib.import_module("kaa.cli.in_condas_place")
        code: int = in_condas_place.run(arguments)
        return code
    edits = plan(arguments)
    if not arguments.dry_run:
        for edit in edits:
            execute(edit)
    if arguments.json:
        print_json(describe(edits))
        return 0
    for edit in edits:
        word = "no change" if not edit.changes else "would change" if arguments.dry_run else "changed"
        print(f"{word:<12}  {edit.path}")
        if arguments.dry_run:
            sys.stdout.write(difference(edit))
    if any(edit.changes for edit in edits) and not arguments.dry_run:
        print("\nOpen a new shell for this to take effect." if not arguments.quiet else "", end="\n")
    return 0


def plan(arguments: argparse.Namespace) -> list[Edit]:
    """The edits that the command line asks for, one for each file."""
    environ, home = os.environ, str(home_directory(os.environ))
    entering = Entering(arguments, environ, sys.argv[0])
    shells = list(arguments.shells)
    if arguments.all:
        shells += installed_shells(environ, home=home, system=sys.platform)
    if arguments.no_user and not arguments.system:
        raise NothingToWrite
    edits: dict[str, Edit] = {}
    for shell in shells or [users_shell()]:
        for path, family, for_all in places(arguments, shell, environ, home):
            if path in edits:
                continue
            before = read_startup_file(path)
            if arguments.reverse:
                edits[path] = plan_removal(path, before, program_name())
            else:
                lines = lines_for(arguments, entering, family)
                write = plan_for_all_users if for_all else plan_install
                edits[path] = write(path, before, lines, program_name())
    return list(edits.values())


def places(
    arguments: argparse.Namespace, shell: str, environ: Mapping[str, str], home: str
) -> Iterator[tuple[str, str, bool]]:
    """The start-up files that are meant: each with the shell whose lines it holds, and whether it is all users'."""
    if not arguments.no_user:
        yield startup_file(shell, environ, home=home, system=sys.platform), shell, False
    if arguments.system:
        try:
            yield *system_file(shell, program_name(), system=sys.platform), True
        except UnfitStartupFile:
            # Whoever means all shells means those that have one.
            if not arguments.all:
                raise


class NothingToWrite(KaaError):
    """The flags leave no file over."""

    conda_name = "ArgumentError"
    exit_code = 2

    def __init__(self) -> None:
        super().__init__(
            "--no-user leaves no start-up file over",
            hints=("for all users of this machine: kaa init --no-user --system",),
        )


class CondabinMissing(KaaError):
    """There is no directory that could be put on PATH."""

    conda_name = "CondaValueError"

    def __init__(self, directory: str) -> None:
        super().__init__(f"there is no {directory} to put on PATH", hints=("make it: kaa init --conda",))
        self.directory = directory


def lines_for(arguments: argparse.Namespace, entering: Entering, shell: str) -> bytes:
    """What is written for a shell: its function, or with --condabin a directory on PATH alone."""
    if not arguments.condabin:
        return hook_lines(entering, shell)
    directory = os.path.join(entering.installation.root_prefix, "condabin")  # noqa: PTH118
    if not os.path.isdir(directory):  # noqa: PTH112
        raise CondabinMissing(directory)
    return search_path_lines(shell, directory)


def plan_for(entering: Entering, shell: str, path: str) -> Edit:
    """The edit of one start-up file that teaches a shell to activate environments."""
    return plan_install(path, read_startup_file(path), hook_lines(entering, shell), program_name())


def hook_lines(entering: Entering, shell: str) -> bytes:
    """The lines that teach a shell to activate environments."""
    home = str(home_directory(entering.environ))
    hook = (
        entering.shell(get_dialect(shell)).hook(entering.default(), name=program_name()).text
        if MODULES[shell] == "nushell"
        else ""
    )
    return startup_lines(shell, hook_words(entering, shell, home), hook)


def users_shell() -> str:
    """The user's shell, as far as `$SHELL` tells; else bash."""
    name = os.environ.get("SHELL", "").replace("\\", "/").rpartition("/")[2]
    return name if name in MODULES else "bash"


def hook_words(entering: Entering, shell: str, home: str) -> list[str]:
    """The words that print the hook, also in a shell that knows nothing of kaa yet."""
    root = entering.installation.root_prefix
    if program_name() == "conda":
        # The program knows its root prefix, and its words are those that tools look for.
        return [*entering.installation.command, f"shell.{shell}", "hook"]
    elsewhere = ["--root-prefix", root] if root != os.path.join(home, "kaa") else []  # noqa: PTH118
    return [*entering.installation.command, "shell", "hook", shell, *elsewhere]


def difference(edit: Edit) -> str:
    """The lines that come and go, as diff shows them."""
    before = (edit.before or b"").decode("utf-8", "replace").splitlines(keepends=True)
    after = (edit.after or b"").decode("utf-8", "replace").splitlines(keepends=True)
    lines = difflib.unified_diff(before, after, edit.path, edit.path)
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)
