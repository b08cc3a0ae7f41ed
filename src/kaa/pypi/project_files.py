"""The files of a project on an index, as values, and the checks that a file passes before it becomes one.

What an index says is not trusted: a file whose name is not one of a wheel or sdist of the project, or whose address
leads to another kind of place (`file:` from a server), is left out. File names as in PEP 427 and PEP 625.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from urllib.parse import unquote, urljoin

import msgspec

from kaa.models.channel import UrlCredential
from kaa.models.pattern import Pattern

SDIST_EXTENSIONS = (".tar.gz", ".zip")
_SEPARATORS = Pattern(r"[-_.]+")
_PROJECT = Pattern(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_FILE_NAME = Pattern(r"[A-Za-z0-9_][A-Za-z0-9._+!~-]*")
_HTTP_URL = Pattern(r"https?://[A-Za-z0-9.:\[\]_-]+/[!-~]*[!-.0-~]")
_SHA256 = Pattern(r"[0-9a-f]{64}")
_MD5 = Pattern(r"[0-9a-f]{32}")


class ProjectFile(msgspec.Struct, frozen=True, array_like=True):
    """A wheel or an sdist that an index offers; `url` is absolute and holds no login and no fragment."""

    file_name: str
    url: str
    sha256: str = ""
    md5: str = ""
    requires_python: str = ""
    yanked: str | None = None
    """The reason (which may be empty) when the file is yanked (PEP 592), None when it is not."""
    upload_time: int | None = None
    """Milliseconds since 1970."""
    size: int | None = None
    metadata: str | None = None
    """The sha256 of the metadata file beside the wheel (PEP 658), empty where it is not told; None for no such file."""

    @property
    def is_wheel(self) -> bool:
        return self.file_name.endswith(".whl")


class ProjectPage:
    """What one index offers of one project; `project` is the normalised name, `index` the address of the index.

    `content` is the sha256 of the page as it was served, and empty where it may not be kept, and what is made of it
    neither. Instead of its files a page may be given what reads them, when somebody asks for them.
    """

    __slots__ = ("_files", "content", "index", "project")

    def __init__(
        self,
        project: str,
        index: str,
        files: tuple[ProjectFile, ...] | Callable[[], tuple[ProjectFile, ...]],
        content: bytes = b"",
    ) -> None:
        self.project = project
        self.index = index
        self.content = content
        self._files = files

    @property
    def files(self) -> tuple[ProjectFile, ...]:
        """The files, in the order of the page."""
        if not isinstance(self._files, tuple):
            self._files = self._files()
        return self._files

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProjectPage):
            return NotImplemented
        return (self.project, self.index, self.files) == (other.project, other.index, other.files)

    def __hash__(self) -> int:
        return hash((self.project, self.index, self.files))

    def __repr__(self) -> str:
        return f"ProjectPage({self.project!r}, {self.index!r})"


class UnfitFile(ValueError):
    """A file of a page that cannot be used; the text says why."""


def normalize_project(name: str) -> str:
    """The one spelling of a project's name (PEP 503).

    >>> normalize_project("Zope.Interface__x")
    'zope-interface-x'
    """
    return _SEPARATORS.sub("-", name).lower()


def is_project_name(name: str) -> bool:
    """Whether a text can be the name of a project (PEP 508)."""
    return _PROJECT.fullmatch(name) is not None


def project_of(file_name: str) -> str:
    """The normalised name of the project that a wheel or sdist is of, as far as its file name tells.

    >>> project_of("Some_Tool-1.0-py3-none-any.whl"), project_of("some-tool-1.0.tar.gz")
    ('some-tool', 'some-tool')
    """
    if file_name.endswith(".whl"):
        return normalize_project(file_name.partition("-")[0])
    return normalize_project(file_name.rpartition("-")[0])


class FileChecks:
    """Makes the files of one page: `base` is the page's address, `project` None for a page of many projects."""

    def __init__(self, base: str, project: str | None) -> None:
        self.files: list[ProjectFile] = []
        self.left_out: list[str] = []
        """Why files that are wheels or sdists were left out."""
        self.others: int = 0
        """How many files of other projects the page lists."""
        self.credentials: list[tuple[str, UrlCredential]] = []
        """Logins that addresses of files held, by the folder that the file is in."""
        self.has_queries = False
        self._base = base
        self._project = project
        self._is_local = base.startswith("file:")
        self._own: set[str] = set()
        """Beginnings of file names that are known to be the project's."""
        self._folders: dict[str, str] = {}

    @property
    def may_be_kept(self) -> bool:
        """Whether the page may lie on the disk: not when its addresses carry what proves who asks."""
        return not self.credentials and not self.has_queries

    def add(
        self,
        file_name: str,
        url: str,
        hashes: Iterable[tuple[str, str]] = (),
        *,
        requires_python: str = "",
        yanked: str | None = None,
        upload_time: str | None = None,
        size: int | None = None,
        metadata: str | None = None,
    ) -> None:
        """Take one file of the page, if it is fit to be taken."""
        if not file_name.endswith((".whl", *SDIST_EXTENSIONS)):
            return
        try:
            self._check_name(file_name)
            address = self._resolve(url)
        except UnfitFile as error:
            self.left_out.append(f"{file_name[:200]!r}: {error}")
            return
        if not self._is_own(file_name):
            self.others += 1
            return
        sha256 = md5 = ""
        for algorithm, digest in hashes:
            digest = digest.lower()
            if algorithm == "sha256" and _SHA256.fullmatch(digest):
                sha256 = digest
            elif algorithm == "md5" and _MD5.fullmatch(digest):
                md5 = digest
        if address.startswith("http:") and self._base.startswith("https:") and not sha256:
            self.left_out.append(f"{file_name!r}: its address is not encrypted, and no hash vouches for it")
            return
        self.files.append(
            ProjectFile(
                file_name,
                address,
                sha256,
                md5,
                requires_python,
                yanked,
                milliseconds(upload_time) if upload_time else None,
                size,
                metadata if metadata is None or _SHA256.fullmatch(metadata) else "",
            )
        )

    def _check_name(self, file_name: str) -> None:
        if _FILE_NAME.fullmatch(file_name) is None or len(file_name) > 255:
            raise UnfitFile("its name has characters that no name of a package file has")
        if file_name.endswith(".whl") and file_name.count("-") not in (4, 5):
            raise UnfitFile("its name is not that of a wheel")

    def _is_own(self, file_name: str) -> bool:
        if self._project is None:
            return True
        if not file_name.endswith(".whl"):
            return f"{normalize_project(file_name)}-".startswith(f"{self._project}-")
        beginning = file_name.partition("-")[0]
        if beginning in self._own:
            return True
        if normalize_project(beginning) != self._project:
            return False
        self._own.add(beginning)
        return True

    def _resolve(self, url: str) -> str:
        """The absolute, clean address of a file."""
        url = url.partition("#")[0].strip()
        if not url.startswith(("https://", "http://")):
            url = self._join(url)
        if "?" in url and not url.startswith("file:"):
            self.has_queries = True
        if _HTTP_URL.fullmatch(url):
            return url
        if url.startswith("file:///"):
            if not self._is_local:
                raise UnfitFile("its address leads from a server to this machine's own files")
            return url
        return self._without_login(url)

    def _join(self, url: str) -> str:
        """A relative address, made absolute; the work is done once for all files of a folder."""
        if "?" in url or ":" in url or url.startswith("//"):
            return urljoin(self._base, url)
        folder, slash, name = url.rpartition("/")
        if not name or name in (".", ".."):
            raise UnfitFile("its address is that of a folder")
        absolute = self._folders.get(folder + slash)
        if absolute is None:
            absolute = self._folders[folder + slash] = urljoin(self._base, f"{folder}{slash}x")[:-1]
        return absolute + name

    def _without_login(self, url: str) -> str:
        scheme, _, rest = url.partition("://")
        authority, slash, path = rest.partition("/")
        login, at, host = authority.rpartition("@")
        clean = f"{scheme}://{host}{slash}{path}"
        if scheme not in ("http", "https"):
            raise UnfitFile(f"its address begins with {scheme[:40]!r}")
        if not at or _HTTP_URL.fullmatch(clean) is None:
            raise UnfitFile("its address is not a URL")
        user, colon, password = login.partition(":")
        credential = UrlCredential(user=unquote(user), password=unquote(password) if colon else None)
        self.credentials.append((clean.partition("?")[0].rpartition("/")[0], credential))
        return clean


def milliseconds(text: str) -> int | None:
    """The time that an index writes in ISO 8601, in milliseconds since 1970; None when it is no time.

    >>> milliseconds("2024-01-02T03:04:05.678901Z"), milliseconds("yesterday")
    (1704164645678, None)
    """
    try:
        when = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=datetime.UTC)
    return int(when.timestamp() * 1000)
