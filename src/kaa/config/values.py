"""From the whole configuration to the small value that each room below is handed; see `reaching` for two of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import cast

from kaa.config.options import Config
from kaa.config.pip_configuration import PipConfiguration, index_address, read_pip_configuration
from kaa.config.reaching import channel_config
from kaa.host.platform import current_subdir
from kaa.index.fetch import IndexSettings
from kaa.models.channel import Channel, ChannelConfig
from kaa.models.cutoff import parse_cutoff
from kaa.models.match_spec import channel_matches
from kaa.solver.cutoffs import Cutoffs
from kaa.solver.request import ChannelPriority, SolveOptions, Strategy
from kaa.transaction.plan import LinkOptions, PathConflict, SafetyChecks


def pip_configuration(config: Config, environ: Mapping[str, str], cwd: str) -> PipConfiguration:
    """What the channel `pypi` stands for, and how to reach it; raises UnreadablePipConfiguration.

    With `pypi_indexes`, nobody asks what pip and uv were told. Relative paths start at `cwd`.
    """
    if not config.pypi_indexes:
        return read_pip_configuration(environ, cwd)
    indexes = tuple(dict.fromkeys(index_address(text, cwd, config.home) for text in config.pypi_indexes))
    return PipConfiguration(indexes, next((url for url in indexes if not url.startswith("file:")), indexes[0]), "kaa")


def pypi_names(config: Config) -> Mapping[str, str]:
    """Names of conda packages by the names of the same projects on PyPI, as the user writes them."""
    return {project.strip().lower(): name.strip().lower() for project, name in config.pypi_names.items()}


def index_settings(config: Config) -> IndexSettings:
    """How to read what channels offer."""
    return IndexSettings(
        offline=config.offline,
        use_zst=config.repodata_use_zst,
        use_shards=config.repodata_use_shards,
        only_first_channel=config.channel_priority == "strict",
        local_repodata_ttl=config.local_repodata_ttl,
    )


def solve_options(config: Config, cutoffs: Cutoffs | None = None) -> SolveOptions:
    """How to choose among what channels offer."""
    return SolveOptions(
        channel_priority=cast(ChannelPriority, config.channel_priority),
        strategy=cast(Strategy, config.solve_strategy),
        time_limit=config.solve_timeout or None,
        cutoffs=cutoffs or Cutoffs(),
    )


def cutoffs_of(
    config: Config, channels: Iterable[Channel], now: int, cwd: str, resolver: ChannelConfig | None = None
) -> Cutoffs:
    """Which packages are too new, at the time `now` in milliseconds since 1970; raises InvalidCutoff."""
    resolver = resolver or channel_config(config)
    by_channel: dict[str, int | None] = {}
    settings = [setting for setting in config.channel_settings if "exclude_newer" in setting]
    # What counts most stands first.
    for setting in reversed(settings):
        text = setting.get("channel", "")
        cutoff = parse_cutoff(setting["exclude_newer"], now, source=f"exclude_newer of {text} in channel_settings")
        if "*" in text:
            named = [channel.base_url for channel in channels if channel_matches(text, channel.base_url)]
        else:
            named = [channel.base_url for channel in resolver.resolve(text, cwd)]
        by_channel.update(dict.fromkeys(named, cutoff))
    return Cutoffs(
        parse_cutoff(config.exclude_newer, now),
        by_channel,
        {
            name.lower(): parse_cutoff(text, now, source=f"exclude_newer_package of {name}")
            for name, text in config.exclude_newer_package.items()
        },
    )


def link_options(
    config: Config,
    *,
    environ: Mapping[str, str],
    registry: Path | None = None,
    channel_name: Callable[[str], str] | None = None,
    files_checked: bool = False,
    refused_scripts: frozenset[str] = frozenset(),
) -> LinkOptions:
    """How to change environments; `environ` is what link scripts begin with.

    With `files_checked` the sizes of cached files were compared just before.
    """
    return LinkOptions(
        path_conflict=cast(PathConflict, config.path_conflict),
        safety_checks=cast(SafetyChecks, config.safety_checks),
        extra_safety_checks=config.extra_safety_checks,
        always_copy=config.always_copy,
        compile_bytecode=config.compile_bytecode,
        refused_scripts=refused_scripts,
        override_frozen=not config.protect_frozen_envs,
        native_subdir=current_subdir(),
        root_prefix=config.root_prefix,
        registry=registry,
        channel_name=channel_name,
        environ=environ,
        files_checked=files_checked,
    )
