"""Pages and metadata of real indexes on loopback: caching, offline, faults, and what is never believed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kaa.errors import KaaError
from kaa.events import Event, Note
from kaa.net.auth import Credentials
from kaa.net.client import HttpClient
from kaa.net.settings import HttpSettings
from kaa.pypi.answers import AnswerInvalid, IndexBroken, IndexFailure, IndexRefused, IndexUnreachable, NotKept
from kaa.pypi.index_client import IndexClient, open_index
from kaa.pypi.metadata import Metadata
from kaa.pypi.project_files import ProjectPage
from kaa.pypi.wheel_metadata import MetadataInvalid
from tests.pypi_index import IndexFault, PypiIndex, Sdist, ServedFile, Wheel, serve_index, sha256

TOOL = Wheel("tool", "1.0", requires=["lib>=2", "other; extra == 'more'"], extras=["more"], requires_python=">=3.9")
BIG = {"tool/data.bin": os.urandom(300_000), "tool/__init__.py": b""}


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with HttpClient(HttpSettings(max_retries=1, backoff_factor=0.0), Credentials(), environ={}) as client:
        yield client


class Opener:
    """Opens indexes on one cache, each with a memory of its own."""

    def __init__(self, directory: Path, client: HttpClient) -> None:
        self.directory = directory
        self.client = client
        self.events: list[Event] = []

    def __call__(self, url: str, **options: Any) -> IndexClient:
        found = open_index(url, self.client, self.directory, reporter=self.events.append, **options)
        assert isinstance(found, IndexClient)
        return found

    @property
    def notes(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Note))


@pytest.fixture
def opened(tmp_path: Path, client: HttpClient) -> Opener:
    return Opener(tmp_path / "cache", client)


def names(page: ProjectPage | None) -> list[str]:
    assert page is not None
    return [file.file_name for file in page.files]


@pytest.mark.parametrize("formats", [("json",), ("html",), ("json", "html")])
@pytest.mark.parametrize("absolute", [False, True])
def test_what_an_index_tells(opened: Opener, formats: tuple[str, ...], absolute: bool) -> None:
    index = PypiIndex().add(TOOL, Wheel("Tool", "2.0", yanked="it is broken"), Sdist("tool", "3.0"))
    with serve_index(index, formats=formats, absolute=absolute) as server:
        page = opened(server.url).page("Tool")
        assert page is not None
        assert (page.project, page.index) == ("tool", server.url)
        first, second, third = page.files
        assert first.url == f"{server.root}/files/tool/tool-1.0-py3-none-any.whl"
        assert first.sha256 == sha256(TOOL.to_bytes())
        assert first.metadata == sha256(TOOL.metadata())
        assert (first.requires_python, first.yanked, first.is_wheel) == (">=3.9", None, True)
        assert second.yanked == "it is broken"
        assert (third.file_name, third.metadata, third.is_wheel) == ("tool-3.0.tar.gz", None, False)
        if "json" in formats:
            assert (first.size, first.upload_time) == (len(TOOL.to_bytes()), 1704067200000)
        assert opened(server.url).page("tool") == page


def test_a_project_that_is_not_there(opened: Opener) -> None:
    with serve_index(PypiIndex().add(TOOL)) as server:
        assert opened(server.url).page("nothing") is None
        assert opened(server.url).pages(["nothing", "tool", "../tool", ""]).keys() == {"tool"}
        # That was remembered, and what is no name was not asked about.
        assert server.paths() == ["/simple/nothing/", "/simple/tool/"]


def test_relative_addresses_count_from_where_the_page_came(opened: Opener) -> None:
    with serve_index(PypiIndex().add(TOOL)) as server:
        server.faults.append(IndexFault("/mirror/of/tool/", "redirect", headers={"Location": "/simple/tool/"}))
        page = opened(f"{server.root}/mirror/of").page("tool")
        assert page is not None
        assert page.files[0].url == f"{server.root}/files/tool/{TOOL.file_name}"


# Caching


def age(directory: Path, seconds: float) -> None:
    """Let pages be as old as that."""
    for path in directory.glob("pypi/*/*.page"):
        os.utime(path, (time.time() - seconds, time.time() - seconds))


@pytest.mark.parametrize(
    ("serving", "ttl", "seconds", "asked"),
    [
        ({"max_age": 600}, 1, 500, False),
        ({"max_age": 600}, 1, 700, True),
        ({"max_age": 600}, 0, 1, True),
        ({"max_age": 600}, 3600, 700, False),
        ({"max_age": 600}, 1, -100, True),
        ({"max_age": 0}, 1, 1, True),
        ({}, 1, 1, True),
        ({"etags": False}, 1, 500, False),
        ({"etags": False}, 1, 700, True),
    ],
)
def test_how_long_an_answer_is_good(
    opened: Opener, serving: dict[str, Any], ttl: int, seconds: float, asked: bool
) -> None:
    with serve_index(PypiIndex().add(TOOL), **serving) as server:
        first = opened(server.url).page("tool")
        age(opened.directory, seconds)
        assert opened(server.url, ttl=ttl).page("tool") == first
        assert server.count("/simple/tool/") == 1 + asked
        # An answer that nothing has changed counts from now on.
        if asked and serving.get("max_age") == 600 and ttl == 1:
            opened(server.url).page("tool")
            assert server.count("/simple/tool/") == 2


def test_a_changed_page_is_seen(opened: Opener) -> None:
    index = PypiIndex().add(TOOL)
    with serve_index(index) as server:
        opened(server.url).page("tool")
        index.add(Wheel("tool", "2.0"))
        assert len(names(opened(server.url).page("tool"))) == 2
        assert "If-None-Match" in server.requests[-1].headers


@pytest.mark.parametrize(
    "harm", [lambda data: data[:-9], lambda data: b"x" + data[1:], lambda data: data[:-4] + b"zzzz"]
)
def test_a_damaged_page_is_fetched_again(opened: Opener, harm: Callable[[bytes], bytes]) -> None:
    with serve_index(PypiIndex().add(TOOL), max_age=600) as server:
        first = opened(server.url).page("tool")
        [path] = opened.directory.glob("pypi/*/tool.page")
        path.write_bytes(harm(path.read_bytes()))
        assert opened(server.url).page("tool") == first
        assert server.count("/simple/tool/") == 2


def test_offline_is_what_was_kept(opened: Opener) -> None:
    with serve_index(PypiIndex().add(TOOL, Wheel("lib"))) as server:
        index = opened(server.url)
        pages = index.pages(["tool", "lib", "none"])
        metadata = index.metadata(pages["tool"].files[0])
        seen = len(server.requests)
        offline = opened(server.url, offline=True)
        assert offline.pages(["tool", "lib", "none", "never"]) == pages
        assert offline.page("none") is None
        assert offline.projects() == ["lib", "none", "tool"]
        assert offline.metadata(pages["tool"].files[0]) == metadata
        with pytest.raises(NotKept, match=r"the page of never of the index .* is needed, and kaa works offline"):
            offline.page("never")
        with pytest.raises(NotKept, match=r"the metadata of lib-1\.0-py3-none-any\.whl"):
            offline.metadata(pages["lib"].files[0])
        assert len(server.requests) == seen


def test_a_cache_that_cannot_be_written(opened: Opener) -> None:
    opened.directory.parent.mkdir(exist_ok=True)
    opened.directory.write_text("a file where a directory should be")
    with serve_index(PypiIndex().add(TOOL, Wheel("lib"))) as server:
        index = opened(server.url)
        assert index.pages(["tool", "lib"]).keys() == {"tool", "lib"}
        assert index.metadata(index.pages(["tool"])["tool"].files[0]).name == "tool"
    assert opened.notes.count("cannot be kept") == 1


# What an index gets wrong


LOGIN = b"<html><head><title>Sign in</title></head><body><a href='/login'>Sign in</a></body></html>"

WRONG: list[tuple[IndexFault, type[KaaError], str]] = [
    (IndexFault("/tool/", "html-error"), AnswerInvalid, "a page of HTML that lists no files"),
    (IndexFault("/tool/", "instead", body=LOGIN, content_type="text/html"), AnswerInvalid, "a page of HTML that lists"),
    (IndexFault("/tool/", "truncated"), AnswerInvalid, "it is no JSON"),
    (IndexFault("/tool/", "instead", body=b"[]"), AnswerInvalid, "no page of the simple API"),
    (
        IndexFault("/tool/", "instead", body=b'{"name": "tool", "files": []}', content_type="image/png"),
        AnswerInvalid,
        "",
    ),
    (IndexFault("/tool/", "instead", body=b'{"name": "lib", "files": []}'), AnswerInvalid, "page of another project"),
    (
        IndexFault("/tool/", "instead", body=b'{"name": "tool", "files": [], "meta": {"api-version": "2.0"}}'),
        AnswerInvalid,
        r"version 2\.0 of the simple API",
    ),
    (
        IndexFault("/tool/", "instead", body=b'<a href="lib-1-py3-none-any.whl">lib</a>', content_type="text/html"),
        AnswerInvalid,
        "files of other projects only",
    ),
    (IndexFault("/tool/", "status", status=401), IndexRefused, "it wants credentials"),
    (IndexFault("/tool/", "status", status=403), IndexRefused, "it does not allow it"),
    (IndexFault("/tool/", "status", status=500), IndexBroken, r"500 \(server error\)"),
    (IndexFault("/tool/", "redirect", headers={"Location": "file:///etc/passwd"}), IndexBroken, "not followed"),
    (IndexFault("/tool/", "short"), IndexUnreachable, "ended too early"),
    (IndexFault("/tool/", "reset"), IndexUnreachable, "cannot be reached"),
]


@pytest.mark.parametrize(("fault", "kind", "text"), WRONG)
def test_faults_of_pages(opened: Opener, fault: IndexFault, kind: type[KaaError], text: str) -> None:
    if fault.content_type == "image/png":
        kind, text = AnswerInvalid, "neither JSON nor HTML"
        fault.body = b"\x89PNG"
    with serve_index(PypiIndex().add(TOOL, Wheel("lib")), credentials=("me", "s3cret")) as server:
        server.faults.append(fault)
        index = opened(server.url_with_credentials)
        with pytest.raises(kind, match=text) as caught:
            index.page("tool")
        message = str(caught.value)
        assert server.url in message
        assert "tool" in message
        assert "s3cret" not in message
        assert caught.value.hints
        assert caught.value.fields()["index"] == server.url
        fault.times = 0
        assert names(opened(server.url_with_credentials).page("tool")) == [TOOL.file_name]


def test_nobody_answers(opened: Opener) -> None:
    with serve_index(PypiIndex().add(TOOL)) as server:
        opened(server.url).page("tool")
    # A connection that is open still is answered.
    opened.client.close()
    with pytest.raises(IndexUnreachable, match="refused the connection") as caught:
        opened(server.url).pages(["tool", "lib"])
    assert "try: use --offline" in str(caught.value)
    assert opened(server.url, offline=True).page("tool") is not None


def test_credentials_go_to_the_whole_host_and_nowhere_else(opened: Opener) -> None:
    with serve_index(PypiIndex().add(TOOL), credentials=("me", "p@ss/word")) as server:
        index = opened(server.url_with_credentials)
        page = index.page("tool")
        assert page is not None
        assert index.metadata(page.files[0]).version == "1.0"
        with pytest.raises(IndexRefused, match="netrc"):
            Opener(opened.directory / "other", HttpClient(HttpSettings(), environ={}))(server.url).page("tool")
    kept = b"".join(path.read_bytes() for path in opened.directory.rglob("*") if path.is_file())
    assert b"p@ss" not in kept
    assert b"p%40ss" not in kept


def test_a_login_in_the_address_of_a_file_is_for_the_client_only(opened: Opener) -> None:
    index = PypiIndex().add(TOOL)
    with serve_index(index) as server, serve_index(index, credentials=("me", "s3cret")) as closed:
        secret = closed.root.replace("http://", "http://me:s3cret@")
        index.replace(TOOL.file_name, url=f"{secret}/files/tool/{TOOL.file_name}")
        client = opened(server.url)
        page = client.page("tool")
        assert page is not None
        assert page.files[0].url == f"{closed.root}/files/tool/{TOOL.file_name}"
        assert client.metadata(page.files[0]).name == "tool"
        # It is not in the cache either, and the page is asked for again because of that.
        assert not list(opened.directory.glob("pypi/*/*.page"))


HOSTILE = [
    ("../tool-1.0-py3-none-any.whl", None),
    ("tool-1.0-py3-none-any.whl/../../x.whl", None),
    ("tool-1.0\x00-py3-none-any.whl", None),
    ("..\\tool-1.0-py3-none-any.whl", None),
    ("tool-9.9-py3-none-any.whl", "file:///etc/passwd"),
    ("tool-9.9-py3-none-any.whl", "ftp://host/tool-9.9-py3-none-any.whl"),
    ("tool-9.9-py3-none-any.whl", "http://ho st/x"),
    ("tool-9.9-py3-none-any.whl", "http://host/a\nb"),
    ("tool-9.9-py3-none-any.whl", "//"),
    ("tool-9.9.whl", None),
]


@pytest.mark.parametrize(("file_name", "url"), HOSTILE)
@pytest.mark.parametrize("formats", [("json",), ("html",)])
def test_files_that_are_left_out(opened: Opener, file_name: str, url: str | None, formats: tuple[str, ...]) -> None:
    index = PypiIndex().add(TOOL)
    index.add_file("tool", ServedFile(file_name, b"", url=url))
    with serve_index(index, formats=formats) as server:
        found = names(opened(server.url).page("tool"))
        assert set(found) <= {TOOL.file_name, "x.whl"}
        assert TOOL.file_name in found
        assert "left out" in opened.notes or formats == ("html",)


def test_files_of_other_projects_and_other_kinds_are_passed_over(opened: Opener) -> None:
    index = PypiIndex().add(TOOL)
    for name in ("tools-1.0-py3-none-any.whl", "tool-1.0.win32-py2.4.exe", "tool-1.0-py2.7.egg", "lib-1.0.tar.gz"):
        index.add_file("tool", ServedFile(name, b""))
    with serve_index(index) as server:
        assert names(opened(server.url).page("tool")) == [TOOL.file_name]


def test_one_odd_entry_does_not_hide_the_others(opened: Opener) -> None:
    index = PypiIndex().add(TOOL)
    index.replace(TOOL.file_name, size="large")
    index.add(Wheel("tool", "2.0"))
    with serve_index(index, formats=("json",)) as server:
        assert names(opened(server.url).page("tool")) == ["tool-2.0-py3-none-any.whl"]
    assert "left out" in opened.notes


# Metadata

WAYS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, [".metadata"]),
    ({"metadata": "old"}, [".metadata"]),
    ({"metadata": "none"}, [".whl", ".whl"]),
    ({"metadata": "none", "sizes_and_times": False}, [".whl", ".whl"]),
    ({"metadata": "none", "ranges": False}, [".whl", ".whl"]),
]


@pytest.mark.parametrize(("serving", "requests"), WAYS)
def test_metadata_by_every_way(opened: Opener, serving: dict[str, Any], requests: list[str]) -> None:
    wheel = Wheel("tool", "1.0", requires=["a>=1", "b; extra == 'x'"], extras=["x"], files=BIG, requires_python=">=3.9")
    with serve_index(PypiIndex().add(wheel), **serving) as server:
        index = opened(server.url)
        page = index.page("tool")
        assert page is not None
        found = index.metadata(page.files[0])
        assert found == Metadata("tool", "1.0", ("a>=1", "b; extra == 'x'"), ">=3.9", ("x",))
        asked = [request for request in server.requests if "/files/" in request.path]
        assert [request.path[-len(end) :] for request, end in zip(asked, requests, strict=False)] == requests[
            : len(asked)
        ]
        if serving.get("ranges", True) and serving.get("metadata") == "none":
            assert len(asked) == 1
            assert "Range" in asked[0].headers
        wheel_kept = index.find_wheel(page.files[0])
        assert (wheel_kept is not None) == (serving.get("ranges") is False)
        if wheel_kept is not None:
            assert wheel_kept.read_bytes() == wheel.to_bytes()
        seen = len(server.requests)
        assert opened(server.url, offline=True).metadata(page.files[0]) == found
        assert len(server.requests) == seen


def test_a_table_of_contents_that_is_longer_than_what_is_fetched_first(opened: Opener) -> None:
    files = {f"tool/{'x' * 100}{number}.py": b"" for number in range(1000)}
    with serve_index(PypiIndex().add(Wheel("tool", files={**BIG, **files})), metadata="none") as server:
        index = opened(server.url)
        page = index.page("tool")
        assert page is not None
        assert index.metadata(page.files[0]).name == "tool"
        asked = [request for request in server.requests if "/files/" in request.path]
        assert all("Range" in request.headers for request in asked)
        assert len(asked) == 2


def test_hosts_without_ranges_are_asked_once(opened: Opener) -> None:
    wheels = [Wheel("tool", f"{number}.0") for number in range(3)]
    with serve_index(PypiIndex().add(*wheels), metadata="none", ranges=False) as server:
        index = opened(server.url)
        page = index.page("tool")
        assert page is not None
        for file in page.files:
            index.metadata(file)
        assert sum("Range" in request.headers for request in server.requests) == 1


def test_promised_metadata_that_is_not_there(opened: Opener) -> None:
    with serve_index(PypiIndex().add(TOOL)) as server:
        server.faults.append(IndexFault(".metadata", "status", status=404))
        index = opened(server.url)
        page = index.page("tool")
        assert page is not None
        assert index.metadata(page.files[0]).requires_dist == tuple(TOOL.requires)
    assert "does not have it" in opened.notes


def lying(**facts: Any) -> PypiIndex:
    return PypiIndex().add(TOOL).replace(TOOL.file_name, **facts)


def wheel_file(content: bytes) -> PypiIndex:
    return PypiIndex().add_file("tool", ServedFile(TOOL.file_name, content))


WRONG_METADATA: list[tuple[PypiIndex, str]] = [
    (lying(metadata_hashes={"sha256": "0" * 64}), "the sha256 of the metadata file is .*, and the index says 0000"),
    (lying(metadata=b"Metadata-Version: 2.1\nName: lib\nVersion: 1.0\n"), r"the wheel is lib 1\.0"),
    (lying(metadata=b"Metadata-Version: 2.1\nName: tool\nVersion: 1.1\n"), r"the wheel is tool 1\.1"),
    (lying(metadata=b"Metadata-Version: 9.0\nName: tool\nVersion: 1.0\n"), "its Metadata-Version is '9.0'"),
    (lying(metadata=b"<html>\n"), "is no header"),
    (lying(metadata=b"Metadata-Version: 2.1\nName: \xff\n"), "UTF-8"),
    (lying(metadata=b""), "Metadata-Version"),
    (wheel_file(b"no archive at all"), "the wheel is damaged"),
    (wheel_file(b""), "damaged|not there"),
    (wheel_file(TOOL.to_bytes()[:-40]), "the wheel is damaged"),
    (wheel_file(Wheel("tool", dist_info={"METADATA": None}).to_bytes()), "has no .dist-info"),
    (wheel_file(Wheel("lib").to_bytes()), "the wheel holds 'lib-1.0'"),
    (wheel_file(Wheel("tool", unlisted={"b-1.dist-info/METADATA": ""}).to_bytes()), "has 2 .dist-info"),
]


@pytest.mark.parametrize(("index", "text"), WRONG_METADATA)
def test_metadata_that_cannot_be_used(opened: Opener, index: PypiIndex, text: str) -> None:
    with serve_index(index) as server:
        found = opened(server.url)
        page = found.page("tool")
        assert page is not None
        with pytest.raises(MetadataInvalid, match=text) as caught:
            found.metadata(page.files[0])
        message = str(caught.value)
        assert TOOL.file_name in message
        assert server.url in message
        assert caught.value.hints
        [again] = found.metadatas(page.files)
        assert isinstance(again, IndexFailure)


def test_a_wheel_with_a_wrong_hash_is_not_read(opened: Opener) -> None:
    index = lying(hashes={"sha256": "1" * 64})
    with serve_index(index, metadata="none", ranges=False) as server:
        found = opened(server.url)
        page = found.page("tool")
        assert page is not None
        with pytest.raises(MetadataInvalid, match="was expected"):
            found.metadata(page.files[0])
        assert found.find_wheel(page.files[0]) is None
        assert not [path for path in opened.directory.glob("pypi/wheels/*") if path.is_file()]


def test_an_index_cannot_tell_lies_about_the_wheels_of_another(opened: Opener) -> None:
    liar = lying(metadata=b"Metadata-Version: 2.1\nName: tool\nVersion: 1.0\nRequires-Dist: evil\n")
    found = []
    for index in (liar, PypiIndex().add(TOOL)):
        with serve_index(index) as server:
            client = opened(server.url)
            page = client.page("tool")
            assert page is not None
            assert page.files[0].sha256 == sha256(TOOL.to_bytes())
            found.append(client.metadata(page.files[0]).requires_dist)
    assert found == [("evil",), tuple(TOOL.requires)]


def test_metadata_of_many_wheels_at_once(opened: Opener) -> None:
    wheels = [Wheel("tool", f"{number}.0", requires=[f"lib=={number}"]) for number in range(30)]
    with serve_index(PypiIndex().add(*wheels)) as server:
        index = opened(server.url)
        page = index.page("tool")
        assert page is not None
        found = index.metadatas(page.files)
        assert [one.requires_dist for one in found if isinstance(one, Metadata)] == [(f"lib=={n}",) for n in range(30)]
        assert index.metadatas(page.files) == found
        assert server.count(".metadata") == 30


# Pages of links


def test_a_page_of_links(opened: Opener) -> None:
    with serve_index(PypiIndex().add(TOOL, Wheel("lib")), max_age=600) as server:
        found = opened(server.links)
        assert names(found.page("tool")) == [TOOL.file_name]
        assert found.pages(["lib", "none"]).keys() == {"lib"}
        assert found.projects() == ["lib", "tool"]
        offline = opened(server.links, offline=True)
        assert offline.page("tool") == found.page("tool")
        assert server.count("links.html") == 1
        server.faults.append(IndexFault("links.html", "html-error"))
        with pytest.raises(AnswerInvalid, match="lists no files"):
            opened(server.links, ttl=0).page("tool")
