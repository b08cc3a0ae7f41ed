"""Match specs: what is asked of a package (CEP 29, 43, 44, 45).

A spec is a value: a name and what its version, build, channel and other fields must be. It keeps the channel as it was
written, so that parsing needs no configuration. How specs are read is in `kaa.models.match_spec_syntax`, how
they are written in `kaa.models.match_spec_format`.

>>> spec = MatchSpec.parse("conda-forge::numpy >=1.26,<3 py312*")
>>> spec.name, spec.version, spec.build, spec.channel
('numpy', VersionSpec('>=1.26,<3'), StringMatch('py312*'), 'conda-forge')
>>> str(spec)
"conda-forge::numpy[version='>=1.26,<3',build=py312*]"
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

import msgspec

from kaa.models.match_spec_brackets import InvalidMatchSpec as InvalidMatchSpec
from kaa.models.match_spec_format import format_in_brackets, format_spec
from kaa.models.match_spec_syntax import parse_fields, parse_simple
from kaa.models.record import RepoDataRecord
from kaa.models.string_match import NumberMatch, StringMatch
from kaa.models.version import InvalidVersion
from kaa.models.version_spec import VersionSpec

if TYPE_CHECKING:
    from kaa.models.channel import UrlCredential
    from kaa.models.condition import Condition
    from kaa.models.record import PackageRecord


class Credentials:
    """The credentials that stood in the URLs of a spec; all are equal, so that they make no difference to specs."""

    __slots__ = ("channel", "url")

    def __init__(self, channel: UrlCredential | None = None, url: UrlCredential | None = None) -> None:
        self.channel = channel
        self.url = url

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credentials)

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "Credentials(hidden)"


NO_CREDENTIALS = Credentials()


class ChannelText(str):
    """A channel as somebody wrote it, with the base URLs for which it stands: the text alone does not tell."""

    __slots__ = ("base_urls",)
    base_urls: frozenset[str]

    def __new__(cls, text: str, base_urls: Iterable[str]) -> ChannelText:
        made = super().__new__(cls, text)
        made.base_urls = frozenset(base_urls)
        return made

    def __reduce__(self) -> tuple[type[ChannelText], tuple[str, frozenset[str]]]:
        return ChannelText, (str(self), self.base_urls)


class MatchSpec(msgspec.Struct, frozen=True, kw_only=True, repr_omit_defaults=True):
    """What is asked of a package; a field that is None (or empty) asks for nothing."""

    name: str | None = None
    """The name in lower case; None for any, or for those that `name_glob` matches."""
    name_glob: StringMatch | None = None
    version: VersionSpec | None = None
    build: StringMatch | None = None
    build_number: NumberMatch | None = None
    channel: str | None = None
    """A name, a URL or a path, as written but for credentials, subdir and a final slash; may hold `*`.

    Where it is known for what it stands it is a `ChannelText`."""
    subdir: str | None = None
    fn: StringMatch | None = None
    url: str | None = None
    """The address of one package, as written but for credentials; perhaps a path."""
    md5: str | None = None
    sha256: str | None = None
    license: StringMatch | None = None
    license_family: StringMatch | None = None
    track_features: tuple[str, ...] = ()
    features: StringMatch | None = None
    extras: tuple[str, ...] = ()
    """Groups of optional dependencies that are wanted too (CEP 44)."""
    flags: tuple[str, ...] = ()
    """Patterns, each of which one flag of the record must match (CEP 45)."""
    when: Condition | None = None
    """The dependency counts only if this holds in the solution (CEP 43)."""
    credentials: Credentials = NO_CREDENTIALS
    """What came in URLs to prove who asks; not compared, never printed."""

    @staticmethod
    def parse(text: str, *, lenient: bool = False) -> MatchSpec:
        """The spec that a text says.

        Strict reading, for what people write, refuses texts that mean something else than they seem to. Lenient
        reading, for the dependencies of records, takes what conda takes.
        """
        if lenient:
            fields = parse_simple(text)
            if fields is not None:
                return MatchSpec(**fields)
        fields = parse_fields(text, MatchSpec._parse_leniently if lenient else MatchSpec.parse, lenient=lenient)
        channel, url = fields.pop("channel_credential", None), fields.pop("url_credential", None)
        if channel is not None or url is not None:
            fields["credentials"] = Credentials(channel, url)
        return MatchSpec(**fields)

    @staticmethod
    def _parse_leniently(text: str) -> MatchSpec:
        return MatchSpec.parse(text, lenient=True)

    def matches(self, record: PackageRecord) -> bool:
        """Whether a record is what is asked for; `extras` and `when` are no filters.

        `channel`, `url` and `fn` are asked only of records that say where they come from.
        """
        name = self.name
        if name is not None:
            if record.name != name and record.name.lower() != name:
                return False
        elif self.name_glob is not None and not self.name_glob.matches(record.name):
            return False
        if self.version is not None:
            try:
                if not self.version.matches(record.version):
                    return False
            except InvalidVersion:
                return False
        if self.build is not None and not self.build.matches(record.build):
            return False
        return self.is_simple or self._matches_further(record)

    @property
    def is_simple(self) -> bool:
        """Whether name, version and build are all that is asked of a record."""
        return (
            self.channel is None
            and self.build_number is None
            and self.subdir is None
            and self.url is None
            and self.fn is None
            and self.md5 is None
            and self.sha256 is None
            and not self.track_features
            and not self.flags
            and self.license is None
            and self.license_family is None
            and self.features is None
        )

    def _matches_further(self, record: PackageRecord) -> bool:
        if self.build_number is not None and not self.build_number.matches(record.build_number):
            return False
        if self.subdir is not None and not StringMatch(self.subdir).matches(record.subdir):
            return False
        for wanted, found in (
            (self.license, record.license),
            (self.license_family, record.license_family),
            (self.features, record.features),
        ):
            if wanted is not None and (found is None or not wanted.matches(found)):
                return False
        for digest, actual in ((self.md5, record.md5), (self.sha256, record.sha256)):
            if digest is not None and (actual is None or actual.lower() != digest):
                return False
        if self.track_features and set(self.track_features) != set(_SEPARATORS.split(record.track_features.lower())):
            return False
        for flag in self.flags:
            if not any(map(StringMatch(flag).matches, record.flags)):
                return False
        return not isinstance(record, RepoDataRecord) or self._matches_origin(record)

    def _matches_origin(self, record: RepoDataRecord) -> bool:
        if self.url is not None and self.url != record.url and not StringMatch(self.url).matches(record.url):
            return False
        if self.fn is not None and not self.fn.matches(record.fn):
            return False
        return self.channel is None or channel_matches(self.channel, record.channel)

    def bracket_text(self) -> str:
        """The spec as a name and one pair of brackets (CEP 43, 48)."""
        return format_in_brackets(self)

    def __str__(self) -> str:
        return format_spec(self)

    def __repr__(self) -> str:
        return f"MatchSpec({format_spec(self)!r})"


_SEPARATORS = re.compile(r"[\s,]+")


def channel_matches(wanted: str, base_url: str) -> bool:
    """Whether a channel, as people write it, is the one with this base URL.

    A name is the end of the URL, after a slash; a URL is the URL; `*` stands for anything, in both. A `ChannelText`
    knows better.

    >>> channel_matches("conda-forge", "https://conda.anaconda.org/conda-forge")
    True
    """
    if isinstance(wanted, ChannelText):
        return base_url.rstrip("/") in wanted.base_urls
    wanted = wanted.rstrip("/").lower()
    found = base_url.rstrip("/").lower()
    if "*" in wanted or wanted.startswith("^"):
        pattern = StringMatch(wanted)
        ends = [place + 1 for place, character in enumerate(found) if character == "/"]
        return pattern.matches(found) or any(pattern.matches(found[place:]) for place in ends)
    if wanted == found:
        return True
    return "://" not in wanted and found.endswith("/" + wanted.removeprefix("./").lstrip("/"))
