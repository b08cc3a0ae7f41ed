"""Notices of channels that are told after a change, each of them once, where `number_channel_notices` wants that."""

from __future__ import annotations

import contextlib
import hashlib
import sys

from kaa.api.notices import NOTICES, fetch_notices
from kaa.api.session import Session
from kaa.cli.progress import clean
from kaa.host.files import read_bounded, write_atomic

TOLD = "told"
LARGEST = 1 << 20
MOST_KEPT = 1000


def tell_new_notices(session: Session) -> None:
    """Tell the notices that this user has not been told, as many as the configuration wants; nothing here fails."""
    path = session.home / NOTICES / TOLD
    try:
        told = read_bounded(path, LARGEST).decode().split()
    except (OSError, UnicodeDecodeError):
        told = []
    news: list[tuple[str, str]] = []
    for one in fetch_notices(session):
        for notice in one.notices:
            key = hashlib.sha256(f"{one.channel.base_url}\n{notice.id}\n{notice.message}".encode()).hexdigest()[:32]
            if key not in told:
                news.append((key, f"{one.channel.name} [{notice.level}]: {notice.message}"))
    news = news[: session.config.number_channel_notices]
    if not news:
        return
    for _, line in news:
        print(clean(line), file=sys.stderr)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, "\n".join([*told, *(key for key, _ in news)][-MOST_KEPT:]).encode())
