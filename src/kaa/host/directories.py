"""Standard places: the root prefix, the user's home and configuration. Nothing here creates a directory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def home_directory(environ: Mapping[str, str]) -> Path:
    """The user's home: `$HOME` (`%USERPROFILE%` on Windows), else what the account database says."""
    value = environ.get("HOME") or environ.get("USERPROFILE")
    return Path(value) if value else Path.home()


def default_root_prefix(environ: Mapping[str, str]) -> Path:
    """The root prefix: `$KAA_ROOT_PREFIX`, else `~/kaa`."""
    value = environ.get("KAA_ROOT_PREFIX")
    home = home_directory(environ)
    if not value:
        return home / "kaa"
    return home / value[2:] if value.startswith("~/") else Path(value).absolute()


def user_config_directory(environ: Mapping[str, str]) -> Path:
    """Where the user's own kaa configuration is: `$XDG_CONFIG_HOME/kaa`, else `~/.config/kaa`."""
    base = environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else home_directory(environ) / ".config") / "kaa"
