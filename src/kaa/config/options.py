"""Every option of kaa, declared once: name, kind, default, aliases, help, and how its sources merge.

Names are those of conda's configuration files. From these declarations come the readers of condarc files, of the
variables `KAA_<NAME>` and `CONDA_<NAME>`, the `kaa config` command and the reference in docs/reference/options.md.

`Config` is the value with everything merged (made by `kaa.config.sources.load_config`). Rooms below never see it: they
are handed the small value they need by `kaa.config.values`. This module imports nothing heavy. It is one table, and
as long as that.

>>> config = Config({"offline": True})
>>> config.offline, config.channels, Config.offline.name
(True, ('conda-forge',), 'offline')
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from kaa.config.inert import INERT
from kaa.config.kinds import (
    Boolean,
    Choice,
    Integer,
    Kind,
    ListMap,
    MapList,
    MaybeBoolean,
    Number,
    PointInTime,
    PointInTimeMap,
    Text,
    TextMap,
    Texts,
    Verification,
)
from kaa.models.typed import Generic, TypeVar

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import overload

T = TypeVar("T")


class Option(Generic[T]):
    """One option; read as an attribute of a `Config`, it gives the value."""

    def __init__(
        self,
        kind: Kind[T],
        default: T,
        help: str,
        *,
        group: str = "",
        aliases: tuple[str, ...] = (),
        separator: str = ",",
        expand: bool = False,
        trusted: bool = False,
        default_stays: str = "",
        inert: bool = False,
    ) -> None:
        self.kind = kind
        self.default = default
        self.help = help
        self.group = group
        self.aliases = aliases
        self.separator = separator
        """What stands between the items of a list in an environment variable; `:` means the system's path separator."""
        self.expand = expand
        """Whether `$NAME`, `${NAME}` and a leading `~` are replaced."""
        self.trusted = trusted
        """Whether a condarc file inside an environment may not set it: it decides whom to trust or where to write."""
        self.default_stays = default_stays
        """When a list keeps its default behind what was given: `always`, `command line` (unless a file says more)."""
        self.inert = inert
        """Known from conda, kept when files are rewritten, without effect in kaa."""
        self.name = ""

    def __set_name__(self, owner: type[Config], name: str) -> None:
        self.name = name

    if TYPE_CHECKING:

        @overload
        def __get__(self, config: None, owner: type[Config]) -> Option[T]: ...
        @overload
        def __get__(self, config: Config, owner: type[Config]) -> T: ...

    def __get__(self, config: Config | None, owner: type[Config]) -> Option[T] | T:
        if config is None:
            return self
        return config.values.get(self.name, self.default)  # type: ignore[return-value]

    def __set__(self, config: Config, value: T) -> None:
        raise AttributeError(f"{self.name}: a Config does not change; load another one")

    def __repr__(self) -> str:
        return f"Option({self.name!r})"


class Source:
    """Where a setting stands: the defaults, a file (with its line), an environment variable, the command line."""

    __slots__ = ("kind", "line", "where")

    def __init__(self, kind: str, where: str = "", line: int | None = None) -> None:
        self.kind = kind
        """default, file, environment, or command line."""
        self.where = where
        """The path of the file, or the name of the variable."""
        self.line = line

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Source):
            return NotImplemented
        return (self.kind, self.where, self.line) == (other.kind, other.where, other.line)

    def __hash__(self) -> int:
        return hash((self.kind, self.where, self.line))

    def __str__(self) -> str:
        if self.kind == "file":
            return f"{self.where}, line {self.line}" if self.line else self.where
        if self.kind == "environment":
            return f"the environment variable {self.where}"
        return "the command line" if self.kind == "command line" else "the default"

    def __repr__(self) -> str:
        return f"Source({self.kind!r}, {self.where!r}, {self.line!r})"


class Setting:
    """What one source says about one option."""

    __slots__ = ("source", "value")

    def __init__(self, source: Source, value: object) -> None:
        self.source = source
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Setting):
            return NotImplemented
        return (self.source, self.value) == (other.source, other.value)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Setting({self.source!r}, {self.value!r})"


DEFAULTS_SERVER = "https://repo.anaconda.com/pkgs/"
"""Where conda's `defaults` live; kaa asks there only when a user names that channel."""

PRIORITY = Choice("strict", "flexible", "disabled", other={"true": "flexible", "false": "disabled"})
CHECKS = Choice("disabled", "warn", "enabled", other={"true": "enabled", "false": "disabled"})


class Config:
    """All options with their values, and where each value comes from; it does not change once it is made."""

    __slots__ = ("files", "home", "ignored", "prefix", "provenance", "root_prefix", "unknown", "values")

    def __init__(
        self,
        values: Mapping[str, object] = MappingProxyType({}),
        *,
        root_prefix: Path | str = "",
        home: Path | str = "",
        prefix: Path | None = None,
        provenance: Mapping[str, tuple[Setting, ...]] = MappingProxyType({}),
        files: tuple[str, ...] = (),
        unknown: tuple[tuple[str, Setting], ...] = (),
        ignored: tuple[tuple[str, Setting], ...] = (),
    ) -> None:
        self.values = MappingProxyType(dict(values))
        """What was set or computed, by option name; an option that is not here has its default."""
        self.root_prefix = Path(root_prefix)
        self.home = Path(home)
        """What `~` stands for."""
        self.prefix = prefix
        """The environment whose condarc files were read: the target of the command, or the active one."""
        self.provenance = provenance
        """By option name: the settings that made the value, the one that counts most first."""
        self.files = files
        """The files that were read, from what counts least to what counts most."""
        self.unknown = unknown
        """Keys that no option answers to."""
        self.ignored = ignored
        """Settings that a file inside an environment may not make."""

    # -- channels ---------------------------------------------------------------------------------------------------
    channels = Option(
        Texts(),
        ("conda-forge",),
        "The channels to take packages from, the most important first: names, URLs or paths.",
        group="Channels",
        aliases=("channel",),
        expand=True,
        default_stays="command line",
    )
    default_channels = Option(
        Texts(),
        (DEFAULTS_SERVER + "main", DEFAULTS_SERVER + "r"),
        "What the channel name `defaults` stands for. kaa uses `defaults` only where you name it.",
        group="Channels",
        expand=True,
        trusted=True,
    )
    channel_alias = Option(
        Text(),
        "https://conda.anaconda.org",
        "The server on which channels given by a plain name are found.",
        group="Channels",
        expand=True,
        trusted=True,
    )
    custom_channels = Option(
        TextMap(),
        {},
        "Servers of single channels, by channel name.",
        group="Channels",
        expand=True,
        trusted=True,
    )
    custom_multichannels = Option(
        ListMap(),
        {},
        "Names that stand for several channels.",
        group="Channels",
        expand=True,
        trusted=True,
    )
    pypi_indexes = Option(
        Texts(),
        (),
        "What the channel pypi stands for: addresses of indexes of Python packages, or folders of wheels, in the order "
        "in which a project is looked for. Without it, what the configuration of uv or pip says.",
        group="Channels",
        expand=True,
        trusted=True,
    )
    pypi_names = Option(
        TextMap(),
        {},
        "Names of conda packages by the names of the same projects on PyPI, beside those that kaa knows.",
        group="Channels",
        trusted=True,
    )
    build_sdists = Option(
        Texts(),
        (),
        "Projects of which wheels may be built of source archives (sdists), which runs code of their makers; * means "
        "any. Without it, only wheels are installed.",
        group="Channels",
        trusted=True,
    )
    pip_section = Option(
        Choice("solve", "pip"),
        "solve",
        "How the pip sections of environment files are installed. solve: solved for and installed with the other "
        "packages, from the channel pypi, but for what only pip can install; pip: all of it by the own pip of an "
        "environment, afterwards.",
        group="Channels",
    )
    migrated_channel_aliases = Option(
        Texts(),
        (),
        "Former values of channel_alias: packages from there count as packages of the present one.",
        group="Channels",
        trusted=True,
    )
    migrated_custom_channels = Option(
        TextMap(), {}, "Former servers of custom channels, by channel name.", group="Channels", trusted=True, inert=True
    )
    channel_priority = Option(
        PRIORITY,
        "strict",
        "strict: a package is taken only from the first channel that has one of its name; flexible: later channels "
        "fill what the first cannot; disabled: versions alone decide.",
        group="Channels",
    )
    follow_channel_relations = Option(
        Boolean(),
        False,
        "Use the channels, too, that a channel names as its base or as what it overrides (CEP 42): the base before it, "
        "the other behind it. The order of the channels that you name stays.",
        group="Channels",
        trusted=True,
    )
    channel_relations_max_depth = Option(
        Integer(),
        10,
        "How many steps away from your channels follow_channel_relations may lead; 0: it follows nothing.",
        group="Channels",
        trusted=True,
    )
    allowlist_channels = Option(
        Texts(),
        (),
        "If there are any, only these channels may be used.",
        group="Channels",
        aliases=("whitelist_channels",),
        expand=True,
        trusted=True,
    )
    denylist_channels = Option(
        Texts(),
        (),
        "Channels that may not be used.",
        group="Channels",
        expand=True,
        trusted=True,
    )
    override_channels_enabled = Option(
        Boolean(),
        True,
        "Whether --override-channels is allowed.",
        group="Channels",
        trusted=True,
    )
    channel_settings = Option(
        MapList(),
        (),
        "Settings of single channels: maps with the key `channel` (a name, a URL, or a URL with `*`) and "
        "`exclude_newer`. Other keys have no effect.",
        group="Channels",
        trusted=True,
    )
    subdir = Option(
        Text(),
        "",
        "The platform to take packages for, such as linux-64; this machine's own if empty.",
        group="Channels",
    )
    repodata_use_zst = Option(
        Boolean(),
        True,
        "Ask for repodata.json.zst first.",
        group="Channels",
    )
    repodata_use_shards = Option(
        Boolean(),
        True,
        "Fetch repodata in shards, only those of the packages that are looked at, where a channel offers that.",
        group="Channels",
    )
    local_repodata_ttl = Option(
        Integer(),
        1,
        "For how many seconds fetched repodata is used without asking again; 1: as long as the server says, 0: ask "
        "each time.",
        group="Channels",
    )
    use_only_tar_bz2 = Option(Boolean(), False, "Leave .conda packages aside.", group="Channels", inert=True)

    # -- directories ------------------------------------------------------------------------------------------------
    envs_dirs = Option(
        Texts(),
        (),
        "Directories of named environments, the first writable one takes new ones. <root>/envs and ~/.conda/envs are "
        "always searched after these.",
        group="Directories",
        aliases=("envs_path",),
        separator=":",
        expand=True,
        trusted=True,
        default_stays="always",
    )
    pkgs_dirs = Option(
        Texts(),
        (),
        "Directories of the package cache: the first writable one takes new packages, all are searched. "
        "<root>/pkgs and ~/.conda/pkgs if nothing is given.",
        group="Directories",
        separator=",",
        expand=True,
        trusted=True,
    )
    register_envs = Option(
        Boolean(),
        True,
        "Enter new environments in ~/.conda/environments.txt, where editors look for them.",
        group="Directories",
    )
    clean_for_all_users = Option(
        Boolean(),
        True,
        "Before packages are cleaned away, look for the environments of all users of this machine. Without that only "
        "one's own environments are looked for, and those that the cache knows of.",
        group="Directories",
        trusted=True,
    )

    # -- answers and output -----------------------------------------------------------------------------------------
    always_yes = Option(
        Boolean(),
        False,
        "Go on without asking.",
        group="Answers and output",
        aliases=("yes",),
        trusted=True,
    )
    dry_run = Option(Boolean(), False, "Show what would be done and stop.", group="Answers and output")
    json = Option(
        Boolean(), False, "Print the result as JSON, and nothing else on standard output.", group="Answers and output"
    )
    quiet = Option(Boolean(), False, "Show no progress.", group="Answers and output")
    verbosity = Option(
        Integer(),
        0,
        "How much to tell besides the result.",
        group="Answers and output",
        aliases=("verbose",),
    )
    number_channel_notices = Option(
        Integer(),
        0,
        "How many notices of the channels to tell after a change, each once; 0: only `kaa notices` asks for them.",
        group="Answers and output",
    )
    list_fields = Option(
        Texts(),
        ("name", "version", "build", "channel_name"),
        "The columns of `kaa list`, unless --fields names others.",
        group="Answers and output",
    )
    show_channel_urls = Option(
        MaybeBoolean(),
        None,
        "Show the channel of every package in lists; if nothing is said, where it is not a default one.",
        group="Answers and output",
    )

    # -- network ----------------------------------------------------------------------------------------------------
    offline = Option(Boolean(), False, "Use what is on this machine; no connection is opened.", group="Network")
    ssl_verify = Option(
        Verification(),
        True,
        "Whom to trust in HTTPS: true or truststore (the system's certificates), the path of a file of certificates, "
        "false (anyone: dangerous).",
        group="Network",
        aliases=("verify_ssl",),
        expand=True,
        trusted=True,
    )
    client_ssl_cert = Option(
        Text(),
        "",
        "A file with a client certificate, with its private key or beside client_ssl_cert_key.",
        group="Network",
        aliases=("client_cert",),
        expand=True,
        trusted=True,
    )
    client_ssl_cert_key = Option(
        Text(),
        "",
        "The file of the private key of client_ssl_cert.",
        group="Network",
        aliases=("client_cert_key",),
        expand=True,
        trusted=True,
    )
    proxy_servers = Option(
        TextMap(),
        {},
        "Proxies by scheme (http, https) or by scheme and host (https://host).",
        group="Network",
        expand=True,
        trusted=True,
    )
    remote_connect_timeout_secs = Option(Number(), 9.15, "How many seconds to wait for a connection.", group="Network")
    remote_read_timeout_secs = Option(
        Number(), 60.0, "How many seconds to wait for the next bytes of an answer.", group="Network"
    )
    remote_max_retries = Option(Integer(), 3, "How often a failed request is made again.", group="Network")
    remote_backoff_factor = Option(
        Number(), 1.0, "Seconds to wait before the first retry; the wait doubles each time.", group="Network"
    )
    add_anaconda_token = Option(
        Boolean(),
        True,
        "Use tokens that other tools stored for a channel's server.",
        group="Network",
        aliases=("add_binstar_token",),
        trusted=True,
        inert=True,
    )
    fetch_threads = Option(Integer(), 0, "How many downloads run at once; 0: kaa chooses.", group="Network")

    # -- linking ----------------------------------------------------------------------------------------------------
    always_copy = Option(
        Boolean(), False, "Copy files into environments, never link them.", group="Linking", aliases=("copy",)
    )
    path_conflict = Option(
        Choice("clobber", "warn", "prevent"),
        "clobber",
        "When two packages hold the same path: the later wins (clobber), wins with a warning (warn), or nothing is "
        "done and an error tells (prevent).",
        group="Linking",
    )
    safety_checks = Option(
        CHECKS,
        "enabled",
        "Compare extracted packages with their own list of files before linking: a difference stops the "
        "work (enabled), is told (warn), or nobody looks (disabled).",
        group="Linking",
        trusted=True,
    )
    extra_safety_checks = Option(
        Boolean(), False, "Compare contents (sha256) as well, not sizes alone.", group="Linking", trusted=True
    )
    verify_cache = Option(
        Boolean(),
        False,
        "Before linking, compare each package of the cache, file for file, with its archive, whose hash the channel "
        "names; what differs, or has no archive to compare with, is fetched again. For caches that others may fill.",
        group="Linking",
        trusted=True,
    )
    shortcuts = Option(Boolean(), True, "Make the menu shortcuts that packages ask for.", group="Linking", inert=True)
    compile_bytecode = Option(
        Boolean(),
        True,
        "Bring Python packages with their bytecode, which is compiled once and kept in the package cache.",
        group="Linking",
    )
    package_scripts = Option(
        Choice("run", "ask", "deny"),
        "run",
        "Scripts that packages bring, for linking and for activation: run them, as conda does (run), those that you "
        "allowed, asking about new ones (ask), or none (deny). New ones are listed before they first run.",
        group="Linking",
        trusted=True,
    )
    externally_managed = Option(
        Boolean(),
        False,
        "Mark environments with a python as managed (PEP 668), so that pip and uv install nothing there by hand.",
        group="Linking",
    )
    protect_frozen_envs = Option(
        Boolean(),
        True,
        "Refuse to change an environment that is marked as frozen (CEP 22).",
        group="Linking",
        trusted=True,
    )

    # -- solving ----------------------------------------------------------------------------------------------------
    create_default_packages = Option(Texts(), (), "Packages to add to every new environment.", group="Solving")
    pinned_packages = Option(
        Texts(), (), "Specs that every solution must respect if it holds the package.", group="Solving", separator="&"
    )
    disallowed_packages = Option(
        Texts(),
        (),
        "Specs of packages that may not be installed.",
        group="Solving",
        aliases=("disallow",),
        separator="&",
    )
    track_features = Option(Texts(), (), "Features to prefer (for old packages).", group="Solving", inert=True)
    aggressive_update_packages = Option(
        Texts(),
        (),
        "Names of packages that are brought to their newest version whenever something is installed or updated.",
        group="Solving",
    )
    add_pip_as_python_dependency = Option(
        Boolean(),
        False,
        "Bring pip along with every python. conda's default is true; here an environment holds what was asked for.",
        group="Solving",
        inert=True,
    )
    override_virtual_packages = Option(
        TextMap(),
        {},
        "Versions of virtual packages instead of the detected ones, by name without the underscores; an empty version "
        "means that the machine has none. --virtual-package adds to these.",
        group="Solving",
        aliases=("virtual_packages",),
    )
    solve_strategy = Option(
        Choice(
            "highest",
            "lowest",
            "lowest-direct",
            other={"lowest-version": "lowest", "lowest-version-direct": "lowest-direct"},
        ),
        "highest",
        "Which versions to prefer: the highest that fit, the lowest, or (lowest-direct) the lowest of what is asked "
        "for and the highest of what that needs.",
        group="Solving",
    )
    solve_timeout = Option(
        Number(),
        0.0,
        "After how many seconds to give up looking for packages that go together; 0: never. What was found out until "
        "then is told.",
        group="Solving",
    )
    exclude_newer = Option(
        PointInTime(),
        "",
        "Leave out packages that are newer: a date, a time, or an age such as 7d; false: leave out nothing. What "
        "counts is when a package came into its channel, or where that is not known, when it was built; a package of "
        "which neither is known is left out.",
        group="Solving",
        aliases=("cooldown",),
        trusted=True,
    )
    exclude_newer_package = Option(
        PointInTimeMap(),
        {},
        "The same for single packages, by name; it counts more than what holds for a channel (channel_settings) or for "
        "all.",
        group="Solving",
        trusted=True,
    )

    # -- shells -----------------------------------------------------------------------------------------------------
    auto_activate = Option(
        Boolean(),
        True,
        "Activate the default environment when a shell starts.",
        group="Shells",
        aliases=("auto_activate_base",),
    )
    default_activation_env = Option(
        Text(), "base", "The environment that `activate` without a name means.", group="Shells"
    )
    auto_stack = Option(
        Integer(), 0, "Up to which depth activation stacks environments instead of switching.", group="Shells"
    )
    changeps1 = Option(Boolean(), True, "Show the active environment in the prompt.", group="Shells")
    env_prompt = Option(
        Text(),
        "({default_env}) ",
        "What the prompt shows: {default_env}, {name} and {prefix} are replaced.",
        group="Shells",
    )
    envvars_force_uppercase = Option(
        Boolean(), True, "Write the names of environments' variables in capitals.", group="Shells"
    )

    # -- the value --------------------------------------------------------------------------------------------------
    def with_values(self, **values: object) -> Config:
        """The same configuration with other values of some options."""
        return Config(
            {**self.values, **values},
            root_prefix=self.root_prefix,
            home=self.home,
            prefix=self.prefix,
            provenance=self.provenance,
            files=self.files,
            unknown=self.unknown,
            ignored=self.ignored,
        )

    def get(self, name: str) -> object:
        """The value of the option of that name (its own or an alias); raises KeyError."""
        option = OPTIONS[NAMES[name]]
        return self.values.get(option.name, option.default)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Config):
            return NotImplemented
        return (self.root_prefix, self.prefix) == (other.root_prefix, other.prefix) and all(
            self.get(name) == other.get(name) for name in OPTIONS
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Config({dict(self.values)!r}, root_prefix={str(self.root_prefix)!r})"


def _declared() -> Iterator[Option[object]]:
    for value in vars(Config).values():
        if isinstance(value, Option):
            yield value
    for name, (kind, default, aliases) in INERT.items():
        option = Option(kind, default, "Known from conda; without effect in kaa.", aliases=aliases, inert=True)
        option.name = name
        yield option


OPTIONS: Mapping[str, Option[object]] = MappingProxyType({option.name: option for option in _declared()})
"""Every option by its name."""

NAMES: Mapping[str, str] = MappingProxyType(
    {alias: option.name for option in OPTIONS.values() for alias in (option.name, *option.aliases)}
)
"""Every name and alias → the option's name."""
