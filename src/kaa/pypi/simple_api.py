"""The pages of the simple API, from JSON (PEP 691, 700, 714) or HTML (PEP 503, 592, 658) to files.

Which of the two an answer is, its content type says, and where that says neither, its first character.
"""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin

import msgspec

from kaa.models.pattern import Pattern
from kaa.pypi.project_files import FileChecks, normalize_project

ACCEPT = ", ".join(
    (
        "application/vnd.pypi.simple.v1+json",
        "application/vnd.pypi.simple.v1+html;q=0.2",
        "text/html;q=0.1",
        "*/*;q=0.01",
    )
)
"""What to ask an index for: JSON where it can, for that says more."""
_SOUND_ANCHOR = Pattern(r'<a((?:\s+[A-Za-z][A-Za-z0-9-]*(?:="[^"<]*")?)*)\s*>[^<]*</a')
_ODD = Pattern(r"<(?:!--|!\[|base|script|style|textarea|template|title>[^<]*<(?!/title))", re.IGNORECASE)
"""What may hide a link, or change where links lead."""
_ATTRIBUTE = Pattern(r'([A-Za-z][A-Za-z0-9-]*)(?:="([^"]*)")?')
_LISTING = Pattern(r"<(?:title|h1)>\s*(?:links for|index of|simple index|directory listing)", re.IGNORECASE)
_ONLY_OTHERS = "it lists files of other projects only"
_REPOSITORY = "pypi:repository-version"


class Unreadable(ValueError):
    """An answer that is no page of a project; the text says what it is instead."""


class _Hashes(msgspec.Struct):
    sha256: str | None = None
    md5: str | None = None


class _File(msgspec.Struct, rename="kebab"):
    filename: str
    url: str
    hashes: _Hashes | None = None
    requires_python: str | None = None
    yanked: bool | str | None = None
    upload_time: str | None = None
    size: int | None = None
    core_metadata: bool | _Hashes | None = None
    dist_info_metadata: bool | _Hashes | None = None
    data_dist_info_metadata: bool | _Hashes | None = None


class _Meta(msgspec.Struct, frozen=True, rename="kebab"):
    api_version: str = "1.0"


class _Page(msgspec.Struct):
    name: str
    files: list[_File]
    meta: _Meta = _Meta()


class _RawPage(msgspec.Struct):
    name: str
    files: list[msgspec.Raw]
    meta: _Meta = _Meta()


DECODED = (_Page, _RawPage, _File)
"""The types that threads decode into; see `kaa.host.threads.know_types`."""


def parse_page(content: bytes, content_type: str, base: str, project: str | None) -> FileChecks:
    """What the answer from the address `base` says of a project's files; `project` None is a page of many projects.

    Raises Unreadable when the answer is no such page, or one of another project.
    """
    kind = content_type.partition(";")[0].strip().lower()
    start = content[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
    if "json" in kind or ("html" not in kind and start.startswith(b"{")):
        return _parse_json(content, base, project)
    if "html" in kind or start.startswith(b"<"):
        return _parse_html(content, base, project)
    raise Unreadable(f"it is neither JSON nor HTML, but {kind or 'something that has no name'}")


# JSON


def _parse_json(content: bytes, base: str, project: str | None) -> FileChecks:
    checks = FileChecks(base, project)
    try:
        page: _Page | _RawPage = msgspec.json.decode(content, type=_Page)
    except msgspec.ValidationError:
        # One odd entry must not hide the others.
        page = _decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unreadable(f"it is no JSON ({error})") from error
    if page.meta.api_version.partition(".")[0] != "1":
        raise Unreadable(f"it speaks version {page.meta.api_version[:20]} of the simple API, and kaa knows version 1")
    if project is not None and normalize_project(page.name) != project:
        raise Unreadable(f"it is the page of another project, {page.name[:100]!r}")
    for item in page.files:
        try:
            file = item if isinstance(item, _File) else msgspec.json.decode(item, type=_File)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            checks.left_out.append(str(error))
            continue
        _add_json(checks, file)
    if checks.others and not checks.files and not checks.left_out:
        raise Unreadable(_ONLY_OTHERS)
    return checks


def _decode(content: bytes) -> _RawPage:
    try:
        return msgspec.json.decode(content, type=_RawPage)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Unreadable(f"it is JSON, but no page of the simple API ({error})") from error


def _add_json(checks: FileChecks, file: _File) -> None:
    hashes = []
    if file.hashes is not None:
        hashes = [("sha256", file.hashes.sha256 or ""), ("md5", file.hashes.md5 or "")]
    metadata: str | None = None
    for told in (file.core_metadata, file.dist_info_metadata, file.data_dist_info_metadata):
        if told is not None:
            metadata = (told.sha256 or "").lower() if isinstance(told, _Hashes) else ("" if told else None)
            break
    checks.add(
        file.filename,
        file.url,
        hashes,
        requires_python=file.requires_python or "",
        yanked=file.yanked if isinstance(file.yanked, str) else ("" if file.yanked else None),
        upload_time=file.upload_time,
        size=file.size if file.size is None or file.size >= 0 else None,
        metadata=metadata,
    )


# HTML


def _parse_html(content: bytes, base: str, project: str | None) -> FileChecks:
    text = content.decode("utf-8", "replace")
    anchors, base_url = _find_anchors(text)
    checks = FileChecks(urljoin(base, base_url) if base_url else base, project)
    for attributes in anchors:
        _add_html(checks, attributes)
    # A login page or an error has links, too, but none to a file of the project; an empty project has a heading.
    if not checks.files and not checks.left_out:
        if checks.others:
            raise Unreadable(_ONLY_OTHERS)
        if _REPOSITORY not in text and not _LISTING.search(text):
            raise Unreadable("it is a page of HTML that lists no files (a login page, or an error)")
    return checks


def _find_anchors(text: str) -> tuple[list[dict[str, str]], str]:
    """(the attributes of every link, the address that the page itself gives for relative ones, or nothing).

    Pages as indexes write them are read by one expression, ten times as fast as by a parser; any other by the parser.
    """
    if not _ODD.search(text):
        found = _SOUND_ANCHOR.findall(text)
        if len(found) == text.count("<a") + text.count("<A"):
            return [_attributes(attributes) for attributes in found], ""
    parser = _Anchors()
    parser.feed(text)
    parser.close()
    return parser.anchors, parser.base


def _attributes(text: str) -> dict[str, str]:
    return {name.lower(): html.unescape(value) if "&" in value else value for name, value in _ATTRIBUTE.findall(text)}


class _Anchors(HTMLParser):
    """Collects the attributes of links."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.anchors: list[dict[str, str]] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            found: dict[str, str] = {}
            for name, value in attrs:
                found.setdefault(name, value or "")
            self.anchors.append(found)
        elif tag == "base" and not self.base:
            self.base = next((value for name, value in attrs if name == "href" and value), "")


def _add_html(checks: FileChecks, attributes: dict[str, str]) -> None:
    href = attributes.get("href", "")
    address, _, fragment = href.partition("#")
    file_name = address.partition("?")[0].rpartition("/")[2]
    if "%" in file_name:
        file_name = unquote(file_name)
    metadata = attributes.get("data-core-metadata", attributes.get("data-dist-info-metadata"))
    if metadata is not None:
        metadata = None if metadata == "false" else metadata.removeprefix("sha256=").lower()
    size = attributes.get("data-size", "")
    checks.add(
        file_name,
        href,
        [(name, digest) for name, _, digest in (part.partition("=") for part in fragment.split("&"))],
        requires_python=attributes.get("data-requires-python", ""),
        yanked=attributes.get("data-yanked"),
        upload_time=attributes.get("data-upload-time"),
        size=int(size) if size.isascii() and size.isdigit() else None,
        metadata=metadata,
    )
