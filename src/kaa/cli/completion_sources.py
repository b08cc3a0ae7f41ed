"""The names that completion offers and that stand on disk: environments, packages, channels, programs.

Nothing is fetched, nothing is written, and what cannot be read has no names.
"""

from __future__ import annotations

import argparse
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kaa.cli.configuring import configure, environment_of
from kaa.config.reaching import channel_config
from kaa.host.directories import home_directory
from kaa.host.platform import current_subdir
from kaa.index.cached_names import find_cached_names
from kaa.models.channel import PYPI, PYPI_SCHEME
from kaa.models.subdir import NOARCH
from kaa.package_cache.cache import INDEXES
from kaa.prefix.environments import EnvironmentDirectories


class Sources:
    """Where the names stand, as the configuration and the flags of the line say."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        name: str | None = None,
        prefix: str | None = None,
        root_prefix: str | None = None,
        channels: Sequence[str] = (),
        subdir: str | None = None,
        only_given: bool = False,
    ) -> None:
        arguments = argparse.Namespace(
            name=name, prefix=prefix, root_prefix=root_prefix, channels=list(channels) or None, subdir=subdir
        )
        arguments.override_channels = only_given and bool(channels)
        self.config = configure(arguments, environ)
        self.prefix = environment_of(arguments, self.config, environ) or self.config.root_prefix
        self._home = home_directory(environ)

    def environments(self) -> list[str]:
        """The names of the environments that have one."""
        root = self.config.root_prefix
        places = [*map(Path, self.config.envs_dirs), root / "envs", self._home / ".conda" / "envs"]
        directories = EnvironmentDirectories(root, tuple(dict.fromkeys(places)))
        names = map(directories.name_of, directories.list())
        return sorted(name for name in names if "/" not in name and os.sep not in name)

    def installed(self) -> list[str]:
        """The packages of the environment, by the names of their records: none is read."""
        try:
            entries = os.listdir(self.prefix / "conda-meta")  # noqa: PTH208
        except OSError:
            return []
        return sorted(
            {entry.rsplit("-", 2)[0] for entry in entries if entry.endswith(".json") and entry.count("-") > 1}
        )

    def offered(self, prefix: str) -> list[str]:
        """The packages of the channels that begin so, as far as the channels' indexes are on this machine."""
        resolver = channel_config(self.config)
        subdirs = (self.config.subdir or current_subdir(), NOARCH)
        found: set[str] = set()
        for text in self.config.channels:
            if text == PYPI or text.startswith(PYPI_SCHEME):
                # What an index of Python packages offers is not listed anywhere here.
                continue
            for channel in resolver.resolve(text, str(Path.cwd())):
                for subdir in subdirs:
                    found.update(self._cached_names(channel.subdir_url(subdir), prefix.lower()))
        return sorted(found)

    def _cached_names(self, url: str, prefix: str) -> list[str]:
        for directory in self.config.pkgs_dirs:
            names = find_cached_names(Path(directory) / INDEXES, url, prefix)
            if names:
                return names
        return []

    def channels(self) -> list[str]:
        """The channels that the configuration names."""
        config = self.config
        named = (*config.channels, *config.custom_channels, *config.custom_multichannels)
        # An address may hold a password, and is not what anybody types.
        return sorted({name for name in named if "://" not in name})

    def tools(self) -> list[str]:
        """The tools that are installed, by the names of their records: none is read."""
        try:
            # Brings much along that the other names do not need.
            tools = importlib.import_module("kaa.api.tools")
            entries = os.listdir(tools.tools_directory(self.config.root_prefix) / tools.RECORDS)  # noqa: PTH208
        except OSError:
            return []
        return sorted(entry for entry in entries if not entry.startswith("."))

    def programs(self) -> list[str]:
        """The programs of the environment."""
        return sorted(set(self._executables(self.prefix / "bin")))

    @staticmethod
    def _executables(directory: Path) -> Iterator[str]:
        try:
            entries = list(os.scandir(directory))
        except OSError:
            return
        for entry in entries:
            if entry.is_file() and os.access(entry.path, os.X_OK):
                yield entry.name
