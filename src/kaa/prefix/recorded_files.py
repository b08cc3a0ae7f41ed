"""What stands at the paths that the records of an environment name.

Nothing is changed. What a record names outside the environment is never read, neither by its path nor through links.
"""

# Paths are strings here: there are tens of thousands of them.
# ruff: noqa: PTH110, PTH115, PTH118
from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from kaa.events import Reporter, StageAdvanced, StageFinished, StageStarted, silent
from kaa.host.threads import map_in_threads
from kaa.models.prefix_record import InstalledPath
from kaa.prefix.damage import SeenPath, expected_hash

WORKERS = 4
FILES_AT_ONCE = 128
BYTES_AT_ONCE = 8_000_000
BLOCK = 1 << 20

Chunk: TypeAlias = list[tuple[str, str, InstalledPath]]
"""(dist string, path, what is recorded)"""


def look_at(
    prefix: Path,
    paths: Mapping[str, Mapping[str, InstalledPath]],
    originals: Mapping[str, Path] = MappingProxyType({}),
    reporter: Reporter = silent,
    stage: str = "Checking files",
) -> tuple[dict[str, dict[str, SeenPath]], int]:
    """What stands at every recorded path, by dist string, and how many bytes were read for that.

    `originals` are the packages in the cache, by dist string as well: they tell of modes and of links.
    """
    chunks = list(iter_chunks(paths))
    is_inside = inside_check(prefix)
    root = f"{prefix}{os.sep}"
    directories = {dist: f"{directory}{os.sep}" for dist, directory in originals.items()}
    reporting = threading.Lock()

    def look(chunk: Chunk) -> list[SeenPath]:
        answers = [see(root, path, entry, is_inside, directories.get(dist, "")) for dist, path, entry in chunk]
        with reporting:
            for dist in dict.fromkeys(dist for dist, path, _ in chunk if path == last[dist]):
                reporter(StageAdvanced(stage, dist))
        return answers

    last = {dist: list(found)[-1] if found else "" for dist, found in paths.items()}
    started = time.monotonic()
    reporter(StageStarted(stage, sum(map(bool, last.values()))))
    seen: dict[str, dict[str, SeenPath]] = {dist: {} for dist in paths}
    size = 0
    for chunk, answers in zip(chunks, map_in_threads(look, chunks, workers=WORKERS), strict=True):
        for (dist, path, _), answer in zip(chunk, answers, strict=True):
            seen[dist][path] = answer
            size += answer.size if answer.sha256 else 0
    reporter(StageFinished(stage, time.monotonic() - started))
    return seen, size


def iter_chunks(paths: Mapping[str, Mapping[str, InstalledPath]]) -> Iterator[Chunk]:
    """The recorded paths in portions that are worth a turn of a thread; large files stand alone."""
    chunk: list[tuple[str, str, InstalledPath]] = []
    size = 0
    for dist, found in paths.items():
        for path, entry in found.items():
            chunk.append((dist, path, entry))
            size += entry.size_in_bytes or 0
            if len(chunk) == FILES_AT_ONCE or size > BYTES_AT_ONCE:
                yield chunk
                chunk, size = [], 0
    if chunk:
        yield chunk


def inside_check(prefix: Path) -> Callable[[str], bool]:
    """Whether a directory, as it is below the environment, really lies in it; each is looked up once."""
    real = os.path.realpath(prefix).rstrip(os.sep) + os.sep
    known: dict[str, bool] = {}

    def is_inside(directory: str) -> bool:
        answer = known.get(directory)
        if answer is None:
            found = os.path.realpath(os.path.join(prefix, directory))
            answer = known[directory] = (found + os.sep).startswith(real)
        return answer

    return is_inside


def see(root: str, path: str, entry: InstalledPath, is_inside: Callable[[str], bool], original: str = "") -> SeenPath:
    """What stands at one recorded path; files are read when their hash is known.

    `original` is the directory of the package in the cache, with a separator at its end; empty when it is not there.
    """
    if not is_inside(path.rpartition("/")[0]):
        return SeenPath("outside")
    source = original and original + (entry.original_path or entry.path)
    try:
        state = os.lstat(root + path)
        if stat.S_ISLNK(state.st_mode):
            leads_somewhere = os.path.exists(root + path)
            target = os.readlink(root + path)
            return SeenPath(
                "link", leads_somewhere=leads_somewhere, target=target, original_target=source and _link_at(source)
            )
        if stat.S_ISDIR(state.st_mode):
            return SeenPath("directory")
        if not stat.S_ISREG(state.st_mode):
            return SeenPath("other")
        is_executable = bool(state.st_mode & stat.S_IXUSR) or os.name == "nt"
        was_executable = bool(source) and not is_executable and _is_executable(source)
        if entry.path_type in ("softlink", "directory") or expected_hash(entry) is None:
            return SeenPath("file", "", state.st_size, is_executable, was_executable)
        digest, size = hash_and_size(root + path)
        return SeenPath("file", digest, size, is_executable, was_executable)
    except (FileNotFoundError, NotADirectoryError):
        return SeenPath("missing")
    except OSError as error:
        return SeenPath("unreadable", reason=error.strerror or str(error))


def _link_at(path: str) -> str:
    """What a link says; empty where no link is."""
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _is_executable(path: str) -> bool:
    try:
        state = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISREG(state.st_mode) and bool(state.st_mode & stat.S_IXUSR)


def hash_and_size(path: str) -> tuple[str, int]:
    """The SHA-256 of a file that is no link, and how long it is."""
    # What was a file a moment ago may be a link or a pipe by now.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    try:
        digest, size = hashlib.sha256(), 0
        while block := os.read(descriptor, BLOCK):
            digest.update(block)
            size += len(block)
    finally:
        os.close(descriptor)
    return digest.hexdigest(), size
