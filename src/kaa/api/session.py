"""One explicit session owns everything that lives longer than a call: the HTTP client, the caches, what was detected.

    with open_session(channels=["conda-forge"]) as session:
        transaction = plan_create(session, Path("envs/demo"), ["python=3.12", "numpy"])
        execute(session, transaction)

A session is not for several threads; planning opens no connection before it needs one.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType

from kaa.config.options import Config
from kaa.config.reaching import channel_config, http_settings
from kaa.config.sources import COMMAND_LINE, load_config
from kaa.errors import KaaError
from kaa.events import Reporter, silent
from kaa.host.directories import default_root_prefix, home_directory
from kaa.host.platform import current_subdir
from kaa.models.channel import PYPI, Channel, ChannelConfig, PypiIndexes, UrlCredential
from kaa.net.auth import Credentials, find_netrc
from kaa.prefix.environments import EnvironmentDirectories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kaa.config.pip_configuration import PipConfiguration
    from kaa.index.index import Index
    from kaa.index.pypi_source import PypiSettings
    from kaa.index.relations import RelatedChannels
    from kaa.models.virtual_package import VirtualPackage
    from kaa.net.client import HttpClient
    from kaa.package_cache.cache import PackageCache
    from kaa.solver.candidates import CandidateGroup

# Who only reads environments needs neither index nor client nor package cache: all are loaded when they are needed.


class ChannelNotPermitted(KaaError):
    """A channel that the configuration forbids was asked for."""

    conda_name = "ChannelDenied"

    def __init__(self, channel: str, option: str) -> None:
        self.channel = channel
        self.option = option
        super().__init__(
            f"the channel {channel} may not be used here: {option} forbids it",
            hints=("use another channel", f"see where the rule stands with `kaa config --show-sources {option}`"),
        )


class NoChannels(KaaError):
    """Packages are wanted, and no channel is configured."""

    conda_name = "NoChannelsConfiguredError"

    def __init__(self) -> None:
        super().__init__(
            "no channel is configured, so there is nowhere to take packages from",
            hints=("name one, as in `-c conda-forge`", "set one with `kaa config --add channels conda-forge`"),
        )


class Session:
    """Open resources for one run of work; use it with `with`.

    `environ` is read for credentials and overrides of virtual packages; `cwd` is what relative channel paths are
    relative to. `checkpoint` is called with its name before every step that changes an environment.
    """

    def __init__(
        self,
        config: Config,
        reporter: Reporter = silent,
        *,
        environ: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        checkpoint: Callable[[str], None] = lambda step: None,
    ) -> None:
        self.config = config
        self.reporter = reporter
        self.checkpoint = checkpoint
        # Whether so many new scripts of packages may run; None: nobody can be asked.
        self.consent: Callable[[int], bool | None] = lambda count: None
        # The projects for whose building this session works, the outermost first.
        self.builds: tuple[str, ...] = ()
        self.environ = os.environ if environ is None else environ
        self.cwd = cwd or Path.cwd()
        self.credentials = Credentials(find_netrc(self.environ))
        self._client: HttpClient | None = None
        self._pip: PipConfiguration | None = None
        self._package_cache: PackageCache | None = None
        self._detected: tuple[VirtualPackage, ...] | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close connections; the session cannot be used afterwards."""
        if self._client is not None:
            self._client.close()

    @property
    def client(self) -> HttpClient:
        """What requests are made with."""
        if self._client is None:
            made = importlib.import_module("kaa.net.client").HttpClient
            settings = http_settings(self.config)
            if self._pip is not None:
                settings = self._pip.http_settings(settings)
            self._client = made(settings, self.credentials, self.reporter)
        assert self._client is not None
        return self._client

    @property
    def package_cache(self) -> PackageCache:
        """The package cache."""
        if self._package_cache is None:
            made = importlib.import_module("kaa.package_cache.cache").PackageCache
            self._package_cache = made(self.package_directories, verified=self.config.verify_cache)
        assert self._package_cache is not None
        return self._package_cache

    @property
    def pip_configuration(self) -> PipConfiguration:
        """What the channel `pypi` stands for, and how to reach it; raises UnreadablePipConfiguration."""
        if self._pip is None:
            values = importlib.import_module("kaa.config.values")
            self._pip = values.pip_configuration(self.config, self.environ, str(self.cwd))
        assert self._pip is not None
        return self._pip

    @property
    def channel_config(self) -> ChannelConfig:
        """How names become channels."""
        return channel_config(self.config, self._find_pypi)

    def _find_pypi(self) -> PypiIndexes:
        found = self.pip_configuration
        # Where pip was told of several, they are one to it; for uv the first that has a project is the one that counts.
        return PypiIndexes(found.indexes, found.main, are_one=found.source == "pip")

    @property
    def package_directories(self) -> tuple[Path, ...]:
        """The directories of the package cache, in order."""
        configured = tuple(Path(text) for text in self.config.pkgs_dirs)
        return configured or (self.config.root_prefix / "pkgs", self.home / ".conda" / "pkgs")

    @property
    def environments(self) -> EnvironmentDirectories:
        """Where environments are found by name."""
        configured = [Path(text) for text in self.config.envs_dirs]
        always = [self.config.root_prefix / "envs", self.home / ".conda" / "envs"]
        return EnvironmentDirectories(self.config.root_prefix, tuple(dict.fromkeys([*configured, *always])))

    @property
    def subdir(self) -> str:
        """The platform that packages are taken for."""
        return self.config.subdir or current_subdir()

    def channels(self, texts: Sequence[str] | None = None) -> tuple[Channel, ...]:
        """The channels that `texts` (default: the configured ones) name, first one first, each once.

        Credentials in their addresses are remembered for the client and nowhere else. Raises NoChannels,
        ChannelNotPermitted, InvalidChannel.
        """
        resolver = self.channel_config
        found: dict[str, Channel] = {}
        for text in self.config.channels if texts is None else texts:
            for channel in resolver.resolve(text, str(self.cwd)):
                self._check_permitted(channel)
                if (credential := channel.credential) is not None:
                    self._remember(channel, credential)
                found.setdefault(channel.base_url, channel)
        if not found:
            raise NoChannels
        return tuple(found.values())

    def _remember(self, channel: Channel, credential: UrlCredential) -> None:
        self.credentials.add(channel.index_url, credential, token_root=credential.token_root)
        if channel.is_pypi and credential.user is not None and credential.token is None:
            # As with pip and uv: files often lie beside the pages of an index.
            scheme, _, rest = channel.index_url.partition("://")
            root = f"{scheme}://{rest.partition('/')[0]}"
            if self.credentials.find(root) is None:
                self.credentials.add(root, credential)

    def permits(self, text: str) -> bool:
        """Whether the configuration permits the channels that a text names."""
        try:
            self.channels([text])
        except ChannelNotPermitted:
            return False
        return True

    def _check_permitted(self, channel: Channel) -> None:
        resolver = self.channel_config

        def named(texts: Sequence[str]) -> set[str]:
            return {other.base_url for text in texts for other in resolver.resolve(text, str(self.cwd))}

        if channel.base_url in named(self.config.denylist_channels):
            raise ChannelNotPermitted(channel.name, "denylist_channels")
        allowed = self.config.allowlist_channels
        if allowed and channel.base_url not in named(allowed):
            raise ChannelNotPermitted(channel.name, "allowlist_channels")

    def open_index(self, channels: Sequence[Channel], subdir: str) -> Index:
        """What the channels offer for a platform, `noarch` included.

        With `follow_channel_relations` the channels join them that they name (CEP 42).
        """
        subdirs = (subdir,) if subdir == "noarch" else (subdir, "noarch")
        settings = importlib.import_module("kaa.config.values").index_settings(self.config)
        index: Index = importlib.import_module("kaa.index.index").open_index(
            channels,
            subdirs,
            cache_directory=self.package_cache.index_directory(),
            client=self.client,
            reporter=self.reporter,
            settings=settings,
            related_channels=self._related_channels(),
            pypi=lambda: self._pypi_settings(subdir),
        )
        return index

    def _pypi_settings(self, subdir: str) -> PypiSettings:
        values = importlib.import_module("kaa.config.values")

        def pythons(channel: str, rank: int) -> Sequence[CandidateGroup]:
            known = importlib.import_module("kaa.pypi.interpreters.known")
            candidates = importlib.import_module("kaa.pypi.interpreters.candidates")
            found = known.find_interpreters(self.environ, self.package_cache.index_directory())
            groups: Sequence[CandidateGroup] = candidates.interpreter_groups(found, channel, rank, subdir)
            return groups

        settings = importlib.import_module("kaa.index.pypi_source").PypiSettings
        sdists = importlib.import_module("kaa.api.building").SdistBuilder(self) if self.config.build_sdists else None
        made: PypiSettings = settings(
            self.virtual_packages(subdir), values.pypi_names(self.config), pythons, sdists, self._one_index()
        )
        return made

    def _one_index(self) -> frozenset[str]:
        """The base URLs of indexes whose projects are compared as if they were on one."""
        if not self._find_pypi().are_one:
            return frozenset()
        return frozenset(channel.base_url for channel in self.channel_config.resolve(PYPI, str(self.cwd)))

    def _related_channels(self) -> RelatedChannels | None:
        config = self.config
        if not config.follow_channel_relations or config.channel_relations_max_depth == 0:
            return None
        related = importlib.import_module("kaa.index.relations").RelatedChannels
        found: RelatedChannels = related(self._find_related_channel, config.channel_relations_max_depth)
        return found

    def _find_related_channel(self, base_url: str, declarer: Channel) -> Channel:
        """A channel that another one named; on the same server, so that the same credentials are for both."""
        named = self.channel_config.resolve(base_url, str(self.cwd))
        channel = Channel(base_url, named[0].name, declarer.credential)
        self._check_permitted(channel)
        if (credential := channel.credential) is not None and self.credentials.find(base_url) is None:
            self.credentials.add(base_url, credential, token_root=credential.token_root)
        return channel

    def virtual_packages(self, subdir: str) -> tuple[VirtualPackage, ...]:
        """The virtual packages of a target platform: detected, assumed or overridden.

        What was given in place of a command line counts more than the variables CONDA_OVERRIDE_*, which
        count more than files.
        """
        if self._detected is None:
            self._detected = importlib.import_module("kaa.host.virtual_packages").detect()
        option = "override_virtual_packages"
        overrides = self.config.override_virtual_packages
        settings = self.config.provenance.get(option, ())
        given = {
            name: overrides[name]
            for setting in settings
            if setting.source.kind == COMMAND_LINE and isinstance(setting.value, Mapping)
            for name in setting.value
        }
        effective: tuple[VirtualPackage, ...] = importlib.import_module("kaa.models.virtual_package").virtual_packages(
            self._detected, subdir, self.environ, overrides, given=given, host_subdir=current_subdir()
        )
        return effective

    @property
    def home(self) -> Path:
        """The user's home directory."""
        return home_directory(self.environ)


def open_session(
    reporter: Reporter = silent,
    *,
    root_prefix: Path | None = None,
    prefix: Path | None = None,
    environ: Mapping[str, str] | None = None,
    checkpoint: Callable[[str], None] = lambda step: None,
    **options: object,
) -> Session:
    """A session configured as the command line would be: files, variables, and `options` in place of flags.

    `options` are those of docs/reference/options.md by name; `channels` given here stand alone. `prefix` is the
    environment whose own configuration counts.
    """
    variables = os.environ if environ is None else environ
    config = load_config(
        variables,
        options,
        root_prefix=root_prefix or default_root_prefix(variables),
        prefix=prefix,
        override_channels="channels" in options,
    )
    return Session(config, reporter, environ=variables, checkpoint=checkpoint)
