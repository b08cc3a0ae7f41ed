"""Which proxy a request goes through: settings first, then the environment (`https_proxy`, `no_proxy` and so on)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

import msgspec

PORTS = {"http": 80, "https": 443}


class Proxies(msgspec.Struct, frozen=True):
    """Proxies by `scheme://host`, scheme, `all://host` or `all`; `no_proxy` lists the hosts that need none.

    >>> Proxies({"https": "http://proxy:3128"}, ("localhost", ".lan")).find("https://conda.example/x")
    'http://proxy:3128'
    >>> Proxies({"https": "http://proxy:3128"}, ("localhost", ".lan")).find("https://mirror.lan/x")
    """

    by_scheme: Mapping[str, str] = msgspec.field(default_factory=dict)
    no_proxy: tuple[str, ...] = ()

    def __repr__(self) -> str:
        # The addresses of proxies hold passwords.
        return f"Proxies({', '.join(self.by_scheme)}; no_proxy={self.no_proxy!r})"

    def find(self, url: str) -> str | None:
        """The address of the proxy for a request, None when it goes out directly."""
        parts = urlsplit(url)
        host = parts.hostname or ""
        if not self.by_scheme or self._is_excepted(parts):
            return None
        for key in (f"{parts.scheme}://{host}", parts.scheme, f"all://{host}", "all"):
            if found := self.by_scheme.get(key):
                return found if "://" in found else f"http://{found}"
        return None

    def _is_excepted(self, parts: SplitResult) -> bool:
        host = (parts.hostname or "").rstrip(".")
        port = parts.port or PORTS.get(parts.scheme, 0)
        return any(excepts(entry, host, port) for entry in self.no_proxy)


def excepts(entry: str, host: str, port: int) -> bool:
    """Whether one entry of `no_proxy` names a host: `*`, a domain with all below it, an address or a network.

    >>> excepts("example.org", "conda.example.org", 443), excepts("example.org", "badexample.org", 443)
    (True, False)
    >>> excepts("10.0.0.0/8", "10.1.2.3", 80), excepts("[::1]:8080", "::1", 80)
    (True, False)
    """
    entry = entry.strip().lower()
    if entry == "*":
        return True
    try:
        ipaddress = importlib.import_module("ipaddress")
        return bool(ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False))
    except ValueError:
        pass
    if entry.startswith("["):
        name, _, given = entry[1:].partition("]")
        given = given.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, given = entry.partition(":")
    else:
        name, given = entry, ""
    if given and given != str(port):
        return False
    name = name.removeprefix("*").removeprefix(".").rstrip(".")
    return bool(name) and (host == name or host.endswith("." + name))


def proxies_of_environment(environ: Mapping[str, str]) -> Proxies:
    """The proxies that environment variables ask for; lower-case names win over upper-case ones."""
    by_scheme = {}
    for scheme in ("http", "https", "all"):
        value = environ.get(f"{scheme}_proxy")
        # In a CGI program HTTP_PROXY can be a header of the visitor's request (httpoxy).
        if value is None and not (scheme == "http" and "REQUEST_METHOD" in environ):
            value = environ.get(f"{scheme.upper()}_PROXY")
        if value:
            by_scheme[scheme] = value
    excepted = environ.get("no_proxy", environ.get("NO_PROXY", ""))
    return Proxies(by_scheme, tuple(entry for entry in excepted.replace(" ", ",").split(",") if entry))


def proxies_for(settings: Mapping[str, str], environ: Mapping[str, str]) -> Proxies:
    """The proxies of the settings, and those of the environment for what the settings do not say."""
    around = proxies_of_environment(environ)
    return Proxies({**around.by_scheme, **settings}, around.no_proxy)
