"""Fetching: formats, conditional requests, freshness, and answers that are not what they should be."""

from __future__ import annotations

import bz2
import json
import os
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest
import zstandard

from kaa.events import BytesReceived, DownloadFinished, DownloadStarted
from kaa.index.fetch import ChannelUnreachable, IndexSettings, is_fresh
from kaa.index.repodata_cache import CacheEntry, CacheNotWritable, CacheState
from kaa.models.repodata import RepodataInvalid
from kaa.net.client import HttpStatusError
from tests.channels import ChannelBuilder, Fault, Server, serve
from tests.index.worlds import Reader, record
from tests.net.servers import run_server

NOARCH = ("noarch",)
ZST, PLAIN, BZ2 = "noarch/repodata.json.zst", "noarch/repodata.json", "noarch/repodata.json.bz2"


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path / "cache", use_shards=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "channel", "a-1-0")
    return tmp_path / "channel"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serve(folder) as server:
        yield server


def write(folder: Path, *dists: str) -> None:
    builder = ChannelBuilder(folder)
    for dist in dists:
        builder.add_record(f"{dist}.conda", record(*dist.rsplit("-", 2)), "noarch")
    builder.write()


def requested(server: Server) -> list[str]:
    """The documents that were asked for since the last call."""
    paths = [request.path.rpartition("/noarch/")[2] for request in server.requests]
    server.requests.clear()
    return paths


def test_an_unchanged_document_is_not_fetched_again(reader: Reader, server: Server) -> None:
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]
    sent = [event for event in reader.events if isinstance(event, BytesReceived | DownloadStarted | DownloadFinished)]
    assert isinstance(sent[0], DownloadStarted) and isinstance(sent[-1], DownloadFinished)
    assert sum(event.count for event in sent if isinstance(event, BytesReceived)) == sent[0].size
    assert requested(server) == ["repodata.json.zst"]
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]
    [request] = server.requests
    assert request.headers["If-None-Match"] and request.headers["If-Modified-Since"]
    assert not any(isinstance(event, DownloadStarted) for event in reader.events)


def test_a_changed_document_is_fetched(reader: Reader, server: Server, folder: Path) -> None:
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]
    write(folder, "a-2-0")
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-2-0"]
    assert len(list(reader.cache.glob("*.body"))) == len(list(reader.cache.glob("*.index"))) == 1


@pytest.mark.parametrize(
    ("formats", "first", "second"),
    [
        ([ZST, PLAIN, BZ2], ["repodata.json.zst"], ["repodata.json.zst"]),
        ([PLAIN], ["repodata.json.zst", "repodata.json"], ["repodata.json"]),
        ([BZ2], ["repodata.json.zst", "repodata.json", "repodata.json.bz2"], ["repodata.json", "repodata.json.bz2"]),
    ],
)
def test_formats(
    reader: Reader, server: Server, folder: Path, formats: list[str], first: list[str], second: list[str]
) -> None:
    text = (folder / PLAIN).read_bytes()
    (folder / BZ2).write_bytes(bz2.compress(text))
    for name in {ZST, PLAIN, BZ2}.difference(formats):
        (folder / name).unlink()
    for expected in (first, second, second):
        assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]
        assert requested(server) == expected


@pytest.mark.parametrize("status", [403, 404, 410])
def test_what_servers_say_of_a_format_they_lack(reader: Reader, server: Server, status: int) -> None:
    server.faults.append(Fault(ZST, "status", status=status))
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]


def test_a_lacking_format_is_asked_for_again_after_a_week(reader: Reader, server: Server, folder: Path) -> None:
    packed = (folder / ZST).read_bytes()
    (folder / ZST).unlink()
    reader.dists(server.url, subdirs=NOARCH)
    (folder / ZST).write_bytes(packed)
    entry = CacheEntry(reader.cache, f"{server.url}/noarch")
    state = entry.read_state()
    assert state is not None and list(state.not_offered) == ["repodata.json.zst"]
    day = 24 * 3600.0
    for days, expected in ((6, ["repodata.json"]), (8, ["repodata.json.zst"]), (8, ["repodata.json.zst"])):
        entry.write_state(CacheState(url=state.url, not_offered={"repodata.json.zst": state.checked - days * day}))
        requested(server)
        assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]
        assert requested(server) == expected


def test_without_zst(reader: Reader, server: Server) -> None:
    assert reader.dists(server.url, subdirs=NOARCH, use_zst=False) == ["a-1-0"]
    assert requested(server) == ["repodata.json"]


@pytest.mark.parametrize(
    ("ttl", "cache_control", "age", "fresh"),
    [
        (0, "max-age=3600", 1, False),
        (1, None, 1, False),
        (1, "max-age=60", 59, True),
        (1, "max-age=60", 61, False),
        (1, "public, MAX-AGE = 60", 59, True),
        (1, 'max-age="60"', 59, True),
        (1, "max-age=60, no-cache", 1, False),
        (1, "no-store, max-age=60", 1, False),
        (1, "s-maxage=60", 1, False),
        (1, "max-age=-60", 1, False),
        (30, None, 29, True),
        (30, "max-age=3600", 31, False),
        (30, None, -10, False),
    ],
)
def test_freshness(ttl: int, cache_control: str | None, age: float, fresh: bool) -> None:
    state = CacheState(url="", content="x", cache_control=cache_control, checked=1000.0)
    assert is_fresh(state, IndexSettings(local_repodata_ttl=ttl), 1000.0 + age) == fresh
    assert is_fresh(state, IndexSettings(local_repodata_ttl=ttl, offline=True), 1000.0 + age)


def test_a_fresh_document_needs_no_request(reader: Reader, server: Server, folder: Path) -> None:
    assert reader.dists(server.url, subdirs=NOARCH, ttl=1000) == ["a-1-0"]
    write(folder, "a-2-0")
    requested(server)
    assert reader.dists(server.url, subdirs=NOARCH, ttl=1000) == ["a-1-0"]
    assert reader.dists(server.url, subdirs=NOARCH, offline=True) == ["a-1-0"]
    assert requested(server) == []
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-2-0"]


def test_a_missing_subdir_is_remembered_as_long_as_a_document(reader: Reader, server: Server) -> None:
    for _ in range(2):
        assert reader.dists(server.url, subdirs=("linux-64", "noarch"), ttl=1000) == ["a-1-0"]
    assert server.count("linux-64/repodata.json") == 1
    assert reader.dists(server.url, subdirs=("linux-64", "noarch")) == ["a-1-0"]
    assert server.count("linux-64/repodata.json") == 2


class Channel(BaseHTTPRequestHandler):
    """A channel with one package, whose answers stay fresh for an hour."""

    protocol_version = "HTTP/1.1"
    status = 200
    body = json.dumps({"packages.conda": {"a-1-0.conda": record("a")}}).encode()
    seen: ClassVar[list[str]]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self.seen.append(self.path)
        self.send_response(self.status if self.path.endswith("noarch/repodata.json") else 404)
        self.send_header("Cache-Control", "public, max-age=3600")
        body = self.body if self.path.endswith("noarch/repodata.json") and self.status == 200 else b""
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_as_long_as_the_server_says(reader: Reader) -> None:
    class Handler(Channel):
        seen: ClassVar[list[str]] = []

    with run_server(Handler) as port:
        for _ in range(3):
            assert reader.dists(f"http://127.0.0.1:{port}/x", subdirs=NOARCH, ttl=1) == ["a-1-0"]
    assert Handler.seen == ["/x/noarch/repodata.json.zst", "/x/noarch/repodata.json"]


def test_nothing_new_about_something_that_was_never_here(reader: Reader) -> None:
    class Handler(Channel):
        status = 304
        seen: ClassVar[list[str]] = []

    with run_server(Handler) as port, pytest.raises(RepodataInvalid, match="never here"):
        reader.dists(f"http://127.0.0.1:{port}/x", subdirs=NOARCH)


HTML = b"<!doctype html><title>Log in</title>"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (HTML, "a web page came instead"),
        (b'{"packages": {', "its JSON cannot be read"),
        (b"\x28\xb5\x2f\xfdgarbage", "its compression is damaged"),
        (zstandard.ZstdCompressor().compress(b'{"packages": {}}' * 999)[:-9], "cut off|damaged"),
        (zstandard.ZstdCompressor().compress(HTML), "a web page came instead"),
        (b'{"repodata_version": 7}', "it has version 7"),
    ],
)
def test_documents_that_are_none(reader: Reader, server: Server, folder: Path, content: bytes, reason: str) -> None:
    """The plain document is used instead; only when that is no better is it an error, and nothing is lost then."""
    (folder / ZST).write_bytes(content)
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]
    [remark] = reader.remarks
    assert "repodata.json is used instead" in remark and server.url in remark
    assert requested(server) == ["repodata.json.zst", "repodata.json"]
    (folder / PLAIN).write_bytes(content)
    with pytest.raises(RepodataInvalid, match=reason) as caught:
        reader.dists(server.url, subdirs=NOARCH)
    assert f"{server.url}/noarch/repodata.json" in str(caught.value)
    assert reader.dists(server.url, subdirs=NOARCH, offline=True) == ["a-1-0"]
    write(folder, "a-2-0")
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-2-0"]
    assert not list(reader.cache.glob(".*")), "no temporary file is left"


@pytest.mark.parametrize("kind", ["short", "reset"])
def test_bodies_that_break_off(reader: Reader, server: Server, kind: Any) -> None:
    server.faults.append(Fault(ZST, kind, times=1))
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]
    server.faults.append(Fault(ZST, kind))
    reader.cache = reader.cache.with_name("empty")
    with pytest.raises(ChannelUnreachable, match="cannot be read"):
        reader.dists(server.url, subdirs=NOARCH)
    assert [path.name for path in reader.cache.iterdir() if path.suffix != ".lock"] == []


def test_a_server_in_trouble(reader: Reader, server: Server) -> None:
    server.faults.append(Fault(ZST, "status", status=503, times=1))
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]
    server.faults.append(Fault(ZST, "status", status=503))
    with pytest.raises(HttpStatusError, match="503"):
        reader.dists(server.url, subdirs=NOARCH)


def test_without_etags(reader: Reader, folder: Path) -> None:
    with serve(folder, etags=False) as server:
        for dist in ("a-1-0", "a-2-0"):
            write(folder, dist)
            assert reader.dists(server.url, subdirs=NOARCH) == [dist]


def test_a_redirect(reader: Reader, server: Server, folder: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", "b-1-0")
    with serve(tmp_path / "other") as other:
        server.faults.append(Fault(ZST, "redirect", headers={"Location": f"{other.url}/{ZST}"}))
        with reader.open(server.url, subdirs=NOARCH) as index:
            [one] = index.records("b")
            assert one.url == f"{server.url}/noarch/b-1-0.conda"


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"no state", b'{"url": 1}', b'{"url": "http://other/noarch"}', b"\xff"]
)
def test_a_state_that_cannot_be_read_counts_as_none(reader: Reader, server: Server, content: bytes) -> None:
    reader.dists(server.url, subdirs=NOARCH)
    [path] = reader.cache.glob("*.state")
    path.write_bytes(content)
    assert reader.dists(server.url, subdirs=NOARCH) == ["a-1-0"]


def test_a_cache_that_cannot_be_written(reader: Reader, server: Server) -> None:
    reader.cache.write_text("in the way")
    with pytest.raises(CacheNotWritable, match="the channel cache") as caught:
        reader.dists(server.url, subdirs=NOARCH)
    assert any("pkgs_dirs" in hint for hint in caught.value.hints)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_cache_of_somebody_else_can_be_read(reader: Reader, server: Server) -> None:
    reader.dists(server.url, subdirs=NOARCH)
    reader.cache.chmod(0o555)
    try:
        assert reader.dists(server.url, subdirs=NOARCH, ttl=1000) == ["a-1-0"]
    finally:
        reader.cache.chmod(0o755)
