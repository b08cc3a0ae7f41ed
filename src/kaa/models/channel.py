"""Channels: from what a user writes to one base URL, and back to a short name (CEP 26).

A channel *is* its base URL: scheme, host, path and label, normalised, without subdir and without credentials. What a
user writes is a name below the channel alias, a URL, a path, or the name of a group of channels (a multichannel).

An index of Python packages is a channel too: `pypi+https://host/simple`, or `pypi+./wheels` for a folder. Its base URL
keeps the `pypi+`. The name `pypi` stands for the indexes that the user's configuration names.

>>> config = ChannelConfig()
>>> [channel] = config.resolve("conda-forge/label/rc", cwd="/")
>>> channel.base_url, channel.name
('https://conda.anaconda.org/conda-forge/label/rc', 'conda-forge/label/rc')
>>> config.resolve("HTTPS://user:secret@Example.org:443/t/tk-1/tools/", cwd="/")
(Channel(base_url='https://example.org/tools', name='https://example.org/tools'),)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, quote, unquote, urlsplit

import msgspec

from kaa.errors import KaaError
from kaa.models.index_words import PYPI as PYPI
from kaa.models.index_words import PYPI_SCHEME as PYPI_SCHEME
from kaa.models.index_words import names_index as names_index
from kaa.models.pattern import Pattern
from kaa.models.redaction import redact_strictly
from kaa.models.subdir import is_known

DEFAULT_ALIAS = "https://conda.anaconda.org"
PACKAGE_EXTENSIONS = (".conda", ".tar.bz2", ".whl")

LOCAL_HOSTS = ("", "localhost", "127.0.0.1")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HAS_SCHEME = Pattern(r"[A-Za-z][A-Za-z0-9+.-]+://")
_DRIVE = Pattern(r"[A-Za-z]:([/\\]|$)")
_LOOKS_LIKE_PATH = Pattern(r"\.{0,2}/|\.{1,2}$|~|\\|\.{1,2}\\|[A-Za-z]:([/\\]|$)")
_TOKEN = Pattern(r"(?P<before>.*?)/t/(?P<token>[^/]*)(?P<after>/.*|$)", re.DOTALL)
_ESCAPE = Pattern(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


class InvalidChannel(KaaError, ValueError):
    """A text that names no channel; `text` holds no credentials."""

    conda_name = "ChannelError"

    def __init__(self, text: str, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.text = redact_strictly(text)
        self.reason = reason
        super().__init__(f"{self.text!r} is not a channel: {reason}.", hints=hints)


class UrlCredential(msgspec.Struct, frozen=True):
    """What a URL carried to prove who asks: a token (`/t/TOKEN/`), or a user name and password; never printed."""

    token: str | None = None
    user: str | None = None
    password: str | None = None
    token_root: str = ""
    """The path before `/t/TOKEN`, where a server does not have it at its root."""

    def __repr__(self) -> str:
        return "UrlCredential()"


class Channel(msgspec.Struct, frozen=True):
    """A place with repodata; two channels are the same when their base URLs are.

    `name` is the short name for people and for conda-meta; `credential` came with the text and is for the client only.
    """

    base_url: str
    name: str
    credential: UrlCredential | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Channel) and self.base_url == other.base_url

    def __hash__(self) -> int:
        return hash(self.base_url)

    def __repr__(self) -> str:
        return f"Channel(base_url={self.base_url!r}, name={self.name!r})"

    @property
    def is_pypi(self) -> bool:
        """Whether it is an index of Python packages."""
        return self.base_url.startswith(PYPI_SCHEME)

    @property
    def index_url(self) -> str:
        """The address of an index of Python packages."""
        return self.base_url.removeprefix(PYPI_SCHEME)

    def subdir_url(self, subdir: str) -> str:
        """The URL of the folder `subdir`, without a trailing slash."""
        return f"{self.base_url}/{subdir}"

    def __str__(self) -> str:
        return self.name


class PypiIndexes(msgspec.Struct, frozen=True):
    """What the channel `pypi` stands for: addresses (perhaps with logins), in the order in which they are asked."""

    addresses: tuple[str, ...] = ()
    main: str = ""
    """The one among them that is called `pypi` itself."""
    are_one: bool = False
    """Whether the versions of a project on all of them are compared, not only those of the first that has it."""

    def __repr__(self) -> str:
        return f"PypiIndexes({len(self.addresses)} addresses)"


class ChannelConfig(msgspec.Struct, frozen=True):
    """How names become channels; `home` is what `~` stands for."""

    alias: str = DEFAULT_ALIAS
    custom_channels: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Name → the URL or path below which that name lies: `{"pkgs/main": "https://host"}` is https://host/pkgs/main."""
    custom_multichannels: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    default_channels: tuple[str, ...] = ()
    """What `defaults` stands for, when someone names it."""
    migrated_aliases: tuple[str, ...] = ()
    """Former aliases: URLs below them mean the same path below `alias`."""
    home: str = ""
    find_pypi: Callable[[], PypiIndexes] = PypiIndexes
    """Tells what `pypi` stands for; called when somebody asks."""

    def resolve(self, text: str, cwd: str) -> tuple[Channel, ...]:
        """The channels that `text` names, in order; only a multichannel gives other than one."""
        return self._resolve(text, cwd, ())

    def _resolve(self, text: str, cwd: str, within: tuple[str, ...]) -> tuple[Channel, ...]:
        members = self._multichannel(text.strip())
        if members is None:
            return (self._single(text, cwd),)
        if text in within:
            raise InvalidChannel(text, "it is a multichannel that contains itself")
        if not members and text.strip() == PYPI:
            raise InvalidChannel(
                text,
                "no index of Python packages is configured here",
                hints=("name one, as in --channel pypi+https://HOST/simple", "set pypi_indexes in .condarc"),
            )
        if not members:
            raise InvalidChannel(
                text,
                "it stands for no channels here",
                hints=("name the channels themselves, as in --channel conda-forge", "set default_channels in .condarc"),
            )
        found: dict[str, Channel] = {}
        for member in members:
            for channel in self._resolve(member, cwd, (*within, text)):
                found.setdefault(channel.base_url, channel)
        return tuple(found.values())

    def _multichannel(self, name: str) -> tuple[str, ...] | None:
        if name in self.custom_multichannels:
            return self.custom_multichannels[name]
        if name == PYPI and name not in self.custom_channels:
            return tuple(PYPI_SCHEME + address for address in self.find_pypi().addresses)
        return self.default_channels if name == "defaults" else None

    def _single(self, text: str, cwd: str) -> Channel:
        written = text.strip()
        if written.startswith(PYPI_SCHEME):
            return self._index(written, cwd)
        url, credential = split_credentials(self._absolute(written, cwd))
        base_url = _without_subdir(normalize_url(url))
        base_url = self._migrate(base_url)
        if "://" not in base_url.rstrip("/") or base_url.endswith("://"):
            raise InvalidChannel(text, "it has neither host nor path")
        return Channel(base_url, self._name(base_url), credential)

    def _index(self, text: str, cwd: str) -> Channel:
        """An index of Python packages."""
        address = text.removeprefix(PYPI_SCHEME)
        if _is_relative_file(address):
            address = path_to_url(address.removeprefix("file:"), cwd, self.home)
        elif not _HAS_SCHEME.match(address):
            raise InvalidChannel(
                text,
                "the address of an index of Python packages, or the path of a folder of wheels, goes behind pypi+",
                hints=("write pypi+https://HOST/simple", "write pypi+./wheels for a folder"),
            )
        base_url, credential = _index_url(address)
        if base_url.endswith("://"):
            raise InvalidChannel(text, "it has neither host nor path")
        main = self.find_pypi().main
        is_main = bool(main) and base_url == _index_url(main)[0]
        return Channel(PYPI_SCHEME + base_url, PYPI if is_main else PYPI_SCHEME + base_url, credential)

    def _absolute(self, text: str, cwd: str) -> str:
        """`text` as a URL, credentials and all."""
        if not text:
            raise InvalidChannel(text, "it is empty")
        if _HAS_SCHEME.match(text):
            return text
        if _LOOKS_LIKE_PATH.match(text):
            return path_to_url(text, cwd, self.home)
        custom = self._custom_location(text)
        if custom is not None:
            return custom if _HAS_SCHEME.match(custom) else path_to_url(custom, cwd, self.home)
        alias = self.alias if _HAS_SCHEME.match(self.alias) else f"https://{self.alias}"
        return f"{alias.rstrip('/')}/{text.strip('/')}"

    def _custom_location(self, name: str) -> str | None:
        for key in sorted(self.custom_channels, key=len, reverse=True):
            if name == key or name.startswith(f"{key}/"):
                return f"{self.custom_channels[key].rstrip('/')}/{name}"
        return None

    def _migrate(self, base_url: str) -> str:
        for former in self.migrated_aliases:
            rest = _path_below(base_url, normalize_url(split_credentials(former)[0]))
            if rest:
                return f"{self._alias_url()}/{rest}"
        return base_url

    def _alias_url(self) -> str:
        alias = self.alias if _HAS_SCHEME.match(self.alias) else f"https://{self.alias}"
        return normalize_url(split_credentials(alias)[0])

    def _name(self, base_url: str) -> str:
        for key in sorted(self.custom_channels, key=len, reverse=True):
            server = self.custom_channels[key]
            if not _HAS_SCHEME.match(server) and not server.startswith("/"):
                continue
            own = normalize_url(split_credentials(self._absolute(f"{server.rstrip('/')}/{key}", "/"))[0])
            rest = _path_below(base_url, own)
            if rest is not None:
                return f"{key}/{rest}" if rest else key
        below_alias = _path_below(base_url, self._alias_url())
        return unquote(below_alias) if below_alias else base_url

    def canonical_name(self, url: str) -> str:
        """The shortest name for the channel of `url`, which may point at a subdir or a package of it.

        In conda's order: the multichannel that has it, a custom channel, the path below the alias, the URL.
        """
        if not url:
            return "<unknown>"
        if url.startswith(PYPI_SCHEME):
            named = (self._index(PYPI_SCHEME + address, "/") for address in self.find_pypi().addresses)
            return PYPI if any(channel.base_url == url for channel in named) else url
        clean = normalize_url(split_credentials(url)[0])
        base_url = self._migrate(_without_subdir(_without_package(clean)))
        for name in (*self.custom_multichannels, "defaults"):
            members = self._multichannel(name) or ()
            if any(self._is_member(member, base_url) for member in members):
                return name
        return self._name(base_url)

    def _is_member(self, member: str, base_url: str) -> bool:
        if self._multichannel(member) is not None or (_LOOKS_LIKE_PATH.match(member) and not member.startswith("/")):
            return False
        return self._single(member, "/").base_url == base_url


def split_credentials(url: str) -> tuple[str, UrlCredential | None]:
    """`url` without user, password and token, and what was taken out.

    >>> split_credentials("https://me:pw@host/t/tk-12/chan")[0]
    'https://host/chan'
    """
    if not _HAS_SCHEME.match(url) or url[:5].lower() == "file:":
        return url, None
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    userinfo, at, host = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    path = slash + path
    token, token_root = None, ""
    match = _TOKEN.fullmatch(path)
    if match is not None:
        path = match["before"] + match["after"]
        token = unquote(match["token"]) or None
        token_root = match["before"] if token else ""
    clean = f"{scheme}://{host}{path}"
    if not at and token is None:
        return clean, None
    login = (unquote(user) if at else None, unquote(password) if colon else None)
    return clean, UrlCredential(token, *login, token_root=token_root)


def short_name(base_url: str) -> str:
    """What a channel is called in sentences: its last folder; indexes of Python packages are mostly called alike.

    >>> short_name("https://conda.anaconda.org/conda-forge"), short_name("pypi+https://host/simple")
    ('conda-forge', 'pypi+https://host/simple')
    """
    return base_url if base_url.startswith(PYPI_SCHEME) else base_url.rpartition("/")[2]


def normalize_url(url: str) -> str:
    """One spelling for a URL: case of scheme and host, default port, escapes, dot segments, slashes, `label/main`.

    A query or fragment is refused: a channel is a folder.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme == "file":
        # `?` and `#` can only belong to the name of a folder here.
        host, slash, path = rest.partition("/")
        host = "" if host.lower() in LOCAL_HOSTS else host.lower()
        return f"file://{host}{_normal_path(slash + path, scheme)}"
    try:
        parts = urlsplit(url)
        host = _normal_host(parts)
    except ValueError:
        # Without its cause, whose text may hold a password.
        raise InvalidChannel(url, "its host or port cannot be read") from None
    if parts.query or parts.fragment:
        raise InvalidChannel(url, "a channel's URL has no query and no fragment")
    if "@" in parts.path:
        # No channel's path has one (CEP 26), but an unescaped password may have pushed it there.
        raise InvalidChannel(url, "there is an @ in its path", hints=("write / and @ in a password as %2F and %40",))
    return f"{scheme}://{host}{_normal_path(parts.path, scheme)}"


def _normal_host(parts: SplitResult) -> str:
    """Host and port in one spelling, without a login. Raises ValueError."""
    port = parts.port
    host = (parts.hostname or "").rstrip(".")
    if not host:
        return ""
    if ":" in host:
        host = f"[{host}]"
    elif not host.isascii():
        host = host.encode("idna").decode("ascii")
    return host if port in (None, _DEFAULT_PORTS.get(parts.scheme.lower())) else f"{host}:{port}"


def _normal_path(path: str, scheme: str) -> str:
    segments: list[str] = []
    for segment in path.split("/"):
        if segment in ("", "."):
            continue
        if segment == "..":
            if segments:
                segments.pop()
            continue
        segments.append(_normal_file_segment(segment) if scheme == "file" else _normal_segment(segment))
    if segments[-2:] == ["label", "main"]:
        del segments[-2:]
    return "".join(f"/{segment}" for segment in segments)


def _normal_segment(segment: str) -> str:
    """Escapes of letters that need none are undone, the others written in capitals; what is not allowed is escaped."""

    def rewrite(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else f"%{match[1].upper()}"

    return quote(_ESCAPE.sub(rewrite, segment), safe="%!$&'()*+,;=:@~")


def _normal_file_segment(segment: str) -> str:
    if _DRIVE.match(segment):
        return segment
    return quote(unquote(segment, errors="surrogateescape"), safe="", errors="surrogateescape")


def is_path(text: str) -> bool:
    """Whether a channel, as a user writes it, is a path of this machine.

    >>> is_path("./channel"), is_path("channel"), is_path("https://host/channel")
    (True, False, False)
    """
    if text.startswith(PYPI_SCHEME):
        return _is_relative_file(text.removeprefix(PYPI_SCHEME))
    return not _HAS_SCHEME.match(text) and _LOOKS_LIKE_PATH.match(text) is not None


def _is_relative_file(address: str) -> bool:
    """Whether what follows `pypi+` is a path of this machine: `./wheels`, `file:./wheels`, but no whole URL."""
    return not _HAS_SCHEME.match(address) and _LOOKS_LIKE_PATH.match(address.removeprefix("file:")) is not None


def _index_url(address: str) -> tuple[str, UrlCredential | None]:
    """The address of an index in one spelling, and the login that it held."""
    url, credential = split_credentials(address)
    return normalize_url(url), credential


def path_to_url(path: str, cwd: str, home: str = "") -> str:
    """The file URL of a local path as a user writes it; relative ones start at `cwd`, `~` is `home`."""
    if path == "~" or path.startswith(("~/", "~\\")):
        if not home:
            raise InvalidChannel(path, "there is no home directory for ~")
        path = home + path[1:]
    elif path.startswith("~"):
        raise InvalidChannel(path, "only one's own home can be written as ~", hints=("write the whole path",))
    if "\\" in path or _DRIVE.match(path) or _DRIVE.match(cwd):
        path, cwd = path.replace("\\", "/"), cwd.replace("\\", "/")
    if path.startswith("//"):
        host, _, rest = path[2:].partition("/")
        return f"file://{host}/{_quote_path(rest)}"
    if not path.startswith("/") and not _DRIVE.match(path):
        path = f"{cwd}/{path}"
    return f"file:///{_quote_path(path.lstrip('/'))}"


def url_to_path(url: str) -> str:
    """The local path of a file URL; `?` and `#` in it belong to the name."""
    authority, slash, rest = url.partition("://")[2].partition("/")
    path = unquote(slash + rest, errors="surrogateescape")
    if authority.lower() not in LOCAL_HOSTS:
        return f"//{authority}{path}"
    return path[1:] if _DRIVE.match(path[1:]) else path


def _quote_path(path: str) -> str:
    drive = _DRIVE.match(path)
    start = 2 if drive else 0
    return path[:start] + quote(path[start:], safe="/", errors="surrogateescape")


def split_package_url(url: str) -> tuple[str, str, str]:
    """Base URL of the channel, subdir and file name of a package's URL (without credentials); subdir may be "".

    >>> split_package_url("https://host/chan/linux-64/zlib-1.3.1-0.conda")
    ('https://host/chan', 'linux-64', 'zlib-1.3.1-0.conda')
    """
    folder, _, file_name = url.rpartition("/")
    base, _, subdir = folder.rpartition("/")
    return (base, subdir, file_name) if is_known(subdir) else (folder, "", file_name)


def _without_package(url: str) -> str:
    return url.rpartition("/")[0] if url.endswith(PACKAGE_EXTENSIONS) else url


def _without_subdir(url: str) -> str:
    base, _, last = url.rpartition("/")
    if not is_known(last):
        return url
    return base.removesuffix("/label/main")


def _path_below(url: str, base: str) -> str | None:
    """What follows `base` in `url`: "" for the same, None when it lies elsewhere."""
    if url == base:
        return ""
    return url[len(base) + 1 :] if url.startswith(f"{base}/") else None
