"""One builder of real small wheels, sdists and package indexes, and a loopback server of the simple API.

index = PypiIndex()
index.add(
    Wheel("tool", "1.0", requires=["lib>=2", "extra-lib; extra == 'more'"], extras=["more"]),
    Wheel("lib", "2.0", tag="cp311-cp311-manylinux_2_17_x86_64", files={"lib/_native.so": b"..."}),
    Sdist("lib", "2.1"),
)
with serve_index(index) as server:     # a real HTTP server on loopback
    ... server.url ...                 # "http://127.0.0.1:<port>/simple", as a user would write it (no last slash)
    server.count("/simple/tool/")      # requests whose path ends so; server.requests holds them all
    server.faults.append(IndexFault("/simple/tool/", "html-error"))

    server.links                       # a page of links to all files, as for `pip --find-links`

index.write_flat(folder)               # a folder of wheels; write_simple(folder): simple-API directories with HTML

Wheel
    `files` lie at the root of the wheel (by default one module with the project's name), `data` below
    `<name>-<version>.data/` ("scripts/tool", "data/share/x", "headers/x.h", "purelib/y.py"), `dist_info` more files of
    .dist-info or replacements of generated ones (None leaves one out). `entry_points` maps groups to {name: object}.
    `unlisted` are members of the archive that RECORD does not list (paths are written as they are: "../x" too);
    `record_lines` replaces RECORD's line of a path (None leaves the line out). Values are bytes, text, `File` (mode) or
    `Symlink` of tests.channels. `metadata_lines` are further header lines of METADATA; `upload_time`, `yanked`,
    `requires_python` are also what the index tells.
PypiIndex
    `add(...)` builds files; `add_file(...)` takes any bytes under any name, with the facts that the index tells of it:
    `replace(file_name, ...)` changes these facts (`metadata=` serves another metadata file than the wheel's own,
    `hashes=`/`metadata_hashes=` lie). `index.files[project]` is what there is.
Serving (fields of `Serving`, changeable while the server runs: `server.serving.ranges = False`)
    `formats` json and/or html, `metadata` (PEP 658/714: "both", "old" key only, or "none"), `ranges`, `etags`,
    `max_age` (Cache-Control), `sizes_and_times` (PEP 700), `compressed` (gzip where the client takes it), `absolute`
    (addresses of files), `latency` in seconds, `credentials` (user, password of basic authentication).
Faults
    status, html-error (a page of HTML with status 200), truncated (half of it, as if that were all), short (half of
    it, then the connection ends), corrupt (all bytes changed), instead (`body`), redirect (`headers`), reset, stall.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import hashlib
import html
import io
import json
import re
import stat
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replace_fields
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, unquote

from tests.channels import File, QuietServer, Request, Symlink

JSON_TYPE = "application/vnd.pypi.simple.v1+json"
HTML_TYPE = "application/vnd.pypi.simple.v1+html"
UPLOADED = "2024-01-01T00:00:00.000000Z"

Content = File | Symlink | bytes | str


def normalize(name: str) -> str:
    """The name of a project as indexes know it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def escape(name: str) -> str:
    """The name of a project as it stands in file names."""
    return re.sub(r"[-_.]+", "_", name)


def sha256(content: bytes) -> str:
    """The digest that indexes tell of a file."""
    return hashlib.sha256(content).hexdigest()


def entry_of(content: Content) -> File | Symlink:
    """Whatever a test wrote, as a file or a link."""
    if isinstance(content, str):
        content = content.encode()
    return File(content) if isinstance(content, bytes) else content


def record_line(path: str, content: bytes) -> str:
    """One line of RECORD."""
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([path, f"sha256={digest}", len(content)])
    return buffer.getvalue()


@dataclass
class Distribution:
    """What wheels and sdists have in common; see the docstring of this module."""

    name: str
    version: str = "1.0"
    files: Mapping[str, Content] | None = None
    requires: list[str] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    requires_python: str | None = None
    metadata_version: str = "2.1"
    metadata_lines: list[str] = field(default_factory=list)
    description: str = ""
    upload_time: str | None = UPLOADED
    yanked: bool | str = False

    def metadata(self) -> bytes:
        """The METADATA (or PKG-INFO) file."""
        lines = [f"Metadata-Version: {self.metadata_version}", f"Name: {self.name}", f"Version: {self.version}"]
        if self.requires_python is not None:
            lines.append(f"Requires-Python: {self.requires_python}")
        lines += [f"Requires-Dist: {text}" for text in self.requires]
        lines += [f"Provides-Extra: {text}" for text in self.extras]
        lines += self.metadata_lines
        return ("\n".join(lines) + "\n\n" + self.description).encode()


@dataclass
class Wheel(Distribution):
    """A wheel to be written; every field has the default that a small one needs."""

    tag: str = "py3-none-any"
    build: str = ""
    """The build tag of the file name: `1`, `2local`."""
    data: Mapping[str, Content] = field(default_factory=dict)
    entry_points: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    dist_info: Mapping[str, Content | None] = field(default_factory=dict)
    unlisted: Mapping[str, Content] = field(default_factory=dict)
    record_lines: Mapping[str, str | None] = field(default_factory=dict)
    compression: int = zipfile.ZIP_DEFLATED

    @property
    def stem(self) -> str:
        return f"{escape(self.name)}-{self.version.replace('-', '_')}"

    @property
    def file_name(self) -> str:
        return "-".join([self.stem, *([self.build] if self.build else []), self.tag]) + ".whl"

    def entries(self) -> dict[str, File | Symlink]:
        """All members but RECORD, in the order of the archive."""
        module = escape(self.name).lower()
        files = {f"{module}.py": f"name = {self.name!r}\n"} if self.files is None else self.files
        found = {path: entry_of(content) for path, content in files.items()}
        found |= {f"{self.stem}.data/{path}": entry_of(content) for path, content in self.data.items()}
        information: dict[str, Content | None] = {"METADATA": self.metadata(), "WHEEL": self.wheel()}
        if self.entry_points:
            groups = [
                f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in points.items())
                for group, points in self.entry_points.items()
            ]
            information["entry_points.txt"] = "\n".join(groups)
        for name, content in {**information, **self.dist_info}.items():
            if content is not None and name != "RECORD":
                found[f"{self.stem}.dist-info/{name}"] = entry_of(content)
        return found

    def wheel(self) -> str:
        """The WHEEL file."""
        pythons, abis, platforms = (part.split(".") for part in self.tag.split("-"))
        lines = ["Wheel-Version: 1.0", "Generator: tests", f"Root-Is-Purelib: {str(abis == ['none']).lower()}"]
        if self.build:
            lines.append(f"Build: {self.build}")
        lines += [f"Tag: {p}-{a}-{platform}" for p in pythons for a in abis for platform in platforms]
        return "\n".join(lines) + "\n"

    def record(self, entries: Mapping[str, File | Symlink]) -> bytes:
        """The RECORD file."""
        own = f"{self.stem}.dist-info/RECORD"
        lines: dict[str, str | None] = {
            path: record_line(path, entry.content if isinstance(entry, File) else entry.target.encode())
            for path, entry in entries.items()
        }
        lines[own] = f"{own},,"
        lines |= self.record_lines
        return "".join(f"{line}\n" for line in lines.values() if line is not None).encode()

    def to_bytes(self) -> bytes:
        entries = self.entries()
        record = self.dist_info.get("RECORD", self.record(entries))
        if record is not None:
            entries[f"{self.stem}.dist-info/RECORD"] = entry_of(record)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", self.compression) as archive:
            members = [*entries.items(), *((path, entry_of(content)) for path, content in self.unlisted.items())]
            for path, entry in members:
                member = zipfile.ZipInfo(path, (2024, 1, 1, 0, 0, 0))
                member.filename = path
                member.compress_type = self.compression
                link = isinstance(entry, Symlink)
                mode = stat.S_IFLNK | 0o777 if isinstance(entry, Symlink) else stat.S_IFREG | entry.mode
                member.external_attr = mode << 16
                member.create_system = 3
                archive.writestr(member, entry.target if link else entry.content)  # type: ignore[union-attr]
        return packed.getvalue()


@dataclass
class Sdist(Distribution):
    """A source distribution with a pyproject.toml; `backend` names what builds it."""

    pyproject: str = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'

    @property
    def file_name(self) -> str:
        return f"{escape(self.name).lower()}-{self.version}.tar.gz"

    def to_bytes(self) -> bytes:
        root = self.file_name.removesuffix(".tar.gz")
        module = escape(self.name).lower()
        files = {f"{module}.py": f"name = {self.name!r}\n"} if self.files is None else self.files
        about = f'\n[project]\nname = "{self.name}"\nversion = "{self.version}"\n'
        pyproject = self.pyproject if "[project]" in self.pyproject else self.pyproject + about
        packed = io.BytesIO()
        with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as plain, tarfile.open(fileobj=plain, mode="w") as tar:
            for path, content in {"PKG-INFO": self.metadata(), "pyproject.toml": pyproject, **files}.items():
                entry = entry_of(content)
                assert isinstance(entry, File)
                member = tarfile.TarInfo(f"{root}/{path}")
                member.size, member.mode, member.mtime = len(entry.content), entry.mode, 1_700_000_000
                tar.addfile(member, io.BytesIO(entry.content))
        return packed.getvalue()


@dataclass(frozen=True)
class ServedFile:
    """A file of an index and what the index tells of it."""

    file_name: str
    content: bytes
    metadata: bytes | None = None
    """The metadata file that is served beside it (PEP 658)."""
    requires_python: str | None = None
    upload_time: str | None = UPLOADED
    yanked: bool | str = False
    hashes: Mapping[str, str] | None = None
    """The file's own by default."""
    metadata_hashes: Mapping[str, str] | None = None
    url: str | None = None
    """Another address than the server's own for this file."""
    size: int | None = None

    @property
    def told_hashes(self) -> Mapping[str, str]:
        return {"sha256": sha256(self.content)} if self.hashes is None else self.hashes

    @property
    def told_metadata_hashes(self) -> Mapping[str, str]:
        told = {"sha256": sha256(self.metadata or b"")}
        return told if self.metadata_hashes is None else self.metadata_hashes


class PypiIndex:
    """Projects and their files, in the order in which they were added."""

    def __init__(self) -> None:
        self.files: dict[str, list[ServedFile]] = {}

    def add(self, *distributions: Distribution) -> PypiIndex:
        for distribution in distributions:
            assert isinstance(distribution, Wheel | Sdist)
            self.add_file(
                distribution.name,
                ServedFile(
                    distribution.file_name,
                    distribution.to_bytes(),
                    metadata=distribution.metadata() if isinstance(distribution, Wheel) else None,
                    requires_python=distribution.requires_python,
                    upload_time=distribution.upload_time,
                    yanked=distribution.yanked,
                ),
            )
        return self

    def add_file(self, project: str, file: ServedFile) -> PypiIndex:
        """Any file, with whatever the index shall tell of it."""
        self.files.setdefault(normalize(project), []).append(file)
        return self

    def replace(self, file_name: str, **facts: Any) -> PypiIndex:
        """Let the index tell something else of a file."""
        for files in self.files.values():
            files[:] = [replace_fields(file, **facts) if file.file_name == file_name else file for file in files]
        return self

    def find(self, file_name: str) -> ServedFile | None:
        return next((file for files in self.files.values() for file in files if file.file_name == file_name), None)

    def write_flat(self, folder: Path) -> Path:
        """All files into one folder, as `pip download` leaves them."""
        folder.mkdir(parents=True, exist_ok=True)
        for file in (file for files in self.files.values() for file in files):
            (folder / file.file_name).write_bytes(file.content)
        return folder

    def write_simple(self, folder: Path) -> Path:
        """A tree of the simple API: one directory with an index.html and the files for each project."""
        serving = Serving(metadata="none")
        for project, files in self.files.items():
            (folder / project).mkdir(parents=True, exist_ok=True)
            for file in files:
                (folder / project / file.file_name).write_bytes(file.content)
            page = html_page(project, files, serving, lambda file: quote(file.file_name))
            (folder / project / "index.html").write_text(page)
        return folder


@dataclass
class Serving:
    """How an index is served; fields may be changed while the server runs."""

    formats: tuple[str, ...] = ("json", "html")
    metadata: Literal["both", "old", "none"] = "both"
    ranges: bool = True
    etags: bool = True
    max_age: int | None = None
    """Seconds of Cache-Control for pages; None says nothing. 0 is said as it is."""
    sizes_and_times: bool = True
    compressed: bool = True
    absolute: bool = False
    latency: float = 0.0
    credentials: tuple[str, str] | None = None


@dataclass
class IndexFault:
    """What the server does instead of answering properly, for paths that end with `suffix`."""

    suffix: str
    kind: Literal["status", "html-error", "truncated", "short", "corrupt", "instead", "redirect", "reset", "stall"] = (
        "status"
    )
    status: int = 500
    times: int = 1_000_000
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 30.0
    body: bytes = b""
    content_type: str | None = None
    """What `instead` says that it is; by default what the right answer would have been."""


@dataclass
class IndexServer:
    """A running loopback index; `url` is the index's address as a user writes it."""

    root: str
    serving: Serving
    requests: list[Request] = field(default_factory=list)
    faults: list[IndexFault] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.root}/simple"

    @property
    def links(self) -> str:
        return f"{self.root}/links.html"

    @property
    def url_with_credentials(self) -> str:
        user, password = self.serving.credentials or ("", "")
        return self.url.replace("http://", f"http://{quote(user, safe='')}:{quote(password, safe='')}@")

    def count(self, suffix: str) -> int:
        return sum(request.path.endswith(suffix) for request in self.requests)

    def paths(self) -> list[str]:
        return [request.path for request in self.requests]


def json_page(project: str, files: list[ServedFile], serving: Serving, address: Any) -> str:
    """A project's page as JSON (PEP 691, with PEP 700 when `sizes_and_times`)."""
    found = []
    for file in files:
        item: dict[str, Any] = {"filename": file.file_name, "url": address(file), "hashes": dict(file.told_hashes)}
        if file.requires_python is not None:
            item["requires-python"] = file.requires_python
        item["yanked"] = file.yanked
        if file.metadata is not None and serving.metadata != "none":
            item["dist-info-metadata"] = dict(file.told_metadata_hashes)
            if serving.metadata == "both":
                item["core-metadata"] = dict(file.told_metadata_hashes)
        if serving.sizes_and_times:
            item["size"] = len(file.content) if file.size is None else file.size
            if file.upload_time is not None:
                item["upload-time"] = file.upload_time
        found.append(item)
    page: dict[str, Any] = {"meta": {"api-version": "1.1" if serving.sizes_and_times else "1.0"}, "name": project}
    if serving.sizes_and_times:
        page["versions"] = sorted({version_of(file.file_name) for file in files})
    return json.dumps({**page, "files": found})


def version_of(file_name: str) -> str:
    """The version in the name of a wheel or sdist."""
    if file_name.endswith(".whl"):
        return file_name.split("-")[1]
    return re.sub(r"\.(tar\.gz|zip)$", "", file_name).rpartition("-")[2]


def html_page(project: str, files: list[ServedFile], serving: Serving, address: Any) -> str:
    """A project's page as HTML (PEP 503, 592, 658, 714)."""
    lines = ["<!DOCTYPE html>", "<html><head>", '<meta name="pypi:repository-version" content="1.0">']
    lines += [f"<title>Links for {html.escape(project)}</title></head><body><h1>Links for {html.escape(project)}</h1>"]
    for file in files:
        fragment = "".join(f"#{name}={digest}" for name, digest in list(file.told_hashes.items())[:1])
        attributes = {"href": address(file) + fragment}
        if file.requires_python is not None:
            attributes["data-requires-python"] = file.requires_python
        if file.yanked is not False:
            attributes["data-yanked"] = "" if file.yanked is True else file.yanked
        if file.metadata is not None and serving.metadata != "none":
            told = "".join(f"{name}={digest}" for name, digest in list(file.told_metadata_hashes.items())[:1]) or "true"
            attributes["data-dist-info-metadata"] = told
            if serving.metadata == "both":
                attributes["data-core-metadata"] = told
        text = " ".join(f'{key}="{html.escape(value)}"' for key, value in attributes.items())
        lines.append(f"<a {text}>{html.escape(file.file_name)}</a><br/>")
    return "\n".join([*lines, "</body></html>\n"])


class Answer(Exception):
    """An answer that is not a document: a status with its headers."""

    def __init__(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers or {}


def find_document(index: PypiIndex, server: IndexServer, path: str, accepted: str) -> tuple[bytes, str]:
    """(content, content type) of what a path names. Raises Answer."""
    parts = unquote(path).strip("/").split("/")
    if parts[0] == "files" and len(parts) == 3:
        file = index.find(parts[2].removesuffix(".metadata"))
        if file is None:
            raise Answer(404)
        if not parts[2].endswith(".metadata"):
            return file.content, "application/octet-stream"
        if file.metadata is None or server.serving.metadata == "none":
            raise Answer(404)
        return file.metadata, "text/plain"
    if parts == ["links.html"]:
        every = [file for files in index.files.values() for file in files]
        page = html_page("everything", every, server.serving, lambda file: f"files/x/{quote(file.file_name)}")
        return page.encode(), "text/html"
    if parts[0] != "simple" or len(parts) > 2:
        raise Answer(404)
    if not path.endswith("/"):
        raise Answer(301, {"Location": path + "/"})
    wants_json = "json" in server.serving.formats and (JSON_TYPE in accepted or "html" not in server.serving.formats)
    if len(parts) == 1:
        return root_page(index, as_json=wants_json)
    project = parts[1]
    if project not in index.files:
        raise Answer(404)

    def address(file: ServedFile) -> str:
        place = f"files/{project}/{quote(file.file_name)}"
        return file.url or (f"{server.root}/{place}" if server.serving.absolute else f"../../{place}")

    make = json_page if wants_json else html_page
    text = make(project, index.files[project], server.serving, address)
    return text.encode(), JSON_TYPE if wants_json else (HTML_TYPE if HTML_TYPE in accepted else "text/html")


def root_page(index: PypiIndex, *, as_json: bool) -> tuple[bytes, str]:
    """The list of all projects."""
    if as_json:
        projects = [{"name": name} for name in index.files]
        return json.dumps({"meta": {"api-version": "1.0"}, "projects": projects}).encode(), JSON_TYPE
    links = "".join(f'<a href="{name}/">{name}</a>\n' for name in index.files)
    return f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html"


@contextlib.contextmanager
def serve_index(index: PypiIndex, **serving: Any) -> Iterator[IndexServer]:
    """Serve an index on loopback; keywords are the fields of `Serving`."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Headers and body go out in two writes: without this the second waits for the other side's acknowledgement.
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def plain(self, status: int, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self) -> None:
            server.requests.append(Request(self.command, self.path, dict(self.headers)))
            if server.serving.latency:
                stop.wait(server.serving.latency)
            try:
                self.check_credentials()
                fault = self.fault()
                content, content_type = find_document(
                    index, server, self.path.split("?")[0], self.headers.get("Accept", "")
                )
            except Answer as answer:
                return self.plain(answer.status, answer.headers)
            except ConnectionError:
                self.close_connection = True
                return None
            return self.send(content, content_type, fault)

        def check_credentials(self) -> None:
            if server.serving.credentials is not None:
                login = base64.b64encode(":".join(server.serving.credentials).encode()).decode()
                if self.headers.get("Authorization") != f"Basic {login}":
                    raise Answer(401, {"WWW-Authenticate": 'Basic realm="index"'})

        def fault(self) -> IndexFault | None:
            path = self.path.split("?")[0]
            fault = next((f for f in server.faults if path.endswith(f.suffix) and f.times > 0), None)
            if fault is None:
                return None
            fault.times -= 1
            if fault.kind in ("status", "redirect"):
                raise Answer(fault.status if fault.kind == "status" else 302, fault.headers)
            if fault.kind in ("reset", "stall"):
                stop.wait(fault.seconds if fault.kind == "stall" else 0)
                raise ConnectionError
            return fault

        def send(self, content: bytes, content_type: str, fault: IndexFault | None) -> None:
            kind = fault.kind if fault is not None else ""
            if kind == "html-error":
                content = b"<!DOCTYPE html><html><body><h1>Something went wrong</h1><p>Sign in</p></body></html>"
                content_type = "text/html; charset=utf-8"
            elif kind == "instead" and fault is not None:
                content, content_type = fault.body, fault.content_type or content_type
            elif kind == "truncated":
                content = content[: len(content) // 2]
            elif kind == "corrupt":
                content = bytes(255 - byte for byte in content)
            etag = '"' + hashlib.md5(content).hexdigest() + '"'
            headers = {"Content-Type": content_type, "Vary": "Accept"}
            if server.serving.etags:
                headers["ETag"] = etag
            if server.serving.max_age is not None:
                headers["Cache-Control"] = f"max-age={server.serving.max_age}, public"
            if server.serving.etags and self.headers.get("If-None-Match") == etag:
                return self.plain(304, headers)
            status = 200
            page = content_type != "application/octet-stream"
            if page and server.serving.compressed and "gzip" in self.headers.get("Accept-Encoding", ""):
                content = gzip.compress(content, mtime=0)
                headers["Content-Encoding"] = "gzip"
            elif server.serving.ranges and not page:
                headers["Accept-Ranges"] = "bytes"
                first, last = byte_range(self.headers.get("Range", ""), len(content))
                if first >= len(content):
                    return self.plain(416, {"Content-Range": f"bytes */{len(content)}"})
                if self.headers.get("Range"):
                    status = 206
                    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
                    content = content[first : last + 1]
            return self.send_body(status, headers, content, short=kind == "short")

        def send_body(self, status: int, headers: Mapping[str, str], content: bytes, *, short: bool) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "HEAD":
                return
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(content[: len(content) // 2] if short else content)
            self.close_connection = self.close_connection or short

    httpd = QuietServer(("127.0.0.1", 0), Handler)
    server = IndexServer(f"http://127.0.0.1:{httpd.server_address[1]}", Serving(**serving))
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


def byte_range(text: str, size: int) -> tuple[int, int]:
    """(first, last) byte that a Range header asks for; of what it does not understand, everything."""
    if match := re.fullmatch(r"bytes=(\d+)-(\d*)", text):
        return int(match[1]), min(int(match[2] or size - 1), size - 1)
    if match := re.fullmatch(r"bytes=-(\d+)", text):
        return max(0, size - int(match[1])), size - 1
    return 0, size - 1
