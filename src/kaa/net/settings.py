"""How to speak HTTP, as one value that the configuration hands over."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kaa import __version__


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Timeouts are in seconds; what is empty here is taken from the environment where that is customary."""

    connect_timeout: float = 9.15
    read_timeout: float = 60.0
    max_retries: int = 3
    """How often a request is sent again after a failure that may pass."""
    backoff_factor: float = 1.0
    """The pause before the first repetition; each later one is twice as long."""
    max_retry_after: float = 60.0
    """The longest pause that a server may ask for."""
    proxies: Mapping[str, str] = msgspec.field(default_factory=dict)
    """By scheme (`https`), by `scheme://host`, or `all`; as conda's `proxy_servers`."""
    ssl_verify: bool | str = True
    """True: the certificates of the system; False: no check; else the path of a file or directory of certificates."""
    client_certificate: str | None = None
    client_key: str | None = None
    unverified_hosts: tuple[str, ...] = ()
    """Hosts (with or without a port) whose certificates are not checked."""
    offline: bool = False
    connections: int = 10
    """How many connections are kept for one host."""
    user_agent: str = f"kaa/{__version__}"
    """The program and its version; nothing about the machine or its user."""

    def __repr__(self) -> str:
        # The addresses of proxies hold passwords.
        return f"HttpSettings(offline={self.offline}, ssl_verify={self.ssl_verify!r}, proxies={list(self.proxies)!r})"
