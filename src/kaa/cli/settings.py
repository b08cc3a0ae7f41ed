"""Options and their values as `kaa config` and the reference show them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Collection, Mapping
from urllib.parse import urlsplit

from kaa.config.options import Config, Option
from kaa.models.channel import split_credentials
from kaa.models.redaction import redact

SOURCE_NAMES = {"environment": "envvars", "command line": "cmd_line"}
"""What conda calls the sources that are no files."""


def shown(value: object) -> object:
    """A value as it may be shown: without the credentials in its addresses, tuples as lists."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {str(key): shown(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [shown(item) for item in value]
    return value


def yaml_lines(key: str, value: object) -> list[str]:
    """`key: value`, lists and maps below it, in the form of conda's `config --show`."""
    if isinstance(value, list) and value:
        return [f"{key}:", *(f"  - {_inline(item)}" for item in value)]
    if isinstance(value, dict) and value:
        lines = [f"{key}:"]
        for name, item in value.items():
            lines += [f"  {line}" for line in yaml_lines(name, item)]
        return lines
    return [f"{key}: {_inline(value)}"]


def _inline(value: object) -> str:
    if isinstance(value, str):
        # Quoted where the text alone would not show where it begins and ends.
        return value if value and value == value.strip() else f"'{value}'"
    if isinstance(value, list | dict):
        return json.dumps(value)
    return str(value)


def sources_of(config: Config, names: Collection[str] | None) -> dict[str, dict[str, object]]:
    """File or kind of source → what it says, from what counts least to what counts most; unknown keys included."""
    found: dict[str, dict[str, object]] = {}
    order: list[tuple[int, str, str, object]] = []
    for name, settings in config.provenance.items():
        if names is None or name in names:
            for setting in settings:
                if setting.source.kind != "default":
                    place = list(config.files).index(setting.source.where) if setting.source.kind == "file" else 1000
                    where = SOURCE_NAMES.get(setting.source.kind, setting.source.where)
                    order.append((place + (setting.source.kind == "command line"), where, name, setting.value))
    if names is None:
        for key, setting in config.unknown:
            order.append((list(config.files).index(setting.source.where), setting.source.where, key, setting.value))
    for _, where, name, value in sorted(order, key=lambda item: item[0]):
        # Of two variables for one option the one that counts more comes first in the provenance.
        found.setdefault(where, {}).setdefault(name, shown(value))
    return found


def channel_json(config: Config, name: str) -> object:
    """The value of an option for `config --show --json`; addresses of channels as conda's channel objects."""
    value = config.get(name)
    if name == "root_prefix":
        return str(config.root_prefix)
    if name == "channel_alias":
        return channel_object(config.channel_alias, None)
    if name == "default_channels":
        return [channel_object(*_split_last(url)) for url in config.default_channels]
    if name == "custom_channels":
        return {key: channel_object(url, key) for key, url in config.custom_channels.items()}
    if name == "custom_multichannels":
        alias = config.channel_alias.rstrip("/")
        return {
            key: [channel_object(*_split_last(url if "://" in url else f"{alias}/{url}")) for url in urls]
            for key, urls in config.custom_multichannels.items()
        }
    return shown(value)


def _split_last(url: str) -> tuple[str, str | None]:
    """The address above a channel, and the channel's name: `pkgs/main` keeps its two parts."""
    before, _, last = url.rstrip("/").rpartition("/")
    if before.endswith("/pkgs"):
        return before.removesuffix("/pkgs"), f"pkgs/{last}"
    return before, last


def channel_object(url: str, name: str | None) -> dict[str, object]:
    """A channel in the form of conda's JSON; credentials are not shown."""
    clean, _ = split_credentials(url)
    parts = urlsplit(clean if "://" in clean else f"https://{clean}")
    return {
        "auth": None,
        "location": (parts.netloc + parts.path).rstrip("/"),
        "name": name,
        "package_filename": None,
        "platform": None,
        "scheme": parts.scheme,
        "token": None,
    }


def kind_text(option: Option[object]) -> str:
    """What an option takes, in words."""
    return option.kind.expected


def default_text(option: Option[object]) -> str:
    """The default as one would write it."""
    default = option.default
    if isinstance(default, tuple):
        return json.dumps(list(default))
    if isinstance(default, Mapping):
        return json.dumps(dict(default))
    if isinstance(default, str):
        return repr(default) if not default or default != default.strip() else default
    return json.dumps(default)


def describe_text(option: Option[object]) -> list[str]:
    """An option in a few lines: name and default, kind, help."""
    lines = [f"{option.name}: {default_text(option)}", f"  ({kind_text(option)})"]
    if option.aliases:
        lines.append(f"  also called {', '.join(option.aliases)}")
    return lines + textwrap.wrap(option.help, 100, initial_indent="  ", subsequent_indent="  ")


def describe_json(option: Option[object]) -> dict[str, object]:
    """An option with the keys of conda's `config --describe --json`."""
    return {
        "name": option.name,
        "aliases": list(option.aliases),
        "default_value": option.default,
        "description": option.help,
        "element_types": list(option.kind.element_types),
        "parameter_type": option.kind.parameter_type,
    }
