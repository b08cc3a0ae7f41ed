"""The builder of test indexes itself: its wheels are wheels, and its server says what the standards say."""

from __future__ import annotations

import importlib.metadata
import io
import json
import tarfile
import urllib.error
import urllib.request
import zipfile
from email.message import Message
from pathlib import Path
from urllib.parse import urljoin

import pytest

from tests.pypi_index import JSON_TYPE, IndexFault, PypiIndex, Sdist, Wheel, serve_index, sha256


def fetch(url: str, **headers: str) -> tuple[bytes, Message]:
    request = urllib.request.Request(url, headers={key.replace("_", "-"): value for key, value in headers.items()})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read(), response.headers


def test_a_wheel_reads_back(tmp_path: Path) -> None:
    wheel = Wheel(
        "Some.Tool",
        "1.2",
        requires=["lib>=2"],
        extras=["more"],
        entry_points={"console_scripts": {"tool": "tool:main"}},
    )
    assert wheel.file_name == "Some_Tool-1.2-py3-none-any.whl"
    with zipfile.ZipFile(io.BytesIO(wheel.to_bytes())) as archive:
        archive.extractall(tmp_path)
    (found,) = importlib.metadata.distributions(path=[str(tmp_path)])
    assert (found.metadata["Name"], found.version, found.requires) == ("Some.Tool", "1.2", ["lib>=2"])
    assert [point.value for point in found.entry_points] == ["tool:main"]
    assert found.files is not None
    for file in found.files:
        assert file.hash is None or file.size == len(file.read_binary())


def test_what_record_says_and_what_it_hides() -> None:
    wheel = Wheel("x", unlisted={"../evil": "e"}, record_lines={"x.py": "x.py,sha256=abc,1"})
    with zipfile.ZipFile(io.BytesIO(wheel.to_bytes())) as archive:
        assert "../evil" in archive.namelist()
        lines = archive.read("x-1.0.dist-info/RECORD").decode().splitlines()
    assert lines[0] == "x.py,sha256=abc,1"
    assert not any("evil" in line for line in lines)


def test_an_sdist_holds_its_metadata() -> None:
    with tarfile.open(fileobj=io.BytesIO(Sdist("a-b", "2.0").to_bytes())) as archive:
        assert sorted(archive.getnames()) == ["a_b-2.0/PKG-INFO", "a_b-2.0/a_b.py", "a_b-2.0/pyproject.toml"]


def test_the_server_answers_as_the_standards_say() -> None:
    index = PypiIndex().add(Wheel("a", requires_python=">=3.9", yanked="broken"))
    with serve_index(index, max_age=600) as server:
        content, headers = fetch(f"{server.url}/a/", Accept=JSON_TYPE)
        page = json.loads(content)
        assert headers["Content-Type"] == JSON_TYPE
        assert headers["Cache-Control"] == "max-age=600, public"
        (file,) = page["files"]
        assert (file["requires-python"], file["yanked"]) == (">=3.9", "broken")
        address = urljoin(f"{server.url}/a/", file["url"])
        wheel, _ = fetch(address)
        assert sha256(wheel) == file["hashes"]["sha256"]
        metadata, _ = fetch(address + ".metadata")
        assert sha256(metadata) == file["core-metadata"]["sha256"]
        part, _ = fetch(address, Range="bytes=-22")
        assert part == wheel[-22:]
        text, _ = fetch(f"{server.url}/a/")
        assert b'data-requires-python="&gt;=3.9" data-yanked="broken"' in text
        with pytest.raises(urllib.error.HTTPError, match="304"):
            fetch(f"{server.url}/a/", Accept=JSON_TYPE, If_None_Match=headers["ETag"])


def test_credentials_and_faults() -> None:
    with serve_index(PypiIndex().add(Wheel("a")), credentials=("me", "secret")) as server:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            fetch(f"{server.url}/a/")
        server.serving.credentials = None
        server.faults.append(IndexFault("/simple/a/", status=503, times=1))
        with pytest.raises(urllib.error.HTTPError, match="503"):
            fetch(f"{server.url}/a/")
        server.faults.append(IndexFault("/simple/a/", "html-error"))
        content, headers = fetch(f"{server.url}/a/")
        assert b"Sign in" in content
        assert headers["Content-Type"].startswith("text/html")
        assert server.count("/simple/a/") == 3


def test_folders(tmp_path: Path) -> None:
    index = PypiIndex().add(Wheel("a"), Sdist("a", "2.0"))
    assert sorted(path.name for path in index.write_flat(tmp_path / "flat").iterdir()) == [
        "a-1.0-py3-none-any.whl",
        "a-2.0.tar.gz",
    ]
    index.write_simple(tmp_path / "simple")
    assert 'href="a-2.0.tar.gz#sha256=' in (tmp_path / "simple" / "a" / "index.html").read_text()
