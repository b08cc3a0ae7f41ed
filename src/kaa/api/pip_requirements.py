"""What `pip:` sections ask for, as specs of the solve: their own names come from PyPI, what these need from anywhere.

What cannot be said in specs (repositories, source trees, options of pip) is left for pip, after the packages.
"""

from __future__ import annotations

import importlib
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urljoin

from msgspec.structs import replace
from packaging.version import Version

from kaa.api.pip_sections import PipSection
from kaa.api.pypi_specs import names_of, read_project
from kaa.api.session import Session
from kaa.envfiles.bounded_yaml import LARGEST_TEXT
from kaa.envfiles.spec import EnvironmentFileMissing, InvalidEnvironmentFile
from kaa.errors import KaaError
from kaa.host.files import read_bounded
from kaa.models.artifact import InvalidPackageName
from kaa.models.channel import PYPI, PYPI_SCHEME, path_to_url, split_credentials
from kaa.models.condition import is_extra
from kaa.models.match_spec import ChannelText, MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.redaction import redact
from kaa.pypi.markers import Target, decide, parse_marker
from kaa.pypi.pep440 import NotConvertible
from kaa.pypi.project_files import normalize_project
from kaa.pypi.requirement_lines import INDEXES, Line, iter_lines

DEEPEST = 10
"""Files that name files that name files."""


class UnreadableRequirement(KaaError):
    """A line of a `pip:` section that means nothing."""

    conda_name = "CondaEnvException"

    def __init__(self, line: str, reason: str) -> None:
        self.line = redact(line)
        self.reason = reason
        super().__init__(
            f"the requirement {self.line!r} cannot be read: {reason}",
            hints=("write it as in rich>=13, or rich[jupyter]==13.* ; python_version >= '3.9'",),
        )


def read_section(
    session: Session,
    lines: Sequence[str],
    folder: Path,
    *,
    named: Sequence[str] = (),
    subdir: str | None = None,
    python: str = "",
) -> PipSection:
    """What the lines of a section ask for; paths in them are relative to `folder`.

    `named` are packages that are asked for beside it, which come from any channel; `python` is its version, where that
    is known. Raises UnreadableRequirement, EnvironmentFileMissing.
    """
    if not lines or session.config.pip_section == "pip":
        return PipSection(left=tuple(lines))
    every = list(_iter_all(session, lines, folder, 0))
    if any(line.kind == "option" for line, _ in every):
        return PipSection(left=tuple(lines))
    channels = _channels(session, [line for line, _ in every if line.kind in INDEXES.values()], folder)
    if not channels:
        return PipSection(left=tuple(lines))

    reader = _Reader(session, folder, channels, frozenset(named), subdir or session.subdir, python)
    section = reader.read(every)

    def for_python(version: str) -> PipSection:
        return _Reader(session, folder, channels, frozenset(named), subdir or session.subdir, version).read(every)

    return replace(section, for_python=for_python) if reader.waits else section


def _iter_all(session: Session, texts: Sequence[str], folder: Path, depth: int) -> Iterator[tuple[Line, bool]]:
    """The lines, with those of the files that they name, and whether each is only a constraint."""
    for line in iter_lines(texts, session.environ):
        if line.kind not in ("file", "constraints"):
            yield line, False
            continue
        if depth >= DEEPEST:
            raise UnreadableRequirement(line.text, "files name one another in a circle")
        text, inner = _read(session, line.value, folder)
        for found, is_constraint in _iter_all(session, text.splitlines(), inner, depth + 1):
            yield found, is_constraint or line.kind == "constraints"


def _read(session: Session, place: str, folder: Path) -> tuple[str, Path]:
    """The text of a file or address, and what paths in it are relative to."""
    try:
        if "://" in place and not place.startswith("file:"):
            return session.client.get(session.credentials.add_url(place)).content.decode(), folder
        path = folder / place.removeprefix("file://")
        return read_bounded(path, LARGEST_TEXT).decode(), path.parent
    except OSError as error:
        raise EnvironmentFileMissing(redact(place), error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise InvalidEnvironmentFile(redact(place), f"is not UTF-8 text (byte {error.start})") from error


def _channels(session: Session, options: Sequence[Line], folder: Path) -> tuple[str, ...]:
    """Where names come from: what the options of the section say, else what `pypi` stands for."""
    by_kind: dict[str, list[str]] = {}
    for line in options:
        by_kind.setdefault(line.kind, []).append(line.value)
    texts = [_index_text(value, folder) for value in by_kind.get("extra-index", ())]
    if "no-index" not in by_kind:
        own = by_kind.get("index", ())
        if own:
            texts.append(_index_text(own[-1], folder))
        elif session.pip_configuration.indexes:
            texts.append(PYPI)
    else:
        texts = []
    return (*texts, *(_index_text(value, folder) for value in by_kind.get("links", ())))


def _index_text(value: str, folder: Path) -> str:
    """An index, or a folder of wheels, as a channel."""
    if "://" in value or value.startswith("file:"):
        return PYPI_SCHEME + value
    return PYPI_SCHEME + path_to_url(value, str(folder))


class _Reader:
    """Makes specs of the lines of one section."""

    def __init__(
        self,
        session: Session,
        folder: Path,
        channels: tuple[str, ...],
        named: frozenset[str],
        subdir: str,
        python: str,
    ) -> None:
        self._session = session
        self._folder = folder
        self._subdir = subdir
        self._named = named
        self._names = names_of(session.config)
        self._target = Target(Version(python) if python else None, subdir)
        found = session.channels(channels)
        self._channels = tuple(channel.base_url for channel in found)
        shown = PYPI if channels == (PYPI,) else self._channels[0]
        self._channel = ChannelText(shown, self._channels)
        self.waits = False
        """Whether lines wait until it is known for which Python they are."""

    def read(self, every: Sequence[tuple[Line, bool]]) -> PipSection:
        specs: list[MatchSpec] = []
        constraints: list[MatchSpec] = []
        wheels: list[tuple[Line, MatchSpec | None]] = []
        left: list[str] = []
        hashes: dict[str, tuple[str, ...]] = {}
        for line, is_constraint in every:
            if line.kind == "other":
                left.append(line.text)
            elif line.kind not in ("project", "wheel") or not self._holds(line):
                continue
            elif line.kind == "wheel":
                wheels.append((line, None))
            else:
                spec = self._spec(line)
                (constraints if is_constraint else specs).append(spec)
                if line.sha256 and spec.name:
                    hashes[spec.name] = line.sha256
        records = self._records([line for line, _ in wheels])
        specs += [self._exact(line, record) for (line, _), record in zip(wheels, records, strict=True)]
        if self.waits and "python" not in self._named:
            specs.append(MatchSpec.parse("python"))
        if left:
            # pip is to look where the section says, and to hold what the section holds.
            options = [line.text for line, _ in every if line.kind in INDEXES.values()]
            left = [*options, *left]
        return PipSection(
            specs=tuple(specs),
            constraints=tuple(constraints),
            wheels=tuple(records),
            channels=self._channels,
            left=tuple(left),
            hashes=hashes,
        )

    def _holds(self, line: Line) -> bool:
        """Whether a line counts for the target; one whose marker asks for the Python may have to wait."""
        if not line.marker:
            return True
        try:
            held = decide(parse_marker(line.marker), self._target)
        except NotConvertible as error:
            raise UnreadableRequirement(line.text, str(error)) from error
        if isinstance(held, bool):
            return held
        if self._target.python is None:
            self.waits = True
            return False
        # Nothing tells (the release of the system, say): it is installed in any case.
        return True

    def _spec(self, line: Line) -> MatchSpec:
        extras = f"[{','.join(line.extras)}]" if line.extras else ""
        try:
            spec = read_project(f"{PYPI}::{line.name}{extras}{line.range}", self._names)
        except (InvalidPackageName, NotConvertible) as error:
            raise UnreadableRequirement(line.text, str(error)) from error
        # What the rest of the file asks for as well is one thing with it, wherever it comes from.
        return replace(spec, channel=None if spec.name in self._named else self._channel)

    def _exact(self, line: Line, record: RepoDataRecord) -> MatchSpec:
        spec = MatchSpec.parse(f"{record.name}=={record.version}={record.build}")
        extras = tuple(sorted({extra for text in line.extras if is_extra(extra := normalize_project(text))}))
        return replace(spec, extras=extras) if extras else spec

    def _records(self, lines: Sequence[Line]) -> list[RepoDataRecord]:
        """The wheels that are named by address or path."""
        if not lines:
            return []
        addresses = importlib.import_module("kaa.api.wheel_addresses")
        wanted = [addresses.WheelAddress(self._url(line.value), next(iter(line.sha256), None)) for line in lines]
        found: list[RepoDataRecord] = addresses.records_of_wheels(self._session, wanted, self._subdir)
        return found

    def _url(self, place: str) -> str:
        if "://" not in place and not place.startswith("file:"):
            return path_to_url(posixpath.normpath(place.replace("\\", "/")), str(self._folder))
        if place.startswith("file:") and not place.startswith("file:///"):
            return urljoin(f"{self._folder.as_uri()}/", place.removeprefix("file:"))
        return split_credentials(self._session.credentials.add_url(place))[0]
