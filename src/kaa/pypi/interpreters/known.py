"""The interpreters of this machine, each asked once: answers are kept on disk for as long as nothing has changed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.host.files import write_atomic
from kaa.host.process import CannotRun
from kaa.pypi.interpreters.description import RECIPE, Description, describe_interpreter
from kaa.pypi.interpreters.discovery import is_in_conda_environment, iter_interpreters

ANSWERS = "interpreters.json"
LAYOUT = f"1.{RECIPE}"
"""Of the file of answers, and of what they are about."""
CONDA = "it belongs to a conda environment"


class Unusable(msgspec.Struct, frozen=True):
    """An interpreter that environments are not made of, and why."""

    path: str
    reason: str


class Interpreters(msgspec.Struct, frozen=True):
    """The interpreters of this machine, in the order in which they are taken."""

    usable: tuple[Description, ...] = ()
    unusable: tuple[Unusable, ...] = ()

    def offered(self, subdir: str) -> list[Description]:
        """Those for a platform, one of each version and kind: the first."""
        found: dict[tuple[str, bool], Description] = {}
        for each in self.usable:
            if each.subdir == subdir:
                found.setdefault((each.interpreter.full_version, each.interpreter.free_threaded), each)
        return list(found.values())


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of asking one; `states` are the time and size of each of its parts."""

    states: dict[str, tuple[int, int]]
    search_path: str
    description: Description | None = None
    reason: str = ""
    base: str = ""
    """The interpreter that it is a copy of, in a virtual environment."""


class _Answers(msgspec.Struct, frozen=True):
    """The file of answers, by the path of the interpreter."""

    layout: str
    answers: dict[str, _Answer]


def find_interpreters(
    environ: Mapping[str, str], kept_in: Path | None, *, home: Path | None = None, running: str | None = None
) -> Interpreters:
    """What interpreters there are; `kept_in` is the directory of the file of answers, if they are to be kept.

    `running` is the program that kaa runs on, "" if that does not count.
    """
    if sys.platform != "linux":
        return Interpreters()
    home = Path.home() if home is None else home
    running = sys.executable if running is None else running
    before = _read_answers(kept_in)
    after: dict[str, _Answer] = {}
    paths = list(iter_interpreters(environ, home, running))
    own = [str(path) for path in paths if not is_in_conda_environment(path)]
    _answer(own, before, after, environ)
    _answer({answer.base for answer in after.values() if answer.base} - after.keys(), before, after, environ)
    if kept_in is not None and any(before.get(path) != answer for path, answer in after.items()):
        _write_answers(kept_in, {**before, **after})
    unusable = [Unusable(str(path), CONDA) for path in paths if str(path) not in after]
    answers = {path: after[path] for path in dict.fromkeys([*own, *after])}
    unusable += [Unusable(path, answer.reason) for path, answer in answers.items() if answer.reason]
    usable = [answer.description for answer in answers.values() if answer.description is not None]
    return Interpreters(tuple(usable), tuple(unusable))


def _answer(
    paths: Iterable[str], before: Mapping[str, _Answer], after: dict[str, _Answer], environ: Mapping[str, str]
) -> None:
    """Let each of the interpreters answer, or take what it has answered before."""
    search_path = environ.get("LD_LIBRARY_PATH", "")
    waiting = []
    for path in paths:
        known = before.get(path)
        if known is not None and known.search_path == search_path and _are_as_before(known.states):
            after[path] = known
        else:
            waiting.append(path)
    if len(waiting) == 1:
        after[waiting[0]] = _ask(waiting[0], environ)
    elif waiting:
        # Each is a process that takes its time to start.
        futures = importlib.import_module("concurrent.futures")
        with futures.ThreadPoolExecutor(min(len(waiting), os.cpu_count() or 1)) as pool:
            after.update(zip(waiting, pool.map(lambda path: _ask(path, environ), waiting), strict=True))


def _ask(path: str, environ: Mapping[str, str]) -> _Answer:
    search_path = environ.get("LD_LIBRARY_PATH", "")
    try:
        found = describe_interpreter(Path(path), environ)
    except KaaError as error:
        # What took too long today may be quicker tomorrow.
        lasting = not isinstance(error.__cause__, CannotRun)
        reason = str(getattr(error, "reason", error.message))
        return _Answer(states=_states([path]) if lasting else {}, search_path=search_path, reason=reason)
    base = found.interpreter.executable
    if base != path:
        return _Answer(states=_states([path]), search_path=search_path, base=base)
    return _Answer(states=_states(found.parts), search_path=search_path, description=found)


def _states(paths: Iterable[str]) -> dict[str, tuple[int, int]]:
    states: dict[str, tuple[int, int]] = {}
    for path in paths:
        try:
            found = os.stat(path)  # noqa: PTH116 (a hundred of them)
        except OSError:
            states[path] = (0, 0)
        else:
            states[path] = (found.st_mtime_ns, found.st_size)
    return states


def _are_as_before(states: Mapping[str, tuple[int, int]]) -> bool:
    return bool(states) and _states(states) == states


def _read_answers(kept_in: Path | None) -> dict[str, _Answer]:
    if kept_in is None:
        return {}
    try:
        found = msgspec.json.decode((kept_in / ANSWERS).read_bytes(), type=_Answers)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return found.answers if found.layout == LAYOUT else {}


def _write_answers(kept_in: Path, answers: Mapping[str, _Answer]) -> None:
    """Keep the answers of interpreters that are still there; where they cannot be kept, all are asked next time."""
    kept = {path: answer for path, answer in answers.items() if os.path.exists(path)}  # noqa: PTH110
    try:
        kept_in.mkdir(parents=True, exist_ok=True)
        write_atomic(kept_in / ANSWERS, msgspec.json.encode(_Answers(LAYOUT, kept)))
    except OSError:
        return
