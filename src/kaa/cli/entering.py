"""What the commands that enter environments share: where kaa is, and the options that bear on activation.

These commands run each time a shell starts or an environment is entered, so nothing heavy is imported here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from kaa.cli.dispatch import find_program
from kaa.config.options import Config
from kaa.config.sources import expand_text, load_config
from kaa.host.directories import default_root_prefix, home_directory
from kaa.prefix.interruption import interruption
from kaa.prefix.script_decisions import Policy, ScriptGate, decisions_file, read_decisions
from kaa.shell.activation import ActivationSettings, Installation
from kaa.shell.dialects.dialect import Dialect
from kaa.shell.location import BaseIsEmpty, find_environment, get_environment, is_environment
from kaa.shell.script import Shell

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

PROGRAMS = ("kaa", "conda")
"""Names under which kaa is called."""


class Entering:
    """A process that is about to enter an environment: its variables, the configuration, where kaa is."""

    __slots__ = ("config", "environ", "installation")

    def __init__(self, arguments: argparse.Namespace, environ: Mapping[str, str], argv0: str) -> None:
        text = getattr(arguments, "root_prefix", None)
        # Absolute, and otherwise as written: the shell shows these paths.
        given = os.path.abspath(expand_text(text, environ)) if text else None  # noqa: PTH100
        root_prefix = Path(given) if given else default_root_prefix(environ).absolute()
        self.environ = environ
        # The files of an environment have no say in how it is entered.
        self.config: Config = load_config(environ, {}, root_prefix=root_prefix)
        self.installation = find_installation(str(root_prefix), argv0, environ)

    def shell(self, dialect: Dialect) -> Shell:
        """The shell that called, as far as activation is concerned."""
        config = self.config
        settings = ActivationSettings(config.changeps1, config.env_prompt, config.auto_stack)
        decisions = read_decisions(decisions_file(home_directory(self.environ)))
        policy: Policy = config.package_scripts  # type: ignore[assignment]
        return Shell(
            dialect,
            self.environ,
            self.installation,
            settings,
            uppercase=config.envvars_force_uppercase,
            gate=ScriptGate(policy, decisions),
        )

    def find(self, word: str) -> str:
        """The prefix that a name or a path means."""
        prefix = find_environment(
            word,
            root_prefix=self.installation.root_prefix,
            directories=self.config.envs_dirs,
            cwd=current_directory(self.environ),
            home=str(home_directory(self.environ)),
        )
        tell_interruption(prefix)
        return prefix

    def at(self, path: str) -> str:
        """The prefix of the environment at that path."""
        prefix = get_environment(path, cwd=current_directory(self.environ), home=str(home_directory(self.environ)))
        tell_interruption(prefix)
        return prefix

    def base(self) -> str:
        """The prefix of base, which is meant where no other environment is named or active; raises BaseIsEmpty."""
        root = self.installation.root_prefix
        if not is_environment(root) and not interruption(root):
            raise BaseIsEmpty(root)
        return self.at(root)

    def default(self) -> str | None:
        """The prefix of the environment that a new shell starts in, if there is to be one."""
        word = self.config.default_activation_env
        if not self.config.auto_activate:
            return None
        if word in ("base", "root") and not is_environment(self.installation.root_prefix):
            return None
        return self.find(word)


def tell_interruption(prefix: str) -> None:
    """Say so when a change of an environment that is entered is under way, or was interrupted."""
    if word := interruption(prefix):
        print(f"warning: {word}", file=sys.stderr)


def find_installation(root_prefix: str, argv0: str, environ: Mapping[str, str]) -> Installation:
    """Where kaa is, from the name that this process was called by."""
    conda = f"{root_prefix}/bin/conda"
    return Installation(
        root_prefix=root_prefix,
        command=find_command(argv0, environ),
        python=sys.executable,
        conda=conda if os.access(conda, os.X_OK) else "",
        windows=os.name == "nt",
    )


def find_command(argv0: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The words that run this same kaa from anywhere: its script if it has one, else its interpreter and module."""
    name = os.path.basename(argv0).removesuffix(".exe")  # noqa: PTH119
    if name in PROGRAMS:
        if os.path.dirname(argv0):  # noqa: PTH120
            return (os.path.normpath(os.path.join(current_directory(environ), argv0)),)  # noqa: PTH118
        found = find_program(name, environ.get("PATH", ""))
        if found is not None:
            return (str(found),)
    script = os.path.join(os.path.dirname(sys.executable), "kaa")  # noqa: PTH118, PTH120
    return (script,) if os.access(script, os.X_OK) else (sys.executable, "-m", "kaa")


def current_directory(environ: Mapping[str, str]) -> str:
    """The working directory as the shell names it, links and all; else as the system does."""
    named, actual = environ.get("PWD", ""), os.getcwd()  # noqa: PTH109
    try:
        same = os.path.isabs(named) and os.path.samefile(named, actual)  # noqa: PTH117, PTH121
    except OSError:
        same = False
    return named if same else actual


def tell(warnings: Sequence[str]) -> None:
    """Say on standard error what the user is to hear."""
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
