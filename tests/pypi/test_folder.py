"""Folders as indexes: flat, by project, with pages, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.events import Event, Note
from kaa.net.client import HttpClient
from kaa.pypi.answers import AnswerInvalid
from kaa.pypi.folder import FolderUnreadable
from kaa.pypi.index_client import ProjectIndex, open_index
from kaa.pypi.wheel_metadata import MetadataInvalid
from tests.pypi_index import PypiIndex, Sdist, Wheel

FILES = PypiIndex().add(Wheel("Some.Tool", requires=["lib"]), Wheel("some-tool", "2.0"), Sdist("some-tool", "3.0"))


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with HttpClient(environ={}) as client:
        yield client


def opened(folder: Path, client: HttpClient, events: list[Event] | None = None) -> ProjectIndex:
    report = (lambda event: None) if events is None else events.append
    return open_index(folder.as_uri(), client, folder / "cache", reporter=report)


@pytest.mark.parametrize("layout", ["flat", "simple", "directories"])
def test_layouts(tmp_path: Path, client: HttpClient, layout: str) -> None:
    folder = tmp_path / "with space + ünïcode"
    FILES.write_flat(folder) if layout == "flat" else FILES.write_simple(folder)
    if layout == "directories":
        (folder / "some-tool" / "index.html").unlink()
        (folder / "some-tool").rename(folder / "Some_Tool")
    index = opened(folder, client)
    page = index.page("some_tool")
    assert page is not None
    assert sorted(file.file_name for file in page.files) == [
        "Some_Tool-1.0-py3-none-any.whl",
        "some_tool-2.0-py3-none-any.whl",
        "some_tool-3.0.tar.gz",
    ]
    assert index.projects() == ["some-tool"]
    assert index.pages(["nothing", "some-tool"]) == {"some-tool": page}
    [wheel] = [file for file in page.files if file.file_name.startswith("Some")]
    assert bool(wheel.sha256) == (layout == "simple")
    assert index.metadata(wheel).requires_dist == ("lib",)
    found = index.find_wheel(wheel)
    assert found is not None
    assert found.is_file()


def test_what_is_wrong_with_a_folder(tmp_path: Path, client: HttpClient) -> None:
    with pytest.raises(FolderUnreadable, match="No such file"):
        opened(tmp_path / "nothing", client).page("tool")
    FILES.write_simple(tmp_path)
    (tmp_path / "some-tool" / "Some_Tool-1.0-py3-none-any.whl").write_bytes(b"broken")
    (tmp_path / "some-tool" / "some_tool-2.0-py3-none-any.whl").unlink()
    index = opened(tmp_path, client)
    page = index.page("some-tool")
    assert page is not None
    with pytest.raises(MetadataInvalid, match="damaged"):
        index.metadata(page.files[0])
    with pytest.raises(MetadataInvalid, match="No such file"):
        index.metadata(page.files[1])
    (tmp_path / "some-tool" / "index.html").write_text("<html>Sign in</html>")
    with pytest.raises(AnswerInvalid, match="lists no files"):
        opened(tmp_path, client).page("some-tool")
    assert opened(tmp_path, client).pages(["some-tool"]) == {}


def test_odd_files_are_passed_over(tmp_path: Path, client: HttpClient) -> None:
    FILES.write_flat(tmp_path)
    (tmp_path / "some_tool-1.0.whl").write_bytes(b"")
    (tmp_path / "some_tool-4.0-py3-none-any.whl").symlink_to("nowhere")
    (tmp_path / "notes.txt").write_text("")
    events: list[Event] = []
    index = opened(tmp_path, client, events)
    page = index.page("some-tool")
    assert page is not None
    assert len(page.files) == 3
    assert any("left out" in event.text for event in events if isinstance(event, Note))
