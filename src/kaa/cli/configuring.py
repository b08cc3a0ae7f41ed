"""From parsed arguments to the configuration; light commands can afford this module too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kaa.config.options import OPTIONS, Config
from kaa.config.sources import expand_text, load_config
from kaa.errors import KaaError
from kaa.host.directories import default_root_prefix
from kaa.prefix.environments import EnvironmentDirectories, absolute_location

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


class ArgumentsMissing(KaaError):
    """The arguments do not say enough, or contradict each other."""

    conda_name = "ArgumentError"
    exit_code = 2


class TargetMissing(ArgumentsMissing):
    """An environment is to be made, and nothing says where."""

    def __init__(self) -> None:
        super().__init__(
            "one of --name and --prefix is needed, to know where the environment is to be",
            hints=("kaa create --name NAME …", "kaa create --prefix ./env …"),
        )


def configure(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Config:
    """The configuration for a command line; condarc files of the target (else the active) environment included."""
    root_prefix = root_prefix_of(arguments, environ)
    given = given_options(arguments)
    override = bool(getattr(arguments, "override_channels", False))
    if override and not given.get("channels"):
        raise ArgumentsMissing("--override-channels needs a channel", hints=("name one with --channel",))
    config = load_config(environ, given, root_prefix=root_prefix, override_channels=override)
    if override and not config.override_channels_enabled:
        raise ArgumentsMissing("--override-channels is not allowed here: override_channels_enabled is false")
    prefix = environment_of(arguments, config, environ)
    if prefix is None or prefix == root_prefix:
        return config
    return load_config(environ, given, root_prefix=root_prefix, prefix=prefix, override_channels=override)


def root_prefix_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Path:
    """`--root-prefix`, else what the environment variables say."""
    text = getattr(arguments, "root_prefix", None)
    return absolute_location(Path(expand_text(text, environ)), Path.cwd()) if text else default_root_prefix(environ)


def given_options(arguments: argparse.Namespace) -> dict[str, object]:
    """The options that the command line sets: arguments are stored under the names of options."""
    return {
        name: value
        for name, value in vars(arguments).items()
        if name in OPTIONS and value is not None and not OPTIONS[name].inert
    }


def environment_of(arguments: argparse.Namespace, config: Config, environ: Mapping[str, str]) -> Path | None:
    """The environment that is meant, if there is one: --prefix, --name, or the active one. Complains about nothing."""
    prefix, name = getattr(arguments, "prefix", None), getattr(arguments, "name", None)
    if prefix:
        return absolute_location(Path(expand_text(prefix, environ)), Path.cwd())
    if name:
        return environment_directories(config).find(name)
    active = environ.get("CONDA_PREFIX")
    return absolute_location(Path(active), Path.cwd()) if active else None


def environment_directories(config: Config) -> EnvironmentDirectories:
    """Where environments are looked for by name."""
    return EnvironmentDirectories(config.root_prefix, tuple(Path(text) for text in config.envs_dirs))


def existing_target(arguments: argparse.Namespace, config: Config, environ: Mapping[str, str]) -> Path:
    """The environment to read or change: --prefix, --name, the active one, else base. Raises EnvironmentNotFound."""
    name = getattr(arguments, "name", None)
    if name:
        return environment_directories(config).get(name)
    return environment_of(arguments, config, environ) or config.root_prefix


def new_target(arguments: argparse.Namespace, config: Config, environ: Mapping[str, str]) -> Path | None:
    """Where a new environment is to be: --prefix, or the place for --name; None when neither is given."""
    prefix, name = getattr(arguments, "prefix", None), getattr(arguments, "name", None)
    if prefix:
        return absolute_location(Path(expand_text(prefix, environ)), Path.cwd())
    return environment_directories(config).place(name) if name else None
