"""Who we are to which host: tokens and passwords of channel addresses, and the netrc file.

A credential belongs to an address prefix and goes only with requests below it, over the same scheme. Everything above
this room works with clean addresses; the client asks here what to add on the wire.
"""

from __future__ import annotations

import importlib
import os
from _thread import allocate_lock
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from kaa.models.channel import UrlCredential, split_credentials

TYPE_CHECKING = False
if TYPE_CHECKING:
    import netrc

DEFAULT_PORTS = {"http": 80, "https": 443}


class Credentials:
    """Credentials by address prefix; the longest prefix wins, then the netrc file's entry for the host.

    `netrc_file` None reads no netrc file; see `find_netrc`.
    """

    def __init__(self, netrc_file: Path | None = None) -> None:
        self._by_prefix: dict[str, tuple[UrlCredential, str]] = {}
        self._netrc_file = netrc_file
        self._netrc: netrc.netrc | None = None
        self._lock = allocate_lock()

    def add(self, prefix: str, credential: UrlCredential, *, token_root: str = "") -> None:
        """Use `credential` for every address below the clean address `prefix`.

        `token_root` is the path before `/t/<token>` on servers that are not at the root of their host; the
        credential's own by default.
        """
        self._by_prefix[_comparable(prefix)] = (credential, (token_root or credential.token_root).rstrip("/"))

    def add_url(self, url: str) -> str:
        """Remember the credentials that an address holds, for all below it; returns the clean address."""
        clean, credential = split_credentials(url)
        if credential is not None:
            self.add(clean, credential)
        return clean

    def find(self, url: str) -> UrlCredential | None:
        """The credential for a clean address, when there is one."""
        found = self._find(url)
        return found[0] if found else self._find_in_netrc(url)

    def apply(self, url: str) -> tuple[str, dict[str, str]]:
        """(the address as it goes out, the headers that go with it)."""
        found = self._find(url)
        credential, token_root = found or (self._find_in_netrc(url), "")
        if credential is None:
            return url, {}
        if credential.token:
            parts = urlsplit(url)
            root = token_root if parts.path.startswith(token_root + "/") else ""
            path = f"{root}/t/{quote(credential.token, safe='-')}{parts.path[len(root) :]}"
            url = urlunsplit((parts.scheme, parts.netloc, path, parts.query, parts.fragment))
        if credential.user is None:
            return url, {}
        login = f"{credential.user}:{credential.password or ''}".encode()
        return url, {"Authorization": "Basic " + str(importlib.import_module("base64").b64encode(login), "ascii")}

    def _find(self, url: str) -> tuple[UrlCredential, str] | None:
        if not self._by_prefix:
            return None
        prefix = _comparable(url)
        while prefix.count("/") >= 2:
            if found := self._by_prefix.get(prefix):
                return found
            prefix = prefix.rpartition("/")[0]
        return None

    def _find_in_netrc(self, url: str) -> UrlCredential | None:
        if self._netrc_file is None:
            return None
        with self._lock:
            if self._netrc is None:
                self._netrc = _read_netrc(self._netrc_file)
        # Only an entry that names the host: the `default` entry would send a password to every channel there is.
        entry = self._netrc.hosts.get(urlsplit(url).hostname or "")
        return UrlCredential(user=entry[0], password=entry[2]) if entry else None


def find_netrc(environ: Mapping[str, str]) -> Path | None:
    """The user's netrc file: `$NETRC`, else `~/.netrc` or `~/_netrc`; None when there is none."""
    if named := environ.get("NETRC"):
        return Path(named)
    home = environ.get("HOME") or environ.get("USERPROFILE")
    names = (".netrc", "_netrc") if home else ()
    return next((path for name in names if os.access(path := Path(str(home), name), os.R_OK)), None)


def _read_netrc(path: Path) -> netrc.netrc:
    """The entries of a netrc file; one that cannot be read or parsed has none (its text is full of secrets)."""
    module = importlib.import_module("netrc")
    try:
        found: netrc.netrc = module.netrc(str(path))
    except (OSError, module.NetrcParseError, UnicodeDecodeError):
        found = module.netrc(os.devnull)
    return found


def _comparable(url: str) -> str:
    """`scheme://host[:port]/path` with what does not matter made equal: case of the host, default ports, a last `/`."""
    parts = urlsplit(url)
    scheme = parts.scheme.lower()
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port and parts.port != DEFAULT_PORTS.get(scheme) else ""
    return f"{scheme}://{host}{port}{parts.path}".rstrip("/")
