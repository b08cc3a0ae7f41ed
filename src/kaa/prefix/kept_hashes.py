"""Whether kept files of pip's distributions are what their RECORD says."""

from __future__ import annotations

import base64
import csv
import hashlib
import posixpath
from collections.abc import Iterator
from pathlib import Path

from kaa.prefix.generations import InstalledDistribution
from kaa.prefix.kept_distributions import hash_of_file, kept_directory

BLOCK = 1 << 20


def changed_files(prefix: Path, distribution: InstalledDistribution) -> tuple[str, ...]:
    """The kept files of a distribution that are not what its RECORD says; it says nothing of bytecode."""
    top = kept_directory(prefix, distribution.key)
    record = top / distribution.metadata / "RECORD"
    digest = hash_of_file(record)
    if not digest:
        listed = top / distribution.metadata / "installed-files.txt"
        return () if distribution.key.endswith(hash_of_file(listed)[:12] or "-") else (str(distribution.metadata),)
    if not distribution.key.endswith(f"-{digest[:12]}"):
        return (f"{distribution.metadata}/RECORD",)
    site_packages = distribution.metadata.rpartition("/")[0]
    changed = []
    for path, expected in _hashes(record, site_packages):
        kept = top / path
        if kept.is_file() and not kept.is_symlink() and _encoded_hash(kept, expected.partition("=")[0]) != expected:
            changed.append(path)
    return tuple(sorted(changed))


def _hashes(record: Path, site_packages: str) -> Iterator[tuple[str, str]]:
    """(path below the environment, `sha256=…`) of the lines of a RECORD that have a hash that can be computed.

    Some wheels list bytecode with its hash, and the installer compiles it anew: such lines say nothing.
    """
    with record.open(encoding="utf-8", errors="surrogateescape", newline="") as stream:
        for row in csv.reader(stream):
            if len(row) >= 2 and row[1].partition("=")[0] in hashlib.algorithms_guaranteed and "=" in row[1]:
                path = posixpath.normpath(posixpath.join(site_packages, row[0].replace("\\", "/")))
                if not path.startswith(("/", "../")) and not path.endswith((".pyc", ".pyo")):
                    yield path, row[1]


def _encoded_hash(path: Path, algorithm: str) -> str:
    """The hash of a file as RECORD has it."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK):
            digest.update(block)
    return f"{algorithm}={base64.urlsafe_b64encode(digest.digest()).rstrip(b'=').decode()}"
