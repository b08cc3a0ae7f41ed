"""The text of `conda-meta/<name>-<version>-<build>.json` (CEP 32): conda's keys in conda's order, and back.

On disk `channel` is the channel's URL with the subdir, in memory it is the base URL. Records that conda, mamba,
rattler and pixi wrote over the years are read: null where a text belongs, link types as words, a channel by its name.
"""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from kaa.models.channel import split_credentials
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord

ORDER = (
    "name",
    "version",
    "build",
    "build_number",
    "channel",
    "subdir",
    "fn",
    "md5",
    "url",
    "sha256",
    "arch",
    "platform",
    "depends",
    "constrains",
    "noarch",
    "license",
    "license_family",
    "timestamp",
    "size",
    "requested_spec",
    "package_tarball_full_path",
    "extracted_package_dir",
    "files",
    "paths_data",
    "link",
    "requested_specs",
)
"""The order in which conda writes; keys that are not named here follow."""

EMPTY_KEPT = frozenset(
    {"name", "version", "build", "build_number", "depends", "constrains", "files", "subdir", "requested_specs"}
)
"""Keys that are written though they hold nothing: conda's own readers want them."""

NEVER_KEPT = frozenset({"auth", "token"})
"""Keys of other programs that held credentials; they are dropped when a record is written again."""

_LINK_WORDS = {"hard-link": 1, "hardlink": 1, "soft-link": 2, "softlink": 2, "copy": 3, "directory": 4}
_ENCODER = msgspec.json.Encoder()


@functools.cache
def _decoder() -> msgspec.json.Decoder[PrefixRecord]:
    """Made when the first record is read: most of the time that this takes goes into the types of the fields."""
    return msgspec.json.Decoder(PrefixRecord)


@functools.cache
def _fields() -> dict[str, str]:
    """The names of the fields by their keys in the file."""
    return {field.encode_name: field.name for field in msgspec.structs.fields(PrefixRecord)}


def decode_record(data: bytes) -> PrefixRecord:
    """The record that a file of conda-meta holds; raises msgspec.DecodeError (not JSON) or ValidationError."""
    try:
        record = _decoder().decode(data)
    except msgspec.ValidationError:
        record = msgspec.convert(_repaired(msgspec.json.decode(data)), PrefixRecord)
    channel = split_credentials(record.channel)[0].rstrip("/")
    if record.subdir:
        channel = channel.removesuffix("/" + record.subdir)
    url = split_credentials(record.url)[0]
    if channel != record.channel or url != record.url:
        record = msgspec.structs.replace(record, channel=channel, url=url)
    return record


def encode_record(record: PrefixRecord, previous: bytes | None = None) -> bytes:
    """The text of a record; keys of `previous` (what the file held so far) that kaa does not know are kept."""
    fields: dict[str, Any] = {key: getattr(record, name) for key, name in _fields().items()}
    fields["channel"] = on_disk_channel(record)
    fields["url"] = split_credentials(record.url)[0]
    fields["paths_data"] = {"paths_version": record.paths_data.paths_version, "paths": _paths(record)}
    fields["requested_spec"] = record.requested_spec or (record.requested_specs or ("None",))[0]
    ordered = {key: fields.pop(key) for key in ORDER if fields.get(key) or key in EMPTY_KEPT}
    ordered |= {key: value for key, value in fields.items() if value}
    if previous is not None:
        ordered |= _unknown_keys(previous)
    return msgspec.json.format(_ENCODER.encode(ordered), indent=2)


def _paths(record: PrefixRecord) -> list[dict[str, Any]]:
    """The paths as conda writes them: the type is never left out."""
    entries = record.paths_data.paths
    written: list[dict[str, Any]] = msgspec.to_builtins(entries)
    return [
        {"_path": entry.path, "path_type": entry.path_type, **fields}
        for entry, fields in zip(entries, written, strict=True)
    ]


def on_disk_channel(record: RepoDataRecord) -> str:
    """The channel's URL with the subdir, as conda-meta and the history show it; empty when there is no channel."""
    channel = split_credentials(record.channel)[0].rstrip("/")
    return f"{channel}/{record.subdir}" if channel and record.subdir else channel


def _unknown_keys(previous: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(previous)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {key: value for key, value in content.items() if key not in _fields() and key not in NEVER_KEPT}


def _repaired(content: Any) -> Any:
    """A record of an older or laxer program in the shape of today: no nulls, link types as numbers."""
    content = _without_nulls(content)
    if isinstance(content, dict):
        link = content.get("link")
        if isinstance(link, dict):
            kind = link.get("type", 1)
            number = _LINK_WORDS.get(kind, 1) if isinstance(kind, str) else kind
            content["link"] = {**link, "type": number} if "source" in link else None
        if isinstance(content.get("url"), list):
            content["url"] = ""
    return content


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value if item is not None]
    return value
