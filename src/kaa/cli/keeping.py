"""Keep the text of an activation for the shell that asked, so that it need not ask again (`kaa.shell.kept`)."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Sequence
from typing import TypeGuard

import kaa
from kaa.cli.entering import Entering, current_directory
from kaa.config.options import OPTIONS
from kaa.config.sources import expand_text, places_of_files
from kaa.host.directories import home_directory
from kaa.prefix.interruption import SET_ASIDE, aside_of, interruption
from kaa.prefix.script_decisions import decisions_file
from kaa.shell.activation import SetVariable, ShellAction
from kaa.shell.dialects.table import MODULES
from kaa.shell.kept import Kept, ReadVariables, keep, keep_few, now, plan_stamps
from kaa.shell.location import directories_read
from kaa.shell.prefix_state import files_read
from kaa.shell.script import Shell, Steps

DIALECTS = {"posix": "kaa.shell.dialects.kept_posix", "fish": "kaa.shell.dialects.kept_fish"}
"""Dialect → the module that writes what is kept for it."""

RELEVANT = (
    *("auto_stack", "changeps1", "default_activation_env", "env_prompt", "envs_dirs", "envvars_force_uppercase"),
    "package_scripts",
)
"""The options that bear on activation."""

RESERVED_OPTIONS = {"KAA_ROOT_PREFIX"}
"""Variables by the name of an option that are more than that."""

PLACE = re.compile(
    r"(/.*/kaa/activation/[0-9a-f]{8})/[0-9](?:/.*)?/:(?:de)?activate(?:--(?:no-)?stack)?/.*\.(?:sh|fish)", re.DOTALL
)
"""Where the functions of the shells look; nothing is written elsewhere. The group is what one kaa keeps for a user."""


def keep_steps(script: str, entering: Entering, shell: Shell, word: str | None, name: str, steps: Steps) -> None:
    """Write the steps as a script for a shell of that name, unless it is not certain what they rest on.

    `word` is what the environment to activate was called. A failure only means that the next activation asks again.
    """
    # A shell writes ./x behind the working directory.
    script = os.path.normpath(script)
    environ, module, place = entering.environ, DIALECTS.get(MODULES[name]), PLACE.fullmatch(script)
    if module is None or place is None or entering.installation.windows or not isinstance(environ, ReadVariables):
        return
    if not steps.actions or not all(shell.dialect.holds(step.value) for step in steps.actions if is_setting(step)):
        return
    paths = files_behind(entering, word, steps)
    if rests_on_directory(entering, word, paths) or any(map(interruption, steps.prefixes)):
        return
    planned = plan_stamps(paths, f"{script}.times", now())
    if planned is None or environ.listed:
        return
    actions = tuple(step for step in steps.actions if not (is_setting(step) and step.name == "PATH"))
    kept = Kept(variables_read(environ), *planned, steps.path, actions, steps.warnings)
    write = importlib.import_module(module).render_kept
    try:
        new = not os.path.exists(script)  # noqa: PTH110
        keep(script, write(kept), [stamp for _, stamp in kept.present])
        if new:
            keep_few(place[1])
    except OSError:
        return


def is_setting(step: ShellAction) -> TypeGuard[SetVariable]:
    """Whether the step sets a variable."""
    return isinstance(step, SetVariable)


def files_behind(entering: Entering, word: str | None, steps: Steps) -> list[str]:
    """The files and directories that the steps rest on, whether they are there or not."""
    package = os.path.dirname(os.path.abspath(kaa.__file__))  # noqa: PTH100, PTH120
    asides = [f"{aside_of(prefix)}/{SET_ASIDE}" for prefix in steps.prefixes]
    looked_in = () if word is None else directories_read(word, steps.prefixes[0], entering.config.envs_dirs)
    return [
        *(path for prefix in steps.prefixes for path in files_read(prefix)),
        *asides,
        *looked_in,
        *map(str, places_of_files(entering.environ, entering.config.root_prefix)),
        str(decisions_file(home_directory(entering.environ))),
        f"{entering.installation.root_prefix}/bin/conda",
        package,
        f"{package}/__init__.py",
    ]


def rests_on_directory(entering: Entering, word: str | None, paths: Sequence[str]) -> bool:
    """Whether the steps may be others in another working directory, where the shell would find the same script."""
    environ = entering.environ
    given = [
        str(item) for setting in entering.config.provenance.get("envs_dirs", ()) for item in as_items(setting.value)
    ]
    places = [*paths, *(expand_text(item, environ) for item in given), environ.get("HOME", "")]
    places += [root] if (root := environ.get("KAA_ROOT_PREFIX")) and not root.startswith("~/") else []
    if not all(map(os.path.isabs, places)):
        return True
    # The shell takes a relative path to be one in $PWD.
    relative = word is not None and "/" in word and not word.startswith("/")
    return relative and environ.get("PWD") != current_directory(environ)


def as_items(value: object) -> Sequence[object]:
    """The items of an option that is a list."""
    return value if isinstance(value, tuple | list) else (value,)


def variables_read(environ: ReadVariables) -> dict[str, str | None]:
    """The variables that the steps rest on; the search path is not one, the steps fit any."""
    others = {
        f"{prefix}_{key.upper()}"
        for option in OPTIONS.values()
        if option.name not in RELEVANT
        for key in (option.name, *option.aliases)
        for prefix in ("CONDA", "KAA")
    }
    apart = {*others - RESERVED_OPTIONS, "PATH", "PWD"}
    return {name: value for name, value in environ.read.items() if name not in apart}
