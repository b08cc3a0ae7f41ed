"""Package records: what a package says of itself, and where it can be had (CEP 34, 36, 44, 45, 47).

`PackageRecord` and `RepoDataRecord` only ever add fields to one another; `kaa.models.prefix_record` adds those of an
installed package. Real repodata is twenty years old: boolean `noarch`, null lists, timestamps in seconds and lists for
text are accepted, and normalised once, when a record is made.

>>> import msgspec
>>> msgspec.convert({"name": "six", "version": "1.17.0", "build": "py_0", "noarch": True}, RepoDataRecord).noarch
'generic'
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
from msgspec.structs import force_setattr

_IN_64_BITS = msgspec.Meta(ge=-(1 << 62), le=1 << 62)
"""Larger numbers mean nothing, and cannot be written into a column or a file."""

if TYPE_CHECKING:
    # What a record holds once made; what it accepts is below.
    Strings: TypeAlias = tuple[str, ...]
    Text: TypeAlias = str
    NoArch: TypeAlias = str | None
    Milliseconds: TypeAlias = int | None
    Count: TypeAlias = int
    Size: TypeAlias = int | None
    Groups: TypeAlias = dict[str, tuple[str, ...]]
else:
    Strings = tuple[str, ...] | None
    Text = str | tuple[str, ...] | None
    NoArch = str | bool | None
    Milliseconds = Annotated[int, _IN_64_BITS] | Annotated[float, _IN_64_BITS] | None
    Count = Annotated[int, _IN_64_BITS] | None
    Size = Annotated[int, _IN_64_BITS] | None
    Groups = dict[str, tuple[str, ...]] | None

LAST_SECOND = 253402300799
"""A timestamp up to this one (31 December 9999) is in seconds, a larger one in milliseconds."""


class PackageRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a package says of itself; `noarch` is None, "generic" or "python", times are in milliseconds."""

    name: str
    version: str
    build: str
    build_number: Count = 0
    depends: Strings = ()
    constrains: Strings = ()
    subdir: str = ""
    noarch: NoArch = None
    timestamp: Milliseconds = None
    indexed_timestamp: Milliseconds = None
    track_features: Text = ""
    features: str | None = None
    license: str | None = None
    license_family: str | None = None
    md5: str | None = None
    sha256: str | None = None
    size: Size = None
    legacy_bz2_md5: str | None = None
    legacy_bz2_size: Size = None
    arch: str | None = None
    platform: str | None = None
    python_site_packages_path: str | None = None
    extra_depends: Groups = {}
    flags: Strings = ()
    purls: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        noarch: object = self.noarch
        if noarch is True:
            force_setattr(self, "noarch", "generic")
        elif noarch is not None and noarch not in ("generic", "python"):
            force_setattr(self, "noarch", str(noarch) if noarch else None)
        if self.timestamp is not None:
            force_setattr(self, "timestamp", in_milliseconds(self.timestamp))
        if self.indexed_timestamp is not None:
            force_setattr(self, "indexed_timestamp", in_milliseconds(self.indexed_timestamp))
        if type(self.track_features) is not str:
            force_setattr(self, "track_features", " ".join(self.track_features or ()))
        if self.depends is None or self.constrains is None or self.flags is None or self.build_number is None:
            self._replace_nulls()
        if self.extra_depends is None:
            force_setattr(self, "extra_depends", {})

    def _replace_nulls(self) -> None:
        for field, empty in (("depends", ()), ("constrains", ()), ("flags", ()), ("build_number", 0)):
            if getattr(self, field) is None:
                force_setattr(self, field, empty)

    @property
    def dist(self) -> str:
        """The dist string, `name-version-build` (CEP 26)."""
        return f"{self.name}-{self.version}-{self.build}"


class RepoDataRecord(PackageRecord, frozen=True, kw_only=True, omit_defaults=True):
    """A package record and where it comes from.

    `channel` is the channel's base URL without subdir, `fn` the file name, `url` the full address; none of them ever
    holds credentials.
    """

    channel: str = ""
    fn: str = ""
    url: str = ""


def in_milliseconds(timestamp: float) -> int:
    """A timestamp in seconds or milliseconds, as milliseconds."""
    return int(timestamp * 1000) if timestamp <= LAST_SECOND else int(timestamp)
