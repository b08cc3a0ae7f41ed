"""HTTP and HTTPS over urllib3: pooled connections, proxies, certificates of the system (truststore) or of a file.

The only module that loads urllib3 and ssl; `kaa.net.client` imports it when a request really goes out.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit, urlunsplit

import truststore
import urllib3
import urllib3.exceptions as failures
from urllib3.util import make_headers

from kaa.errors import KaaError
from kaa.net.proxies import Proxies
from kaa.net.settings import HttpSettings
from kaa.net.transport import (
    BLOCK,
    HostUnreachable,
    IncompleteBody,
    ProxyUnreachable,
    Request,
    Response,
    TlsFailure,
)


class UnusableCertificate(KaaError):
    """A certificate file of the settings cannot be read."""

    conda_name = "CondaSSLError"

    def __init__(self, path: str, option: str, reason: str) -> None:
        self.path = path
        self.option = option
        super().__init__(
            f"{option} names {path}, which cannot be used: {reason}",
            hints=(f"give {option} the path of a readable file in PEM format",),
        )


class UnusableProxy(KaaError):
    """A proxy of the settings has an address that cannot be used."""

    conda_name = "ProxyError"

    def __init__(self, proxy: str, reason: str) -> None:
        self.proxy = proxy
        super().__init__(
            f"the proxy {proxy} cannot be used: {reason}",
            hints=("write it as http://host:port in proxy_servers or https_proxy",),
        )


class HttpTransport:
    """Sends requests over pooled connections; one per client, used by many threads."""

    def __init__(self, settings: HttpSettings, proxies: Proxies, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._proxies = proxies
        self._authorities, self.trusted = certificate_authorities(settings.ssl_verify, environ)
        self._pools: dict[tuple[str | None, bool, bool], urllib3.PoolManager] = {}
        self._lock = threading.Lock()
        self._timeout = urllib3.Timeout(connect=settings.connect_timeout, read=settings.read_timeout)

    def request(self, request: Request) -> Response:
        proxy = self._proxies.find(request.url)
        decode = request.headers.get("Accept-Encoding", "identity") != "identity"
        try:
            response = self._pool(proxy, request.url).urlopen(
                request.method,
                request.url,
                headers=dict(request.headers),
                redirect=False,
                retries=False,
                preload_content=False,
                timeout=self._timeout,
            )
        except (failures.HTTPError, OSError, ValueError) as error:
            self.raise_unreachable(error, request.shown, proxy)
        return HttpResponse(response, self, request.shown, proxy, decode)

    def _pool(self, proxy: str | None, url: str) -> urllib3.PoolManager:
        # An SSL context costs some milliseconds: plain HTTP has a pool without one.
        secure = url.startswith("https:") or (proxy or "").startswith("https:")
        verified = not (secure and self._is_unverified(url))
        with self._lock:
            pool = self._pools.get((proxy, secure, verified))
            if pool is None:
                pool = self._pools[proxy, secure, verified] = self._make_pool(proxy, secure, verified)
            return pool

    def _is_unverified(self, url: str) -> bool:
        """Whether the user trusts a host whoever it is."""
        if not self._settings.unverified_hosts:
            return False
        parts = urlsplit(url)
        host = parts.hostname or ""
        names = {host, f"{host}:{parts.port or 443}"}
        return any(name.lower() in names for name in self._settings.unverified_hosts)

    def _make_pool(self, proxy: str | None, secure: bool, verified: bool) -> urllib3.PoolManager:
        size = self._settings.connections
        context = self._ssl_context(verified) if secure else None
        if proxy is None:
            return urllib3.PoolManager(maxsize=size, ssl_context=context)
        shown, login = without_login(proxy)
        if urlsplit(proxy).scheme not in ("http", "https"):
            raise UnusableProxy(shown, "only http and https proxies are supported")
        headers = make_headers(proxy_basic_auth=login) if login else None
        try:
            return urllib3.ProxyManager(
                shown, maxsize=size, ssl_context=context, proxy_ssl_context=context, proxy_headers=headers
            )
        except (failures.HTTPError, ValueError) as error:
            raise UnusableProxy(shown, "its address is not a URL") from error

    def _ssl_context(self, verified: bool) -> ssl.SSLContext:
        context = _context_for_anyone() if not verified or self._authorities == "" else self._verifying_context()
        certificate = self._settings.client_certificate
        if certificate:
            try:
                context.load_cert_chain(certificate, self._settings.client_key)
            except (OSError, ssl.SSLError) as error:
                raise UnusableCertificate(certificate, "client_ssl_cert", _plain(error)) from error
        return context

    def _verifying_context(self) -> ssl.SSLContext:
        if self._authorities is None:
            return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        path = Path(self._authorities)
        try:
            if path.is_dir():
                return ssl.create_default_context(capath=path)
            return ssl.create_default_context(cafile=path)
        except (OSError, ssl.SSLError) as error:
            raise UnusableCertificate(str(path), "ssl_verify", _plain(error)) from error

    def raise_unreachable(self, error: Exception, url: str, proxy: str | None) -> NoReturn:
        """Raise the HostUnreachable that a failure of urllib3 means."""
        via = without_login(proxy)[0] if proxy else ""
        cause, root = cause_of(error)
        detail = _plain(root)
        if cause == "tls":
            raise TlsFailure(url, cause, detail, via=via, trusted=self.trusted) from error
        if cause == "proxy":
            raise ProxyUnreachable(url, cause, detail, via=via) from error
        raise HostUnreachable(url, cause, detail, via=via) from error

    def close(self) -> None:
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()


class HttpResponse:
    """An answer whose body is still on the wire."""

    def __init__(
        self, response: urllib3.BaseHTTPResponse, transport: HttpTransport, url: str, proxy: str | None, decode: bool
    ) -> None:
        self._response = response
        self._transport = transport
        self.url = url
        self._proxy = proxy
        self._decode = decode
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    def iter_bytes(self, size: int = BLOCK) -> Iterator[bytes]:
        try:
            while block := self._response.read(size, decode_content=self._decode):
                yield block
        except failures.IncompleteRead as error:
            missing = f"{error.partial} bytes came, {error.expected} more were announced"
            raise IncompleteBody(self.url, missing) from error
        except (failures.ProtocolError, failures.DecodeError) as error:
            raise IncompleteBody(self.url, _plain(cause_of(error)[1])) from error
        except (failures.HTTPError, OSError) as error:
            self._transport.raise_unreachable(error, self.url, self._proxy)

    def close(self) -> None:
        self._response.close()
        self._response.release_conn()


def _context_for_anyone() -> ssl.SSLContext:
    """What trusts every certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # Whoever asks for it need not be told at every request.
    urllib3.disable_warnings(failures.InsecureRequestWarning)
    return context


def certificate_authorities(ssl_verify: bool | str, environ: Mapping[str, str]) -> tuple[str | None, str]:
    """(path of the trusted certificates, what to call them); None is the system's store, "" trusts everyone."""
    if ssl_verify is False or ssl_verify == "":
        return "", "nothing (ssl_verify is false)"
    if isinstance(ssl_verify, str) and ssl_verify not in ("truststore", "<truststore>", "system"):
        return str(Path(ssl_verify).expanduser()), f"{ssl_verify} (ssl_verify)"
    if ssl_verify is True:
        for variable in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_DIR"):
            if (path := environ.get(variable)) and os.path.exists(path):  # noqa: PTH110 - a string from outside
                return path, f"{path} ({variable})"
    return None, "the certificate store of this system"


def without_login(proxy: str) -> tuple[str, str]:
    """(the proxy's address without user and password, `user:password` or nothing)."""
    parts = urlsplit(proxy)
    login, _, place = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, place, parts.path, "", "")), unquote(login)


def cause_of(error: BaseException) -> tuple[str, BaseException]:
    """(the key of CAUSES for a failure, the innermost exception that says something)."""
    if isinstance(error, failures.ProxyError):
        inner = error.original_error
        if isinstance(inner, ssl.SSLError | failures.SSLError):
            return "tls", inner
        return "proxy", inner or error
    if isinstance(error, failures.SSLError | ssl.SSLError):
        return "tls", error
    if isinstance(error, failures.NameResolutionError | socket.gaierror):
        return "dns", error.__cause__ or error
    root = error.__cause__ or error
    if isinstance(root, ConnectionRefusedError):
        return "refused", root
    # NewConnectionError is a kind of timeout in urllib3, whatever its cause.
    if isinstance(root, TimeoutError) or (
        isinstance(error, failures.TimeoutError) and not isinstance(error, failures.NewConnectionError)
    ):
        return "timeout", error
    return "connection", root


def _plain(error: BaseException) -> str:
    """What an exception says, without the object dumps and addresses that libraries put into their texts."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, failures.TimeoutError | TimeoutError):
        return "no data came within the time allowed"
    inner = next((part for part in error.args if isinstance(part, OSError) and part.strerror), None)
    if inner is not None:
        return str(inner.strerror)
    return str(error.args[0] if error.args else type(error).__name__).rpartition(": ")[2] or type(error).__name__
