"""One builder of real small packages and channels, independent of kaa's own readers and writers.

channel = ChannelBuilder(tmp_path / "channel")
channel.add(Package("tool", "1.0", files={"bin/tool": File(b"#!/opt/p/x\\n", mode=0o755, placeholder="/opt/p")}))
channel.write()                       # repodata.json and .zst in every subdir
with serve(channel.folder) as server: # a real HTTP server on loopback
    ... server.url ...
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import socket
import struct
import tarfile
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

import msgspec
import zstandard


@dataclass(frozen=True)
class File:
    """A file of a package; `placeholder` marks it for prefix replacement (`binary` or text)."""

    content: bytes
    mode: int = 0o644
    placeholder: str | None = None
    binary: bool = False
    no_link: bool = False


@dataclass(frozen=True)
class Symlink:
    """A symbolic link of a package."""

    target: str


@dataclass
class Package:
    """A package to be written; every field has the default that a small package needs."""

    name: str
    version: str = "1.0"
    build: str = "0"
    build_number: int = 0
    depends: list[str] = field(default_factory=list)
    constrains: list[str] = field(default_factory=list)
    files: Mapping[str, File | Symlink | bytes | str] = field(default_factory=dict)
    noarch: Literal["python", "generic"] | None = None
    entry_points: list[str] = field(default_factory=list)
    subdir: str = "linux-64"
    timestamp: int = 1_700_000_000_000
    extension: Literal[".conda", ".tar.bz2"] = ".conda"
    index_extra: dict[str, Any] = field(default_factory=dict)
    """More keys for info/index.json and the repodata record."""
    info_files: dict[str, bytes] = field(default_factory=dict)
    """More files below info/, or replacements of the generated ones."""

    def __post_init__(self) -> None:
        if self.noarch:
            self.subdir = "noarch"

    @property
    def dist(self) -> str:
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def file_name(self) -> str:
        return self.dist + self.extension

    def entries(self) -> dict[str, File | Symlink]:
        found: dict[str, File | Symlink] = {}
        for path, content in self.files.items():
            if isinstance(content, str):
                content = content.encode()
            found[path] = File(content) if isinstance(content, bytes) else content
        return found

    def index(self) -> dict[str, Any]:
        index: dict[str, Any] = {
            "name": self.name,
            "version": self.version,
            "build": self.build,
            "build_number": self.build_number,
            "depends": self.depends,
            "constrains": self.constrains,
            "subdir": self.subdir,
            "timestamp": self.timestamp,
        }
        if self.noarch:
            index["noarch"] = self.noarch
        return index | self.index_extra

    def info(self) -> dict[str, bytes]:
        entries = self.entries()
        paths = []
        for path, entry in entries.items():
            if isinstance(entry, Symlink):
                target = entries.get(str(Path(path).parent / entry.target))
                content = target.content if isinstance(target, File) else b""
                item: dict[str, Any] = {"_path": path, "path_type": "softlink"}
            else:
                content = entry.content
                item = {"_path": path, "path_type": "hardlink"}
                if entry.placeholder:
                    item["prefix_placeholder"] = entry.placeholder
                    item["file_mode"] = "binary" if entry.binary else "text"
                if entry.no_link:
                    item["no_link"] = True
            item |= {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
            paths.append(item)
        files = {
            "index.json": json.dumps(self.index(), indent=2).encode(),
            "paths.json": json.dumps({"paths_version": 1, "paths": paths}, indent=2).encode(),
            "files": "".join(f"{path}\n" for path in entries).encode(),
            "about.json": b"{}",
        }
        if self.noarch:
            link: dict[str, Any] = {"package_metadata_version": 1, "noarch": {"type": self.noarch}}
            if self.entry_points:
                link["noarch"]["entry_points"] = self.entry_points
            files["link.json"] = json.dumps(link).encode()
        return {f"info/{name}": content for name, content in {**files, **self.info_files}.items()}

    def to_bytes(self) -> bytes:
        info = tar({path: File(content) for path, content in self.info().items()})
        content = tar(self.entries())
        if self.extension == ".tar.bz2":
            return tar({**{p: File(c) for p, c in self.info().items()}, **self.entries()}, "bz2")
        packed = io.BytesIO()
        compress = zstandard.ZstdCompressor(level=3).compress
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            archive.writestr("metadata.json", json.dumps({"conda_pkg_format_version": 2}))
            archive.writestr(f"pkg-{self.dist}.tar.zst", compress(content))
            archive.writestr(f"info-{self.dist}.tar.zst", compress(info))
        return packed.getvalue()

    def record(self, content: bytes) -> dict[str, Any]:
        """The repodata record of the package whose archive is `content`."""
        return {
            **self.index(),
            "md5": hashlib.md5(content).hexdigest(),
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
        }


def tar(entries: Mapping[str, File | Symlink], compression: Literal["", "bz2"] = "") -> bytes:
    """A tar of `entries`, in their order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:bz2" if compression else "w") as archive:
        for path, entry in entries.items():
            member = tarfile.TarInfo(path)
            member.mtime = 1_700_000_000
            if isinstance(entry, Symlink):
                member.type, member.linkname = tarfile.SYMTYPE, entry.target
                archive.addfile(member)
            else:
                member.size, member.mode = len(entry.content), entry.mode
                archive.addfile(member, io.BytesIO(entry.content))
    return buffer.getvalue()


class ChannelBuilder:
    """A channel in a folder: add packages (real archives) or bare records, then `write`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repodata: dict[str, dict[str, Any]] = {}
        self.subdir("noarch")

    def subdir(self, subdir: str) -> dict[str, Any]:
        empty: dict[str, Any] = {"info": {"subdir": subdir}, "packages": {}, "packages.conda": {}, "removed": []}
        return self.repodata.setdefault(subdir, {**empty, "repodata_version": 1})

    def add(self, *packages: Package) -> ChannelBuilder:
        for package in packages:
            content = package.to_bytes()
            path = self.folder / package.subdir / package.file_name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            self.add_record(package.file_name, package.record(content), package.subdir)
        return self

    def add_record(self, file_name: str, record: dict[str, Any], subdir: str = "linux-64") -> ChannelBuilder:
        """A record without an archive (for solving only, or to lie)."""
        section = "packages" if file_name.endswith(".tar.bz2") else "packages.conda"
        self.subdir(subdir)[section][file_name] = record
        return self

    def write(self) -> ChannelBuilder:
        for subdir, repodata in self.repodata.items():
            folder = self.folder / subdir
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps(repodata, indent=1).encode()
            (folder / "repodata.json").write_bytes(text)
            (folder / "repodata.json.zst").write_bytes(zstandard.ZstdCompressor().compress(text))
        return self

    def write_shards(self, **info: Any) -> ChannelBuilder:
        """Sharded repodata of every subdir (CEP 16), and nothing else; `info` are more keys for the index's own."""
        for subdir in self.repodata:
            folder = self.folder / subdir
            (folder / "shards").mkdir(parents=True, exist_ok=True)
            shards = {}
            for name, shard in self.shards(subdir).items():
                packed = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(shard))
                digest = hashlib.sha256(packed)
                (folder / "shards" / f"{digest.hexdigest()}.msgpack.zst").write_bytes(packed)
                shards[name] = digest.digest()
            about = {"subdir": subdir, "base_url": "./", "shards_base_url": "./shards/", **info}
            write_shard_index(folder, {"version": 1, "info": about, "shards": shards})
        return self

    def shards(self, subdir: str) -> dict[str, dict[str, Any]]:
        """What a subdir offers under each name, as it stands in a shard: with raw bytes for hashes."""
        found: dict[str, dict[str, Any]] = {}
        repodata = self.repodata[subdir]
        buckets: dict[tuple[str, ...], dict[str, Any]] = {
            (key,): repodata[key] for key in ("packages", "packages.conda")
        }
        buckets |= {("v3", extension): records for extension, records in repodata.get("v3", {}).items()}
        for keys, records in buckets.items():
            for file_name, record in records.items():
                shard = found.setdefault(file_name.rsplit("-", 2)[0], {"packages": {}, "packages.conda": {}})
                for key in keys:
                    shard = shard.setdefault(key, {})
                hashes = {
                    key: bytes.fromhex(record[key]) for key in ("md5", "sha256") if isinstance(record.get(key), str)
                }
                shard[file_name] = record | hashes
        for file_name in repodata["removed"]:
            found.setdefault(file_name.rsplit("-", 2)[0], {}).setdefault("removed", []).append(file_name)
        return found

    @property
    def url(self) -> str:
        return self.folder.as_uri()


def write_shard_index(folder: Path, content: dict[str, Any]) -> None:
    """The index of the shards of a subdir, whatever it says."""
    packed = zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(content))
    (folder / "repodata_shards.msgpack.zst").write_bytes(packed)


def read_shard_index(folder: Path) -> Any:
    """The index of the shards of a subdir."""
    packed = (folder / "repodata_shards.msgpack.zst").read_bytes()
    return msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(packed))


@dataclass
class Fault:
    """What the server does instead of answering properly, for paths that end with `suffix`."""

    suffix: str
    kind: Literal[
        "status", "short", "corrupt", "stall", "hang", "redirect", "reset", "break", "whole", "wrong-range", "instead"
    ]
    status: int = 500
    times: int = 1_000_000
    """How often the fault happens before the server answers properly."""
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 30.0
    """How long a stall lasts; `hang` is one in the middle of the body."""
    body: bytes = b""
    """What comes `instead`, as if it were the file."""


@dataclass
class Request:
    """One request that the server has seen."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Server:
    """A running loopback server; `requests` is all it has seen, `faults` what it gets wrong."""

    url: str
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    credentials: str | None = None
    """When set, the exact `Authorization` header that every request must carry (else 401)."""
    token: str | None = None
    """When set, every path must begin with `/t/<token>/` (else 401)."""

    def count(self, suffix: str) -> int:
        return sum(request.path.endswith(suffix) for request in self.requests)


class QuietServer(ThreadingHTTPServer):
    """A server that does not print a trace when a client hangs up in the middle."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        pass


@contextlib.contextmanager
def serve(folder: Path, *, etags: bool = True) -> Iterator[Server]:
    """Serve `folder` over HTTP on loopback: ETag, Last-Modified, Range, conditional requests, faults."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.answer()

        def plain(self, status: int, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in (headers or {}).items():
                self.send_header(key, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def answer(self) -> None:
            server.requests.append(Request(self.command, self.path, dict(self.headers)))
            path = self.path.split("?")[0]
            if server.credentials is not None and self.headers.get("Authorization") != server.credentials:
                return self.plain(401)
            if server.token is not None:
                if not path.startswith(f"/t/{server.token}/"):
                    return self.plain(401)
                path = path.removeprefix(f"/t/{server.token}")
            fault = next((f for f in server.faults if path.endswith(f.suffix) and f.times > 0), None)
            if fault is not None:
                fault.times -= 1
                if fault.kind == "status":
                    return self.plain(fault.status, fault.headers)
                if fault.kind == "redirect":
                    return self.plain(302, fault.headers)
                if fault.kind == "reset":
                    # No answer at all, only the end of the connection.
                    self.close_connection = True
                    return None
                if fault.kind == "stall":
                    stop.wait(fault.seconds)
                    self.close_connection = True
                    return None
            target = folder / path.lstrip("/").replace("%21", "!").replace("%2B", "+")
            if not target.is_file():
                return self.plain(404)
            return self.send_file(target, fault)

        def send_file(self, target: Path, fault: Fault | None) -> None:
            content = fault.body if fault is not None and fault.kind == "instead" else target.read_bytes()
            etag = '"' + hashlib.md5(content).hexdigest() + '"'
            if etags and self.headers.get("If-None-Match") == etag:
                return self.plain(304, {"ETag": etag})
            modified = self.date_time_string(int(target.stat().st_mtime))
            start = 0
            requested = self.headers.get("Range", "")
            if (fault is not None and fault.kind == "whole") or self.headers.get("If-Range", etag) not in (
                etag,
                modified,
            ):
                requested = ""
            if requested.startswith("bytes=") and requested.endswith("-"):
                start = int(requested[6:-1])
                if start >= len(content):
                    return self.plain(416, {"Content-Range": f"bytes */{len(content)}"})
            self.send_response(206 if start else 200)
            if etags:
                self.send_header("ETag", etag)
            if fault is not None and fault.kind == "wrong-range":
                start = start // 2
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Last-Modified", modified)
            body = content[start:]
            if fault is not None and fault.kind == "corrupt":
                body = bytes(255 - byte for byte in body)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "HEAD":
                return None
            if fault is not None and fault.kind in ("short", "hang", "break"):
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                if fault.kind == "hang":
                    stop.wait(fault.seconds)
                elif fault.kind == "break":
                    # Closed with nothing lingering, a connection ends with a reset.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.connection.close()
                return None
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(body)
            return None

    httpd = QuietServer(("127.0.0.1", 0), Handler)
    server = Server(f"http://127.0.0.1:{httpd.server_address[1]}")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        stop.set()
        time.sleep(0)
        httpd.shutdown()
        httpd.server_close()
        thread.join()
