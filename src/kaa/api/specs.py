"""Specs as they are meant here: the configuration and the working directory say what their channels stand for.

`defaults::zlib` asks for zlib from any channel of that multichannel, `./mine::tool` from a folder below the working
directory. A name keeps the text that was typed; a path, which means something only where it was typed, becomes a URL.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

from msgspec.structs import replace

from kaa.api.session import Session
from kaa.models.channel import InvalidChannel, UrlCredential, is_path, normalize_url, path_to_url, split_package_url
from kaa.models.match_spec import ChannelText, MatchSpec


def read_specs(session: Session, specs: Iterable[str | MatchSpec]) -> tuple[MatchSpec, ...]:
    """What a user typed as specs; raises InvalidMatchSpec, InvalidChannel."""
    return tuple(resolve_spec(session, MatchSpec.parse(spec) if isinstance(spec, str) else spec) for spec in specs)


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
