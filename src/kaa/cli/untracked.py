"""`kaa package --which, --untracked, --reset` and `--pkg-name`: the files of an environment and who brought them."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from kaa.api.session import Session
from kaa.api.untracked import Owned, find_owners, remove_untracked, untracked_files
from kaa.channels.loose_files import index_of, package_files
from kaa.cli.arguments import add_prompts, add_target
from kaa.cli.changing import check_changeable
from kaa.cli.configuring import ArgumentsMissing, existing_target
from kaa.cli.output import print_json, size_text
from kaa.cli.progress import clean
from kaa.cli.prompt import DryRunEnds, confirm
from kaa.models.match_spec import InvalidMatchSpec, MatchSpec


def add_untracked_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of conda's command of the same name."""
    add_target(parser)
    group = parser.add_argument_group("the files of an environment")
    group.add_argument("-w", "--which", nargs="+", metavar="PATH", help="tell which packages brought these files")
    group.add_argument(
        "-u", "--untracked", action="store_true", help="list the files that neither packages nor pip brought"
    )
    group.add_argument("-r", "--reset", action="store_true", help="remove those files, after a question")
    group.add_argument("--pkg-name", metavar="NAME", help="make a package of those files, in the working directory")
    group.add_argument("--pkg-version", metavar="VERSION", default="0.0", help="its version (default: 0.0)")
    group.add_argument("--pkg-build", metavar="BUILD", default="0", help="its build (default: 0)")
    add_prompts(parser)


def look_at_files(arguments: argparse.Namespace, session: Session) -> int:
    """Do what the flags say; raises ArgumentsMissing when they say nothing."""
    if arguments.which:
        return tell_owners(session, find_owners(session, arguments.which))
    if not (arguments.untracked or arguments.reset or arguments.pkg_name):
        raise ArgumentsMissing(
            "nothing to do",
            hints=("kaa package wheel FILE --channel DIR", "kaa package --untracked", "kaa package --which PATH"),
        )
    prefix = existing_target(arguments, session.config, session.environ)
    if arguments.reset:
        return reset(session, prefix)
    files = untracked_files(session, prefix)
    if arguments.pkg_name:
        return make_package(arguments, session, prefix, files)
    if session.config.json:
        print_json({"prefix": str(prefix), "untracked_files": list(files)})
    elif files:
        print("\n".join(map(clean, files)))
    return 0


def tell_owners(session: Session, owned: Sequence[Owned]) -> int:
    """`path  package`, one line for each; exit code 1 when a file belongs to none."""
    if session.config.json:
        print_json(
            [
                {
                    "path": str(one.path),
                    "prefix": str(one.prefix) if one.prefix else None,
                    "packages": list(one.packages),
                }
                for one in owned
            ]
        )
    else:
        for one in owned:
            nobody = "no package" if one.prefix else "in no environment"
            print(clean(f"{one.path!s:<50}  {', '.join(one.packages) or nobody}"))
    return 0 if all(one.packages for one in owned) else 1


def reset(session: Session, prefix: Path) -> int:
    """Remove what nobody brought; these files cannot be had again, so that the answer is no unless yes is given."""
    check_changeable(session, prefix)
    files = untracked_files(session, prefix)
    config = session.config
    if not config.json:
        lines = [f"These files in {prefix} belong to no package:", *(f"  {file}" for file in files)]
        print("\n".join(map(clean, lines if files else [f"No file in {prefix} belongs to no package."])))
    if config.dry_run and not config.json:
        raise DryRunEnds
    if files and not config.dry_run:
        confirm(config, "Remove them", default=False)
        remove_untracked(prefix, files)
    if config.json:
        document: dict[str, object] = {"success": True, "prefix": str(prefix), "untracked_files": list(files)}
        print_json(document | ({"dry_run": True} if config.dry_run else {}))
    return 0


def make_package(arguments: argparse.Namespace, session: Session, prefix: Path, files: Sequence[str]) -> int:
    """A package of the files that nobody brought."""
    name, version, build = arguments.pkg_name, arguments.pkg_version, arguments.pkg_build
    try:
        spec = MatchSpec.parse(f"{name}=={version}={build}")
    except InvalidMatchSpec as error:
        raise ArgumentsMissing(f"no package can be called so: {error.message}") from error
    if spec.name != name or any(character in f"{version}{build}" for character in "-*|,<>=! /"):
        raise ArgumentsMissing(f"no package can be called {name} {version} {build}")
    if not files:
        raise ArgumentsMissing(
            f"no file in {prefix} belongs to no package",
            hints=(f"see whose a file is: kaa package --which {shlex.quote(str(prefix / 'FILE'))}",),
        )
    path = package_files(prefix, files, index_of(name, version, build, session.subdir), session.cwd)
    if session.config.json:
        print_json({"success": True, "path": str(path), "files": list(files)})
    else:
        print(f"{path}  ({size_text(path.stat().st_size)}, {len(files)} files)")
    return 0
