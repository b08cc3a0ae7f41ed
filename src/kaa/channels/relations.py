"""What a channel that is being indexed says of others (CEP 42)."""

from __future__ import annotations

from pathlib import Path

import msgspec

from kaa.models.channel_relations import edges_of
from kaa.models.repodata import ChannelRelations, RepoDataInfo


class Head(msgspec.Struct, frozen=True):
    """As much of repodata.json as is read here."""

    info: RepoDataInfo | None = None


_head_decoder = msgspec.json.Decoder(Head)


def check_relations(folder: Path, relations: ChannelRelations) -> None:
    """Raise InvalidChannelRelation for what no client could follow, wherever the channel is served."""
    # Where that is nobody knows: it may have any number of folders above it.
    above = "/".join(["any"] * 32)
    edges_of(f"https://server/{above}/{folder.absolute().name}", [relations])


def find_relations(subdir_folder: Path) -> ChannelRelations | None:
    """What a subdir said so far; a new one says what noarch says."""
    for folder in (subdir_folder, subdir_folder.parent / "noarch"):
        try:
            head = _head_decoder.decode((folder / "repodata.json").read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue
        return head.info.channel_relations if head.info else None
    return None
