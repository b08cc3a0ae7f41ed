"""Where Python packages come from, as the user has told pip or uv: files and environment variables of both.

Of pip (its `global` and `install` sections, what counts least first): the system's files, the user's, the one of the
installation that kaa runs in, the one that `$PIP_CONFIG_FILE` names, `$PIP_<OPTION>`. Of uv: the system's `uv.toml`,
the user's, the one that `$UV_CONFIG_FILE` names instead of both, `$UV_<OPTION>`. Where uv is told anything about
indexes, that counts alone; else what pip is told; else the index that pip has built in.

A `pip.conf` of an environment, or a `uv.toml` of a project, is not read: packages and checkouts bring such files.
Keyrings are not asked.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from msgspec.structs import replace

from kaa.config.kinds import TRUE
from kaa.errors import KaaError
from kaa.host.directories import home_directory
from kaa.net.settings import HttpSettings

SECTIONS = ("global", "install")
SYSTEM_DIRECTORIES: tuple[Path, ...] = (Path("/etc"),) if sys.platform != "win32" else (Path("C:/ProgramData"),)
_FILE_NAME = "pip.ini" if sys.platform == "win32" else "pip.conf"


class UnreadablePipConfiguration(KaaError):
    """A configuration file of pip or uv that cannot be read; its text may hold passwords and is not shown."""

    conda_name = "ConfigurationLoadError"

    def __init__(self, path: str, tool: str, reason: str) -> None:
        self.path = path
        self.tool = tool
        self.reason = reason
        super().__init__(
            f"{path}, a configuration file of {tool}, cannot be read: {reason}",
            hints=(
                f"correct the file ({tool} cannot read it either)",
                "set pypi_indexes in kaa's configuration, and it is not looked at",
            ),
        )


class PipConfiguration(msgspec.Struct, frozen=True):
    """Indexes in the order in which a project is looked for, and how to reach them. Addresses may hold logins."""

    indexes: tuple[str, ...] = ()
    """Addresses of simple APIs and folders (`file:`): extra ones first, then the main one, then `find-links`."""
    main: str = ""
    """The main index among them, empty where there is none (`no-index`)."""
    source: str = ""
    """Who said so: `kaa`, `pip`, `uv`, or nothing."""
    certificates: str = ""
    client_certificate: str = ""
    proxy: str = ""
    trusted_hosts: tuple[str, ...] = ()
    """Hosts whose certificates need not be valid, with or without a port."""

    def __repr__(self) -> str:
        return f"PipConfiguration(source={self.source!r}, {len(self.indexes)} indexes)"

    def http_settings(self, settings: HttpSettings) -> HttpSettings:
        """`settings`, with certificates and proxies from here where they say nothing."""
        changed = settings
        if settings.ssl_verify is True and self.certificates:
            changed = replace(changed, ssl_verify=self.certificates)
        if settings.client_certificate is None and self.client_certificate:
            changed = replace(changed, client_certificate=self.client_certificate)
        if not settings.proxies and self.proxy:
            changed = replace(changed, proxies={"http": self.proxy, "https": self.proxy})
        if self.trusted_hosts:
            changed = replace(changed, unverified_hosts=(*settings.unverified_hosts, *self.trusted_hosts))
        return changed


class _Told(msgspec.Struct):
    """What one tool was told, put together from its sources."""

    main: str | None = None
    extra: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    no_index: bool = False

    @property
    def is_anything(self) -> bool:
        return self.main is not None or bool(self.extra or self.links) or self.no_index


def read_pip_configuration(
    environ: Mapping[str, str],
    cwd: str,
    *,
    system_directories: tuple[Path, ...] = SYSTEM_DIRECTORIES,
    own_prefix: Path | None = None,
) -> PipConfiguration:
    """What the user has told pip and uv. Raises UnreadablePipConfiguration.

    `own_prefix` is the installation that kaa runs in, where pip would look for a file of its own.
    """
    home = home_directory(environ)
    own_prefix = Path(sys.prefix) if own_prefix is None else own_prefix
    pip = _pip_options(environ, home, system_directories, own_prefix)
    uv = _uv_options(environ, home, system_directories)
    told_pip, told_uv = _told_pip(pip), _told_uv(uv, environ)
    told, source = (told_uv, "uv") if told_uv.is_anything else (told_pip, "pip" if told_pip.is_anything else "")
    main = "" if told.no_index else index_address(told.main or default_index(), cwd, home)
    every = () if told.no_index else tuple(index_address(text, cwd, home) for text in told.extra)
    links = tuple(index_address(text, cwd, home) for text in told.links)
    own_certificate = os.path.expanduser(pip.get("cert", ""))  # noqa: PTH111 - a string for OpenSSL
    return PipConfiguration(
        tuple(dict.fromkeys(text for text in (*every, main, *links) if text)),
        main,
        source,
        own_certificate,
        os.path.expanduser(pip.get("client-cert", "")),  # noqa: PTH111
        pip.get("proxy", ""),
        tuple(dict.fromkeys((*pip.get("trusted-host", "").split(), *_texts(uv.get("allow-insecure-host"))))),
    )


def default_index() -> str:
    """The address of the index that pip asks when nobody tells it another."""
    from pip._internal.models.index import PyPI  # noqa: PLC0415 - half of pip comes along

    return str(PyPI.simple_url)


def index_address(text: str, cwd: str, home: Path) -> str:
    """What stands in a configuration, as an address: paths become `file:` addresses."""
    text = text.strip()
    scheme, colon, _ = text.partition(":")
    if colon and len(scheme) > 1 and scheme.replace("+", "").replace("-", "").replace(".", "").isalnum():
        return text.rstrip("/")
    return Path(cwd, home / text[2:] if text.startswith("~/") else text).absolute().as_uri()


# pip


def pip_files(
    environ: Mapping[str, str], home: Path, system_directories: tuple[Path, ...], own_prefix: Path
) -> Iterator[Path]:
    """The places of pip's configuration files, what counts least first."""
    named = environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    for directory in system_directories:
        if sys.platform == "win32":
            yield directory / "pip" / _FILE_NAME
        else:
            yield from (directory / "xdg" / "pip" / _FILE_NAME, directory / _FILE_NAME)
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip") / _FILE_NAME
    yield home / ("pip" if sys.platform == "win32" else ".pip") / _FILE_NAME
    yield _user_directory(environ, home) / "pip" / _FILE_NAME
    if sys.platform == "darwin":
        yield home / "Library/Application Support/pip" / _FILE_NAME
    yield own_prefix / _FILE_NAME
    if named:
        yield Path(named)


def _user_directory(environ: Mapping[str, str], home: Path) -> Path:
    variable = "APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME"
    value = environ.get(variable)
    return Path(value) if value else home / ".config"


def _pip_options(
    environ: Mapping[str, str], home: Path, system_directories: tuple[Path, ...], own_prefix: Path
) -> dict[str, str]:
    import configparser  # noqa: PLC0415 - few runs read such files

    sections: dict[str, dict[str, str]] = {section: {} for section in SECTIONS}
    for path in pip_files(environ, home, system_directories, own_prefix):
        parser = configparser.RawConfigParser()
        content = _read(path, "pip")
        if content is None:
            continue
        try:
            parser.read_string(content)
        except configparser.Error as error:
            line = getattr(error, "lineno", None)
            reason = f"line {line} is no option" if line else "it is no file of options"
            raise UnreadablePipConfiguration(str(path), "pip", reason) from None
        for section in SECTIONS:
            if parser.has_section(section):
                sections[section] |= {_key(name): value for name, value in parser.items(section)}
    found = sections["global"] | sections["install"]
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            found[_key(name[4:])] = value
    return found


def _key(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")


def _told_pip(options: Mapping[str, str]) -> _Told:
    return _Told(
        options.get("index-url") or None,
        tuple(options.get("extra-index-url", "").split()),
        tuple(options.get("find-links", "").split()),
        options.get("no-index", "").strip().lower() in TRUE,
    )


# uv


def _uv_options(environ: Mapping[str, str], home: Path, system_directories: tuple[Path, ...]) -> dict[str, object]:
    if environ.get("UV_NO_CONFIG", "").lower() in TRUE:
        return {}
    import tomllib  # noqa: PLC0415 - few runs read such files

    named = environ.get("UV_CONFIG_FILE")
    user = _user_directory(environ, home) / "uv" / "uv.toml"
    paths = [Path(named)] if named else [*(directory / "uv" / "uv.toml" for directory in system_directories), user]
    found: dict[str, object] = {}
    for path in paths:
        content = _read(path, "uv")
        if content is None:
            continue
        try:
            options = tomllib.loads(content)
        except tomllib.TOMLDecodeError as error:
            # The text of the error names a place, and nothing of what stands there.
            raise UnreadablePipConfiguration(str(path), "uv", str(error).partition("(")[2].rstrip(")")) from None
        own = options.get("pip")
        for key, value in {**options, **(own if isinstance(own, dict) else {})}.items():
            before = found.get(key)
            if isinstance(value, list) and isinstance(before, list):
                value = [*value, *before]
            found[key] = value
    return found


def _told_uv(options: Mapping[str, object], environ: Mapping[str, str]) -> _Told:
    told = _Told(
        _text(options.get("index-url")),
        _texts(options.get("extra-index-url")),
        _texts(options.get("find-links")),
        options.get("no-index") is True,
    )
    listed = options.get("index")
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("url"), str):
            _add_index(told, entry, environ)
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        if environ.get(name):
            told.main = _named(environ[name], environ)
            break
    extra = environ.get("UV_INDEX", "").split() or environ.get("UV_EXTRA_INDEX_URL", "").split()
    if extra:
        told.extra = tuple(dict.fromkeys((*(_named(text, environ) for text in extra), *told.extra)))
    if environ.get("UV_FIND_LINKS"):
        told.links = tuple(part for part in environ["UV_FIND_LINKS"].replace(",", " ").split() if part)
    told.no_index = told.no_index or environ.get("UV_NO_INDEX", "").lower() in TRUE
    return told


def _add_index(told: _Told, entry: Mapping[str, object], environ: Mapping[str, str]) -> None:
    """One `[[index]]` table. Explicit ones are for projects that name them, and uv takes nothing else from there."""
    url = _with_login(str(entry["url"]), str(entry.get("name", "")), environ)
    if entry.get("explicit") is True:
        return
    if entry.get("format") == "flat":
        told.links = (*told.links, url)
    elif entry.get("default") is True:
        told.main = told.main or url
    else:
        told.extra = (*told.extra, url)


def _named(text: str, environ: Mapping[str, str]) -> str:
    """An index as in `$UV_INDEX`: an address, or `name=address`."""
    name, equals, url = text.strip().partition("=")
    if not equals or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        return text.strip()
    return _with_login(url, name, environ)


def _with_login(url: str, name: str, environ: Mapping[str, str]) -> str:
    """The address with the login that `$UV_INDEX_<NAME>_USERNAME` and `_PASSWORD` hold for it."""
    variable = "UV_INDEX_" + "".join(letter if letter.isalnum() else "_" for letter in name.upper())
    user, password = environ.get(f"{variable}_USERNAME", ""), environ.get(f"{variable}_PASSWORD", "")
    parts = urlsplit(url)
    if not name or not (user or password) or "@" in parts.netloc or parts.scheme not in ("http", "https"):
        return url
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit((parts.scheme, f"{login}@{parts.netloc}", parts.path, parts.query, parts.fragment))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: object) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def _read(path: Path, tool: str) -> str | None:
    try:
        return path.read_text("utf-8")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except PermissionError:
        # As pip does: a file that this user may not read has nothing to say to them.
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not written in UTF-8"
        raise UnreadablePipConfiguration(str(path), tool, reason or "the system does not say why") from None
