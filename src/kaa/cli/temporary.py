"""From `--with` and scripts to a temporary environment: what is asked for, and the environment that answers it.

An environment that is there already is found without opening a session: neither the solver nor the network is loaded.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kaa.cli.configuring import ArgumentsMissing, root_prefix_of
from kaa.config.options import Config
from kaa.config.sources import load_config
from kaa.errors import KaaError
from kaa.host.platform import current_subdir
from kaa.models.redaction import redact
from kaa.prefix.temporary import Answer, find_answer, keep, key_of

if TYPE_CHECKING:
    from kaa.envfiles.script_blocks import ScriptBlock

PYPI = "pypi"
BEARING = (
    "build_sdists",
    "channels",
    "channel_alias",
    "channel_priority",
    "channel_settings",
    "custom_channels",
    "custom_multichannels",
    "default_channels",
    "exclude_newer",
    "exclude_newer_package",
    "follow_channel_relations",
    "override_virtual_packages",
    "pinned_packages",
    "solve_strategy",
    "subdir",
)
"""The options on which it depends what an environment holds."""


class Wanted:
    """What a temporary environment is to hold, and for whom."""

    __slots__ = ("base", "block", "specs")

    def __init__(self, specs: Sequence[str], *, base: Path | None = None, block: ScriptBlock | None = None) -> None:
        self.specs = tuple(specs)
        self.base = base
        """The environment whose packages it holds as well."""
        self.block = block


def enter_temporary(arguments: argparse.Namespace, environ: Mapping[str, str], wanted: Wanted) -> str:
    """The prefix of the environment that was asked for, made if need be; it is kept for as long as this process is."""
    config = configured(arguments, environ, wanted.block)
    question = question_of(config, environ, wanted)
    answer = find_answer(config.root_prefix, question)
    while True:
        prefix = chosen(arguments, config, environ, wanted, question, answer)
        if keep(prefix):
            return str(prefix)
        # Removed in this moment: once more, from the start.
        answer = None


def chosen(
    arguments: argparse.Namespace,
    config: Config,
    environ: Mapping[str, str],
    wanted: Wanted,
    question: str,
    answer: Answer | None,
) -> Path:
    """The environment that is there, or a new one; an old one where the channels cannot be asked."""
    if answer is not None and not arguments.refresh and (config.offline or not answer.is_old):
        return answer.prefix
    making = importlib.import_module("kaa.cli.making_temporary")
    try:
        prefix: Path = making.make(config, environ, wanted, question, refresh=arguments.refresh)
    except KaaError as error:
        if answer is None or arguments.refresh or not making.is_of_the_network(error):
            raise
        print(f"warning: the environment of an earlier run is used: {error.message}", file=sys.stderr)
        return answer.prefix
    return prefix


def configured(arguments: argparse.Namespace, environ: Mapping[str, str], block: ScriptBlock | None) -> Config:
    """The configuration with the channels of the command line, else those of a script, else those configured."""
    root_prefix = root_prefix_of(arguments, environ)
    given: dict[str, object] = {"register_envs": False}
    for name in ("build_sdists", "offline", "quiet", "verbosity"):
        if (value := getattr(arguments, name, None)) is not None:
            given[name] = value
    if not getattr(arguments, "verbosity", None) and not sys.stderr.isatty():
        # What is read there is the program's.
        given["quiet"] = True
    named = list(arguments.channels or ())
    alone = bool(arguments.override_channels)
    if alone and not named:
        raise ArgumentsMissing("--override-channels needs a channel", hints=("name one with --channel",))
    if block is not None and block.channels and not alone:
        named, alone = [*named, *block.channels], True
    if named:
        given["channels"] = named
    config = load_config(environ, given, root_prefix=root_prefix, override_channels=alone)
    if block is not None and block.is_of_python and not config.values.get("channels"):
        # Nobody named a channel, and what such a script asks for are projects of PyPI.
        config = config.with_values(channels=(PYPI,))
    if arguments.override_channels and not config.override_channels_enabled:
        raise ArgumentsMissing("--override-channels is not allowed here: override_channels_enabled is false")
    return config


def question_of(config: Config, environ: Mapping[str, str], wanted: Wanted) -> str:
    """The name of what is asked for: the packages, the channels, the machine, and all that bears on the solution."""
    block = wanted.block
    options = {name: _plain(config.get(name)) for name in BEARING}
    content: dict[str, object] = {
        "specs": sorted(map(redact, wanted.specs)),
        "options": options,
        "overrides": {name: value for name, value in environ.items() if name.startswith("CONDA_OVERRIDE_")},
        "platform": config.subdir or current_subdir(),
        # What a machine has decides, too: its C library, its graphics card.
        "machine": os.uname().nodename if os.name == "posix" else environ.get("COMPUTERNAME", ""),
    }
    texts = [*map(str, config.channels), *wanted.specs]
    if any(text.startswith((".", "~")) for text in texts):
        content["directory"] = os.getcwd()  # noqa: PTH109
    if block is not None:
        content["script"] = [block.requirements, block.requires_python, sorted(block.specs)]
    if wanted.base is not None:
        content["base"] = [str(wanted.base), *packages_of(wanted.base)]
    return key_of(content)


def packages_of(prefix: Path) -> list[str]:
    """What tells one state of an environment from another: its records, pins, variables, and what was asked for."""
    found = []
    paths: list[Path] = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        paths = sorted((prefix / "conda-meta").iterdir())
    for path in paths:
        if path.suffix == ".json":
            found.append(path.name)
        elif path.name in ("history", "pinned", "state"):
            with contextlib.suppress(OSError):
                state = path.stat()
                found.append(f"{path.name} {state.st_size} {state.st_mtime_ns}")
    return found


def _plain(value: object) -> object:
    """A value of the configuration as JSON has it, without credentials."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return redact(value) if isinstance(value, str) else value
