"""What a loss of power leaves: names are there in the order in which they came, but not what was not synced yet.

That is what file systems do that write their own records in order and the content of files when they like (ext4, XFS).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tests.survival.tracing import Call

WRITES = frozenset({"write", "pwrite64", "writev", "pwritev", "copy_file_range", "sendfile", "fallocate"})


class UnsyncedData:
    """Which files have content that is not on the disk yet, as far as the calls that were seen tell."""

    def __init__(self) -> None:
        self._synced_size: dict[tuple[int, int], int] = {}
        self._cleaning: list[tuple[int, int]] | None = []

    def note(self, call: Call) -> None:
        """A call is about to happen, and those before it have happened."""
        if self._cleaning is None:
            self._synced_size.clear()
        for key in self._cleaning or ():
            self._synced_size.pop(key, None)
        self._cleaning = []
        if call.name == "syncfs":
            self._cleaning = None
            return
        if call.name not in WRITES and call.name not in ("fsync", "fdatasync"):
            return
        try:
            state = Path(f"/proc/{call.process}/fd/{call.descriptor}").stat()
        except OSError:
            return
        key = (state.st_dev, state.st_ino)
        if call.name in WRITES:
            if stat.S_ISREG(state.st_mode):
                self._synced_size.setdefault(key, state.st_size)
        else:
            self._cleaning.append(key)

    def lose(self, folder: Path) -> int:
        """Take away from the files below a folder what was not synced; how many there were."""
        lost = set()
        for parent, _, names in os.walk(folder):
            for name in names:
                path = Path(parent, name)
                state = path.lstat()
                key = (state.st_dev, state.st_ino)
                if key in self._synced_size and key not in lost and stat.S_ISREG(state.st_mode):
                    lost.add(key)
                    if state.st_size > self._synced_size[key]:
                        os.truncate(path, self._synced_size[key])
        return len(lost)
