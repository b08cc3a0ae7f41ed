"""The declarations: complete, consistent, documented; and the value made of them."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from kaa.config import options as options_module
from kaa.config.kinds import UnfitValue
from kaa.config.options import NAMES, OPTIONS, Config, Option, Setting, Source

SOURCE = Path(__file__).parent.parent.parent / "src" / "kaa"
ACTIVE = [option for option in OPTIONS.values() if not option.inert]

CONDA_KEYS = """
add_anaconda_token add_pip_as_python_dependency aggressive_update_packages allow_non_channel_urls allow_softlinks
allowlist_channels always_copy always_softlink always_yes auto_activate auto_activate_base auto_stack
auto_update_conda changeps1 channel_alias channel_priority channel_settings channels client_ssl_cert
client_ssl_cert_key create_default_packages custom_channels custom_multichannels default_activation_env
default_channels default_threads denylist_channels deps_modifier disallowed_packages download_only dry_run env_prompt
environment_specifier envs_dirs envs_path envvars_force_uppercase exclude_newer exclude_newer_package
experimental_solver export_platforms extra_safety_checks fetch_threads json list_fields local_repodata_ttl
migrated_channel_aliases migrated_custom_channels notify_outdated_conda number_channel_notices offline
override_channels_enabled override_virtual_packages path_conflict pinned_packages pip_interop_enabled pkgs_dirs plugins
prefix_data_interoperability protect_frozen_envs proxy_servers quiet register_envs remote_backoff_factor
remote_connect_timeout_secs remote_max_retries remote_read_timeout_secs repodata_fns repodata_use_shards
repodata_use_zst report_errors rollback_enabled safety_checks self_update shortcuts shortcuts_only show_channel_urls
solver ssl_verify subdir subdirs track_features unsatisfiable_hints update_modifier use_only_tar_bz2 verbose verbosity
verify_ssl virtual_packages whitelist_channels yes copy disallow client_cert cooldown
"""


@pytest.mark.parametrize("key", CONDA_KEYS.split())
def test_the_keys_of_conda_are_known(key: str) -> None:
    assert key in NAMES


def test_no_name_means_two_options() -> None:
    names = [name for option in OPTIONS.values() for name in (option.name, *option.aliases)]
    assert len(names) == len(set(names)) == len(NAMES)


@pytest.mark.parametrize("option", ACTIVE, ids=lambda option: option.name)
def test_every_option_is_documented(option: Option[object]) -> None:
    assert option.help.endswith(".")
    assert option.help[0].isupper() or option.help.split(":")[0].split()[0] in ("strict", "true")
    assert option.group


@pytest.mark.parametrize("option", OPTIONS.values(), ids=lambda option: option.name)
def test_every_default_is_a_value_of_its_kind(option: Option[object]) -> None:
    try:
        assert option.kind.parse(option.default) == option.default
    except UnfitValue:
        pytest.fail(f"{option.name}: its own default is refused")


@pytest.mark.parametrize("option", ACTIVE, ids=lambda option: option.name)
def test_every_option_with_an_effect_is_read_somewhere(option: Option[object]) -> None:
    attribute = re.compile(rf"\b(?:config|entering\.config)\.{option.name}\b")
    readers = [
        path
        for path in SOURCE.rglob("*.py")
        if path.parent.name != "config" or path.name in ("values.py", "reaching.py")
        if attribute.search(path.read_text())
    ]
    assert readers


def test_a_config_does_not_change() -> None:
    config = Config({"quiet": True})
    with pytest.raises(AttributeError, match="does not change"):
        config.quiet = False
    with pytest.raises(TypeError):
        config.values["quiet"] = False  # type: ignore[index]
    assert config.quiet


def test_other_values_make_another_config() -> None:
    config = Config({"quiet": True}, root_prefix="/r", home="/h", files=("a",))
    other = config.with_values(offline=True)
    assert (other.quiet, other.offline, config.offline) == (True, True, False)
    assert (other.root_prefix, other.home, other.files) == (Path("/r"), Path("/h"), ("a",))
    assert other != config
    assert other.with_values(offline=False) == config
    assert config != 3
    assert "quiet" in repr(config)


def test_options_are_found_by_any_name() -> None:
    config = Config({"always_yes": True})
    assert config.get("yes") is True
    assert config.get("always_yes") is True
    with pytest.raises(KeyError):
        config.get("no_such_option")
    assert isinstance(Config.always_yes, Option)
    assert repr(Config.always_yes) == "Option('always_yes')"


def test_sources_and_settings_compare_by_value() -> None:
    source = Source("file", "/a", 3)
    assert source == Source("file", "/a", 3)
    assert hash(source) == hash(Source("file", "/a", 3))
    assert source != Source("file", "/a", 4)
    assert source != "x"
    assert Setting(source, 1) == Setting(source, 1)
    assert Setting(source, 1) != Setting(source, 2)
    assert Setting(source, 1) != "x"
    assert str(Source("default")) == "the default"
    assert str(Source("file", "/a")) == "/a"


def test_the_examples() -> None:
    assert doctest.testmod(options_module).failed == 0
