"""Package records as JSON, in the shapes that conda's clients read, and the order of lists."""

from __future__ import annotations

import msgspec

from kaa.api.session import Session
from kaa.models.artifact import is_python_distribution
from kaa.models.channel import ChannelConfig
from kaa.models.record import RepoDataRecord

UNKNOWN = "<unknown>"
PYPI = "pypi"


class ChannelNames:
    """The short names of channels, as lists show them: `conda-forge`, `pkgs/main`, or the URL."""

    def __init__(self, config: ChannelConfig, cwd: str) -> None:
        self._config = config
        self._cwd = cwd
        self._known: dict[str, str] = {}
        self._default = {channel.base_url for text in config.default_channels for channel in config.resolve(text, cwd)}

    def of(self, record: RepoDataRecord) -> str:
        """The name of the record's channel; every wheel counts as one of PyPI, as conda shows those of pip."""
        return PYPI if is_python_distribution(record.fn) else self.of_url(record.channel)

    def of_url(self, url: str) -> str:
        """The name of the channel with a base URL."""
        if not url:
            return UNKNOWN
        if url not in self._known:
            self._known[url] = self._config.resolve(url, self._cwd)[0].name if "://" in url else url
        return self._known[url]

    def is_default(self, record: RepoDataRecord) -> bool:
        """Whether the record comes from one of the default channels."""
        return record.channel in self._default

    @property
    def pypi_url(self) -> str:
        """What conda gives as the address of packages that pip installed."""
        return f"{self._config.alias.rstrip('/')}/pypi"


def channel_names(session: Session) -> ChannelNames:
    """The names of channels as the session's configuration gives them."""
    return ChannelNames(session.channel_config, str(session.cwd))


def list_json(record: RepoDataRecord, names: ChannelNames) -> dict[str, object]:
    """The eight keys of a package in lists and transactions."""
    return {
        "base_url": record.channel,
        "build_number": record.build_number,
        "build_string": record.build,
        "channel": names.of(record),
        "dist_name": record.dist,
        "name": record.name,
        "platform": record.subdir,
        "version": record.version,
    }


def link_json(record: RepoDataRecord, names: ChannelNames) -> dict[str, object]:
    """A package that a transaction links: the keys of a list, and what lock-file tools look for."""
    return {
        **list_json(record, names),
        "fn": record.fn,
        "url": record.url,
        "md5": record.md5,
        "sha256": record.sha256,
        "depends": list(record.depends),
    }


def full_json(record: RepoDataRecord) -> dict[str, object]:
    """A whole record, with the channel's address down to the subdir, as `conda search --json` gives it."""
    first: dict[str, object] = {
        "name": record.name,
        "version": record.version,
        "build": record.build,
        "build_number": record.build_number,
        "channel": f"{record.channel}/{record.subdir}" if record.channel else None,
        "subdir": record.subdir,
        "fn": record.fn,
        "md5": record.md5,
        "url": record.url,
        "sha256": record.sha256,
        "arch": record.arch,
        "platform": record.platform,
        "depends": list(record.depends),
        "constrains": list(record.constrains),
    }
    if record.noarch:
        first["package_type"] = f"noarch_{record.noarch}"
    rest = msgspec.to_builtins(record)
    return {**first, **{key: value for key, value in rest.items() if key not in first}}
