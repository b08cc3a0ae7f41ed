"""What a project's page offers a target, worked out once: kept on the disk as the solver's columns.

A file for each project below a directory for each target:

    pypi/offers/<index and target>/<project>      checksum of what follows; `KeptOffer` (MessagePack)

It is a cache of something that can be computed again at any time: a file that cannot be read, is damaged, or was made
of another page or by another kaa counts as none. Records and files of wheels are decoded when they are asked for; of
thousands a solve looks at a few.
"""

from __future__ import annotations

import contextlib
import hashlib
import zlib
from collections.abc import Sequence
from pathlib import Path

import msgspec

from kaa import __version__
from kaa.host.files import write_atomic
from kaa.models.record import RepoDataRecord
from kaa.pypi.project_files import ProjectFile
from kaa.pypi.wheel_records import Admitted, LeftOut, WheelOffer
from kaa.pypi.wheel_tags import WheelTarget
from kaa.solver.candidates import COLUMNS_VERSION, Columns, columns_of, decode_numbers, in_bytes
from kaa.solver.ranges import Ranges

FORMAT = 1
"""Raised with every change of what is offered of a page (`kaa.pypi.wheel_records`)."""
_LONGEST_NAME = 100


class OfferKey(msgspec.Struct, frozen=True, array_like=True):
    """What an offer was made of."""

    content: bytes
    """sha256 of the page; empty for one that is not kept."""
    name: str
    channel: str
    prereleases: bool
    yanked: list[str]
    may_build: bool

    @classmethod
    def of(cls, content: bytes, name: str, channel: str, admitted: Admitted, *, may_build: bool) -> OfferKey:
        """The key of what a page offers under a conda name."""
        return cls(content, name, channel, admitted.prereleases, sorted(admitted.yanked), may_build)


class GroupColumns(msgspec.Struct, frozen=True, array_like=True):
    """The columns of one subdir; `places` are those of its candidates among all records of the offer, by position."""

    columns: Columns
    places: list[int]


class KeptOffer(msgspec.Struct, frozen=True, array_like=True):
    """What a page offers."""

    key: OfferKey
    odd: list[str]
    """The versions that conda and PEP 440 do not order alike."""
    count: int
    packed_records: msgspec.Raw
    """Encoded list of encoded records; `packed_files` those of their wheels."""
    packed_files: msgspec.Raw
    packed_left_out: msgspec.Raw
    groups: dict[str, GroupColumns]

    def columns(self, subdir: str) -> GroupColumns:
        """The candidates of a subdir."""
        return self.groups[subdir]

    def record(self, place: int) -> RepoDataRecord:
        return _record_decoder.decode(_raws_decoder.decode(self.packed_records)[place])

    def file(self, place: int) -> ProjectFile:
        """The wheel of a record."""
        return _file_decoder.decode(_raws_decoder.decode(self.packed_files)[place])

    def records(self) -> list[RepoDataRecord]:
        """All records of the offer."""
        return _records_decoder.decode(self.packed_records)

    def left_out(self) -> dict[str, LeftOut]:
        """Why there is nothing of versions."""
        return _left_out_decoder.decode(self.packed_left_out)


_encoder = msgspec.msgpack.Encoder()
_offer_decoder = msgspec.msgpack.Decoder(KeptOffer)
_raws_decoder = msgspec.msgpack.Decoder(list[msgspec.Raw])
_record_decoder = msgspec.msgpack.Decoder(RepoDataRecord)
_records_decoder = msgspec.msgpack.Decoder(list[RepoDataRecord])
_file_decoder = msgspec.msgpack.Decoder(ProjectFile)
_left_out_decoder = msgspec.msgpack.Decoder(dict[str, LeftOut])


def pack_offer(
    key: OfferKey, offer: WheelOffer, odd: Sequence[str], subdirs: Sequence[str], ranges: Ranges
) -> KeptOffer:
    """An offer in the form that is kept."""
    return KeptOffer(
        key,
        list(odd),
        len(offer.records),
        msgspec.Raw(_encoder.encode(offer.records)),
        msgspec.Raw(_encoder.encode(offer.files)),
        msgspec.Raw(_encoder.encode(offer.left_out)),
        {subdir: _columns(offer, subdir, ranges) for subdir in subdirs},
    )


def _columns(offer: WheelOffer, subdir: str, ranges: Ranges) -> GroupColumns:
    places = [place for place, record in enumerate(offer.records) if record.subdir == subdir]
    columns = columns_of([offer.records[place] for place in places], ranges)
    order = [places[position] for position in decode_numbers(columns.order)]
    # What any of them depends on is in its metadata.
    unread = in_bytes(((1 << columns.count) - 1) << 1)
    return GroupColumns(msgspec.structs.replace(columns, unread=unread), order)


class KeptOffers:
    """The offers of one index for one target, below `directory`."""

    def __init__(self, directory: Path, index: str, target: WheelTarget) -> None:
        identity = (FORMAT, COLUMNS_VERSION, __version__, index, target)
        self.directory = directory / hashlib.sha256(_encoder.encode(identity)).hexdigest()[:16]
        self._found: dict[str, KeptOffer | None] = {}

    def find(self, project: str, content: bytes) -> KeptOffer | None:
        """What was kept of a project, made of the page with this content."""
        if not content:
            return None
        if project not in self._found:
            self._found[project] = self._read(project)
        found = self._found[project]
        return found if found is not None and found.key.content == content else None

    def keep(self, project: str, offer: KeptOffer) -> None:
        """Keep an offer; what cannot be written (a full disk, a directory of somebody else) is not kept."""
        if not offer.key.content:
            return
        self._found[project] = offer
        content = _encoder.encode(offer)
        with contextlib.suppress(OSError):
            self.directory.mkdir(mode=0o775, parents=True, exist_ok=True)
            write_atomic(self._path(project), zlib.crc32(content).to_bytes(4, "little") + content)

    def _read(self, project: str) -> KeptOffer | None:
        try:
            with open(self._path(project), "rb") as stream:  # noqa: PTH123 - as quickly as can be
                content = stream.read()
            if zlib.crc32(content[4:]) != int.from_bytes(content[:4], "little"):
                return None
            return _offer_decoder.decode(content[4:])
        except (OSError, msgspec.MsgspecError):
            return None

    def _path(self, project: str) -> Path:
        if len(project) > _LONGEST_NAME:
            project = "+" + hashlib.sha256(project.encode()).hexdigest()
        return self.directory / project
