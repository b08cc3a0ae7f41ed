"""Pages that are written in unusual ways say the same as those that are written as usual."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.pypi.simple_api import Unreadable, parse_page

BASE = "https://host.example/simple/tool/"
NAME = "tool-1.0-py3-none-any.whl"
DIGEST = "ab" * 32

ANCHORS = [
    f'<a href="../../files/{NAME}#sha256={DIGEST}" data-requires-python="&gt;=3.8" data-yanked="bad &amp; old">x</a>',
    f"<A HREF='../../files/{NAME}#sha256={DIGEST}' data-requires-python='>=3.8' data-yanked='bad & old'>x</A>",
    f'<a\n data-yanked="bad &amp; old"\n href="/files/{NAME}#sha256={DIGEST.upper()}" '
    'data-requires-python="&#62;=3.8"\n>x</a>',
    f'<a rel="x" href=https://host.example/files/{NAME}#sha256={DIGEST} data-yanked="bad &amp; old" '
    'data-requires-python=">=3.8"><b>x</b></a>',
    f'<!-- <a href="{NAME}">y</a> --><a href="//host.example/files/{NAME}#sha256={DIGEST}" '
    'data-requires-python=">=3.8" data-yanked="bad & old">x',
    f'<base href="https://host.example/files/"><a href="{NAME}#sha256={DIGEST}" data-requires-python="&gt;=3.8" '
    'data-yanked="bad &amp; old">x</a>',
]


@pytest.mark.parametrize("anchor", ANCHORS)
@pytest.mark.parametrize("page", ["{}", "<!DOCTYPE html>\n<html><body><h1>Links for tool</h1>{}<br/></body></html>"])
def test_spellings_of_one_link(anchor: str, page: str) -> None:
    [file] = parse_page(page.format(anchor).encode(), "text/html; charset=utf-8", BASE, "tool").files
    assert (file.file_name, file.url) == (NAME, f"https://host.example/files/{NAME}")
    assert (file.sha256, file.requires_python, file.yanked) == (DIGEST, ">=3.8", "bad & old")


@pytest.mark.parametrize(
    ("attribute", "metadata"),
    [
        ('data-core-metadata="true"', ""),
        ('data-core-metadata="false"', None),
        (f'data-dist-info-metadata="sha256={DIGEST}"', DIGEST),
        (f'data-core-metadata="sha256={DIGEST}" data-dist-info-metadata="true"', DIGEST),
        ('data-core-metadata="md5=00"', ""),
        ("", None),
    ],
)
def test_metadata_files(attribute: str, metadata: str | None) -> None:
    [file] = parse_page(f'<a href="{NAME}" {attribute}>x</a>'.encode(), "text/html", BASE, "tool").files
    assert file.metadata == metadata


@pytest.mark.parametrize("heading", ["<title>Links for tool</title>", "<h1>Index of /tool</h1>"])
def test_a_page_without_files_is_one(heading: str) -> None:
    assert parse_page(f"<html>{heading}</html>".encode(), "text/html", BASE, "tool").files == []


@given(st.text(max_size=300), st.sampled_from(["text/html", "application/json", ""]))
def test_any_text_is_read_or_refused(text: str, content_type: str) -> None:
    try:
        assert parse_page(text.encode("utf-8", "surrogatepass"), content_type, BASE, "tool").files == []
    except Unreadable as error:
        assert str(error)


def test_an_address_that_is_not_encrypted_needs_a_hash() -> None:
    page = f'<a href="http://host.example/{NAME}">x</a>'
    checks = parse_page(page.encode(), "text/html", BASE, "tool")
    assert (checks.files, len(checks.left_out)) == ([], 1)
    with_hash = page.replace(NAME, f"{NAME}#sha256={DIGEST}")
    assert len(parse_page(with_hash.encode(), "text/html", BASE, "tool").files) == 1
