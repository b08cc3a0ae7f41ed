"""Facts about this installation, for `kaa info` and for programs that ask."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.config.reaching import http_settings
from kaa.host.files import is_writable
from kaa.models.channel import Channel
from kaa.models.virtual_package import VirtualPackage


class Installation(msgspec.Struct, frozen=True):
    """Where kaa lives, what it works with, and what it assumes of the target platform."""

    subdir: str
    root_prefix: Path
    root_is_writable: bool
    active_prefix: Path | None
    environment_directories: tuple[Path, ...]
    package_directories: tuple[Path, ...]
    writable_package_directory: Path | None
    channel_urls: tuple[str, ...]
    """With the subdir, platform before noarch; without credentials."""
    virtual_packages: tuple[VirtualPackage, ...]
    config_files: tuple[Path, ...]
    offline: bool
    user_agent: str


def describe_installation(session: Session) -> Installation:
    """The facts; reads no channel."""
    config = session.config
    active = session.environ.get("CONDA_PREFIX")
    channels = session.channels() if config.channels else ()
    subdirs = dict.fromkeys((session.subdir, "noarch"))
    directories = session.package_directories
    return Installation(
        subdir=session.subdir,
        root_prefix=config.root_prefix,
        root_is_writable=is_writable(config.root_prefix),
        active_prefix=Path(active) if active else None,
        environment_directories=session.environments.directories,
        package_directories=directories,
        writable_package_directory=next((path for path in directories if is_writable(path)), None),
        channel_urls=tuple(url for channel in channels for url in _urls_of(channel, subdirs)),
        virtual_packages=session.virtual_packages(session.subdir),
        config_files=tuple(map(Path, config.files)),
        offline=config.offline,
        user_agent=http_settings(config).user_agent,
    )


def _urls_of(channel: Channel, subdirs: Iterable[str]) -> list[str]:
    """The folders of a channel, one for each platform; an index of Python packages has none."""
    return [channel.base_url] if channel.is_pypi else [channel.subdir_url(subdir) for subdir in subdirs]
