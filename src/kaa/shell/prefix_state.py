"""What an environment asks of a shell, read from its directory (CEP 32).

Variables: `etc/conda/env_vars.d/*.json` in the order of their names, a later one wins; `conda-meta/state` wins over
all; the value `***unset***` takes a variable away. Scripts: `etc/conda/activate.d/` in the order of their names,
`deactivate.d/` in the reverse order. An environment is entered even if one of these files is damaged: what cannot be
used is left out and becomes a warning.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Mapping, Sequence

from kaa.host.files import read_regular_file
from kaa.models.pattern import Pattern
from kaa.prefix.script_decisions import EVERYTHING_RUNS, ScriptGate
from kaa.shell.activation import PrefixState

UNSET = "***unset***"

RESERVED = Pattern(
    r"""
    PATH | CONDA_(PREFIX|SHLVL|DEFAULT_ENV|PROMPT_MODIFIER|EXE|PYTHON_EXE) | CONDA_(PREFIX|STACKED)_\d+
    | _CONDA_(EXE|ROOT) | _CE_(M|CONDA) | KAA_(EXE|ROOT_PREFIX) | __(CONDA|KAA)_SHLVL_.*
    | _ | IFS | PWD | OLDPWD | SHLVL | PPID | E?UID | E?GID | BASHOPTS | SHELLOPTS | BASH_VERSINFO
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""Names that activation or the shells keep for themselves."""

_NAME = Pattern(r"[A-Za-z_][A-Za-z0-9_]*")


def read_prefix_state(
    prefix: str,
    *,
    script_extensions: Sequence[str],
    windows: bool = False,
    uppercase: bool = True,
    gate: ScriptGate = EVERYTHING_RUNS,
) -> PrefixState:
    """What the environment asks of a shell that runs scripts of these kinds, the preferred kind first.

    A script that comes in several of these kinds runs once. With `uppercase` the names of variables are written in
    capitals, as conda does. Scripts that `gate` does not let through are left out, with a warning.
    """
    warnings: list[str] = []
    variables = _read_variables(prefix, uppercase, warnings)
    activating = _scripts(prefix, "activate.d", script_extensions)
    deactivating = _scripts(prefix, "deactivate.d", script_extensions)
    allowed = [path for path in (*activating, *deactivating) if gate.may_run(path)]
    if left_out := len(activating) + len(deactivating) - len(allowed):
        warnings.append(
            f"{left_out} scripts of the environment do not run (package_scripts: {gate.policy}); see them with "
            f"`kaa scripts --prefix {prefix}`, and allow them with --allow"
        )
    return PrefixState(
        prefix=prefix,
        path_entries=path_entries(prefix, windows=windows),
        variables=variables,
        activate_scripts=tuple(path for path in activating if path in allowed),
        deactivate_scripts=tuple(path for path in reversed(deactivating) if path in allowed),
        warnings=tuple(warnings),
    )


def files_read(prefix: str) -> tuple[str, ...]:
    """The files and directories that say what an environment asks of a shell, those that are not there included."""
    found = [f"{prefix}/conda-meta", f"{prefix}/conda-meta/state", f"{prefix}/etc/conda"]
    for directory in ("env_vars.d", "activate.d", "deactivate.d"):
        folder = f"{prefix}/etc/conda/{directory}"
        found.append(folder)
        try:
            found += [f"{folder}/{name}" for name in sorted(os.listdir(folder))]  # noqa: PTH208
        except OSError:
            continue
    return tuple(found)


def path_entries(prefix: str, *, windows: bool = False) -> tuple[str, ...]:
    """The directories of an environment that belong on the search path, in order."""
    if not windows:
        return (prefix.rstrip("/") + "/bin",)
    base = prefix.rstrip("\\/")
    compilers = ("ucrt64", "clang64", "mingw64", "clangarm64")
    found = [name for name in compilers if os.path.isdir(os.path.join(prefix, "Library", name))]  # noqa: PTH112, PTH118
    inner = [f"Library\\{name}\\bin" for name in [*found[:1], "mingw-w64", "usr"]]
    return (base, *(f"{base}\\{name}" for name in [*inner, "Library\\bin", "Scripts", "bin"]))


def _scripts(prefix: str, directory: str, extensions: Sequence[str]) -> list[str]:
    folder = f"{prefix}/etc/conda/{directory}"
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return []
    chosen: dict[str, str] = {}
    for extension in extensions:
        for name in names:
            if name.endswith(extension) and os.path.isfile(f"{folder}/{name}"):  # noqa: PTH113
                chosen.setdefault(name.removesuffix(extension), name)
    return [f"{folder}/{name}" for name in sorted(chosen.values())]


def _read_variables(prefix: str, uppercase: bool, warnings: list[str]) -> dict[str, str | None]:
    folder = f"{prefix}/etc/conda/env_vars.d"
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".json"))  # noqa: PTH208
    except OSError:
        names = []
    found: dict[str, str | None] = {}
    for name in names:
        path = f"{folder}/{name}"
        found |= _accept(_read_map(path, warnings), path, uppercase, warnings)
    path = f"{prefix}/conda-meta/state"
    state = _read_map(path, warnings).get("env_vars")
    if state is not None and not isinstance(state, dict):
        warnings.append(f"{path}: env_vars is not a map of names to values; it has no effect")
    own = _accept(state if isinstance(state, dict) else {}, path, uppercase, warnings)
    twice = sorted(name for name in own if name in found and own[name] != found[name])
    if twice:
        warnings.append(
            f"{path}: the environment's own values of {', '.join(twice)} are used, not those that packages ask for"
        )
    return found | own


def _read_map(path: str, warnings: list[str]) -> Mapping[str, object]:
    try:
        text = read_regular_file(path)
        # Loaded where there is something to read, which in most environments there is not.
        document = importlib.import_module("json").loads(text)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        warnings.append(f"{path}: cannot be read, its variables have no effect: {error}")
        return {}
    if not isinstance(document, dict):
        warnings.append(f"{path}: not a map of names to values; it has no effect")
        return {}
    return document


def _accept(variables: Mapping[str, object], path: str, uppercase: bool, warnings: list[str]) -> dict[str, str | None]:
    """The variables that a shell can be given; a warning for each of the others."""
    accepted: dict[str, str | None] = {}
    for given, value in variables.items():
        name = given.upper() if uppercase else given
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        if not _NAME.fullmatch(name):
            warnings.append(f"{path}: {given!r} is no name for a variable; it has no effect")
        elif RESERVED.fullmatch(name):
            warnings.append(f"{path}: {given} is reserved and cannot be set by an environment; it has no effect")
        elif not isinstance(text, str):
            warnings.append(f"{path}: the value of {given} is not a text; it has no effect")
        elif not _fits_environment(text):
            warnings.append(f"{path}: the value of {given} holds what no variable can hold; it has no effect")
        else:
            if name != given:
                warnings.append(f"{path}: {given} is written {name}; set envvars_force_uppercase to false to keep it")
            accepted[name] = None if text == UNSET else text
    return accepted


def _fits_environment(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
