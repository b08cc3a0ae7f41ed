"""The small values that the rooms below are handed."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaa.config.options import Config
from kaa.config.reaching import channel_config, http_settings
from kaa.config.values import (
    cutoffs_of,
    index_settings,
    link_options,
    pip_configuration,
    pypi_names,
    solve_options,
)
from kaa.models.cutoff import DAY, InvalidCutoff
from kaa.solver.cutoffs import Cutoffs


def test_channels() -> None:
    config = Config(
        {
            "channel_alias": "https://host",
            "custom_channels": {"own": "https://other"},
            "custom_multichannels": {"both": ("a", "own")},
            "migrated_channel_aliases": ("https://old",),
        },
        home="/home/me",
    )
    channels = channel_config(config)
    assert [channel.base_url for channel in channels.resolve("both", "/")] == ["https://host/a", "https://other/own"]
    assert channels.resolve("~/c", "/")[0].base_url == "file:///home/me/c"
    assert channels.resolve("https://old/x", "/")[0].base_url == "https://host/x"


def test_what_pypi_stands_for(tmp_path: Path) -> None:
    environ = {"PIP_INDEX_URL": "https://pips/simple", "PIP_CONFIG_FILE": "/dev/null", "UV_NO_CONFIG": "1"}
    assert pip_configuration(Config(), environ, "/").main == "https://pips/simple"
    config = Config({"pypi_indexes": ("./wheels", "~/w", "https://own/simple/")}, home="/home/me")
    found = pip_configuration(config, environ, str(tmp_path))
    assert found.indexes == ((tmp_path / "wheels").as_uri(), "file:///home/me/w", "https://own/simple")
    assert (found.main, found.source) == ("https://own/simple", "kaa")
    assert pypi_names(Config({"pypi_names": {"Some_Project": "Its-Name "}})) == {"some_project": "its-name"}


def test_defaults_are_a_channel_only_by_name_and_hold_msys2_for_windows() -> None:
    names = [channel.name.rpartition("/")[2] for channel in channel_config(Config()).resolve("defaults", "/")]
    assert names == ["main", "r"]
    names = [
        channel.name.rpartition("/")[2]
        for channel in channel_config(Config({"subdir": "win-64"})).resolve("defaults", "/")
    ]
    assert names == ["main", "r", "msys2"]
    own = Config({"subdir": "win-64", "default_channels": ("https://host/own",)})
    assert len(channel_config(own).resolve("defaults", "/")) == 1


def test_http() -> None:
    config = Config(
        {
            "remote_connect_timeout_secs": 1.0,
            "remote_read_timeout_secs": 2.0,
            "remote_max_retries": 7,
            "remote_backoff_factor": 0.5,
            "proxy_servers": {"https": "http://proxy"},
            "ssl_verify": "truststore",
            "client_ssl_cert": "/c",
            "offline": True,
        }
    )
    settings = http_settings(config)
    assert (settings.connect_timeout, settings.read_timeout) == (1.0, 2.0)
    assert (settings.max_retries, settings.backoff_factor) == (7, 0.5)
    assert settings.proxies == {"https": "http://proxy"}
    assert settings.ssl_verify is True
    assert (settings.client_certificate, settings.client_key) == ("/c", None)
    assert settings.offline
    assert http_settings(Config({"ssl_verify": "/ca.pem"})).ssl_verify == "/ca.pem"
    assert http_settings(Config({"ssl_verify": False})).ssl_verify is False


def test_index_and_solver() -> None:
    settings = index_settings(Config({"offline": True, "repodata_use_zst": False, "local_repodata_ttl": 60}))
    assert (settings.offline, settings.use_zst, settings.local_repodata_ttl) == (True, False, 60)
    assert solve_options(Config({"channel_priority": "disabled"})).channel_priority == "disabled"


def test_strategy_and_cutoffs_reach_the_solver() -> None:
    options = solve_options(Config({"solve_strategy": "lowest-direct"}), Cutoffs(5))
    assert (options.strategy, options.cutoffs) == ("lowest-direct", Cutoffs(5))


NOW = 100 * DAY
SETTINGS = (
    {"channel": "own", "exclude_newer": "1d"},
    {"channel": "both", "exclude_newer": "2d"},
    {"channel": "https://host/*", "exclude_newer": "false"},
    {"channel": "quiet", "auth": "x"},
)


def test_cutoffs() -> None:
    config = Config(
        {
            "channel_alias": "https://host",
            "custom_channels": {"own": "https://other"},
            "custom_multichannels": {"both": ("a", "own")},
            "exclude_newer": "3d",
            "exclude_newer_package": {"OpenSSL": "false", "numpy": "", "pandas": "4d"},
            "channel_settings": SETTINGS,
        }
    )
    resolver = channel_config(config)
    channels = [channel for name in ("own", "a", "b", "quiet") for channel in resolver.resolve(name, "/")]
    cutoffs = cutoffs_of(config, channels, NOW, "/")
    assert cutoffs.everywhere == NOW - 3 * DAY
    assert cutoffs.packages == {"openssl": None, "numpy": None, "pandas": NOW - 4 * DAY}
    assert cutoffs.channels == {
        "https://other/own": NOW - DAY,
        "https://host/a": NOW - 2 * DAY,
        "https://host/b": None,
        "https://host/quiet": None,
    }
    assert cutoffs.are_any


def test_no_cutoffs() -> None:
    cutoffs = cutoffs_of(Config({"channel_settings": (SETTINGS[2],)}), (), NOW, "/")
    assert not cutoffs.are_any
    assert not Cutoffs(packages={"numpy": None}).are_any


def test_a_cutoff_of_a_channel_that_is_none() -> None:
    config = Config({"channel_settings": ({"channel": "own", "exclude_newer": "soon"},)})
    with pytest.raises(InvalidCutoff, match="exclude_newer of own in channel_settings is 'soon'"):
        cutoffs_of(config, (), NOW, "/")


def test_linking() -> None:
    config = Config(
        {
            "path_conflict": "prevent",
            "safety_checks": "warn",
            "extra_safety_checks": True,
            "always_copy": True,
            "compile_bytecode": False,
            "protect_frozen_envs": False,
        },
        root_prefix="/r",
    )
    options = link_options(config, environ={"A": "1"}, registry=Path("/x"), channel_name=str)
    assert (options.path_conflict, options.safety_checks, options.extra_safety_checks) == ("prevent", "warn", True)
    assert (options.always_copy, options.compile_bytecode) == (True, False)
    assert (options.override_frozen, options.root_prefix, options.registry) == (True, Path("/r"), Path("/x"))
    assert options.environ == {"A": "1"}
    assert options.native_subdir
    assert not link_options(Config(), environ={}).override_frozen
