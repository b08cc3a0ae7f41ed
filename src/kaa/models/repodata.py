"""What a channel serves: repodata.json of every revision, and shards (CEP 15, 16, 36, 42, 48).

A document is split, not decoded: every record stays the text that it was (`msgspec.Raw`) until someone asks for it.

>>> repodata = parse_repodata(b'{"packages.conda": {"six-1.0-0.conda": {"name":"six","version":"1.0","build":"0"}}}')
>>> [(section.extension, list(section.records)) for section in repodata.sections()]
[('conda', ['six-1.0-0.conda']), ('tar.bz2', [])]
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import force_setattr

from kaa.errors import KaaError
from kaa.models.channel import split_credentials
from kaa.models.pattern import Pattern
from kaa.models.record import RepoDataRecord
from kaa.models.redaction import redact

NEWEST_VERSION = 2
"""The highest `repodata_version` that can be read."""
READABLE_REVISIONS = frozenset({"v3"})
EXTENSIONS = ("conda", "tar.bz2")
"""The archive formats whose records can be used, the preferred one first."""

_NOT_IN_ADDRESSES = Pattern(r"[\x00-\x20\x7f-\xa0]")
_SHOWN = 200
_SHA256 = Pattern(r"[0-9a-f]{64}")

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What decoding raises for text that is not as it should be, or nested without end."""

Buffer: TypeAlias = bytes | bytearray | memoryview


class RepodataInvalid(KaaError, ValueError):
    """A document that should have been repodata is not; `source` is where it came from."""

    def __init__(self, source: str, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.source = redact(source)
        self.reason = reason
        super().__init__(
            f"{self.source} is not usable repodata: {reason}",
            hints=hints or ("check that the channel's address is right", "try again later, or use another channel"),
        )


class RevisionInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a document says of one of its revisions; times are `indexed_timestamp`s."""

    message: str | None = None
    n_packages: int | None = None
    oldest: int | None = None
    newest: int | None = None


class ChannelRelations(msgspec.Struct, frozen=True, kw_only=True):
    """Channels above (`base`) and below (`overrides`) the one that says so, as relative references."""

    base: str | None = None
    overrides: str | None = None


class RepoDataInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The `info` of a document."""

    subdir: str | None = None
    base_url: str | None = None
    channel_relations: ChannelRelations | None = None
    repodata_revisions: dict[str, RevisionInfo] | None = None
    repodata_version: int | None = None


class Section(msgspec.Struct, frozen=True):
    """Records of one archive format and one revision of the format of records.

    Keys are file names; in revision 3 and later they lack the extension (`has_extension` is False).
    """

    extension: str
    has_extension: bool
    records: Mapping[str, msgspec.Raw]


class RepoData(msgspec.Struct, frozen=True, kw_only=True):
    """repodata.json, split."""

    info: RepoDataInfo | None = None
    packages: dict[str, msgspec.Raw] | None = None
    conda_packages: dict[str, msgspec.Raw] | None = msgspec.field(default=None, name="packages.conda")
    removed: tuple[str, ...] | None = None
    repodata_version: int | None = None
    v3: dict[str, dict[str, msgspec.Raw]] | None = None

    @property
    def version(self) -> int:
        """The `repodata_version`, wherever it stands."""
        if self.repodata_version is not None:
            return self.repodata_version
        return (self.info.repodata_version if self.info else None) or 1

    def sections(self) -> Iterator[Section]:
        """The usable sections; of the records of one dist in several of them the first one counts (CEP 36, 48)."""
        buckets = self.v3 or {}
        for extension in EXTENSIONS:
            if buckets.get(extension):
                yield Section(extension, False, buckets[extension])
        yield Section("conda", True, self.conda_packages or {})
        yield Section("tar.bz2", True, self.packages or {})

    def unusable(self) -> dict[str, int]:
        """What is offered and cannot be used here: format or revision → how many packages, 0 for an unknown number."""
        found = {
            f"the archive format {extension!a}": len(records)
            for extension, records in (self.v3 or {}).items()
            if extension not in EXTENSIONS and records
        }
        for revision, info in ((self.info and self.info.repodata_revisions) or {}).items():
            if revision not in READABLE_REVISIONS:
                found[f"the repodata revision {revision!a}"] = info.n_packages or 0
        return found


@functools.cache
def _repodata_decoder() -> msgspec.json.Decoder[RepoData]:
    """Made when it is needed, as those for shards: making one takes a millisecond, and most runs read no document."""
    return msgspec.json.Decoder(RepoData)


_record_decoder = msgspec.json.Decoder(RepoDataRecord)


def parse_repodata(text: Buffer, source: str = "repodata.json") -> RepoData:
    """Split a document; an empty one is an empty channel. Raises RepodataInvalid."""
    if not bytes(text[:256]).strip():
        return RepoData()
    _refuse_web_page(text, source)
    try:
        repodata = _repodata_decoder().decode(text)
    except _UNREADABLE as error:
        raise RepodataInvalid(source, f"its JSON cannot be read ({error})") from error
    if repodata.version > NEWEST_VERSION:
        reason = f"it has version {repodata.version}, and this kaa reads versions up to {NEWEST_VERSION}"
        raise RepodataInvalid(source, reason, hints=("use a newer kaa",))
    return repodata


def _refuse_web_page(text: Buffer, source: str) -> None:
    if bytes(text[:256]).lstrip().startswith(b"<"):
        raise RepodataInvalid(
            source,
            "a web page came instead",
            hints=(
                "check the channel's address; a login page or a proxy may have answered in its place",
                "open the address in a browser to see what answers there",
            ),
        )


def packages_url(subdir_url: str, base_url: str | None) -> str:
    """The folder of a subdir's packages, without a trailing slash: `base_url` resolved, or the subdir itself (CEP 15).

    Raises RepodataInvalid when a server points to files of this machine.

    >>> packages_url("https://host/chan/linux-64", "../../pkgs"), packages_url("https://host/chan/linux-64", "/pkgs/")
    ('https://host/pkgs', 'https://host/pkgs')
    """
    return _resolve(subdir_url, base_url, "base_url")


def shards_url(subdir_url: str, shards_base_url: str) -> str:
    """The folder of a subdir's shards, without a trailing slash (CEP 16).

    Raises RepodataInvalid for an address that cannot be fetched from (`s3://bucket`), and as `packages_url` does.
    """
    resolved = _resolve(subdir_url, shards_base_url, "shards_base_url")
    scheme = resolved.partition("://")[0].lower()
    if scheme not in ("http", "https", "file"):
        raise RepodataInvalid(
            subdir_url, f"its shards_base_url begins with {scheme}://, and kaa cannot fetch from there"
        )
    return resolved


def _resolve(subdir_url: str, reference: str | None, key: str) -> str:
    """A reference of a document in a subdir as an absolute address without credentials."""
    if not reference:
        return subdir_url
    if _NOT_IN_ADDRESSES.search(reference):
        # Readers of addresses leave such characters out, each one others: what is checked would not be what is used.
        raise RepodataInvalid(subdir_url, f"its {key} is {reference[:_SHOWN]!a}, which is no address")
    scheme, _, rest = subdir_url.partition("://")
    authority, _, path = rest.partition("/")
    if urlsplit(reference).scheme and "://" in reference:
        resolved = reference
    elif reference.startswith("//"):
        resolved = f"{scheme}:{reference}"
    else:
        joined = reference if reference.startswith("/") else f"/{path}/{reference}"
        resolved = f"{scheme}://{authority}{_without_dots(joined)}"
    if resolved[:5].lower() == "file:" and scheme != "file":
        raise RepodataInvalid(subdir_url, f"its {key} points to files of this machine")
    return split_credentials(resolved)[0].rstrip("/")


def _without_dots(path: str) -> str:
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    return "".join(f"/{segment}" for segment in kept)


def decode_record(text: Buffer | msgspec.Raw, channel: str, subdir: str, file_name: str, url: str) -> RepoDataRecord:
    """Decode one record of a document; where it lies is the reader's word, not the record's.

    Raises msgspec.MsgspecError for text that is no record.
    """
    record = _record_decoder.decode(text)
    force_setattr(record, "channel", channel)
    force_setattr(record, "subdir", subdir)
    force_setattr(record, "fn", file_name)
    force_setattr(record, "url", url)
    return record


class ShardIndexInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The `info` of a shard index; both URLs may be relative to the index."""

    subdir: str = ""
    base_url: str = ""
    shards_base_url: str = ""
    created_at: str | None = None
    channel_relations: ChannelRelations | None = None
    repodata_revisions: dict[str, RevisionInfo] | None = None


class ShardIndex(msgspec.Struct, frozen=True, kw_only=True):
    """repodata_shards.msgpack.zst: package name → sha256 of its shard."""

    version: int = 1
    info: ShardIndexInfo
    shards: dict[str, msgspec.Raw]

    def digests(self) -> Iterator[tuple[str, bytes | None]]:
        """Every name with the sha256 of its shard; None where what should be one is none."""
        for name, raw in self.shards.items():
            yield name, _digest(raw)


_RAW_DIGEST = b"\xc4\x20"
"""How msgpack begins 32 raw bytes."""


def _digest(raw: msgspec.Raw) -> bytes | None:
    packed = bytes(raw)
    if len(packed) == 34 and packed.startswith(_RAW_DIGEST):
        return packed[2:]
    # Some writers give a list of numbers, or text.
    value = hexadecimal(msgspec.msgpack.decode(packed))
    return bytes.fromhex(value) if isinstance(value, str) and _SHA256.fullmatch(value) else None


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """All records of one name; `packages` and the rest as in RepoData, in msgpack."""

    packages: dict[str, msgspec.Raw] = {}
    conda_packages: dict[str, msgspec.Raw] = msgspec.field(default_factory=dict, name="packages.conda")
    removed: tuple[str, ...] = ()
    v3: dict[str, dict[str, msgspec.Raw]] = {}

    def sections(self) -> Iterator[Section]:
        """As `RepoData.sections`."""
        return RepoData(packages=self.packages, conda_packages=self.conda_packages, v3=self.v3).sections()


@functools.cache
def _shard_index_decoder() -> msgspec.msgpack.Decoder[ShardIndex]:
    return msgspec.msgpack.Decoder(ShardIndex)


@functools.cache
def _shard_decoder() -> msgspec.msgpack.Decoder[Shard]:
    return msgspec.msgpack.Decoder(Shard)


def make_decoders(*, shards: bool) -> None:
    """Make the decoders of documents, or of shards, now: two threads must not do it at once."""
    if shards:
        _shard_index_decoder()
        _shard_decoder()
        _shard_record_decoder()
    else:
        _repodata_decoder()


def parse_shard_index(content: Buffer, source: str) -> ShardIndex:
    """Read a (decompressed) shard index. Raises RepodataInvalid."""
    _refuse_web_page(content, source)
    try:
        index = _shard_index_decoder().decode(content)
    except _UNREADABLE as error:
        raise RepodataInvalid(source, f"the shard index cannot be read ({error})") from error
    if index.version != 1:
        raise RepodataInvalid(source, f"the shard index has version {index.version}", hints=("use a newer kaa",))
    return index


def parse_shard(content: Buffer, source: str) -> Shard:
    """Split a (decompressed) shard. Raises RepodataInvalid."""
    try:
        return _shard_decoder().decode(content)
    except _UNREADABLE as error:
        raise RepodataInvalid(source, f"the shard cannot be read ({error})") from error


def decode_shard_record(
    text: Buffer | msgspec.Raw, channel: str, subdir: str, file_name: str, url: str
) -> RepoDataRecord:
    """As `decode_record`, for the msgpack of a shard, where hashes are raw bytes (or, by mistake, lists of numbers)."""
    fields = msgspec.msgpack.decode(text, type=dict[str, object])
    for key in ("md5", "sha256", "legacy_bz2_md5"):
        if key in fields:
            fields[key] = hexadecimal(fields[key])
    fields |= {"channel": channel, "subdir": subdir, "fn": file_name, "url": url}
    return msgspec.convert(fields, RepoDataRecord)


class _ShardRecord(RepoDataRecord, frozen=True, kw_only=True, omit_defaults=True):
    """A record of a shard with its hashes left as they are."""

    md5: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]
    sha256: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]
    legacy_bz2_md5: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]

    @property
    def has_plain_hashes(self) -> bool:
        """Whether all hashes are raw bytes, or not there."""
        # Spelt out, because this runs for every record of every shard.
        md5, sha256, legacy = self.md5, self.sha256, self.legacy_bz2_md5
        return (
            (not md5 or bytes(md5).startswith(_PLAIN_HASH))
            and (not sha256 or bytes(sha256).startswith(_PLAIN_HASH))
            and (not legacy or bytes(legacy).startswith(_PLAIN_HASH))
        )


_PLAIN_HASH = (b"\xc4\x10", b"\xc4\x20", b"\xc0")
"""How msgpack begins 16 or 32 raw bytes, and nothing."""


@functools.cache
def _shard_record_decoder() -> msgspec.msgpack.Decoder[_ShardRecord]:
    return msgspec.msgpack.Decoder(_ShardRecord)


def decode_shard_candidate(packed: Buffer | msgspec.Raw, file_name: str) -> RepoDataRecord:
    """As `decode_shard_record`, in a third of the time, for who needs neither hashes nor address."""
    record = _shard_record_decoder().decode(packed)
    if not record.has_plain_hashes:
        # They may be none, and then the record is none.
        return decode_shard_record(packed, "", "", file_name, "")
    force_setattr(record, "fn", file_name)
    return record


def hexadecimal(value: object) -> object:
    """A hash as text, from raw bytes or a list of numbers; anything else comes back as it is."""
    if isinstance(value, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        value = bytes(value)
    return value.hex() if isinstance(value, bytes) else value.lower() if isinstance(value, str) else value
