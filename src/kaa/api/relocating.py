"""Clone an environment, rename it, move it to another path or disk: always from its own files, without a network.

plan = plan_clone(session, Path("envs/old"), Path("envs/new"))
relocate(session, plan)
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kaa.api.environments import EnvironmentExists, subdir_of
from kaa.api.looking import looking_at
from kaa.api.registering import registrar
from kaa.api.session import Session
from kaa.api.settling import settle
from kaa.config.values import link_options
from kaa.prefix.environments import absolute_location
from kaa.prefix.prefix import Prefix, open_prefix
from kaa.prefix.record_files import read_counting_records
from kaa.prefix.state import check_not_frozen, is_frozen
from kaa.transaction.plan import python_of
from kaa.transaction.relocation import PathChange
from kaa.transaction.relocation_execute import RelocationInTheWay, check_relocation, check_target
from kaa.transaction.relocation_execute import relocate as execute_relocation
from kaa.transaction.relocation_marker import belongs_to_relocation, read_marker
from kaa.transaction.relocation_plan import CannotRelocate, How, Kind, RelocationPlan
from kaa.transaction.relocation_survey import OF_THE_ROOT, Surveyor

BLOCK = 4096
IN_THE_WAY = 10.0
"""Seconds of pauses, after which it is clear that nobody ends what is in the way."""
PAUSE = 0.05


class _Wish(msgspec.Struct, frozen=True):
    """What was asked for, with absolute paths."""

    kind: Kind
    source: Path
    target: Path
    replace: bool
    with_user_files: bool = False
    keep_frozen: bool = False
    command: str = ""


def plan_clone(
    session: Session,
    source: Path,
    target: Path,
    *,
    with_user_files: bool = False,
    keep_frozen: bool = False,
    replace: bool = False,
    command: str = "",
) -> RelocationPlan:
    """A new environment with the packages, requests, pins, variables and pip distributions of another one.

    Files of nobody come along when asked for, and so does the mark that the environment is frozen. With `replace` an
    environment at the target goes. Raises NotAnEnvironment, EnvironmentExists, CannotRelocate, PrefixTooLong.
    """
    source, target = absolute_location(source, session.cwd), absolute_location(target, session.cwd)
    return _plan(session, _Wish("clone", source, target, replace, with_user_files, keep_frozen, command))


def plan_rename(
    session: Session, source: Path, target: Path, *, replace: bool = False, command: str = ""
) -> RelocationPlan:
    """An environment at another path, with everything that is in it; the old path is free afterwards."""
    source, target = absolute_location(source, session.cwd), absolute_location(target, session.cwd)
    return _plan(session, _Wish("rename", source, target, replace, command=command))


def plan_move(
    session: Session, source: Path, target: Path, *, replace: bool = False, command: str = ""
) -> RelocationPlan:
    """The same as a rename; the name for a path on any disk."""
    source, target = absolute_location(source, session.cwd), absolute_location(target, session.cwd)
    return _plan(session, _Wish("move", source, target, replace, command=command))


def relocate(session: Session, plan: RelocationPlan) -> None:
    """Carry out a plan: the new environment is there at once and whole, or not at all.

    Another one that is under way at its paths is waited for, and one that was interrupted there is settled.
    """
    options = link_options(session.config, environ=session.environ)
    seconds = 0.0
    while True:
        try:
            execute_relocation(
                plan, options, session.reporter, checkpoint=session.checkpoint, registrar=registrar(session)
            )
            return
        except RelocationInTheWay as error:
            # Begun since this was planned. Settling waits for whoever holds the locks, which are ours no more here.
            is_marked = read_marker(plan.target) is not None or belongs_to_relocation(error.directory)
            if seconds > IN_THE_WAY or not is_marked:
                raise
        for prefix in (plan.source, plan.target):
            settle(session, prefix)
        # The very first moment of another one has no lock yet.
        time.sleep(PAUSE)
        seconds += PAUSE


def _plan(session: Session, wish: _Wish) -> RelocationPlan:
    source, target = wish.source, wish.target
    for prefix in (source, target):
        settle(session, prefix)
    environment = open_prefix(source)
    is_base = _same(source, session.config.root_prefix)
    if wish.kind != "clone":
        _check_goes(session, source, wish.kind, is_base=is_base)
    _check_apart(source, target, is_base=is_base)
    replaces = _check_free(session, target, wish.kind, replace=wish.replace)
    with looking_at(source):
        plan = _look_at(session, wish, environment, is_base=is_base, replaces=replaces)
    if wish.kind != "clone" and plan.left_out:
        raise _holds_others(source, plan.left_out)
    check_relocation(plan)
    return plan


def _look_at(session: Session, wish: _Wish, environment: Prefix, *, is_base: bool, replaces: bool) -> RelocationPlan:
    """The plan that follows from what is there."""
    source, kind = wish.source, wish.kind
    records = read_counting_records(environment)
    subdir = subdir_of(session, records)
    old = dict.fromkeys([os.fsencode(source), os.fsencode(source.resolve())])
    change = PathChange(tuple(old), os.fsencode(wish.target), subdir)
    surveyor = Surveyor(
        environment,
        records,
        change,
        kind,
        is_base=is_base,
        with_user_files=wish.with_user_files,
        always_copy=session.config.always_copy,
        keep_frozen=wish.keep_frozen,
    )
    try:
        found = surveyor.look()
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise CannotRelocate(source, f"cannot be read: {error.filename or source}: {error.strerror}") from error
    other_disk = _device(source) != _device(wish.target)
    written = [item.size for item in found.items if other_disk or item.how is not How.SHARE]
    return RelocationPlan(
        kind=kind,
        source=source,
        is_base=is_base,
        target=wish.target,
        change=change,
        subdir=subdir,
        python=python_of(records, subdir),
        records=records,
        found=found,
        with_user_files=surveyor.with_user_files,
        other_disk=other_disk,
        is_frozen=is_frozen(environment),
        keep_frozen=wish.keep_frozen,
        copies_size=sum(-(-size // BLOCK) * BLOCK for size in written),
        command=wish.command,
        replaces=replaces,
    )


def _check_goes(session: Session, source: Path, kind: Kind, *, is_base: bool) -> None:
    """Raise CannotRelocate for an environment that must stay where it is."""
    verb = "renamed" if kind == "rename" else "moved"
    if is_base:
        raise CannotRelocate(
            source,
            f"cannot be {verb}: it is the base environment",
            "clone it with `kaa create --clone base --name NAME`",
        )
    active = session.environ.get("CONDA_PREFIX")
    if active and _same(Path(active), source):
        raise CannotRelocate(
            source, f"cannot be {verb}: it is active in this shell", "leave it first with `kaa deactivate`"
        )
    if source.is_symlink():
        raise CannotRelocate(
            source,
            f"cannot be {verb}: it is a link to {source.resolve()}",
            f"name that directory: --prefix {shlex.quote(str(source.resolve()))}",
            "rename the link itself with `mv`: the environment stays where it is",
        )
    if session.config.protect_frozen_envs:
        check_not_frozen(Prefix(source))


def _check_apart(source: Path, target: Path, *, is_base: bool) -> None:
    """Raise CannotRelocate where one environment would lie in the other, or both are one."""
    if _same(source, target):
        raise CannotRelocate(target, "is that environment already", "give another name or path")
    real, place = source.resolve(), target.resolve()
    if real in place.parents and not (is_base and place.relative_to(real).parts[0] in OF_THE_ROOT):
        raise CannotRelocate(target, f"lies in {source}, and cannot be made of it", "choose a path outside of it")
    if place in real.parents and target.exists():
        raise CannotRelocate(target, f"holds {source}, and cannot be replaced by it", "choose another path")


def _check_free(session: Session, target: Path, kind: Kind, *, replace: bool) -> bool:
    """Whether an environment at the target is replaced; raises where something is there that stays."""
    if not Prefix(target).is_environment():
        check_target(target)
        return False
    active = session.environ.get("CONDA_PREFIX")
    kept = [session.config.root_prefix, *([Path(active)] if active else [])]
    stays = target.is_symlink() or any(_same(target, one) for one in kept)
    if stays or (not replace and kind == "clone"):
        raise EnvironmentExists(target)
    if not replace:
        ways_out = ("choose another name or path", "add --force: the environment that is there is removed then")
        raise CannotRelocate(target, "is an environment already", *ways_out)
    if session.config.protect_frozen_envs:
        check_not_frozen(Prefix(target))
    return True


def _holds_others(source: Path, others: Sequence[str]) -> CannotRelocate:
    shown = ", ".join(others[:3]) + (", …" if others[3:] else "")
    return CannotRelocate(
        source,
        f"has other environments or a package cache below it, which would stop working elsewhere: {shown}",
        "move these first, one by one",
        f"clone it with `kaa create --clone {shlex.quote(str(source))} …`: what lies below it stays where it is",
    )


def _same(path: Path, other: Path) -> bool:
    try:
        return path == other or path.samefile(other)
    except OSError:
        return False


def _device(path: Path) -> int:
    """The file system of a path, or of the nearest directory above it that is there."""
    return next(one for one in (path, *path.parents) if one.exists()).stat().st_dev
