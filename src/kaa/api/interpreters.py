"""What kaa tells of the interpreters of this machine when no environment can be made with a Python of the channels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from kaa.api.session import Session
from kaa.models.channel import Channel
from kaa.models.match_spec import MatchSpec
from kaa.models.pattern import Pattern
from kaa.pypi.interpreters.advice import interpreter_hints, interpreter_lines
from kaa.pypi.interpreters.known import find_interpreters
from kaa.solver.failures import PackagesNotFound, Unsolvable

Failure: TypeAlias = PackagesNotFound | Unsolvable
PYTHON = "python"
_NAMES_PYTHON = Pattern(r"\bpython(?![\w.-])", re.ASCII)


def with_interpreters(
    session: Session, error: Failure, channels: Sequence[Channel], subdir: str, asked: Sequence[MatchSpec]
) -> Failure:
    """The error, and what Pythons this machine has, if it is about Python and a channel of Python packages is asked."""
    if not any(channel.base_url.startswith("pypi+") for channel in channels) or not _is_about_python(error):
        return error
    found = find_interpreters(session.environ, session.package_cache.index_directory())
    versions = [str(spec.version) for spec in asked if spec.name == PYTHON and spec.version is not None]
    error.message = "\n".join([error.message, *interpreter_lines(found, subdir)])
    error.hints = tuple(dict.fromkeys([*error.hints, *interpreter_hints(found, subdir, versions)]))
    return error


def _is_about_python(error: Failure) -> bool:
    if isinstance(error, PackagesNotFound):
        return any(spec.name == PYTHON for spec in error.specs)
    return any(map(_NAMES_PYTHON.search, [*error.causes, *error.requests, *error.pins]))
