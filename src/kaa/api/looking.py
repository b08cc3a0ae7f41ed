"""Looking at an environment without its lock: what others change or remove meanwhile is told as that."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from kaa.api.session import Session
from kaa.prefix.environments import absolute_location
from kaa.prefix.prefix import open_prefix
from kaa.transaction.plan import EnvironmentChanged

Rest = ParamSpec("Rest")
Found = TypeVar("Found")


@contextlib.contextmanager
def looking_at(prefix: Path) -> Iterator[None]:
    """Raise EnvironmentChanged for what was listed in an environment a moment ago and is not there any more.

    Raises NotAnEnvironment where the environment has gone as a whole.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        path = Path(os.fsdecode(error.filename or prefix))
        if not path.is_relative_to(prefix):
            raise
        open_prefix(prefix)
        raise EnvironmentChanged(prefix, [path.relative_to(prefix).as_posix()]) from error


def looks_at_environment(
    function: Callable[Concatenate[Session, Path, Rest], Found],
) -> Callable[Concatenate[Session, Path, Rest], Found]:
    """Have a function of a session and an environment look at that one as `looking_at` does."""

    @functools.wraps(function)
    def look(session: Session, prefix: Path, /, *arguments: Rest.args, **options: Rest.kwargs) -> Found:
        with looking_at(absolute_location(prefix, session.cwd)):
            return function(session, prefix, *arguments, **options)

    return look
