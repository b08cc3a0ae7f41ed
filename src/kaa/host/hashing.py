"""Digests of files and streams."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import BinaryIO, Literal, TypeAlias

Algorithm: TypeAlias = Literal["md5", "sha256"]


def hash_file(path: Path, algorithm: Algorithm = "sha256") -> str:
    """The hexadecimal digest of a file's content."""
    with path.open("rb") as stream:
        return hash_stream(stream, algorithm)


def hash_stream(stream: BinaryIO, algorithm: Algorithm = "sha256") -> str:
    """The hexadecimal digest of what is left in a stream."""
    # Loaded where something is hashed: it brings OpenSSL along.
    hashlib = importlib.import_module("hashlib")
    # md5 identifies old packages, it protects nothing: usedforsecurity keeps it available on hardened systems.
    digest = hashlib.md5(usedforsecurity=False) if algorithm == "md5" else hashlib.sha256()
    while block := stream.read(1 << 20):
        digest.update(block)
    found: str = digest.hexdigest()
    return found
