"""One index of Python packages: what it offers of a project, and what its wheels say of themselves.

    index = IndexClient("https://host/simple", client, cache_directory)
    page = index.page("numpy")
    metadata = index.metadata(page.files[-1])

An answer is kept on the disk and used as long as the server said (RFC 9111), then asked about again; offline, what is
kept is what there is. `open_index` chooses by the address: a server, a page of links, a folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from kaa.events import Note, Reporter, silent
from kaa.host.threads import know_types, map_in_threads
from kaa.net.client import Document, HttpClient
from kaa.pypi.answers import AnswerInvalid, IndexFailure, IndexRefused, IndexUnreachable, NotKept, ask, clean_index_url
from kaa.pypi.folder import FolderIndex
from kaa.pypi.kept_pages import KeptPage, KeptPages, PageHead
from kaa.pypi.metadata import Metadata
from kaa.pypi.project_files import FileChecks, ProjectFile, ProjectPage, is_project_name, normalize_project, project_of
from kaa.pypi.simple_api import ACCEPT, DECODED, Unreadable, parse_page
from kaa.pypi.wheel_metadata import WheelMetadata

LARGEST_PAGE = 256 << 20
WORKERS = 10
LINKS_ENDINGS = (".html", ".htm")
"""How the addresses of pages end that list the files of many projects."""


class ProjectIndex(Protocol):
    """What all indexes can tell; `url` is the clean address."""

    url: str

    def page(self, project: str) -> ProjectPage | None:
        """What there is of a project, None for nothing. Raises IndexFailure."""
        ...

    def pages(self, projects: Sequence[str]) -> dict[str, ProjectPage]:
        """What there is of several projects, by normalised name, asked for at once.

        A failure that concerns one project is not raised here, but by `page`.
        """
        ...

    def metadata(self, file: ProjectFile) -> Metadata:
        """What a wheel says of itself. Raises MetadataInvalid and other kinds of IndexFailure."""
        ...

    def metadatas(self, files: Sequence[ProjectFile]) -> list[Metadata | IndexFailure]:
        """What several wheels say of themselves, read at once; raised is only that the index cannot be reached."""
        ...

    def projects(self) -> list[str]:
        """The projects that can be told without asking anybody: for names that are close, and offline."""
        ...

    def find_wheel(self, file: ProjectFile) -> Path | None:
        """The wheel, when it lies on this machine already."""
        ...

    def forget_absences(self) -> None:
        """Keep no longer that there is nothing of the projects that were asked about."""
        ...


def open_index(
    url: str,
    client: HttpClient,
    cache_directory: Path,
    *,
    offline: bool = False,
    ttl: int = 1,
    reporter: Reporter = silent,
) -> ProjectIndex:
    """The index at an address as a user writes it (with or without a login); see `IndexClient`."""
    if url.startswith("file:"):
        return FolderIndex(url, client, cache_directory, offline=offline, reporter=reporter)
    return IndexClient(url, client, cache_directory, offline=offline, ttl=ttl, reporter=reporter)


class IndexClient:
    """An index on a server; threads may use one at once.

    `ttl` is how long answers are good: 0 asks every time, 1 does as the server says, more is that many seconds.
    An address that ends with `.html` is that of a page of links to files of any projects (`--find-links` of pip).
    """

    def __init__(
        self,
        url: str,
        client: HttpClient,
        cache_directory: Path,
        *,
        offline: bool = False,
        ttl: int = 1,
        reporter: Reporter = silent,
    ) -> None:
        self.url = clean_index_url(url, client.credentials)
        self.is_links = self.url.lower().endswith(LINKS_ENDINGS)
        self._client = client
        self._offline = offline
        self._ttl = ttl
        self._report = reporter
        directory = cache_directory / "pypi"
        self._kept = KeptPages(directory, self.url)
        self._metadata = WheelMetadata(self.url, client, cache_directory, reporter, offline=offline)
        self._known: dict[str, ProjectPage | IndexFailure | None] = {}
        self._is_told = False
        """Whether it was told that pages cannot be kept."""
        know_types(*DECODED)

    def page(self, project: str) -> ProjectPage | None:
        if not is_project_name(project):
            return None
        project = normalize_project(project)
        if self.is_links:
            return self._page_of_links(project)
        found = self._answer(project)
        if isinstance(found, IndexFailure):
            raise found
        return found

    def pages(self, projects: Sequence[str]) -> dict[str, ProjectPage]:
        names = list(dict.fromkeys(normalize_project(name) for name in projects if is_project_name(name)))
        if self.is_links:
            return {name: linked for name in names if (linked := self._page_of_links(name)) is not None}
        now = time.time()
        stale = [name for name in names if name not in self._known and not self._take_fresh(name, now)]
        map_in_threads(self._answer_or_stop, stale, workers=WORKERS)
        return {name: page for name in names if isinstance(page := self._known.get(name), ProjectPage)}

    def metadata(self, file: ProjectFile) -> Metadata:
        return self._metadata.read(file)

    def metadatas(self, files: Sequence[ProjectFile]) -> list[Metadata | IndexFailure]:
        return map_in_threads(self._metadata_or_failure, files, workers=WORKERS)

    def projects(self) -> list[str]:
        if not self.is_links:
            return self._kept.projects()
        with contextlib.suppress(IndexFailure):
            return sorted({project_of(file.file_name) for file in self._all_links()})
        return []

    def find_wheel(self, file: ProjectFile) -> Path | None:
        return self._metadata.find_wheel(file)

    def forget_absences(self) -> None:
        if not self._offline:
            for project in [project for project, page in self._known.items() if page is None]:
                self._kept.remove(project)

    def _metadata_or_failure(self, file: ProjectFile) -> Metadata | IndexFailure:
        try:
            return self._metadata.read(file)
        except IndexUnreachable:
            raise
        except IndexFailure as error:
            return error

    # Pages

    def _answer(self, project: str) -> ProjectPage | IndexFailure | None:
        """What there is of a project, or why that cannot be told; this process asks once."""
        if project not in self._known:
            try:
                self._known[project] = self._find_or_fetch(project)
            except IndexFailure as error:
                self._known[project] = error
        return self._known[project]

    def _answer_or_stop(self, project: str) -> None:
        """As `_answer`; what would befall every project is raised, so that no others are asked about."""
        found = self._answer(project)
        if isinstance(found, IndexUnreachable | IndexRefused):
            raise found

    def _take_fresh(self, project: str, now: float) -> bool:
        """Whether a page is here about which nobody need be asked."""
        kept = self._kept.find(project, self._url_of(project))
        if kept is None or not (self._offline or kept.is_fresh(self._ttl, now)):
            return False
        page = None
        if kept.head.status == 200:
            # Of most projects that is enough: what they offer was worked out before (`kaa.index.kept_offers`).
            page = ProjectPage(project, self.url, lambda: self._files_of(project, kept), kept.head.content)
        self._known[project] = page
        return True

    def _files_of(self, project: str, kept: KeptPage) -> tuple[ProjectFile, ...]:
        """The files of a page that lies on the disk, fetched anew when it cannot be read."""
        try:
            return kept.files()
        except ValueError:
            if self._offline:
                raise NotKept(self.url, project, f"the page of {project}" if project else "the page") from None
            page = self._fetch(project, None)
            return () if page is None else page.files

    def _page_from(self, project: str, kept: KeptPage) -> ProjectPage | None:
        """Raises ValueError when what is kept cannot be read."""
        if kept.head.status != 200:
            return None
        return ProjectPage(project, self.url, kept.files(), kept.head.content)

    def _url_of(self, project: str) -> str:
        return self.url if self.is_links else f"{self.url}/{project}/"

    def _find_or_fetch(self, project: str) -> ProjectPage | None:
        if self._take_fresh(project, time.time()):
            fresh = self._known[project]
            assert not isinstance(fresh, IndexFailure)
            return fresh
        if self._offline:
            raise NotKept(self.url, project, f"the page of {project}" if project else "the page")
        kept = self._kept.find(project, self._url_of(project))
        return self._fetch(project, kept if kept is not None and kept.head.status == 200 else None)

    def _fetch(self, project: str, kept: KeptPage | None) -> ProjectPage | None:
        url = self._url_of(project)
        headers = {"Accept": ACCEPT}
        if kept is not None and kept.head.etag:
            headers["If-None-Match"] = kept.head.etag
        if kept is not None and kept.head.last_modified:
            headers["If-Modified-Since"] = kept.head.last_modified
        answer = ask(
            self._client, url, self.url, project or "its files", headers, limit=LARGEST_PAGE, kept=self._has_kept
        )
        if answer is None:
            self._keep(project, PageHead(url, 404), ())
            return None
        content = hashlib.sha256(answer.content).digest()
        if kept is not None and (answer.status == 304 or content == kept.head.content):
            try:
                page = self._page_from(project, kept)
            except ValueError:
                # It was damaged in a way that its checksum does not tell: once more, without conditions.
                return self._fetch(project, None)
            self._keep_unchanged(project, kept, answer)
            return page
        if answer.status != 200:
            raise AnswerInvalid(self.url, project, url, f"its status is {answer.status}, which nobody asked for")
        checks = self._parse(project, answer)
        files = tuple(checks.files)
        if checks.may_be_kept:
            self._keep(project, _head(url, content, answer), files)
        else:
            self._kept.remove(project)
        return ProjectPage(project, self.url, files, content if checks.may_be_kept else b"")

    def _has_kept(self) -> bool:
        return bool(self._kept.projects()) or self.is_links

    def _parse(self, project: str, answer: Document) -> FileChecks:
        content_type = answer.headers.get("content-type", "")
        try:
            checks = parse_page(answer.content, content_type, answer.answered_by, project or None)
        except Unreadable as error:
            raise AnswerInvalid(self.url, project or "its files", answer.answered_by, str(error)) from error
        for folder, credential in checks.credentials:
            self._client.credentials.add(folder, credential)
        if checks.left_out:
            more = f", and {len(checks.left_out) - 1} more" if len(checks.left_out) > 1 else ""
            self._report(Note(f"{self._url_of(project)}: left out is {checks.left_out[0]}{more}"))
        return checks

    def _keep_unchanged(self, project: str, kept: KeptPage, answer: Document) -> None:
        cache_control = answer.headers.get("cache-control", kept.head.cache_control)
        if cache_control == kept.head.cache_control:
            self._kept.set_checked(project)
        else:
            head = PageHead(
                kept.head.url, 200, kept.head.content, kept.head.etag, kept.head.last_modified, cache_control
            )
            self._keep(project, head, kept.files())

    def _keep(self, project: str, head: PageHead, files: tuple[ProjectFile, ...]) -> None:
        try:
            self._kept.write(project, head, files)
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                reason = error.strerror or error
                self._report(Note(f"what {self.url} answers cannot be kept in {self._kept.directory}: {reason}"))

    # Pages of links

    def _all_links(self) -> tuple[ProjectFile, ...]:
        found = self._answer("")
        if isinstance(found, IndexFailure):
            raise found
        return found.files if found is not None else ()

    def _page_of_links(self, project: str) -> ProjectPage | None:
        files = tuple(file for file in self._all_links() if project_of(file.file_name) == project)
        return ProjectPage(project, self.url, files) if files else None


def _head(url: str, content: bytes, answer: Document) -> PageHead:
    headers = answer.headers
    return PageHead(url, 200, content, headers.get("etag"), headers.get("last-modified"), headers.get("cache-control"))
