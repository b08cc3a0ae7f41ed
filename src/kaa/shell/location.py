"""Which environment a word on the command line means, found without the rooms that know more about environments.

A word with a slash is a path; `base` and `root` are the root prefix; all other words are names, looked up in the
directories of named environments, in order.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence

from kaa.errors import KaaError
from kaa.prefix.interruption import interruption, is_set_aside, is_unsettled


class EnvironmentNameNotFound(KaaError):
    """No environment has that name."""

    conda_name = "EnvironmentNameNotFound"

    def __init__(self, name: str, directories: Sequence[str]) -> None:
        known = sorted({entry for directory in directories for entry in _environments_in(directory)})
        near = importlib.import_module("difflib").get_close_matches(name, known)
        have = f"the environments are: {', '.join(known)}" if known else f"make it: kaa create --name {name} PACKAGES"
        super().__init__(
            f"No environment is named {name!r} (looked in: {', '.join(directories)}).",
            hints=(
                *([f"did you mean {' or '.join(near)}?"] if near else ()),
                have,
                "give the path of an environment, with a slash in it",
            ),
        )
        self.environment_name = name
        self.directories = tuple(directories)


class EnvironmentLocationNotFound(KaaError):
    """There is no environment at that path."""

    conda_name = "EnvironmentLocationNotFound"

    def __init__(self, location: str) -> None:
        super().__init__(
            f"Not an environment: {location} (it has no directory conda-meta).",
            hints=("list the environments: kaa env list", f"make it: kaa create --prefix {location} PACKAGES"),
        )
        self.location = location


class BaseIsEmpty(EnvironmentLocationNotFound):
    """The base environment is meant, because it was named or because no other was, and holds nothing yet."""

    def __init__(self, location: str, *, named: bool = False) -> None:
        KaaError.__init__(
            self,
            f"{'' if named else 'No environment is active or named, and '}base is no environment yet: {location}",
            hints=(
                "say which one is meant: -n NAME (kaa env list shows the names)",
                "make one: kaa create --name NAME PACKAGES",
                f"put something into base: kaa create --prefix {location} PACKAGES",
            ),
        )
        self.location = location


class EnvironmentUnsettled(KaaError):
    """There is no environment for the moment: a change was interrupted, or is under way."""

    conda_name = "EnvironmentLocationNotFound"

    def __init__(self, location: str, reason: str) -> None:
        super().__init__(f"There is no environment at {location} now: {reason}.")
        self.location = location
        self.reason = reason


def is_environment(prefix: str) -> bool:
    """Whether the directory holds an environment."""
    return os.path.isdir(f"{prefix}/conda-meta")  # noqa: PTH112


def find_environment(word: str, *, root_prefix: str, directories: Sequence[str], cwd: str, home: str) -> str:
    """The absolute path of the environment that the word means; links in it stay as they are written."""
    if word in ("base", "root"):
        if not is_environment(root_prefix) and not is_unsettled(root_prefix):
            raise BaseIsEmpty(root_prefix, named=True)
        return get_environment(root_prefix, cwd=cwd, home=home)
    if "/" in word or os.sep in word or word in (".", "..", "~"):
        return get_environment(word, cwd=cwd, home=home)
    for directory in directories:
        prefix = f"{directory.rstrip('/')}/{word}"
        if word and (is_environment(prefix) or is_unsettled(prefix)):
            return get_environment(prefix, cwd=cwd, home=home)
    raise EnvironmentNameNotFound(word, directories)


def get_environment(path: str, *, cwd: str, home: str) -> str:
    """The absolute path of the environment at that path."""
    expanded = home + path[1:] if path == "~" or path.startswith("~/") else path
    prefix = os.path.normpath(os.path.join(cwd, expanded))  # noqa: PTH118
    if not is_environment(prefix):
        if reason := interruption(prefix):
            raise EnvironmentUnsettled(prefix, reason)
        raise EnvironmentLocationNotFound(prefix)
    return prefix


def directories_read(word: str, prefix: str, directories: Sequence[str]) -> tuple[str, ...]:
    """Where `find_environment` looked for a name before it came to the environment at `prefix`."""
    if word in ("base", "root") or "/" in word:
        return ()
    found: list[str] = []
    for directory in directories:
        if os.path.normpath(f"{directory}/{word}") == prefix:
            break
        found += [directory, f"{directory.rstrip('/')}/{word}"]
    return tuple(found)


def _environments_in(directory: str) -> list[str]:
    try:
        return [
            name
            for name in os.listdir(directory)  # noqa: PTH208
            if is_environment(f"{directory}/{name}") and not is_set_aside(name)
        ]
    except OSError:
        return []
