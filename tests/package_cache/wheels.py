"""Records of the wheels that tests make, as an index would offer them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from msgspec.structs import replace

from kaa.models.record import RepoDataRecord
from tests.pypi_index import Wheel, normalize


def record_of(wheel: Wheel, content: bytes, url: str, **changes: object) -> RepoDataRecord:
    """The record of a wheel at an address."""
    pythons, _, platform = wheel.tag.split("-")
    record = RepoDataRecord(
        name=normalize(wheel.name),
        version=wheel.version,
        build=wheel.tag.replace("-", "_").replace(".", "_")[:60] + "_0",
        depends=("python",),
        subdir="noarch" if platform == "any" else "linux-64",
        noarch="python" if pythons.startswith("py") else None,
        channel="pypi+https://index.example/simple",
        fn=wheel.file_name,
        url=url,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        purls=(f"pkg:pypi/{normalize(wheel.name)}@{wheel.version}",),
    )
    return replace(record, **changes)


def local_record(wheel: Wheel, folder: Path, content: bytes | None = None, **changes: object) -> RepoDataRecord:
    """The record of a wheel that lies in a folder, where it is written to."""
    content = wheel.to_bytes() if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / wheel.file_name
    file.write_bytes(content)
    return record_of(wheel, content, file.as_uri(), **changes)
