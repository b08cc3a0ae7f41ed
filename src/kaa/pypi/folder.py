"""A folder as an index: wheels and sdists side by side (as `pip download` leaves them), or a directory per project.

A directory of a project holds its files, or a page `index.html` that names them, as a mirror on a disk has it.
Nothing of it is kept elsewhere: reading it again is as fast.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from kaa.errors import KaaError
from kaa.events import Note, Reporter, silent
from kaa.models.channel import url_to_path
from kaa.net.client import HttpClient
from kaa.pypi.answers import AnswerInvalid, IndexFailure
from kaa.pypi.metadata import Metadata
from kaa.pypi.project_files import (
    SDIST_EXTENSIONS,
    FileChecks,
    ProjectFile,
    ProjectPage,
    is_project_name,
    normalize_project,
    project_of,
)
from kaa.pypi.simple_api import Unreadable, parse_page
from kaa.pypi.wheel_metadata import WheelMetadata

_PAGE = "index.html"


class FolderUnreadable(KaaError):
    """A folder that is named as an index cannot be read."""

    conda_name = "CondaHTTPError"

    def __init__(self, path: str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(
            f"the folder {path} cannot be read as an index of Python packages: {reason}",
            hints=("name a folder with wheels, or with one directory of wheels for each project",),
        )


class FolderIndex:
    """The index in the folder at a `file:` address. See `kaa.pypi.index_client.ProjectIndex`."""

    def __init__(
        self, url: str, client: HttpClient, cache_directory: Path, *, offline: bool = False, reporter: Reporter = silent
    ) -> None:
        self.url = url.rstrip("/")
        self.path = url_to_path(self.url)
        self._report = reporter
        self._metadata = WheelMetadata(self.url, client, cache_directory, reporter, offline=offline)
        self._listing: tuple[dict[str, FileChecks], dict[str, str]] | None = None
        self._known: dict[str, ProjectPage | None] = {}

    def page(self, project: str) -> ProjectPage | None:
        if not is_project_name(project):
            return None
        project = normalize_project(project)
        if project not in self._known:
            self._known[project] = self._read(project)
        return self._known[project]

    def pages(self, projects: Sequence[str]) -> dict[str, ProjectPage]:
        found = {}
        for project in projects:
            try:
                page = self.page(project)
            except IndexFailure:
                continue
            if page is not None:
                found[page.project] = page
        return found

    def metadata(self, file: ProjectFile) -> Metadata:
        return self._metadata.read(file)

    def metadatas(self, files: Sequence[ProjectFile]) -> list[Metadata | IndexFailure]:
        found: list[Metadata | IndexFailure] = []
        for file in files:
            try:
                found.append(self._metadata.read(file))
            except IndexFailure as error:
                found.append(error)
        return found

    def projects(self) -> list[str]:
        flat, directories = self._list()
        return sorted({*flat, *directories})

    def find_wheel(self, file: ProjectFile) -> Path | None:
        return Path(url_to_path(file.url)) if file.url.startswith("file:") else self._metadata.find_wheel(file)

    def forget_absences(self) -> None:
        """Nothing is kept."""

    def _list(self) -> tuple[dict[str, FileChecks], dict[str, str]]:
        """(the files that lie in the folder itself, by project; the directories, by normalised name)."""
        if self._listing is None:
            flat: dict[str, FileChecks] = {}
            directories: dict[str, str] = {}
            base = _folder_url(self.path)
            try:
                with os.scandir(self.path) as entries:
                    for entry in sorted(entries, key=lambda entry: entry.name):
                        if entry.name.endswith((".whl", *SDIST_EXTENSIONS)):
                            project = project_of(entry.name)
                            _add(flat.setdefault(project, FileChecks(base, project)), entry)
                        elif is_project_name(entry.name) and entry.is_dir():
                            directories.setdefault(normalize_project(entry.name), entry.name)
            except OSError as error:
                raise FolderUnreadable(self.path, error.strerror or str(error)) from error
            self._listing = flat, directories
        return self._listing

    def _read(self, project: str) -> ProjectPage | None:
        flat, directories = self._list()
        files: list[ProjectFile] = []
        if project in flat:
            files += self._taken(project, flat[project])
        if project in directories:
            folder = f"{self.path.rstrip('/')}/{directories[project]}"
            files += self._taken(project, self._read_directory(project, folder))
        return ProjectPage(project, self.url, tuple(files)) if files or project in directories else None

    def _read_directory(self, project: str, folder: str) -> FileChecks:
        base = _folder_url(folder)
        try:
            content = Path(folder, _PAGE).read_bytes()
        except FileNotFoundError:
            checks = FileChecks(base, project)
            try:
                with os.scandir(folder) as entries:
                    for entry in sorted(entries, key=lambda entry: entry.name):
                        _add(checks, entry)
            except OSError as error:
                raise FolderUnreadable(folder, error.strerror or str(error)) from error
            return checks
        except OSError as error:
            raise FolderUnreadable(folder, error.strerror or str(error)) from error
        try:
            return parse_page(content, "text/html", base, project)
        except Unreadable as error:
            raise AnswerInvalid(self.url, project, base + _PAGE, str(error)) from error

    def _taken(self, project: str, checks: FileChecks) -> list[ProjectFile]:
        if checks.left_out:
            self._report(Note(f"{self.path}: of {project}, left out is {checks.left_out[0]}"))
        return checks.files


def _add(checks: FileChecks, entry: os.DirEntry[str]) -> None:
    if entry.name.endswith((".whl", *SDIST_EXTENSIONS)) and entry.is_file():
        checks.add(entry.name, quote(entry.name, errors="surrogateescape"), size=entry.stat().st_size)


def _folder_url(path: str) -> str:
    return f"file://{quote(path.rstrip('/'), errors='surrogateescape')}/"
