"""A builder of wheels for tests, independent of kaa's reader: real zip files, sound unless told otherwise."""

from __future__ import annotations

import base64
import hashlib
import stat
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path


def build_wheel(
    folder: Path,
    name: str = "tool",
    version: str = "1.0",
    *,
    tag: str = "py3-none-any",
    build: str = "",
    files: Mapping[str, bytes | str] | None = None,
    metadata: str = "",
    entry_points: str = "",
    executable: tuple[str, ...] = (),
    record: Mapping[str, str | None] | None = None,
    wheel_version: str = "1.0",
    file_name: str | None = None,
    members: Mapping[zipfile.ZipInfo, bytes] | None = None,
) -> Path:
    """Write a wheel; `record` replaces lines of RECORD by path (None: leaves it out), `members` adds raw members."""
    folder.mkdir(parents=True, exist_ok=True)
    information = f"{name}-{version}.dist-info"
    contents: dict[str, bytes] = {}
    for path, content in {**(files if files is not None else {f"{name}.py": "x = 1\n"})}.items():
        contents[path.format(data=f"{name}-{version}.data", info=information)] = (
            content.encode() if isinstance(content, str) else content
        )
    python, abi, platform = tag.split("-")
    tags = "".join(
        f"Tag: {one}-{two}-{three}\n"
        for one in python.split(".")
        for two in abi.split(".")
        for three in platform.split(".")
    )
    contents[f"{information}/WHEEL"] = f"Wheel-Version: {wheel_version}\nRoot-Is-Purelib: true\n{tags}".encode()
    contents[f"{information}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nSummary: A {name}\n{metadata}".encode()
    )
    if entry_points:
        contents[f"{information}/entry_points.txt"] = entry_points.encode()
    lines = {path: f"{path},{digest_text(content)},{len(content)}" for path, content in contents.items()}
    lines[f"{information}/RECORD"] = f"{information}/RECORD,,"
    for path, line in (record or {}).items():
        key = path.format(info=information)
        if line is None:
            del lines[key]
        else:
            lines[key] = line.format(info=information)
    contents[f"{information}/RECORD"] = "".join(f"{line}\n" for line in lines.values()).encode()
    stem = f"{name}-{version}-{build}-{tag}" if build else f"{name}-{version}-{tag}"
    target = folder / (file_name or f"{stem}.whl")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            member = zipfile.ZipInfo(path, (2024, 1, 2, 3, 4, 6))
            member.external_attr = (stat.S_IFREG | (0o755 if path in executable else 0o644)) << 16
            archive.writestr(member, content)
        with warnings.catch_warnings(action="ignore"):
            # Two members of one name: zipfile warns, and writes them.
            for member, content in (members or {}).items():
                archive.writestr(member, content)
    return target


def digest_text(content: bytes, algorithm: str = "sha256") -> str:
    """A hash as RECORD has it."""
    digest = hashlib.new(algorithm, content).digest()
    return f"{algorithm}={base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
