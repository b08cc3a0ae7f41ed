"""The formats of locks: which one a file has, reading and writing any of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path

from msgspec.structs import replace

from kaa.api.environment_files import read_text
from kaa.api.session import Session
from kaa.envfiles.conda_lock import conda_lock_text, parse_conda_lock
from kaa.envfiles.kaa_lock import kaa_lock_text, parse_kaa_lock
from kaa.envfiles.lock import LOCK_NAMES, InvalidLock, Lock
from kaa.envfiles.pixi_lock import parse_pixi_lock, pixi_lock_text
from kaa.envfiles.spec import EnvironmentFileMissing
from kaa.models.artifact import is_python_distribution
from kaa.models.channel import PYPI, names_index
from kaa.pypi.interpreters.addresses import is_interpreter

KAA, CONDA, PIXI, PIXI_7 = "kaa-lock", "conda-lock", "pixi-lock", "pixi-lock-v7"
LOCK_FORMATS = (KAA, CONDA, PIXI, PIXI_7)


def lock_format_of(filename: str) -> str:
    """The format in which a lock of that name is written."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    if name.endswith((".yml", ".yaml")):
        return CONDA
    return PIXI if name.startswith("pixi") else KAA


def lock_text(lock: Lock, form: str, *, sources: Iterable[str] = ()) -> str:
    """The lock in a format; raises HashMissing, NoIdentity."""
    if form == CONDA:
        return conda_lock_text(lock, sources=sources)
    if form in (PIXI, PIXI_7):
        return pixi_lock_text(lock, version=7 if form == PIXI_7 else 6)
    return kaa_lock_text(lock)


def as_written(session: Session, lock: Lock, form: str) -> Lock:
    """The lock as a format can say it: in those of others, wheels are distributions of PyPI; ours names no machine's.

    Raises InterpreterNotForOthers.
    """
    if form == KAA:
        return _with_pypi_by_name(session, lock)
    found = [record for one in lock.environments for records in one.conda.values() for record in records]
    if not any(is_python_distribution(record.fn) or is_interpreter(record) for record in found):
        return lock
    # What knows of indexes of Python packages is loaded where there is something of theirs.
    written = importlib.import_module("kaa.api.locked_wheels").with_distributions
    changed: Lock = written(session, lock, form, requirements=form != CONDA)
    return changed


def _with_pypi_by_name(session: Session, lock: Lock) -> Lock:
    """The lock with `pypi` in place of the indexes that it stands for here: it may stand for others elsewhere."""
    if not any(names_index(channel) for one in lock.environments for channel in one.channels):
        return lock
    told = {channel.base_url for channel in session.channel_config.resolve(PYPI, str(session.cwd))}
    environments = [
        replace(one, channels=tuple(dict.fromkeys(PYPI if channel in told else channel for channel in one.channels)))
        for one in lock.environments
    ]
    return replace(lock, environments=tuple(environments))


def parse_lock(text: str, filename: str) -> Lock:
    """The lock that a file of any format holds; raises InvalidLock."""
    if text.removeprefix("\ufeff").lstrip().startswith("{"):
        return parse_kaa_lock(text.removeprefix("\ufeff"), filename=filename)
    keys = {line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()}
    if "environments" in keys:
        return parse_pixi_lock(text, filename=filename)
    if "package" in keys or "metadata" in keys:
        return parse_conda_lock(text, filename=filename)
    raise InvalidLock(filename, "", "it is no lock that can be read: neither kaa.lock, conda-lock.yml nor pixi.lock")


def read_lock(session: Session, file: str) -> tuple[Lock, Path]:
    """The lock in a file or at an address, and the directory it is in; raises EnvironmentFileMissing, InvalidLock."""
    text, folder = read_text(session, file)
    return parse_lock(text, file), folder


def find_lock(session: Session, file: str | None) -> str:
    """The lock that was named, else the one in the working directory; raises EnvironmentFileMissing."""
    if file:
        return file
    found = next((name for name in LOCK_NAMES if (session.cwd / name).is_file()), None)
    if found is None:
        raise EnvironmentFileMissing(LOCK_NAMES[0], f"no lock is here, of the names {', '.join(LOCK_NAMES)}")
    return found
