"""kaa: a conda-compatible environment and package manager.

The public names are offered lazily, so that importing `kaa` costs next to nothing.

>>> import kaa
>>> kaa.Version("1.1.0") == kaa.Version("1.1")
True
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kaa.errors import KaaError as KaaError
    from kaa.models.match_spec import InvalidMatchSpec as InvalidMatchSpec
    from kaa.models.match_spec import MatchSpec as MatchSpec
    from kaa.models.prefix_record import PrefixRecord as PrefixRecord
    from kaa.models.record import PackageRecord as PackageRecord
    from kaa.models.record import RepoDataRecord as RepoDataRecord
    from kaa.models.version import InvalidVersion as InvalidVersion
    from kaa.models.version import Version as Version
    from kaa.models.version_spec import InvalidVersionSpec as InvalidVersionSpec
    from kaa.models.version_spec import VersionSpec as VersionSpec

__version__ = "0.1.0"

_PUBLIC = {
    "InvalidMatchSpec": "kaa.models.match_spec",
    "InvalidVersion": "kaa.models.version",
    "InvalidVersionSpec": "kaa.models.version_spec",
    "KaaError": "kaa.errors",
    "MatchSpec": "kaa.models.match_spec",
    "PackageRecord": "kaa.models.record",
    "PrefixRecord": "kaa.models.prefix_record",
    "RepoDataRecord": "kaa.models.record",
    "Version": "kaa.models.version",
    "VersionSpec": "kaa.models.version_spec",
}

__all__ = ["__version__", *_PUBLIC]


def __getattr__(name: str) -> object:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'kaa' has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
