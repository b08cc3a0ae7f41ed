"""The steps and texts for one shell in its present state: to enter, to leave, to refresh, and the hook it starts with.

This is where the pure plan (`activation`), what environments ask for (`prefix_state`) and a shell's syntax (`dialects`)
come together; only environments' directories are read here, nothing is changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from kaa.models.value import Value
from kaa.prefix.script_decisions import EVERYTHING_RUNS, ScriptGate
from kaa.shell.activation import (
    ActivationSettings,
    Installation,
    PathChange,
    PrefixState,
    SetVariable,
    ShellAction,
    active_prefix,
    apply,
    level_of,
    overwritten_names,
    path_entering,
    path_leaving,
    plan_activate,
    plan_deactivate,
    plan_installation,
    plan_prompt,
    plan_reactivate,
    previous_prefix,
    replace_in_path,
    wants_stacking,
)
from kaa.shell.dialects.dialect import Dialect, Hook
from kaa.shell.prefix_state import read_prefix_state

HOOKS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hooks")  # noqa: PTH100, PTH118, PTH120


class Steps(Value):
    """What a shell is to do, and what the user is to hear."""

    actions: tuple[ShellAction, ...] = ()
    warnings: tuple[str, ...] = ()
    path: PathChange = PathChange((), ())
    """What the steps do to the search path, whatever else is on it."""
    prefixes: tuple[str, ...] = ()
    """The environments whose files said what is to be done."""


class ShellText(Value):
    """What a shell is to evaluate, and what the user is to hear."""

    text: str
    warnings: tuple[str, ...] = ()


class Shell:
    """One shell: its dialect and its variables."""

    __slots__ = ("dialect", "environ", "gate", "installation", "settings", "uppercase")

    def __init__(
        self,
        dialect: Dialect,
        environ: Mapping[str, str],
        installation: Installation,
        settings: ActivationSettings,
        *,
        uppercase: bool = True,
        gate: ScriptGate = EVERYTHING_RUNS,
    ) -> None:
        self.dialect = dialect
        self.environ = environ
        self.installation = installation
        self.settings = settings
        self.uppercase = uppercase
        self.gate = gate

    def after(self, actions: tuple[ShellAction, ...]) -> Shell:
        """The shell as its variables are after the steps."""
        variables = apply(self.environ, actions)
        return Shell(
            self.dialect, variables, self.installation, self.settings, uppercase=self.uppercase, gate=self.gate
        )

    def activate(self, prefix: str, *, stack: bool | None = None) -> Steps:
        """The steps into the environment at `prefix`."""
        current, new = self._active(), self._read(prefix)
        stacked = wants_stacking(self.environ, self.settings, stack)
        actions = plan_activate(self.environ, new, current, self.installation, self.settings, stack=stacked)
        overwritten = overwritten_names(self.environ, new, current)
        told = f"the environment sets {', '.join(overwritten)}, which you had set; leaving it brings your values back"
        path = path_entering(self.environ, new, current, stack=stacked)
        prefixes = (prefix,) if current is None else (prefix, current.prefix)
        return Steps(actions, (*new.warnings, *((told,) if overwritten else ())), path, prefixes)

    def deactivate(self) -> Steps:
        """The steps out of the active environment; none if there is none."""
        current = self._active()
        if current is None:
            return Steps()
        back = previous_prefix(self.environ)
        previous = self._read(back) if back else None
        actions = plan_deactivate(self.environ, current, previous, self.installation, self.settings)
        prefixes = (current.prefix,) if previous is None else (current.prefix, previous.prefix)
        return Steps(actions, (), path_leaving(self.environ, current, previous), prefixes)

    def leave_all(self) -> Steps:
        """The steps back to a shell without an environment, whatever its level is.

        An environment that was left by a plain switch is not entered again on the way.
        """
        shell, actions, entered = self, tuple[ShellAction, ...](), True
        while (current := shell._active()) is not None:
            level, back = level_of(shell.environ), previous_prefix(shell.environ)
            if not entered:
                current = current.replace(deactivate_scripts=())
            previous = shell._read(back).replace(activate_scripts=()) if back else None
            entered = bool(shell.environ.get(f"CONDA_STACKED_{level}"))
            steps = plan_deactivate(shell.environ, current, previous, shell.installation, shell.settings)
            shell, actions = shell.after(steps), (*actions, *steps)
        return Steps(actions)

    def reactivate(self) -> Steps:
        """The steps that bring the shell up to date with the active environment; none if there is none."""
        current = self._active()
        if current is None:
            return Steps()
        return Steps(plan_reactivate(self.environ, current, self.installation, self.settings), current.warnings)

    def text_of(self, steps: Steps) -> ShellText:
        """The steps as text, without the variables that this shell cannot hold."""
        lost = [
            action.name
            for action in steps.actions
            if isinstance(action, SetVariable) and not self.dialect.holds(action.value)
        ]
        kept = [action for action in steps.actions if not (isinstance(action, SetVariable) and action.name in lost)]
        warnings = tuple(f"this shell cannot hold the value of {name}; it stays as it is" for name in lost)
        return ShellText(self.dialect.render(kept), (*steps.warnings, *warnings))

    def hook(self, default: str | None, *, name: str = "kaa") -> ShellText:
        """The text that defines the function `name`, and enters the environment `default` if none is active.

        A shell that inherits an active environment is brought up to date if there is a default at all.
        """
        path = hook_path(self.dialect)
        start = self._start(name)
        entry = self._entry(start, default)
        source = read_hook(path, name)
        text = self.dialect.hook(Hook(self.installation.command, path, source, start, entry.actions, default, name))
        return ShellText(text, entry.warnings)

    # -- parts --------------------------------------------------------------------------------------------------------

    def _active(self) -> PrefixState | None:
        prefix = active_prefix(self.environ)
        return self._read(prefix) if prefix else None

    def _read(self, prefix: str) -> PrefixState:
        return read_prefix_state(
            prefix,
            script_extensions=self.dialect.script_extensions,
            windows=self.installation.windows,
            uppercase=self.uppercase,
            gate=self.gate,
        )

    def _start(self, name: str) -> tuple[ShellAction, ...]:
        """The steps that a shell takes which is new to kaa; who defines conda says where it is."""
        environ = {} if name == "conda" else self.environ
        steps = plan_installation(environ, self.installation)
        if "CONDA_SHLVL" in self.environ:
            return steps
        path, separator = self.environ.get("PATH", ""), ";" if self.installation.windows else ":"
        directory = f"{self.installation.root_prefix}/condabin"
        if os.path.isdir(directory) and directory not in path.split(separator):  # noqa: PTH112
            steps = (*steps, SetVariable("PATH", replace_in_path(path, (), (directory,), separator)))
        return (*steps, SetVariable("CONDA_SHLVL", "0"))

    def _entry(self, start: tuple[ShellAction, ...], default: str | None) -> Steps:
        if not level_of(self.environ):
            return self.after(start).activate(default) if default else Steps()
        if default:
            return self.reactivate()
        return Steps((plan_prompt(self.environ, self.installation, self.settings),))


def hook_path(dialect: Dialect) -> str:
    """The hook file of a shell."""
    return os.path.join(HOOKS, dialect.hook_file)  # noqa: PTH118


def read_hook(path: str, name: str) -> str:
    """The text of a hook file, for a function of that name: its own names follow, so that two may live in one shell."""
    with open(path, encoding="utf-8", newline="") as stream:  # noqa: PTH123
        source = stream.read()
    if name == "kaa":
        return source
    return source.replace("kaa", name).replace("Kaa", name.capitalize()).replace("KAA", name.upper())
