"""The files below `info/` of a package: index.json, paths.json, link.json, run_exports.json (CEP 34, 20)."""

from __future__ import annotations

import msgspec

from kaa.models.record import PackageRecord, Size

DEFAULT_PLACEHOLDER = "/opt/anaconda1" + "anaconda2" + "anaconda3"
"""The prefix that old packages carry where has_prefix does not name one (in parts: it must not be replaced here)."""


class PathEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One path of a package; hash and size are of the file as packaged, before any prefix replacement."""

    path: str = msgspec.field(name="_path")
    path_type: str = "hardlink"
    """`hardlink`, `softlink` or `directory`."""
    file_mode: str | None = None
    """`text` or `binary`, when `prefix_placeholder` is given."""
    prefix_placeholder: str | None = None
    no_link: bool = False
    sha256: str | None = None
    size_in_bytes: Size = None


class PathsJson(msgspec.Struct, frozen=True, kw_only=True):
    """info/paths.json."""

    paths: tuple[PathEntry, ...]
    paths_version: int = 1


class NoArchLink(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The noarch part of link.json; entry points have the form `command = module:function`."""

    type: str | bool = "generic"
    entry_points: tuple[str, ...] = ()


class LinkJson(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """info/link.json."""

    noarch: NoArchLink | None = None
    package_metadata_version: int = 1


class IndexJson(PackageRecord, frozen=True, kw_only=True, omit_defaults=True):
    """info/index.json."""

    schema_version: int = 1
