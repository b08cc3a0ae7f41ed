"""What entering, leaving and refreshing an environment changes in a shell, as steps that no shell's syntax is part of.

Implements the activation of CEP 32: the variables, their stacking in levels and the order of the steps. Pure: the
shell's variables and what environments ask for go in, steps come out; `kaa.shell.dialects` turns them into text.

Level 0 is the shell without an environment; activating goes from level n to n + 1, deactivating back. An environment's
own variables are laid over what is there: `__CONDA_SHLVL_<n>_<NAME>` (conda's name) keeps the value that NAME had at
level n, `__KAA_SHLVL_<n>_NAMES` keeps which names the environment of level n sets or unsets, so that leaving restores
even after the environment's files changed. A plain switch takes the left environment's variables off before it lays
the new ones on; a stacked one leaves them, and does not run the scripts of the environment that stays beneath.

>>> replace_in_path("/usr/bin::/bin", (), ("/envs/a/bin",))
'/envs/a/bin:/usr/bin::/bin'
>>> replace_in_path("/x:/envs/a/bin:/usr/bin", ("/envs/a/bin",), ("/envs/b/bin",))
'/x:/envs/b/bin:/usr/bin'
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from kaa.models.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias


class SetVariable(Value):
    """Export a variable with a value."""

    name: str
    value: str


class EmptyVariable(Value):
    """Let a variable hold nothing: empty where scripts may stumble over an unset one, unset in all other shells."""

    name: str


class UnsetVariable(Value):
    """Take a variable out of the shell."""

    name: str


class SourceScript(Value):
    """Run a script of the environment inside the shell."""

    path: str


class SetPrompt(Value):
    """Take the text `old` out of the prompt, put `new` before it."""

    old: str
    new: str


ShellAction: TypeAlias = SetVariable | EmptyVariable | UnsetVariable | SourceScript | SetPrompt


class PathChange(Value):
    """What happens to the search path: the directories `new` take the place of `old`, as `replace_in_path` says."""

    old: tuple[str, ...]
    new: tuple[str, ...]


class PrefixState(Value):
    """What an environment asks of a shell that enters it."""

    prefix: str
    path_entries: tuple[str, ...]
    variables: Mapping[str, str | None] = {}
    """Name → value; None means that the variable is to be unset."""
    activate_scripts: tuple[str, ...] = ()
    deactivate_scripts: tuple[str, ...] = ()
    """In the order in which they run: the reverse of the order of their names."""
    warnings: tuple[str, ...] = ()


class Installation(Value):
    """Where kaa itself is."""

    root_prefix: str
    command: tuple[str, ...]
    """The words that run kaa: one path, or an interpreter and `-m kaa`."""
    python: str
    conda: str = ""
    """The executable that answers to the name conda, if this installation has one."""
    windows: bool = False


class ActivationSettings(Value):
    """The options that bear on activation."""

    change_prompt: bool = True
    prompt: str = "({default_env}) "
    auto_stack: int = 0


def level_of(environ: Mapping[str, str]) -> int:
    """How many environments deep the shell is; 0 when none is active or the variables make no sense."""
    text = environ.get("CONDA_SHLVL", "").strip()
    return int(text) if text.isascii() and text.isdigit() and environ.get("CONDA_PREFIX") else 0


def active_prefix(environ: Mapping[str, str]) -> str | None:
    """The prefix of the active environment."""
    return environ["CONDA_PREFIX"] if level_of(environ) else None


def previous_prefix(environ: Mapping[str, str]) -> str | None:
    """The prefix that deactivating goes back to."""
    level = level_of(environ)
    return environ.get(f"CONDA_PREFIX_{level - 1}") or None if level > 1 else None


def wants_stacking(environ: Mapping[str, str], settings: ActivationSettings, stack: bool | None) -> bool:
    """Whether to stack: as asked for, else as the option `auto_stack` says for the present level."""
    return 0 < level_of(environ) <= settings.auto_stack if stack is None else stack


# -- the three verbs --------------------------------------------------------------------------------------------------


def plan_activate(
    environ: Mapping[str, str],
    new: PrefixState,
    current: PrefixState | None,
    installation: Installation,
    settings: ActivationSettings,
    *,
    stack: bool = False,
) -> tuple[ShellAction, ...]:
    """The steps from the shell's present state into the environment `new`.

    `current` is the state of `active_prefix(environ)`, None when there is none.
    """
    levels = _Levels(environ, current)
    here = levels.here
    if here and current is not None and _same_prefix(current.prefix, new.prefix):
        return plan_reactivate(environ, new, installation, settings)
    leaving = None if here == 0 or stack else current
    path = _changed_path(environ, path_entering(environ, new, current, stack=stack), installation)
    changes = _Changes(environ)
    left_names = levels.own(here) if leaving else frozenset[str]()
    for name in [*sorted(left_names - new.variables.keys()), *new.variables]:
        beneath = levels.beneath(here, name) if name in left_names else environ.get(name)
        changes.put(f"__CONDA_SHLVL_{here}_{name}", environ.get(name))
        changes.put(name, new.variables.get(name, beneath))
    if here:
        changes.put(f"CONDA_PREFIX_{here}", environ["CONDA_PREFIX"])
    stacked = bool(here and stack)
    changes.put(f"CONDA_STACKED_{here + 1}", "true" if stacked else None)
    changes.put(f"__KAA_SHLVL_{here + 1}_NAMES", ":".join(new.variables))
    names = levels.shown_names(installation, here)
    names = [*(names if stacked else names[:-1]), _name(new.prefix, installation)]
    prompt = changes.enter(new.prefix, here + 1, names, environ, installation, settings)
    return (
        SetVariable("PATH", path),
        *(SourceScript(script) for script in (leaving.deactivate_scripts if leaving else ())),
        *changes.steps(prompt),
        *(SourceScript(script) for script in new.activate_scripts),
    )


def overwritten_names(environ: Mapping[str, str], new: PrefixState, current: PrefixState | None) -> tuple[str, ...]:
    """The names of the variables of the user's own that entering the environment gives another value."""
    levels = _Levels(environ, current)
    own = levels.own(levels.here)
    return tuple(
        name for name, value in new.variables.items() if name in environ and name not in own and environ[name] != value
    )


def plan_deactivate(
    environ: Mapping[str, str],
    current: PrefixState,
    previous: PrefixState | None,
    installation: Installation,
    settings: ActivationSettings,
) -> tuple[ShellAction, ...]:
    """The steps back to the environment that was active before, or out of the last one; none at level 0.

    `previous` is the state of `previous_prefix(environ)`.
    """
    levels = _Levels(environ, current)
    here = levels.here
    if here == 0:
        return ()
    stacked = levels.stacked(here)
    path = _changed_path(environ, path_leaving(environ, current, previous), installation)
    changes = _Changes(environ)
    # conda, if it activated this one, did not write down the names.
    names = levels.touched(here) if levels.recorded(here) else levels.touched(here) | levels.saved(here - 1)
    for name in sorted(names):
        changes.put(name, environ.get(f"__CONDA_SHLVL_{here - 1}_{name}"))
        changes.put(f"__CONDA_SHLVL_{here - 1}_{name}", None)
    changes.put(f"CONDA_STACKED_{here}", None)
    changes.put(f"__KAA_SHLVL_{here}_NAMES", None)
    if here > 1:
        changes.put(f"CONDA_PREFIX_{here - 1}", None)
    if previous is None:
        prompt = changes.leave(environ, settings)
    else:
        if not levels.recorded(here):
            # conda activated this one: it does not keep the values that the previous environment had.
            for name, value in previous.variables.items():
                changes.put(name, value)
        shown = levels.shown_names(installation, here - 1)
        prompt = changes.enter(previous.prefix, here - 1, shown, environ, installation, settings)
    return (
        SetVariable("PATH", path),
        *(SourceScript(script) for script in current.deactivate_scripts),
        *changes.steps(prompt),
        *(SourceScript(script) for script in (previous.activate_scripts if previous and not stacked else ())),
    )


def plan_reactivate(
    environ: Mapping[str, str], current: PrefixState, installation: Installation, settings: ActivationSettings
) -> tuple[ShellAction, ...]:
    """The steps that bring the shell up to date with the changed active environment; none at level 0."""
    levels = _Levels(environ, current)
    here = levels.here
    if here == 0:
        return ()
    path = replace_in_path(
        environ.get("PATH", ""), current.path_entries, current.path_entries, _separator(installation)
    )
    changes = _Changes(environ)
    for name in sorted(levels.own(here) - current.variables.keys()):
        changes.put(name, levels.beneath(here, name))
        if name not in levels.left(here):
            changes.put(f"__CONDA_SHLVL_{here - 1}_{name}", None)
    for name, value in current.variables.items():
        if name not in levels.touched(here):
            changes.put(f"__CONDA_SHLVL_{here - 1}_{name}", environ.get(name))
        changes.put(name, value)
    changes.put(f"__KAA_SHLVL_{here}_NAMES", ":".join(current.variables))
    names = levels.shown_names(installation, here)
    prompt = changes.enter(current.prefix, here, names, environ, installation, settings)
    return (
        SetVariable("PATH", path),
        *(SourceScript(script) for script in current.deactivate_scripts),
        *changes.steps(prompt),
        *(SourceScript(script) for script in current.activate_scripts),
    )


def path_entering(
    environ: Mapping[str, str], new: PrefixState, current: PrefixState | None, *, stack: bool = False
) -> PathChange:
    """What `plan_activate` does to the search path."""
    if current is None or level_of(environ) == 0:
        return PathChange((), new.path_entries)
    if _same_prefix(current.prefix, new.prefix):
        return PathChange(new.path_entries, new.path_entries)
    return PathChange(() if stack else current.path_entries, new.path_entries)


def path_leaving(environ: Mapping[str, str], current: PrefixState, previous: PrefixState | None) -> PathChange:
    """What `plan_deactivate` does to the search path."""
    stacked = bool(environ.get(f"CONDA_STACKED_{level_of(environ)}"))
    return PathChange(current.path_entries, () if previous is None or stacked else previous.path_entries)


def plan_prompt(environ: Mapping[str, str], installation: Installation, settings: ActivationSettings) -> SetPrompt:
    """The step that shows the active environment in the prompt of a shell that inherited its variables."""
    changes = _Changes(environ)
    levels = _Levels(environ, None)
    names = levels.shown_names(installation, levels.here)
    prompt = changes.enter(environ["CONDA_PREFIX"], levels.here, names, environ, installation, settings)
    return prompt or SetPrompt("", "")


def plan_installation(environ: Mapping[str, str], installation: Installation) -> tuple[ShellAction, ...]:
    """The variables that say where kaa is; those of a conda that the shell already knows are left to it."""
    words = installation.command
    steps: list[ShellAction] = [SetVariable("KAA_ROOT_PREFIX", installation.root_prefix)]
    if len(words) == 1 and words[0] != installation.conda:
        steps.append(SetVariable("KAA_EXE", words[0]))
    executable = installation.conda or words[0]
    if environ.get("CONDA_EXE") not in (None, "", executable):
        return tuple(steps)
    steps += [SetVariable("CONDA_EXE", executable), SetVariable("_CONDA_EXE", executable)]
    steps += [
        SetVariable("CONDA_PYTHON_EXE", installation.python),
        SetVariable("_CONDA_ROOT", installation.root_prefix),
    ]
    module = ("", "") if installation.conda or len(words) == 1 else (words[1], words[2])
    for name, value in zip(("_CE_M", "_CE_CONDA"), module, strict=True):
        steps.append(SetVariable(name, value) if value else EmptyVariable(name))
    return tuple(steps)


def apply(environ: Mapping[str, str], actions: Iterable[ShellAction]) -> dict[str, str]:
    """The variables after the steps, as far as they are a matter of variables: scripts and prompts have no effect."""
    result = dict(environ)
    for action in actions:
        match action:
            case SetVariable(name, value):
                result[name] = value
            case EmptyVariable(name):
                result[name] = ""
            case UnsetVariable(name):
                result.pop(name, None)
    return result


# -- parts ------------------------------------------------------------------------------------------------------------


class _Levels:
    """What the variables of a shell tell about the levels it is in."""

    def __init__(self, environ: Mapping[str, str], current: PrefixState | None) -> None:
        self.environ = environ
        self.current = current
        self.here = level_of(environ)
        inner = [environ.get(f"CONDA_PREFIX_{level}", "") for level in range(1, self.here)]
        self.prefixes = [*inner, environ["CONDA_PREFIX"]] if self.here else []

    def recorded(self, level: int) -> bool:
        return f"__KAA_SHLVL_{level}_NAMES" in self.environ

    def stacked(self, level: int) -> bool:
        return bool(self.environ.get(f"CONDA_STACKED_{level}"))

    def own(self, level: int) -> frozenset[str]:
        """The names that the environment of that level sets or unsets."""
        text = self.environ.get(f"__KAA_SHLVL_{level}_NAMES")
        if text is not None:
            return frozenset(name for name in text.split(":") if name)
        return frozenset(self.current.variables) if level == self.here and self.current else frozenset()

    def left(self, level: int) -> frozenset[str]:
        """The names that were taken back because the environment beneath was left when this level was entered."""
        plain = level > 1 and self.recorded(level) and not self.stacked(level)
        return self.own(level - 1) if plain else frozenset()

    def touched(self, level: int) -> frozenset[str]:
        """The names that entering that level gave another value."""
        return self.own(level) | self.left(level)

    def saved(self, level: int) -> frozenset[str]:
        start = f"__CONDA_SHLVL_{level}_"
        return frozenset(name[len(start) :] for name in self.environ if name.startswith(start))

    def value_at(self, level: int, name: str) -> str | None:
        """The value that the name had when that level was left."""
        if level >= self.here:
            return self.environ.get(name)
        saved = self.environ.get(f"__CONDA_SHLVL_{level}_{name}")
        if saved is not None or name in self.touched(level + 1):
            return saved
        return self.value_at(level + 1, name)

    def beneath(self, level: int, name: str) -> str | None:
        """The value that the name has without the environment of that level."""
        if level <= 1 or self.stacked(level):
            return self.value_at(max(level - 1, 0), name)
        return self.beneath(level - 1, name)

    def shown_names(self, installation: Installation, count: int) -> list[str]:
        """The names of the stack of environments after the first `count` activations, the outermost first."""
        names: list[str] = []
        for level, prefix in enumerate(self.prefixes[: max(count, 0)], 1):
            if not self.stacked(level):
                names = names[:-1]
            names.append(_name(prefix, installation))
        return names


class _Changes:
    """Changes of variables, collected by name; a later one replaces an earlier one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.values: dict[str, str | None] = {}
        self.installation: tuple[ShellAction, ...] = ()

    def put(self, name: str, value: str | None) -> None:
        self.values[name] = value

    def enter(
        self,
        prefix: str,
        level: int,
        names: Sequence[str],
        environ: Mapping[str, str],
        installation: Installation,
        settings: ActivationSettings,
    ) -> SetPrompt | None:
        """Put the variables of an active environment; gives the change of the prompt."""
        name = _name(prefix, installation)
        fields = {
            "default_env": name,
            "name": _basename(prefix),
            "prefix": prefix,
            "stacked_env": ",".join(names[::-1]),
        }
        modifier = _fill(settings.prompt, fields) if settings.change_prompt else ""
        self.values |= {"CONDA_PREFIX": prefix, "CONDA_SHLVL": str(level)}
        self.values |= {"CONDA_DEFAULT_ENV": name, "CONDA_PROMPT_MODIFIER": modifier}
        self.installation = plan_installation(environ, installation)
        if not settings.change_prompt:
            return None
        return SetPrompt(_shown_before(environ, settings), _fill(settings.prompt, fields, shown=True))

    def leave(self, environ: Mapping[str, str], settings: ActivationSettings) -> SetPrompt | None:
        """Put the variables of a shell without an environment."""
        self.values |= dict.fromkeys(("CONDA_PREFIX", "CONDA_DEFAULT_ENV", "CONDA_PROMPT_MODIFIER"))
        self.values["CONDA_SHLVL"] = "0"
        return SetPrompt(_shown_before(environ, settings), "") if settings.change_prompt else None

    def steps(self, prompt: SetPrompt | None) -> tuple[ShellAction, ...]:
        return (
            *(UnsetVariable(name) for name, value in self.values.items() if value is None and name in self.environ),
            *((prompt,) if prompt else ()),
            *(SetVariable(name, value) for name, value in self.values.items() if value is not None),
            *self.installation,
        )


def replace_in_path(path: str, old: Collection[str], new: Sequence[str], separator: str = ":") -> str:
    """The search path with the directories `new` in the place of `old`, in front if `old` is not there.

    All other entries stay what they are, empty ones too. Only the first occurrence of each old directory goes.
    """
    entries = path.split(separator) if path else []
    keys = [_path_key(entry, separator) for entry in entries]
    places = [keys.index(key) for key in dict.fromkeys(_path_key(entry, separator) for entry in old) if key in keys]
    start = min(places, default=0)
    rest = [(index, entry) for index, entry in enumerate(entries) if index not in places]
    before = [entry for index, entry in rest if index < start]
    after = [entry for index, entry in rest if index >= start]
    return separator.join([*before, *new, *after])


def _changed_path(environ: Mapping[str, str], change: PathChange, installation: Installation) -> str:
    return replace_in_path(environ.get("PATH", ""), change.old, change.new, _separator(installation))


def _path_key(entry: str, separator: str) -> str:
    return entry.replace("/", "\\").rstrip("\\").casefold() if separator == ";" else entry


def _separator(installation: Installation) -> str:
    return ";" if installation.windows else ":"


def _same_prefix(one: str, other: str) -> bool:
    return one.rstrip("/\\") == other.rstrip("/\\")


def _name(prefix: str, installation: Installation) -> str:
    """The short name of an environment: base, its name under a directory `envs`, else its path."""
    if _same_prefix(prefix, installation.root_prefix):
        return "base"
    parts = re.split(r"[\\/]" if installation.windows else "/", prefix.rstrip("/\\"))
    return parts[-1] if parts[-2:-1] == ["envs"] else prefix


def _basename(prefix: str) -> str:
    return re.split(r"[\\/]", prefix.rstrip("/\\"))[-1]


_SPECIAL_IN_PROMPTS = re.compile(r"[\\$`%!\x00-\x1f\x7f]")
"""What one shell or another takes for more than itself in a prompt; `$(…)` in the path of an environment is to be seen
there, not to be run."""


def _fill(template: str, fields: Mapping[str, str], *, shown: bool = False) -> str:
    """The template with its fields; `shown` makes the fields harmless, the template is the user's own."""

    def replace(match: re.Match[str]) -> str:
        value = fields.get(match[1], match[0])
        return _SPECIAL_IN_PROMPTS.sub("?", value) if shown else value

    return re.sub(r"\{(\w+)\}", replace, template)


def _shown_before(environ: Mapping[str, str], settings: ActivationSettings) -> str:
    """How the present prompt shows the present environment."""
    modifier = environ.get("CONDA_PROMPT_MODIFIER", "")
    prefix, name = environ.get("CONDA_PREFIX", ""), environ.get("CONDA_DEFAULT_ENV", "")
    fields = {"default_env": name, "name": _basename(prefix), "prefix": prefix}
    same = "{stacked_env}" not in settings.prompt and modifier == _fill(settings.prompt, fields)
    return _fill(settings.prompt, fields, shown=True) if same else modifier
