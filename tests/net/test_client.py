"""HttpClient against real servers: answers, failures, retries, redirects, offline."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.errors import KaaError
from kaa.events import Event, Note
from kaa.models.channel import UrlCredential
from kaa.net.auth import Credentials
from kaa.net.client import (
    BodyTooLarge,
    HttpClient,
    HttpStatusError,
    Offline,
    RedirectRefused,
    UnsupportedScheme,
    seconds_of_retry_after,
)
from kaa.net.http_transport import UnusableCertificate, UnusableProxy
from kaa.net.settings import HttpSettings
from kaa.net.transport import CAUSES, HostUnreachable, IncompleteBody, ProxyUnreachable, TlsFailure
from tests.channels import Fault, Server, serve
from tests.net.servers import ProxyServer, TlsServer, make_certificate, run_proxy, run_server, run_tls_server

CONTENT = b'{"packages": {}}' * 5000


def quick(**changes: object) -> HttpSettings:
    values: dict[str, object] = {"backoff_factor": 0.01, "connect_timeout": 2.0, "read_timeout": 5.0, "max_retries": 2}
    return HttpSettings(**{**values, **changes})  # type: ignore[arg-type]


def client(
    credentials: Credentials | None = None, environ: dict[str, str] | None = None, **changes: object
) -> HttpClient:
    return HttpClient(quick(**changes), credentials, environ=environ or {})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    (folder / "channel" / "noarch").mkdir(parents=True)
    (folder / "channel" / "noarch" / "repodata.json").write_bytes(CONTENT)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serve(folder) as server:
        yield server


PATH = "/channel/noarch/repodata.json"


@pytest.fixture(scope="module")
def proxy() -> Iterator[ProxyServer]:
    with run_proxy() as running:
        yield running


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsServer]:
    with run_tls_server(tmp_path_factory.mktemp("tls")) as running:
        yield running


def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
    return port


# --- answers


def test_get_over_http_and_from_a_file_is_the_same(server: Server, folder: Path) -> None:
    with client() as http:
        remote = http.get(server.url + PATH)
        local = http.get((folder / PATH[1:]).as_uri())
    assert remote.content == local.content == CONTENT
    assert remote.status == local.status == 200
    assert server.requests[0].headers["User-Agent"].startswith("kaa/")


def test_conditional_request_gives_304(server: Server, folder: Path) -> None:
    for url in (server.url + PATH, (folder / PATH[1:]).as_uri()):
        with client() as http:
            etag = http.get(url).headers["etag"]
            again = http.get(url, headers={"If-None-Match": etag})
            assert (again.status, again.content) == (304, b"")


def test_a_changed_file_has_another_etag(folder: Path) -> None:
    path = folder / "x"
    path.write_bytes(b"1")
    with client() as http:
        before = http.get(path.as_uri()).headers["etag"]
        path.write_bytes(b"22")
        assert http.get(path.as_uri(), headers={"If-None-Match": before}).content == b"22"


def test_head(server: Server, folder: Path) -> None:
    for url in (server.url + PATH, (folder / PATH[1:]).as_uri()):
        with client() as http, http.open(url, method="HEAD") as response:
            assert response.status == 200
            assert int(response.headers["content-length"]) == len(CONTENT)
            assert b"".join(response.iter_bytes()) == b""


def test_a_range_of_a_file(folder: Path) -> None:
    with client() as http, http.open((folder / PATH[1:]).as_uri(), headers={"Range": "bytes=100-"}) as response:
        assert response.status == 206
        assert b"".join(response.iter_bytes(7)) == CONTENT[100:]


def test_compressed_answers_are_unpacked_for_get_and_left_alone_for_open() -> None:
    packed = gzip.compress(CONTENT)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(packed)))
            self.end_headers()
            self.wfile.write(packed)

    with run_server(Handler) as port, client() as http:
        assert http.get(f"http://127.0.0.1:{port}/x").content == CONTENT
        with http.open(f"http://127.0.0.1:{port}/x") as response:
            assert b"".join(response.iter_bytes()) == packed
        # The limit is on what comes out, not on what was sent.
        with pytest.raises(BodyTooLarge):
            http.get(f"http://127.0.0.1:{port}/x", limit=len(CONTENT) - 1)


@pytest.mark.parametrize("limit", [0, 1, len(CONTENT) - 1])
def test_a_body_over_the_limit_is_refused(server: Server, folder: Path, limit: int) -> None:
    for url in (server.url + PATH, (folder / PATH[1:]).as_uri()):
        with client() as http, pytest.raises(BodyTooLarge, match="larger"):
            http.get(url, limit=limit)


def test_a_body_of_exactly_the_limit_is_fine(server: Server) -> None:
    with client() as http:
        assert http.get(server.url + PATH, limit=len(CONTENT)).content == CONTENT


# --- refusals


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418])
def test_refusals_are_not_repeated(server: Server, status: int) -> None:
    server.faults.append(Fault("repodata.json", "status", status=status))
    with client() as http, pytest.raises(HttpStatusError, match=str(status)) as caught:
        http.get(server.url + PATH)
    assert len(server.requests) == 1
    assert (caught.value.status, caught.value.url) == (status, server.url + PATH)


def test_missing_and_unreadable_files_have_the_statuses_of_a_server(tmp_path: Path) -> None:
    for path, status in ((tmp_path / "missing", 404), (tmp_path, 404), (tmp_path / "x" / "y", 404)):
        with client() as http, pytest.raises(HttpStatusError) as caught:
            http.get(path.as_uri())
        assert caught.value.status == status


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://bucket/x", "host/x", "javascript://x"])
def test_other_schemes_are_refused(url: str) -> None:
    with client() as http, pytest.raises(UnsupportedScheme):
        http.get(url)


# --- retries


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_troubles_that_pass_are_waited_for(server: Server, status: int) -> None:
    server.faults.append(Fault("repodata.json", "status", status=status, times=2))
    with client() as http:
        assert http.get(server.url + PATH).content == CONTENT
    assert len(server.requests) == 3


def test_the_number_of_repetitions_is_bounded(server: Server) -> None:
    server.faults.append(Fault("repodata.json", "status", status=503))
    with client() as http, pytest.raises(HttpStatusError, match="503"):
        http.get(server.url + PATH)
    assert len(server.requests) == 3


def test_retry_after_is_obeyed_up_to_the_limit(server: Server) -> None:
    events: list[Event] = []
    server.faults.append(Fault("repodata.json", "status", status=429, times=1, headers={"Retry-After": "99999"}))
    with HttpClient(quick(max_retry_after=0.2), None, events.append, environ={}) as http:
        http.get(server.url + PATH)
    assert [event for event in events if isinstance(event, Note)] == [
        Note(f"{server.url}{PATH}: status 429; trying again in 0.2 seconds")
    ]


@pytest.mark.parametrize("kind", ["reset", "short"])
def test_a_connection_that_breaks_is_tried_again(server: Server, kind: str) -> None:
    server.faults.append(Fault("repodata.json", kind, times=1))  # type: ignore[arg-type]
    with client() as http:
        assert http.get(server.url + PATH).content == CONTENT


def test_a_body_that_is_always_short_is_an_error(server: Server) -> None:
    server.faults.append(Fault("repodata.json", "short"))
    with client() as http, pytest.raises(IncompleteBody, match="ended too early"):
        http.get(server.url + PATH)
    assert len(server.requests) == 3


RETRY_AFTER = [
    ("0", 0.0),
    (" 12 ", 12.0),
    ("-1", None),
    ("1.5", None),
    ("", None),
    ("tomorrow", None),
    ("²", None),
    ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
    ("Sun, 06 Nov 1994 08:49:37", None),
    ("Sun, 99 Nov 1994 08:49:37 GMT", None),
]


@pytest.mark.parametrize(("value", "seconds"), RETRY_AFTER)
def test_retry_after_values(value: str, seconds: float | None) -> None:
    assert seconds_of_retry_after(value) == seconds


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_retry_after_is_a_pause_or_nothing(value: str) -> None:
    found = seconds_of_retry_after(value)
    assert found is None or found >= 0


# --- hosts that cannot be reached


def test_a_refused_connection_says_so() -> None:
    port = closed_port()
    with client(max_retries=0) as http, pytest.raises(HostUnreachable) as caught:
        http.get(f"http://127.0.0.1:{port}/x")
    assert (caught.value.cause, caught.value.host) == ("refused", f"127.0.0.1:{port}")
    assert CAUSES["refused"] in str(caught.value)
    for way_out in ("proxy", "mirror", "--offline", "another channel"):
        assert way_out in str(caught.value)


def test_an_unknown_name_says_so() -> None:
    with client(max_retries=0) as http, pytest.raises(HostUnreachable) as caught:
        http.get("http://no-such-host.invalid/x")
    assert caught.value.cause == "dns"
    assert "spelling of no-such-host.invalid" in str(caught.value)


def test_a_silent_host_says_so(server: Server) -> None:
    server.faults.append(Fault("repodata.json", "stall", seconds=20))
    with client(max_retries=0, read_timeout=0.3) as http, pytest.raises(HostUnreachable) as caught:
        http.get(server.url + PATH)
    assert caught.value.cause == "timeout"


def test_a_host_that_stops_in_the_middle_says_so() -> None:
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"x")
            self.wfile.flush()
            stop.wait(20)

    with run_server(Handler) as port, client(max_retries=0, read_timeout=0.3) as http:
        try:
            with pytest.raises(HostUnreachable) as caught:
                http.get(f"http://127.0.0.1:{port}/x")
        finally:
            stop.set()
    assert caught.value.cause == "timeout"


def test_no_answer_at_all_says_so(server: Server) -> None:
    server.faults.append(Fault("repodata.json", "reset"))
    with client(max_retries=1) as http, pytest.raises(HostUnreachable) as caught:
        http.get(server.url + PATH)
    assert caught.value.cause == "connection"
    assert len(server.requests) == 2


# --- offline


def test_offline_refuses_the_network_and_reads_files(server: Server, folder: Path) -> None:
    with client(offline=True) as http:
        with pytest.raises(Offline, match=server.url):
            http.get(server.url + PATH)
        assert http.get((folder / PATH[1:]).as_uri()).content == CONTENT
    assert server.requests == []


def test_files_and_offline_load_neither_urllib3_nor_ssl(folder: Path) -> None:
    program = f"""
import sys
from kaa.net.client import HttpClient, Offline
from kaa.net.settings import HttpSettings
with HttpClient(HttpSettings(offline=True)) as http:
    http.get({(folder / PATH[1:]).as_uri()!r})
    try:
        http.get("https://host/x")
    except Offline:
        pass
print([name for name in ("urllib3", "ssl", "truststore") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- redirects


def test_redirects_are_followed(server: Server) -> None:
    server.faults.append(Fault("/old", "redirect", headers={"Location": PATH}))
    with client() as http:
        document = http.get(server.url + "/old")
    assert document.content == CONTENT
    assert document.url == server.url + "/old"
    assert document.answered_by == server.url + PATH


def test_a_circle_of_redirects_ends(server: Server) -> None:
    server.faults.append(Fault("/old", "redirect", headers={"Location": "/old"}))
    with client() as http, pytest.raises(RedirectRefused, match="more than 10"):
        http.get(server.url + "/old")
    assert len(server.requests) == 11


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://host/x", "gopher://x"])
def test_a_redirect_off_the_web_is_refused(server: Server, location: str) -> None:
    server.faults.append(Fault("/old", "redirect", headers={"Location": location}))
    with client() as http, pytest.raises(RedirectRefused, match="only http"):
        http.get(server.url + "/old")


def test_a_redirect_out_of_encryption_is_refused(tls: TlsServer) -> None:
    with client(ssl_verify=str(tls.certificate)) as http, pytest.raises(RedirectRefused, match="encrypted"):
        http.get(tls.url + "/down")


@pytest.mark.parametrize("credential", [UrlCredential("tk-secret"), UrlCredential(None, "me", "pw-secret")])
def test_credentials_do_not_follow_a_redirect_to_another_host(folder: Path, credential: UrlCredential) -> None:
    with serve(folder) as first, serve(folder) as second:
        elsewhere = second.url.replace("127.0.0.1", "localhost")
        first.faults.append(Fault(PATH, "redirect", headers={"Location": elsewhere + PATH}))
        credentials = Credentials()
        credentials.add(first.url, credential)
        with client(credentials) as http:
            assert http.get(first.url + PATH).content == CONTENT
    assert "secret" in str(first.requests) or "Authorization" in first.requests[0].headers
    assert "secret" not in str(second.requests)
    assert "Authorization" not in second.requests[0].headers


def test_credentials_follow_a_redirect_on_their_own_host(folder: Path) -> None:
    with serve(folder) as server:
        server.credentials = "Basic bWU6cHc="
        server.faults.append(Fault("/channel/old", "redirect", headers={"Location": PATH}))
        credentials = Credentials()
        credentials.add(server.url + "/channel", UrlCredential(None, "me", "pw"))
        with client(credentials) as http:
            assert http.get(server.url + "/channel/old").content == CONTENT


def test_a_signed_address_is_not_shown(server: Server) -> None:
    signed = f"http://127.0.0.1:{closed_port()}/x?signature=secret"
    server.faults.append(Fault("/old", "redirect", headers={"Location": signed}))
    with client(max_retries=0) as http, pytest.raises(HostUnreachable) as caught:
        http.get(server.url + "/old")
    assert "secret" not in f"{caught.value} {caught.value.fields()}"


# --- TLS


def test_an_unknown_certificate_is_refused_and_the_authorities_are_named(tls: TlsServer) -> None:
    with client() as http, pytest.raises(TlsFailure) as caught:
        http.get(tls.url + "/x")
    assert caught.value.cause == "tls"
    assert "certificate store of this system" in str(caught.value)
    assert "ssl_verify" in str(caught.value)


def test_a_given_authority_is_trusted(tls: TlsServer) -> None:
    with client(ssl_verify=str(tls.certificate)) as http:
        assert http.get(tls.url + "/x").content == b"hello"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_an_authority_of_the_environment_is_trusted(tls: TlsServer, variable: str) -> None:
    with client(environ={variable: str(tls.certificate)}) as http:
        assert http.get(tls.url + "/x").content == b"hello"


def test_another_authority_is_not_enough(tls: TlsServer, tmp_path: Path) -> None:
    other, _ = make_certificate(tmp_path, "127.0.0.1")
    with client(ssl_verify=str(other)) as http, pytest.raises(TlsFailure, match=str(other)):
        http.get(tls.url + "/x")


def test_verification_can_be_switched_off(tls: TlsServer) -> None:
    with client(ssl_verify=False) as http:
        assert http.get(tls.url + "/x").content == b"hello"


@pytest.mark.parametrize("name", ["{host}", "{host}:{port}"])
def test_verification_can_be_switched_off_for_one_host(tls: TlsServer, name: str) -> None:
    host, _, port = tls.url.removeprefix("https://").partition(":")
    with client(unverified_hosts=(name.format(host=host, port=port),)) as http:
        assert http.get(tls.url + "/x").content == b"hello"
    with client(unverified_hosts=("example.org", f"{host}:1")) as http, pytest.raises(TlsFailure):
        http.get(tls.url + "/x")


def test_a_certificate_for_another_name_is_refused(tmp_path: Path) -> None:
    with (
        run_tls_server(tmp_path, name="example.org") as server,
        client(ssl_verify=str(server.certificate)) as http,
        pytest.raises(TlsFailure),
    ):
        http.get(server.url + "/x")


def test_client_certificates(tmp_path: Path) -> None:
    mine, key = make_certificate(tmp_path / "mine", "client")
    with run_tls_server(tmp_path / "server", client_authority=mine) as server:
        authority = str(server.certificate)
        with client(ssl_verify=authority, client_certificate=str(mine), client_key=str(key)) as http:
            assert http.get(server.url + "/x").content == b"hello"
        with client(ssl_verify=authority, max_retries=0) as http, pytest.raises(HostUnreachable):
            http.get(server.url + "/x")


def test_a_host_without_tls_says_so(server: Server) -> None:
    with client() as http, pytest.raises(TlsFailure, match="encrypted"):
        http.get(server.url.replace("http:", "https:") + PATH)


@pytest.mark.parametrize("option", ["ssl_verify", "client_certificate"])
def test_unusable_certificates_are_named(tls: TlsServer, tmp_path: Path, option: str) -> None:
    path = tmp_path / "broken.pem"
    for content in (None, b"not a certificate"):
        if content is not None:
            path.write_bytes(content)
        with (
            HttpClient(quick(**{option: str(path)}), environ={}) as http,
            pytest.raises(UnusableCertificate, match=r"broken\.pem"),
        ):
            http.get(tls.url + "/x")


# --- proxies


def test_plain_http_through_a_proxy(server: Server, proxy: ProxyServer) -> None:
    with client(proxies={"http": proxy.address}) as http:
        assert http.get(server.url + PATH).content == CONTENT
    assert proxy.seen[-1].startswith(f"GET {server.url}{PATH}")


def test_https_through_a_tunnel(tls: TlsServer, proxy: ProxyServer) -> None:
    with client(proxies={"https": proxy.address}, ssl_verify=str(tls.certificate)) as http:
        assert http.get(tls.url + "/x").content == b"hello"
    assert proxy.seen[-1].startswith("CONNECT 127.0.0.1:")


def test_the_environment_names_a_proxy_and_exceptions(server: Server, proxy: ProxyServer) -> None:
    before = len(proxy.seen)
    with client(environ={"http_proxy": proxy.address}) as http:
        http.get(server.url + PATH)
    assert len(proxy.seen) == before + 1
    with client(environ={"http_proxy": proxy.address, "no_proxy": "127.0.0.1"}) as http:
        http.get(server.url + PATH)
    assert len(proxy.seen) == before + 1


def test_a_proxy_with_a_password(server: Server, tls: TlsServer) -> None:
    with run_proxy() as proxy:
        proxy.required = "Basic bWU6cHctc2VjcmV0"
        with_login = proxy.address.replace("http://", "http://me:pw-secret@")
        settings = {"proxies": {"all": with_login}, "ssl_verify": str(tls.certificate)}
        with HttpClient(quick(**settings), environ={}) as http:
            assert http.get(server.url + PATH).content == CONTENT
            assert http.get(tls.url + "/x").content == b"hello"
        assert all("Proxy-Authorization" not in request.headers for request in server.requests)


def test_a_wrong_proxy_password_is_not_shown(server: Server, tls: TlsServer) -> None:
    with run_proxy() as proxy:
        proxy.required = "Basic other"
        with_login = proxy.address.replace("http://", "http://me:pw-secret@")
        with client(proxies={"all": with_login}, max_retries=0) as http:
            for url in (server.url + PATH, tls.url + "/x"):
                with pytest.raises(KaaError) as caught:
                    http.get(url)
                assert "secret" not in f"{caught.value} {caught.value.fields()}"
                assert "prox" in str(caught.value)


def test_an_unreachable_proxy_is_blamed_and_not_the_host(server: Server) -> None:
    address = f"http://me:pw-secret@127.0.0.1:{closed_port()}"
    with client(proxies={"http": address}, max_retries=0) as http, pytest.raises(ProxyUnreachable) as caught:
        http.get(server.url + PATH)
    text = f"{caught.value} {caught.value.fields()}"
    assert "proxy_servers" in text
    assert "secret" not in text
    assert server.requests == []


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1", "ftp://x"])
def test_unusable_proxies_are_named(server: Server, address: str) -> None:
    with client(proxies={"http": address}) as http, pytest.raises(UnusableProxy, match=address):
        http.get(server.url + PATH)


# --- threads


def test_many_threads_share_a_client(server: Server) -> None:
    found: list[bytes] = []
    with client() as http:
        threads = [
            threading.Thread(target=lambda: found.append(http.get(server.url + PATH).content)) for _ in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [CONTENT] * 16


def test_a_closed_client_can_be_used_again(server: Server) -> None:
    http = client()
    for _ in range(2):
        assert http.get(server.url + PATH).status == 200
        http.close()
