"""Specs as they are meant here: the configuration and the working directory say what their channels stand for.

`defaults::zlib` asks for zlib from any channel of that multichannel, `./mine::tool` from a folder below the working
directory. A name keeps the text that was typed; a path, which means something only where it was typed, becomes a URL.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec.structs import replace

from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.models.channel import (
    PYPI,
    InvalidChannel,
    UrlCredential,
    is_path,
    names_index,
    normalize_url,
    path_to_url,
    split_package_url,
)
from kaa.models.match_spec import ChannelText, MatchSpec
from kaa.models.pattern import Pattern
from kaa.models.record import RepoDataRecord
from kaa.prefix.prefix import Prefix

_OF_PYPI = ("pypi::", "pypi+")
_EXTRAS = Pattern(r"\[[A-Za-z0-9._,\s-]+\]")


def read_specs(
    session: Session, specs: Iterable[str | MatchSpec], installed: Sequence[RepoDataRecord] = ()
) -> tuple[MatchSpec, ...]:
    """What a user typed as specs, of an environment with these packages; raises InvalidMatchSpec, InvalidChannel."""
    given = tuple(specs)
    only_pypi = any(isinstance(spec, str) for spec in given) and (
        lives_on_indexes(session, installed) or _takes_python_packages_only(session, given)
    )
    return tuple(
        resolve_spec(session, _parse(session, spec, only_pypi) if isinstance(spec, str) else spec) for spec in given
    )


def parse_specs(session: Session, texts: Sequence[str], prefix: Path | None = None) -> tuple[MatchSpec, ...]:
    """What a user typed as specs whose channels are still as they were written; raises InvalidMatchSpec.

    `prefix` is the environment that they are for, if there is one.
    """
    only_pypi = bool(texts) and (
        _takes_python_packages_only(session, texts) or (prefix is not None and _lives_on_indexes_alone(session, prefix))
    )
    return tuple(_parse(session, text, only_pypi) for text in texts)


def parse_file_spec(session: Session, text: str, channels: Sequence[str] = ()) -> MatchSpec:
    """A spec of a file that names these channels, as it is written there; raises InvalidMatchSpec."""
    if channels:
        only_pypi = all(channel == PYPI or channel.startswith(_OF_PYPI) for channel in channels)
    else:
        only_pypi = _takes_python_packages_only(session, [text])
    return _parse(session, text, only_pypi)


def _parse(session: Session, text: str, only_pypi: bool) -> MatchSpec:
    """A spec as it was typed; where it is one of a Python project, its name is that of PyPI."""
    is_project = text.lstrip().startswith(_OF_PYPI) or (only_pypi and "::" not in text)
    if is_project or _EXTRAS.search(text) is not None:
        pypi_specs = importlib.import_module("kaa.api.pypi_specs")
        spec: MatchSpec | None
        if is_project:
            spec = pypi_specs.read_project(text, pypi_specs.names_of(session.config))
        else:
            spec = pypi_specs.read_extras(text)
        if spec is not None:
            return spec
    return MatchSpec.parse(text)


def lives_on_indexes(session: Session, installed: Iterable[RepoDataRecord]) -> bool:
    """Whether all packages of an environment came from indexes of Python packages, and no channel is configured.

    This machine's interpreters come with such an index.
    """
    channels = {record.channel for record in installed}
    return bool(channels) and "channels" not in session.config.values and all(map(names_index, channels))


def _lives_on_indexes_alone(session: Session, prefix: Path) -> bool:
    environment = Prefix(prefix)
    if "channels" in session.config.values or not environment.is_environment():
        return False
    return lives_on_indexes(session, environment.records())


def _takes_python_packages_only(session: Session, specs: Iterable[str | MatchSpec]) -> bool:
    """Whether no other channels are in play than indexes of Python packages."""
    for spec in specs:
        channel = spec.partition("::")[0] if isinstance(spec, str) and "::" in spec else ""
        if isinstance(spec, MatchSpec) and spec.channel:
            channel = spec.channel
        if channel and not f"{channel}::".startswith(_OF_PYPI):
            return False
    try:
        return all(channel.is_pypi for channel in session.channels())
    except KaaError:
        # Who needs the channels is told what is wrong with them.
        return False


def resolve_spec(session: Session, spec: MatchSpec) -> MatchSpec:
    """A spec that knows what its channel and its address stand for; raises InvalidChannel.

    Credentials that came with them are remembered for the client.
    """
    if spec.url is not None and is_path(spec.url):
        spec = _with_whole_url(session, spec, spec.url)
    elif spec.url is not None and spec.credentials.url is not None:
        _remember(session, spec.url.rpartition("/")[0], spec.credentials.url)
    text = spec.channel
    if text is None or isinstance(text, ChannelText) or _is_pattern(text):
        return spec
    channels = session.channel_config.resolve(text, str(session.cwd))
    if spec.credentials.channel is not None:
        _remember(session, channels[0].base_url, spec.credentials.channel)
    if is_path(text):
        return replace(spec, channel=channels[0].base_url)
    return replace(spec, channel=ChannelText(text, [channel.base_url for channel in channels]))


def resolve_kept_spec(session: Session, spec: MatchSpec) -> MatchSpec:
    """As `resolve_spec`, for a spec of an environment's history: a channel that means nothing any more stays as is."""
    with contextlib.suppress(InvalidChannel):
        return resolve_spec(session, spec)
    return spec


def channels_named(specs: Iterable[MatchSpec]) -> list[str]:
    """The channels that specs name, as they are written; a pattern names none."""
    return [spec.channel for spec in specs if spec.channel and not _is_pattern(spec.channel)]


def _is_pattern(text: str) -> bool:
    return "*" in text or text.startswith(("^", "<"))


def _with_whole_url(session: Session, spec: MatchSpec, path: str) -> MatchSpec:
    """A spec for one package file, whose path was given; its folder's channel, where that is one, comes along."""
    folder, _, file_name = path.replace("\\", "/").rpartition("/")
    url = normalize_url(path_to_url(folder or "/", str(session.cwd), str(session.config.home))) + f"/{file_name}"
    base_url, subdir, _ = split_package_url(url)
    return replace(spec, url=url, channel=spec.channel or (base_url if subdir else None))


def _remember(session: Session, prefix: str, credential: UrlCredential) -> None:
    session.credentials.add(prefix, credential, token_root=credential.token_root)
