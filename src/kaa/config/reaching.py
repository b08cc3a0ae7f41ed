"""How channels and servers are reached, from the whole configuration: the values that every session needs.

Those that belong to work on environments are in `kaa.config.values`, which loads what they are for.
"""

from __future__ import annotations

from collections.abc import Callable

from kaa.config.options import Config
from kaa.models.channel import ChannelConfig, PypiIndexes
from kaa.net.settings import HttpSettings


def channel_config(config: Config, find_pypi: Callable[[], PypiIndexes] = PypiIndexes) -> ChannelConfig:
    """How names become channels; `find_pypi` tells what `pypi` stands for, when somebody asks."""
    default_channels = config.default_channels
    if config.subdir.startswith("win-") and "default_channels" not in config.values:
        default_channels = (*default_channels, Config.default_channels.default[0].rsplit("/", 1)[0] + "/msys2")
    return ChannelConfig(
        alias=config.channel_alias,
        custom_channels=config.custom_channels,
        custom_multichannels=config.custom_multichannels,
        default_channels=default_channels,
        migrated_aliases=config.migrated_channel_aliases,
        home=str(config.home),
        find_pypi=find_pypi,
    )


def http_settings(config: Config) -> HttpSettings:
    """How to speak HTTP."""
    return HttpSettings(
        connect_timeout=config.remote_connect_timeout_secs,
        read_timeout=config.remote_read_timeout_secs,
        max_retries=config.remote_max_retries,
        backoff_factor=config.remote_backoff_factor,
        proxies=config.proxy_servers,
        ssl_verify=True if config.ssl_verify == "truststore" else config.ssl_verify,
        client_certificate=config.client_ssl_cert or None,
        client_key=config.client_ssl_cert_key or None,
        offline=config.offline,
    )
