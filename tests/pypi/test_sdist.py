"""Source distributions: what they say of themselves, how they are unpacked, and what is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from kaa.pypi.sdist import (
    LEGACY_BACKEND,
    BadSdist,
    BuildSystem,
    read_build_system,
    read_static_metadata,
    unpack_sdist,
)
from kaa.pypi.wheel_records import sdist_version
from tests.pypi_index import Sdist


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as plain, tarfile.open(fileobj=plain, mode="w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member, b""


def zip_of(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("file_name", "project", "version"),
    [
        ("tool-1.0.tar.gz", "tool", "1.0"),
        ("python-dateutil-2.8.2.tar.gz", "python-dateutil", "2.8.2"),
        ("python_dateutil-2.8.2.zip", "python-dateutil", "2.8.2"),
        ("Zope.Interface-5.0rc1.tar.gz", "zope-interface", "5.0rc1"),
        ("tool-1.0-1.tar.gz", "tool", "1.0-1"),
        ("tool-more-1.0.tar.gz", "tool", ""),
        ("other-1.0.tar.gz", "tool", ""),
        ("tool.tar.gz", "tool", ""),
    ],
)
def test_versions_in_file_names(file_name: str, project: str, version: str) -> None:
    assert sdist_version(file_name, project) == version


@pytest.mark.parametrize(
    ("metadata_version", "lines", "static"),
    [
        ("2.2", [], True),
        ("2.4", ["Dynamic: Description"], True),
        ("2.2", ["Dynamic: Requires-Dist"], False),
        ("2.2", ["Dynamic: requires-dist"], False),
        ("2.2", ["Dynamic: Provides-Extra"], False),
        ("2.2", ["Dynamic: Requires-Python"], False),
        ("2.1", [], False),
        ("1.2", [], False),
    ],
)
def test_static_metadata(tmp_path: Path, metadata_version: str, lines: list[str], static: bool) -> None:
    sdist = Sdist("tool", "1.0", requires=["lib>=2"], metadata_version=metadata_version, metadata_lines=lines, files={})
    path = tmp_path / sdist.file_name
    path.write_bytes(sdist.to_bytes())
    found = read_static_metadata(path)
    assert (found is not None) is static
    if found is not None:
        assert (found.name, found.version, found.requires_dist) == ("tool", "1.0", ("lib>=2",))


def test_zips_are_sdists_too(tmp_path: Path) -> None:
    path = tmp_path / "tool-1.0.zip"
    pkg_info = b"Metadata-Version: 2.2\nName: tool\nVersion: 1.0\nRequires-Dist: lib\n"
    path.write_bytes(zip_of({"tool-1.0/PKG-INFO": pkg_info, "tool-1.0/sub/setup.py": b"x", "tool-1.0/setup.py": b"y"}))
    metadata = read_static_metadata(path)
    assert metadata is not None
    assert metadata.requires_dist == ("lib",)
    root = unpack_sdist(path, tmp_path / "out")
    assert (root / "setup.py").read_bytes() == b"y"
    assert (root / "sub" / "setup.py").read_bytes() == b"x"
    assert read_build_system(root, path.name) == BuildSystem()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "above": lambda: tar_of(entry("tool-1.0/../../evil")),
    "absolute": lambda: tar_of(entry("/tmp/evil")),
    "link out": lambda: tar_of(entry("tool-1.0/x", tarfile.SYMTYPE, "../../..")),
    "through a link": lambda: tar_of(entry("tool-1.0/x", tarfile.SYMTYPE, "/"), entry("tool-1.0/x/evil")),
    "hard link out": lambda: tar_of(entry("tool-1.0/x", tarfile.LNKTYPE, "../../etc/passwd")),
    "device": lambda: tar_of(entry("tool-1.0/x", tarfile.CHRTYPE)),
    "two roots": lambda: tar_of(entry("tool-1.0/x"), entry("other/x")),
    "no root": lambda: tar_of(entry("setup.py")),
    "nothing": lambda: tar_of(),
    "cut off": lambda: tar_of(entry("tool-1.0/x"))[:-20],
    "a page of HTML": lambda: b"<html><body>sign in</body></html>",
    "zip above": lambda: zip_of({"tool-1.0/../../evil": b""}),
    "zip cut off": lambda: zip_of({"tool-1.0/x": b"abc"})[:-10],
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_archives_leave_nothing(tmp_path: Path, content: Callable[[], bytes]) -> None:
    path = tmp_path / "in" / "tool-1.0.tar.gz"
    path.parent.mkdir()
    path.write_bytes(content())
    target = tmp_path / "out" / "here"
    target.parent.mkdir()
    with pytest.raises(BadSdist, match=r"tool-1\.0\.tar\.gz is no sound source distribution"):
        unpack_sdist(path, target)
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize(
    ("pyproject", "expected"),
    [
        ("", BuildSystem()),
        ("[project]\nname='x'\n", BuildSystem()),
        ("[build-system]\nrequires=['a']\n", BuildSystem(("a",), LEGACY_BACKEND)),
        (
            "[build-system]\nrequires=[]\nbuild-backend='b:c'\nbackend-path=['.', 'in']\n",
            BuildSystem((), "b:c", (".", "in")),
        ),
    ],
)
def test_build_systems(tmp_path: Path, pyproject: str, expected: BuildSystem) -> None:
    (tmp_path / "pyproject.toml").write_text(pyproject)
    assert read_build_system(tmp_path, "x-1.tar.gz") == expected


@pytest.mark.parametrize(
    ("pyproject", "reason"),
    [
        ("[build-system\n", "Expected"),
        ("[build-system]\nbuild-backend='x'\n", "no list `requires`"),
        ("[build-system]\nrequires='x'\n", "no list `requires`"),
        ("[build-system]\nrequires=[1]\n", "no list `requires`"),
        ("build-system=1\n", "no list `requires`"),
        ("[build-system]\nrequires=[]\nbuild-backend=1\n", "not what it must be"),
        ("[build-system]\nrequires=[]\nbackend-path=['..']\n", "leads out of it"),
        ("[build-system]\nrequires=[]\nbackend-path=['/usr']\n", "leads out of it"),
        (None, "neither a pyproject.toml nor a setup.py"),
    ],
)
def test_unusable_build_systems(tmp_path: Path, pyproject: str | None, reason: str) -> None:
    if pyproject is not None:
        (tmp_path / "pyproject.toml").write_text(pyproject)
    with pytest.raises(BadSdist, match=reason):
        read_build_system(tmp_path, "x-1.tar.gz")
