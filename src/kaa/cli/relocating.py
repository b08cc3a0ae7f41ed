"""What cloning, renaming and moving have in common on the command line: show the plan, ask, carry it out, answer."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from kaa.api.relocating import plan_clone, relocate
from kaa.api.session import Session
from kaa.cli.changing import command_line
from kaa.cli.configuring import environment_directories
from kaa.cli.creating import agreed_replacement
from kaa.cli.output import print_json, size_text
from kaa.cli.prompt import DryRunEnds, confirm
from kaa.config.options import Config
from kaa.config.sources import expand_text
from kaa.errors import KaaError
from kaa.prefix.environments import absolute_location
from kaa.transaction.relocation_plan import How, RelocationPlan

SHOWN_FILES = 10
VERBS = {"clone": "Clone", "rename": "Rename", "move": "Move"}


class NothingBesideClone(KaaError):
    """A copy of an environment holds what that one holds, and nothing else was asked for."""

    conda_name = "TooManyArgumentsError"
    exit_code = 2

    def __init__(self, words: Sequence[str]) -> None:
        self.unexpected = tuple(words)
        super().__init__(
            f"--clone copies an environment as it is, and takes no packages: {' '.join(words)}",
            hints=("clone it first, then add packages with `kaa install`",),
        )


def clone(arguments: argparse.Namespace, session: Session, target: Path) -> int:
    """`kaa create --clone`: as conda does, nobody is asked, unless an environment is at the target."""
    if words := [*arguments.specs, *arguments.files]:
        raise NothingBesideClone(words)
    plan = plan_clone(
        session,
        named_environment(arguments.clone, session.config, session.environ),
        target,
        with_user_files=arguments.with_user_files,
        keep_frozen=arguments.keep_frozen,
        replace=agreed_replacement(session, target) is not None,
        command=command_line(arguments),
    )
    return carry_out_relocation(session, plan, ask=False)


def carry_out_relocation(session: Session, plan: RelocationPlan, *, ask: bool) -> int:
    """Show a plan, ask where that is wanted, carry it out, and print the result."""
    config = session.config
    if not config.json and not (config.quiet and config.always_yes):
        print("\n".join(["", *plan_text(plan), ""]), flush=True)
    if config.dry_run and not config.json:
        raise DryRunEnds
    if not config.dry_run:
        if ask:
            confirm(config)
        relocate(session, plan)
    if config.json:
        print_json(result(plan, dry_run=config.dry_run))
    return 0


def result(plan: RelocationPlan, *, dry_run: bool) -> dict[str, object]:
    """The answer for programs, in conda's form."""
    document: dict[str, object] = {
        "success": True,
        "untracked_files": list(plan.user_files),
        "src_prefix": str(plan.source),
        "dst_prefix": str(plan.target),
    }
    return document | {"dry_run": True} if dry_run else document


def plan_text(plan: RelocationPlan) -> list[str]:
    """What a plan comes to, as text."""
    rewritten = plan.count(How.RENDER, How.TEXT, How.BINARY, How.HEAD)
    shared = 0 if plan.other_disk else plan.count(How.SHARE)
    files = len(plan.items) + len(plan.records)
    lines = [
        f"{VERBS[plan.kind]}: {plan.source}",
        f"to: {plan.target}",
        "",
        f"  {_count(len(plan.records), 'package')}, {_count(files, 'file')}, {size_text(plan.size)}"
        + (f"; {_count(len(plan.found.pip), 'distribution')} of pip" if plan.found.pip else ""),
        f"  {shared} linked, {size_text(plan.copies_size)} written to the disk"
        + (", which is another one" if plan.other_disk else ""),
        f"  {_count(rewritten, 'file')} in which the old path may stand: written for the new one",
    ]
    if plan.replaces:
        lines += ["", f"  The environment that is at {plan.target} goes."]
    return [*lines, *_lists(plan)]


def _lists(plan: RelocationPlan) -> list[str]:
    lines: list[str] = []
    if plan.user_files and not plan.with_user_files:
        lines += _listed("Files of no package stay behind (--with-user-files takes them along):", plan.user_files)
        if plan.has_link_scripts:
            lines.append("  Scripts of packages may have made some of them when they were installed.")
    elif plan.user_files and plan.kind == "clone":
        lines += _listed("Files of no package come along:", plan.user_files)
    lines += _listed("These files of yours name the old path, and are left to you:", plan.found.mentions)
    lines += _listed("Programs of pip with the old path built in; install these distributions again:", plan.found.stuck)
    lines += _listed("No part of the environment, and left where it is:", plan.left_out)
    if plan.is_frozen and plan.kind == "clone" and not plan.keep_frozen:
        lines += ["", "  The environment is frozen; its clone is not (--keep-frozen makes it so)."]
    return lines


def _listed(title: str, paths: Sequence[str]) -> list[str]:
    if not paths:
        return []
    shown = [f"    {path}" for path in paths[:SHOWN_FILES]]
    more = [f"    and {len(paths) - SHOWN_FILES} more"] if len(paths) > SHOWN_FILES else []
    return ["", f"  {title}", *shown, *more]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# -- which environments -----------------------------------------------------------------------------------------------


def named_environment(text: str, config: Config, environ: Mapping[str, str]) -> Path:
    """The environment that a word means: a path where it holds a separator, else a name."""
    if is_path(text):
        return absolute_location(Path(expand_text(text, environ)), Path.cwd())
    return environment_directories(config).get(text)


def place_of(text: str, source: Path, config: Config, environ: Mapping[str, str]) -> Path:
    """Where an environment comes to be that gets a new name or path; under a new name it stays in its directory."""
    if is_path(text):
        return absolute_location(Path(expand_text(text, environ)), Path.cwd())
    directories = environment_directories(config)
    place = directories.place(text)
    beside = source.parent / text
    return beside if source.parent in directories.directories and not place.exists() else place


def is_path(text: str) -> bool:
    """Whether a word stands for a path rather than a name."""
    return "/" in text or "\\" in text or text in (".", "..") or text.startswith("~")


def add_force(parser: argparse.ArgumentParser) -> None:
    """--force."""
    parser.add_argument(
        "--force", action="store_true", help="where an environment is there already: the new one takes its place"
    )
