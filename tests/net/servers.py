"""Servers that tests/channels.py has no need of: a real forwarding proxy, and a TLS server, both on loopback."""

from __future__ import annotations

import contextlib
import http.client
import select
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.channels import QuietServer


@dataclass
class ProxyServer:
    """A running proxy; `seen` are its request lines, `logins` the Proxy-Authorization headers (or None)."""

    address: str
    seen: list[str] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)
    required: str | None = None
    """The exact Proxy-Authorization that is required (else 407)."""


@contextlib.contextmanager
def run_server(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server that runs as long as the block."""
    httpd = QuietServer(("127.0.0.1", 0), handler)
    if context is not None:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield httpd.server_address[1]
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@contextlib.contextmanager
def run_proxy() -> Iterator[ProxyServer]:
    """A proxy that forwards plain requests and tunnels CONNECT."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def refused(self) -> bool:
            proxy.seen.append(self.requestline)
            login = self.headers.get("Proxy-Authorization")
            proxy.logins.append(login)
            if proxy.required is None or login == proxy.required:
                return False
            self.send_response(407)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return True

        def do_GET(self) -> None:
            if self.refused():
                return
            parts = urlsplit(self.path)
            headers = {key: value for key, value in self.headers.items() if not key.lower().startswith("proxy-")}
            connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=10)
            try:
                connection.request("GET", parts.path, headers=headers)
                response = connection.getresponse()
                body = response.read()
            except OSError:
                self.send_response(502)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            finally:
                connection.close()
            self.send_response(response.status)
            for key, value in response.getheaders():
                if key.lower() not in ("content-length", "server", "date"):
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_CONNECT(self) -> None:
            if self.refused():
                return
            host, _, port = self.path.rpartition(":")
            with socket.create_connection((host, int(port)), timeout=10) as upstream:
                self.send_response(200)
                self.end_headers()
                sockets = [self.connection, upstream]
                while True:
                    for ready in select.select(sockets, [], [], 10)[0]:
                        data = ready.recv(65536)
                        if not data:
                            self.close_connection = True
                            return
                        (upstream if ready is self.connection else self.connection).sendall(data)

    proxy = ProxyServer("")
    with run_server(Handler) as port:
        proxy.address = f"http://127.0.0.1:{port}"
        yield proxy


@dataclass(frozen=True)
class TlsServer:
    """A running TLS server that answers every request with `hello`, and the certificate that it shows."""

    url: str
    certificate: Path
    key: Path


@contextlib.contextmanager
def run_tls_server(
    folder: Path, *, name: str = "127.0.0.1", client_authority: Path | None = None
) -> Iterator[TlsServer]:
    """A TLS server whose certificate nobody signed and that is for `name`."""
    certificate, key = make_certificate(folder, name)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(client_authority)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(302 if self.path == "/down" else 200)
            self.send_header("Location", "http://127.0.0.1:1/x")
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"hello")

    with run_server(Handler, context) as port:
        yield TlsServer(f"https://127.0.0.1:{port}", certificate, key)


def make_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for a name or address, and its key, made by openssl."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not installed, so no certificate can be made")
    folder.mkdir(parents=True, exist_ok=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    kind = "IP" if name[0].isdigit() else "DNS"
    subprocess.run(
        [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        + ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}"]
        + ["-addext", f"subjectAltName={kind}:{name}"],
        check=True,
        capture_output=True,
    )
    return certificate, key
