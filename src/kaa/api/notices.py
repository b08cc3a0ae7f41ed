"""Notices of channels: `notices.json` beside the subdirs, short messages to those who use the channel."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.errors import KaaError
from kaa.models.channel import Channel

LARGEST = 1_000_000
FILE = "notices.json"
NOTICES = Path(".cache", "kaa", "notices")
"""Where it is kept what a user was told, below the home directory."""


class Notice(msgspec.Struct, frozen=True):
    """One message, as the channel's file has it."""

    message: str
    id: str = ""
    level: str = "info"
    created_at: str | None = None
    expires_at: str | None = None


class ChannelNotices(msgspec.Struct, frozen=True):
    """What a channel has to say; `problem` tells why its file could not be read."""

    channel: Channel
    notices: tuple[Notice, ...] = ()
    problem: str = ""


class _Document(msgspec.Struct):
    notices: list[Notice] = []


def fetch_notices(session: Session) -> tuple[ChannelNotices, ...]:
    """The notices of the session's channels that have not expired; a channel that has none fails nothing."""
    channels = session.channels() if session.config.channels else ()
    return tuple(_fetch(session, channel) for channel in channels)


def _fetch(session: Session, channel: Channel) -> ChannelNotices:
    try:
        answer = session.client.get(session.credentials.add_url(f"{channel.base_url}/{FILE}"), limit=LARGEST)
        document = msgspec.json.decode(answer.content, type=_Document)
    except KaaError as error:
        absent = getattr(error, "status", None) in (403, 404) or channel.base_url.startswith("file:")
        return ChannelNotices(channel, problem="" if absent else error.message.partition("\n")[0])
    except msgspec.DecodeError as error:
        return ChannelNotices(channel, problem=f"{FILE} of {channel.name} cannot be read: {error}")
    now = datetime.now(UTC)
    return ChannelNotices(channel, tuple(one for one in document.notices if not _has_expired(one, now)))


def _has_expired(notice: Notice, now: datetime) -> bool:
    try:
        moment = datetime.fromisoformat(notice.expires_at or "")
    except ValueError:
        return False
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) < now
