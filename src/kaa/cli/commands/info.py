"""`kaa info`: facts about this installation and machine, with the keys that conda's clients read."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kaa import __version__
from kaa.api.cache_report import CacheReport, cache_report
from kaa.api.information import Installation, describe_installation
from kaa.api.listing import list_environments
from kaa.api.session import Session
from kaa.cli.arguments import add_output, flag, ignored
from kaa.cli.environment_lists import environment_details, environment_lines, environment_paths
from kaa.cli.main import CONDA_VERSION
from kaa.cli.output import print_json
from kaa.models.redaction import redact
from kaa.net.auth import find_netrc

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

HELP = "Tell about this installation and machine."

SHOWN_VARIABLES = ("PATH", "PYTHONHOME", "PYTHONPATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "LD_LIBRARY_PATH")
SECRET_WORDS = ("TOKEN", "PASSWORD", "SECRET", "KEY", "AUTH", "PROXY")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--base", action="store_true", help="print the root prefix, and nothing else")
    parser.add_argument("-e", "--envs", action="store_true", help="list the environments")
    parser.add_argument("-s", "--system", action="store_true", help="show environment variables as well")
    parser.add_argument("--unsafe-channels", action="store_true", help="list the channels")
    parser.add_argument("-a", "--all", action="store_true", help="show everything")
    flag(parser, "--offline", option="offline", help="open no connection")
    parser.add_argument("--size", action="store_true", help="with --envs or --json: how much room environments take")
    ignored(parser, "-l", "--license")
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    as_json = session.config.json
    root_prefix = str(session.config.root_prefix)
    if arguments.base:
        print_json({"root_prefix": root_prefix}) if as_json else print(root_prefix)
        return 0
    installation = describe_installation(session)
    if arguments.unsafe_channels:
        channels = [redact(text) for text in session.config.channels]
        print_json({"channels": channels}) if as_json else print("\n".join(channels))
        return 0
    if as_json:
        print_json(info_json(session, installation, sizes=arguments.size))
        return 0
    if not arguments.envs or arguments.all:
        print("\n".join(info_lines(session, installation)))
    if arguments.envs or arguments.all:
        print("\n".join(environment_lines(session, sizes=arguments.size)))
    if arguments.system or arguments.all:
        print("\n".join(f"{name}={value}" for name, value in shown_variables(session.environ).items()))
    return 0


def info_json(session: Session, installation: Installation, *, sizes: bool = False) -> dict[str, object]:
    """Everything, under conda's keys. The text `conda_prefix` stands on exactly one line: clients search for it."""
    environments = list_environments(session)
    environ = session.environ
    root_prefix = str(installation.root_prefix)
    active = installation.active_prefix
    active_name = session.environments.name_of(active) if active else None
    user_file = user_condarc(session)
    document: dict[str, object] = {
        "platform": installation.subdir,
        "conda_version": CONDA_VERSION,
        "conda_env_version": CONDA_VERSION,
        "conda_build_version": "not installed",
        "kaa_version": __version__,
        "root_prefix": root_prefix,
        "conda_prefix": root_prefix,
        "conda_location": str(Path(__file__).resolve().parent.parent.parent),
        "root_writable": installation.root_is_writable,
        "av_data_dir": str(installation.root_prefix / "etc" / "conda"),
        "av_metadata_url_base": None,
        "active_prefix": str(active) if active else None,
        "active_prefix_name": active_name,
        "default_prefix": str(active or installation.root_prefix),
        "conda_shlvl": shell_level(environ),
        "user_rc_path": str(user_file),
        "rc_path": str(user_file),
        "sys_rc_path": str(installation.root_prefix / ".condarc"),
        "config_files": [str(path) for path in installation.config_files],
        "pkgs_dirs": [str(path) for path in installation.package_directories],
        "package_caches": msgspec.to_builtins(cache_report(session).directories),
        "verify_cache": session.config.verify_cache,
        "envs_dirs": [str(path) for path in installation.environment_directories],
        "envs": environment_paths(session, environments),
        "envs_details": environment_details(environments, sizes=sizes),
        "channels": [redact(url) for url in installation.channel_urls],
        "offline": installation.offline,
        "virtual_pkgs": [[package.name, package.version, package.build] for package in installation.virtual_packages],
        "solver": {"name": "kaa", "user_agent": f"solver/kaa/{__version__}", "default": True},
        "user_agent": installation.user_agent,
        "requests_version": "not installed",
        "python_version": ".".join(map(str, sys.version_info)),
        "sys.version": sys.version,
        "sys.prefix": sys.prefix,
        "sys.executable": sys.executable,
        "site_dirs": [],
        "netrc_file": netrc_file(environ),
        "tmp_dir": temporary_directory(environ),
        "notices_cache_dir": str(session.home / ".cache" / "kaa" / "notices"),
        "env_vars": shown_variables(environ),
    }
    if sys.platform == "win32":
        document["is_windows_admin"] = False
    else:
        document["UID"] = os.geteuid()
        document["GID"] = os.getegid()
    return document


def info_lines(session: Session, installation: Installation) -> list[str]:
    """The facts for people, one a line."""
    active = installation.active_prefix
    pairs: list[tuple[str, list[str]]] = [
        ("active environment", [session.environments.name_of(active) if active else "none"]),
        ("active env location", [str(active)] if active else []),
        ("shell level", [str(level)] if (level := shell_level(session.environ)) >= 0 else []),
        ("user config file", [str(user_condarc(session))]),
        ("populated config files", [str(path) for path in installation.config_files]),
        ("kaa version", [__version__]),
        ("compatible with conda", [CONDA_VERSION]),
        ("python version", [platform.python_version()]),
        ("virtual packages", [f"{p.name}={p.version}={p.build}" for p in installation.virtual_packages]),
        (
            "base environment",
            [f"{installation.root_prefix}  ({'writable' if installation.root_is_writable else 'read only'})"],
        ),
        ("channel URLs", [redact(url) for url in installation.channel_urls]),
        ("package cache", cache_lines(cache_report(session))),
        ("envs directories", [str(path) for path in installation.environment_directories]),
        ("platform", [installation.subdir]),
        ("user-agent", [installation.user_agent]),
        ("netrc file", [netrc_file(session.environ) or "none"]),
        ("offline mode", [str(installation.offline)]),
    ]
    lines = [""]
    for key, values in pairs:
        for position, value in enumerate(values):
            lines.append(f"{key if position == 0 else '':>24} {':' if position == 0 else ' '} {value}")
    return [*lines, ""]


def cache_lines(report: CacheReport) -> list[str]:
    """The directories of the package cache: what each is used for, whose it is, and why files are copied from it."""
    lines = []
    for directory in report.directories:
        lines.append(f"{directory.path}  ({directory.use})")
        if directory.exists:
            facts = [directory.mode, f"{directory.owner}:{directory.group}", directory.file_system]
            lines.append(f"    {'  '.join(filter(None, facts))}")
        lines += [
            f"    {link.method} to {link.directory}" + (f": {link.reason}" if link.reason else "")
            for link in directory.links
            if not directory.untrusted
        ]
    if report.verified:
        lines.append("every package is compared with its archive before it is used (verify_cache)")
    return lines


def user_condarc(session: Session) -> Path:
    """The file that `kaa config` changes by default."""
    return Path(session.environ.get("CONDARC") or session.home / ".condarc")


def netrc_file(environ: Mapping[str, str]) -> str | None:
    """The file with the user's passwords for hosts, if there is one."""
    found = find_netrc(environ)
    return str(found) if found else None


def temporary_directory(environ: Mapping[str, str]) -> str:
    """Where temporary files go; the first writable directory that Python's tempfile would try, without loading that."""
    if sys.platform != "win32":
        for path in (*(environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")), "/tmp"):
            if path and os.access(path, os.W_OK | os.X_OK):
                return os.path.abspath(path)  # noqa: PTH100
    found: str = importlib.import_module("tempfile").gettempdir()
    return found


def shell_level(environ: Mapping[str, str]) -> int:
    """How many activations deep the shell is; -1 when no hook is there."""
    try:
        return int(environ.get("CONDA_SHLVL", "") or -1)
    except ValueError:
        return -1


def shown_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that matter for environments, without secrets."""
    shown = {}
    for name in sorted(environ):
        relevant = name in SHOWN_VARIABLES or name.startswith(("CONDA", "KAA_", "MAMBA_", "_CONDA"))
        if relevant and not name.startswith("conda_prefix"):
            secret = any(word in name.upper() for word in SECRET_WORDS)
            shown[name] = "<set>" if secret else redact(environ[name])
    return shown
