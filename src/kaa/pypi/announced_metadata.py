"""What an index gave as the metadata of a wheel, held against what the wheel says of itself when it is here.

A plan rests on metadata that is read before the wheel is (PEP 658, or a few ranges of the file). Where that was not
the wheel's own, what was planned is not what the wheel needs: it is refused, and from then on its own is what counts.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from kaa.errors import KaaError
from kaa.models.channel import PYPI_SCHEME
from kaa.models.record import RepoDataRecord
from kaa.pypi.metadata import KeptMetadata, UnreadableMetadata, parse_metadata


class MetadataDiffers(KaaError):
    """A wheel needs something else than the index told when the plan was made."""

    conda_name = "CondaVerificationError"

    def __init__(self, index: str, file_name: str, name: str, differing: tuple[str, ...], *, hashed: bool) -> None:
        self.index = index
        self.file_name = file_name
        self.name = name
        self.differing = differing
        super().__init__(
            f"the metadata that the index {index} gives of {file_name} is not that in the wheel "
            f"({' and '.join(differing)}): what was planned is not what {name} needs",
            hints=(
                *(("run the command again: it is planned with what the wheel itself says",) if hashed else ()),
                f"ask for another version of {name}, or take it from another index",
                "tell who runs the index: what it says of its files cannot be relied on",
            ),
        )


def index_of(record: RepoDataRecord) -> str:
    """The address of the index that offers a wheel; empty for what no index offers."""
    return record.channel.removeprefix(PYPI_SCHEME) if record.channel.startswith(PYPI_SCHEME) else ""


def kept_metadata(directory: Path, index: str) -> KeptMetadata:
    """What is kept of an index's wheels; each index for itself: another could tell lies about a wheel by its hash."""
    return KeptMetadata(directory / "pypi" / "metadata" / hashlib.sha256(index.encode()).hexdigest()[:16])


def key_of(sha256: str, url: str) -> str:
    """Under what the metadata of a wheel is kept: its hash, or what stands for it where the index tells none."""
    return sha256 or f"url-{hashlib.sha256(url.encode()).hexdigest()}"


def fetched_wheel(directory: Path, sha256: str) -> Path:
    """Where a wheel lies that was fetched for its metadata; who installs it takes it from there."""
    return directory / "pypi" / "wheels" / f"{sha256}.whl"


def check_announced(directory: Path, offered: RepoDataRecord, content: bytes) -> None:
    """Raise MetadataDiffers unless METADATA, as it is in a wheel, says what the index had said of it.

    `directory` is where indexes are kept, `offered` the record as it was planned with.
    """
    index = index_of(offered)
    if not index:
        return
    kept = kept_metadata(directory, index)
    key = key_of(offered.sha256 or "", offered.url)
    announced = kept.find(key)
    if announced is None:
        return
    try:
        own = parse_metadata(content)
    except UnreadableMetadata as error:
        raise MetadataDiffers(index, offered.fn, offered.name, (str(error),), hashed=False) from error
    if differing := announced.differences(own):
        # The bytes of the wheel have the hash: this is right, whoever asks.
        kept.write(key, own)
        raise MetadataDiffers(index, offered.fn, offered.name, differing, hashed=bool(offered.sha256))
