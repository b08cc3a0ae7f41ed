"""Files that say what an environment is to hold: read from disk or from an address, put together, with their channels.

Environment files (CEP 24) and text files of specs or of packages (CEP 23) are read; locks are `kaa.api.locked`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.api.specs import parse_file_spec
from kaa.config.sources import expand_text
from kaa.envfiles.bounded_yaml import LARGEST_TEXT
from kaa.envfiles.environment_yaml import parse_environment_yaml
from kaa.envfiles.lock import is_lock_name
from kaa.envfiles.spec import EnvironmentFileMissing, EnvironmentSpec, InvalidEnvironmentFile, is_yaml
from kaa.envfiles.text_specs import ExplicitEntry, is_explicit_list, parse_text_specs
from kaa.host.files import read_bounded
from kaa.models.channel import names_index

DEFAULT_FILES = ("environment.yml", "environment.yaml")


class FileContent(msgspec.Struct, frozen=True):
    """What a file says; `folder` is what paths in it are relative to."""

    filename: str
    spec: EnvironmentSpec
    folder: Path
    entries: tuple[ExplicitEntry, ...] = ()
    """Packages by address, which are not solved for."""


def find_file(session: Session, file: str | None) -> str:
    """The file that was named, else the environment file in the working directory."""
    return file or next((name for name in DEFAULT_FILES if (session.cwd / name).is_file()), DEFAULT_FILES[0])


def read_environment_file(session: Session, file: str, subdir: str | None = None) -> FileContent:
    """What a file says for a platform (default: the session's); raises EnvironmentFileMissing, InvalidEnvironmentFile.

    An address may stand in place of a path.
    """
    text, folder = read_text(session, file)
    return parse_environment_file(session, text, file, folder, subdir)


def parse_environment_file(
    session: Session, text: str, file: str, folder: Path, subdir: str | None = None
) -> FileContent:
    """The same of a text that was read; the name of the file tells its kind."""
    read = partial(parse_file_spec, session)
    if is_yaml(file):
        spec = parse_environment_yaml(text, filename=file, subdir=subdir or session.subdir, read_spec=read)
        return FileContent(file, spec, folder)
    content = parse_text_specs(
        text, filename=file, expand=lambda location: expand_text(location, session.environ), read=read
    )
    return FileContent(file, EnvironmentSpec(specs=content.specs), folder, content.entries)


def is_lock(session: Session, file: str) -> bool:
    """Whether a file is a lock, by its name; explicit lists have names that end so, too, and tell by their content."""
    if not is_lock_name(file) or is_yaml(file):
        return is_lock_name(file)
    try:
        return not is_explicit_list(read_text(session, file)[0])
    except EnvironmentFileMissing:
        # Whoever reads it says so.
        return True


def read_text(session: Session, file: str) -> tuple[str, Path]:
    """The text of a file or address, and the directory it is in."""
    try:
        if "://" in file:
            data, folder = session.client.get(session.credentials.add_url(file)).content, session.cwd
        else:
            path = session.cwd / expand_text(file, session.environ)
            data, folder = read_bounded(path, LARGEST_TEXT), path.parent
    except OSError as error:
        raise EnvironmentFileMissing(file, error.strerror or str(error)) from error
    try:
        return data.decode(), folder
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InvalidEnvironmentFile(
            file, f"is not UTF-8 text (byte {error.start})", line=line, hints=("save it as UTF-8",)
        ) from error


def put_together(every: Sequence[EnvironmentSpec]) -> EnvironmentSpec:
    """One description of what several say; of names and variables, those of the last one count."""
    variables: dict[str, str] = {}
    for spec in every:
        variables.update(spec.variables)
    return EnvironmentSpec(
        name=next((spec.name for spec in reversed(every) if spec.name), None),
        prefix=next((spec.prefix for spec in reversed(every) if spec.prefix), None),
        channels=_each_once(channel for spec in every for channel in spec.channels),
        only_these_channels=any(spec.only_these_channels for spec in every),
        specs=tuple({str(wanted): wanted for spec in every for wanted in spec.specs}.values()),
        pip=_each_once(line for spec in every for line in spec.pip),
        variables=variables,
        platforms=_each_once(platform for spec in every for platform in spec.platforms),
        unknown_keys=_each_once(key for spec in every for key in spec.unknown_keys),
    )


def _each_once(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))


def channels_for(
    session: Session, spec: EnvironmentSpec, given: Sequence[str] = (), *, override: bool = False
) -> tuple[str, ...]:
    """The channels for what a file says: those of the command line, the file's, the configured ones.

    With `override` it is those of the command line alone.
    """
    if override:
        return tuple(given)
    from_file = [expand_text(channel, session.environ) for channel in spec.channels]
    named = [*given, *from_file]
    configured = () if spec.only_these_channels else session.config.channels
    if named and "channels" not in session.config.values and all(map(names_index, named)):
        # The channel that is there when nobody configures any is not for who names indexes of Python packages alone.
        configured = ()
    return tuple(dict.fromkeys([*given, *from_file, *configured]))
