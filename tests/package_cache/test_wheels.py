"""Wheels in the package cache: what they become there, and those that are refused."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.archive.read import BadArchive
from kaa.errors import KaaError
from kaa.net.client import HttpClient
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.package_cache.fetch import ensure
from kaa.package_cache.validate import find_damage
from kaa.package_cache.verification import find_forgery
from kaa.pypi.interpreters.build_configuration import PLACEHOLDER
from kaa.pypi.wheel_extraction import extract_wheel
from kaa.pypi.wheel_file import BadWheel
from tests.channels import File, serve
from tests.hostile.wheels import NAME, WHEELS
from tests.package_cache.wheels import local_record, record_of
from tests.pypi_index import Wheel

TOOL = Wheel(
    "Big.Tool",
    "1.0",
    files={
        "big_tool/__init__.py": "x = 1\n",
        "big_tool/comma, and space.txt": "odd",
        "big_tool/run": File(b"#!/bin/sh\n", mode=0o755),
        "big_tool/empty": "",
    },
    data={
        "scripts/start": "#!python -E\nprint()\n",
        "scripts/start3": "#!python3\n",
        "scripts/shell": File(b"#!/bin/sh\n", mode=0o644),
        "data/share/big/readme": "read\n",
        "headers/big.h": "int x;\n",
        "purelib/pure.py": "y = 2\n",
        "platlib/plat.py": "z = 3\n",
    },
    entry_points={"console_scripts": {"big": "big_tool:main"}, "gui_scripts": {"big-gui": "big_tool.gui:run [gui]"}},
    dist_info={"INSTALLER": "pip\n", "REQUESTED": "", "direct_url.json": "{}", "licenses/LICENSE": "free\n"},
)
INFORMATION = "site-packages/Big_Tool-1.0.dist-info"


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache([tmp_path / "pkgs"])


def unpack(cache: PackageCache, wheel: Wheel, tmp_path: Path, **changes: Any) -> ExtractedPackage:
    [package] = ensure([local_record(wheel, tmp_path / "wheels", **changes)], cache, HttpClient())
    return package


def read(package: ExtractedPackage, path: str) -> Any:
    return json.loads((package.directory / path).read_text())


def test_a_wheel_lies_in_the_layout_of_packages(cache: PackageCache, tmp_path: Path) -> None:
    package = unpack(cache, TOOL, tmp_path, name="tool-of-conda", license="MIT", depends=("python >=3.8", "dep"))
    assert sorted(entry.path for entry in package.paths()) == sorted(
        [
            "include/big-tool/big.h",
            "python-scripts/shell",
            "python-scripts/start",
            "python-scripts/start3",
            "share/big/readme",
            "site-packages/big_tool/__init__.py",
            "site-packages/big_tool/comma, and space.txt",
            "site-packages/big_tool/empty",
            "site-packages/big_tool/run",
            "site-packages/plat.py",
            "site-packages/pure.py",
            *(
                f"{INFORMATION}/{name}"
                for name in ("INSTALLER", "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
            ),
        ]
    )
    assert find_damage(package, "hashes") is None
    assert read(package, "info/index.json") == {
        "name": "tool-of-conda",
        "version": "1.0",
        "build": "py3_none_any_0",
        "build_number": 0,
        "depends": ["python >=3.8", "dep"],
        "subdir": "noarch",
        "noarch": "python",
        "license": "MIT",
        "purls": ["pkg:pypi/big-tool@1.0"],
    }
    link = package.link().noarch
    assert link is not None
    assert (link.type, link.entry_points) == (
        "python",
        ("big = big_tool:main", "big-gui = big_tool.gui:run [gui]"),
    )
    assert (package.directory / INFORMATION / "INSTALLER").read_text() == "kaa\n"
    start = next(entry for entry in package.paths() if entry.path == "python-scripts/start")
    assert (start.prefix_placeholder, start.file_mode) == (PLACEHOLDER, "text")
    scripts = package.directory / "python-scripts"
    assert (scripts / "start").read_text() == f"#!{PLACEHOLDER}/bin/python -E\nprint()\n"
    assert (scripts / "start3").read_text() == f"#!{PLACEHOLDER}/bin/python\n"
    assert (scripts / "shell").read_text() == "#!/bin/sh\n"


def test_modes_and_times(cache: PackageCache, tmp_path: Path) -> None:
    package = unpack(cache, TOOL, tmp_path)
    for path, mode in (
        ("site-packages/big_tool/run", 0o555),
        ("site-packages/big_tool/__init__.py", 0o444),
        ("python-scripts/shell", 0o555),
        ("python-scripts/start", 0o555),
    ):
        state = (package.directory / path).stat()
        assert stat.S_IMODE(state.st_mode) & mode == mode & ~_umask(), path
        assert not state.st_mode & 0o222, path
        assert state.st_mtime == 1_704_067_200, path


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_record_lists_what_lies_in_site_packages(cache: PackageCache, tmp_path: Path) -> None:
    package = unpack(cache, TOOL, tmp_path)
    text = (package.directory / INFORMATION / "RECORD").read_text()
    rows = {name: (digest, size) for name, digest, size in csv.reader(io.StringIO(text))}
    own = {entry.path.removeprefix("site-packages/") for entry in package.paths() if "site-packages" in entry.path}
    assert rows.keys() == own
    assert rows.pop("Big_Tool-1.0.dist-info/RECORD") == ("", "")
    for name, (digest, size) in rows.items():
        content = (package.directory / "site-packages" / name).read_bytes()
        assert digest == _record_hash(content), name
        assert int(size) == len(content), name


def _record_hash(content: bytes) -> str:
    return "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    ("tag", "include"),
    [
        ("cp311-cp311-manylinux_2_17_x86_64", "include/python3.11/tool/t.h"),
        ("cp313-cp313t-manylinux_2_17_x86_64.manylinux2014_x86_64", "include/python3.13t/tool/t.h"),
        ("cp39-abi3-manylinux_2_17_x86_64", "include/tool/t.h"),
        ("py2.py3-none-any", "include/tool/t.h"),
    ],
)
def test_every_wheel_follows_the_python_of_its_environment(
    cache: PackageCache, tmp_path: Path, tag: str, include: str
) -> None:
    wheel = Wheel("tool", tag=tag, files={"tool.so": b"\x7fELF"}, data={"headers/t.h": "", "data/bin/x": "x"})
    package = unpack(cache, wheel, tmp_path)
    paths = {entry.path for entry in package.paths()}
    assert {"site-packages/tool.so", include, "bin/x"} <= paths
    assert package.link().noarch is not None


def test_a_wheel_is_downloaded_once_and_checked(tmp_path: Path) -> None:
    content = TOOL.to_bytes()
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / TOOL.file_name).write_bytes(content)
    cache = PackageCache([tmp_path / "pkgs"])
    with serve(tmp_path / "served") as server:
        record = record_of(TOOL, content, f"{server.url}/{TOOL.file_name}")
        [first] = ensure([record], cache, HttpClient())
        [again] = ensure([record], cache, HttpClient())
        assert first.directory == again.directory == tmp_path / "pkgs" / record.dist
        assert len(server.requests) == 1
        assert cache.find_archive(record) == tmp_path / "pkgs" / f"{record.dist}.whl"
        other = record_of(TOOL, content, f"{server.url}/{TOOL.file_name}", sha256="0" * 64, build="other_0")
        with pytest.raises(KaaError, match="sha256"):
            ensure([other], cache, HttpClient())
    assert not (tmp_path / "pkgs" / other.dist).exists()
    assert not (tmp_path / "pkgs" / f"{other.dist}.whl").exists()


@pytest.mark.parametrize(
    ("purl", "fine"),
    [
        ("pkg:pypi/big-tool@1.0", True),
        ("pkg:pypi/Big_Tool@1.0.0", True),
        ("pkg:pypi/big-tool", True),
        ("pkg:pypi/big-tool@1.1", False),
        ("pkg:pypi/other@1.0", False),
        ("pkg:pypi/big-tool@not a version", False),
        ("pkg:conda/big-tool@1.0", False),
    ],
)
def test_the_wheel_is_of_the_project_that_the_record_tells_of(
    cache: PackageCache, tmp_path: Path, purl: str, fine: bool
) -> None:
    if fine:
        unpack(cache, TOOL, tmp_path, purls=(purl,))
    else:
        with pytest.raises(BadWheel, match=r"big-tool 1\.0, and was offered as"):
            unpack(cache, TOOL, tmp_path, purls=(purl,))


@pytest.mark.parametrize(("build", "reason"), WHEELS.values(), ids=list(WHEELS))
def test_hostile_wheels_are_refused_and_leave_nothing(
    cache: PackageCache, tmp_path: Path, build: Callable[[], bytes], reason: str
) -> None:
    record = local_record(Wheel("tool"), tmp_path / "wheels", build())
    assert record.fn == NAME
    with pytest.raises((BadWheel, BadArchive), match=reason) as caught:
        ensure([record], cache, HttpClient())
    assert record.fn in str(caught.value)
    assert caught.value.hints
    assert [path.name for path in (tmp_path / "pkgs").iterdir() if path.name not in ("urls.txt", ".locks")] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pkgs", "wheels"]


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("site-packages/big_tool/__init__.py", b"x = 2\n"),
        (f"{INFORMATION}/RECORD", b""),
        ("info/link.json", b'{"noarch":{"type":"python","entry_points":["x = os:system"]}}'),
        ("info/paths.json", b'{"paths":[],"paths_version":1}'),
        ("site-packages/evil.pth", b"import os\n"),
    ],
)
def test_a_verified_cache_compares_a_wheel_with_its_archive(
    cache: PackageCache, tmp_path: Path, path: str, change: bytes
) -> None:
    package = unpack(cache, TOOL, tmp_path)
    assert find_forgery(package, cache) is None
    file = package.directory / path
    file.unlink(missing_ok=True)
    file.write_bytes(change)
    damage = find_forgery(package, cache)
    assert damage is not None
    assert damage.path == path


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_other_strong_hashes(cache: PackageCache, tmp_path: Path, algorithm: str) -> None:
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, b"x").digest()).rstrip(b"=").decode()
    line = f"tool.py,{algorithm}={digest},1"
    package = unpack(cache, Wheel("tool", files={"tool.py": b"x"}, record_lines={"tool.py": line}), tmp_path)
    assert find_damage(package, "hashes") is None
    with pytest.raises(BadWheel, match="not the one"):
        unpack(cache, Wheel("tool", "2", files={"tool.py": b"y"}, record_lines={"tool.py": line}), tmp_path)


SMALL = Wheel("tool", files={"tool.py": b"x = 1\n" * 50, "more.py": b"y = 2\n"})
CONTENT = SMALL.to_bytes()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_wheel_with_any_byte_changed_is_refused_or_has_the_same_files(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("changed")
    position = data.draw(st.integers(0, len(CONTENT) - 1))
    byte = data.draw(st.integers(0, 255))
    content = CONTENT[:position] + bytes([byte]) + CONTENT[position + 1 :]
    (folder / SMALL.file_name).write_bytes(content)
    record = record_of(SMALL, content, (folder / SMALL.file_name).as_uri())
    try:
        extract_wheel(folder / SMALL.file_name, folder / "out", record)
    except BadWheel:
        assert not (folder / "out").exists()
        return
    for name in ("tool.py", "more.py", "tool-1.0.dist-info/METADATA"):
        with zipfile.ZipFile(io.BytesIO(CONTENT)) as archive:
            assert (folder / "out" / "site-packages" / name).read_bytes() == archive.read(name)
