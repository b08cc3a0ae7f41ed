"""Root files: what environments need, written beside the packages, so that it counts when they cannot be looked at.

    <directory>/.roots/<hash of the path>.<host>.json

An environment on a disk that is not mounted now, on another machine that shares this cache, or in a directory that only
its owner may read keeps its packages by this file. Of environments that can be read the file does not count: they speak
for themselves.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from kaa.host.files import read_regular_file, write_atomic
from kaa.host.mounts import Mount, mount_of
from kaa.host.users import user_name
from kaa.package_cache.extracted_package import RECORD_FILE, ExtractedPackage
from kaa.package_cache.holds import host_name, make_shared

ROOTS = ".roots"


class Root(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one environment needs, as it was after its last change."""

    prefix: str
    host: str
    user: str = ""
    time: str = ""
    inode: int = 0
    """The number of the environment's directory on its file system: another one at that path has another."""
    mount: Mount | None = None
    """The file system that the environment lies on"""
    packages: tuple[tuple[str, str], ...] = ()
    """(dist string, sha256, else md5, else address), those of its generations among them"""


@functools.cache
def _decoder() -> msgspec.json.Decoder[Root]:
    # Made when it is first needed: that takes longer than most start-ups have.
    return msgspec.json.Decoder(Root)


def root_file(directory: Path, prefix: Path, host: str) -> Path:
    """Where a cache directory keeps what an environment of a host needs."""
    digest = hashlib.sha256(os.fsencode(prefix)).hexdigest()[:16]
    return directory / ROOTS / f"{digest}.{host}.json"


def write_root(
    directories: Iterable[Path],
    prefix: Path,
    packages: Iterable[tuple[str, str]],
    *,
    exact: bool = False,
) -> None:
    """Note in cache directories what an environment needs; where that is not possible, nothing happens.

    What was noted before stays, for the sake of its generations, unless this is `exact`ly all that it needs.
    """
    host, wanted = host_name(), set(packages)
    try:
        inode = prefix.stat().st_ino
    except OSError:
        return
    mount = mount_of(prefix)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    for directory in directories:
        path = root_file(directory, prefix, host)
        before = read_root(path)
        if before is not None and before.inode == inode and not exact:
            wanted |= set(before.packages)
        root = Root(str(prefix), host, user_name(), moment, inode, mount, tuple(sorted(wanted)))
        with contextlib.suppress(OSError, UnicodeError):
            make_shared(directory, ROOTS)
            write_atomic(path, msgspec.json.encode(root))


def remove_root(directories: Iterable[Path], prefix: Path, *, hosts: Sequence[str] | None = None) -> None:
    """Forget what an environment of this host (or of these) needs, because it is gone."""
    for directory in directories:
        for host in hosts or [host_name()]:
            with contextlib.suppress(OSError):
                root_file(directory, prefix, host).unlink()


def read_roots(directory: Path) -> tuple[Root, ...]:
    """The root files of a cache directory; those that cannot be read do not count."""
    try:
        paths = sorted((directory / ROOTS).iterdir())
    except OSError:
        return ()
    return tuple(root for path in paths if path.suffix == ".json" and (root := read_root(path)) is not None)


def read_root(path: Path) -> Root | None:
    """What a root file says; None when there is none that can be read."""
    try:
        return _decoder().decode(read_regular_file(path))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def mark_used(packages: Iterable[ExtractedPackage]) -> None:
    """Note that packages were used now, in the time of their records, where that is permitted."""
    record = f"{os.sep}{RECORD_FILE}"
    for package in packages:
        try:
            os.utime(f"{package.directory}{record}")
        except OSError:
            continue
