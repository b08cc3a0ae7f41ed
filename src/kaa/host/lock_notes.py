"""Who holds a lock: what its holder writes down, and what the system knows of processes and of locks."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
from pathlib import Path


class LockHolder:
    """Who holds a lock; `since` is in seconds since the epoch, 0 where that is not known, `user` -1 likewise."""

    __slots__ = ("host", "process", "since", "user")

    def __init__(self, process: int, host: str, since: float = 0.0, user: int = -1) -> None:
        self.process = process
        self.host = host
        self.since = since
        self.user = user

    def __str__(self) -> str:
        user = f" (user {_name_of(self.user)})" if self.user >= 0 and self.user != _this_user() else ""
        if not self.since:
            return f"process {self.process} on {self.host}{user}"
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.process} on {self.host}{user}, since {clock}"


def this_host() -> str:
    """The name of this machine, of plain characters only."""
    name = os.uname().nodename if sys.platform != "win32" else os.environ.get("COMPUTERNAME", "")
    return "".join(letter for letter in name if letter.isalnum() or letter in "-._")


def make_note(**more: str) -> bytes:
    """This process as JSON, made by hand: loading json takes longer than most locks are held.

    `more` are fields with values of plain characters.
    """
    fields = "".join(f', "{name}": "{value}"' for name, value in more.items())
    text = f'{{"process": {os.getpid()}, "host": "{this_host()}", "since": {time.time()!r}, "user": {_this_user()}'
    return f"{text}{fields}}}".encode()


def parse_note(data: bytes) -> dict[str, object] | None:
    """The fields of a note; None where the data are none."""
    try:
        content = importlib.import_module("json").loads(data)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def holder_of_note(content: dict[str, object] | None) -> LockHolder | None:
    """Who is written down in the fields of a note."""
    if content is None:
        return None
    match content:
        case {"process": int() as process, "host": str() as host, "since": int() | float() as since}:
            user = content.get("user")
            host = "".join(letter for letter in host if letter.isprintable())[:255]
            return LockHolder(process, host, float(since), user if isinstance(user, int) else -1)
    return None


def holder_in_kernel(path: Path) -> LockHolder | None:
    """Who holds a lock on a file, as Linux itself lists it; None where that cannot be seen."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        inode = path.stat().st_ino
        for line in Path("/proc/locks").read_text().splitlines():
            # 1: FLOCK  ADVISORY  WRITE 1234 fd:01:5678 0 EOF; a waiting one has an arrow after its number.
            fields = line.split()
            if fields[1] != "->" and int(fields[5].rpartition(":")[2]) == inode and int(fields[4]) > 0:
                process = int(fields[4])
                return LockHolder(process, this_host(), user=os.stat(f"/proc/{process}").st_uid)  # noqa: PTH116
    return None


def is_running(process: int, started: str = "") -> bool:
    """Whether a process of this machine is there; with `started` (see `start_of`), whether it is still that one."""
    if sys.platform == "win32":
        # os.kill would end it; the lock itself tells whether it is held.
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        # It belongs to somebody else.
        pass
    now = start_of(process)
    return now != "ended" and (not started or not now or now == started)


def start_of(process: int) -> str:
    """What tells a process from a later one of that number; `ended` for a dead one, empty where it cannot be seen."""
    try:
        # The name of the program may hold anything, brackets as well.
        fields = Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()
        return "ended" if fields[0] in (b"Z", b"X") else fields[19].decode()
    except (OSError, IndexError):
        return ""


def _this_user() -> int:
    return os.geteuid() if sys.platform != "win32" else -1


def _name_of(user: int) -> str:
    with contextlib.suppress(ImportError, KeyError):
        return str(importlib.import_module("pwd").getpwuid(user).pw_name)
    return str(user)
