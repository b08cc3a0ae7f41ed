"""The dialect of nushell: one JSON document, which the hook loads into the environment.

nushell evaluates no text at run time, so it runs no scripts of environments; the document names them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from kaa.shell.activation import (
    EmptyVariable,
    SetPrompt,
    SetVariable,
    ShellAction,
    SourceScript,
    UnsetVariable,
)
from kaa.shell.dialects.dialect import Hook


class Nushell:
    """nushell. Its prompt is a closure that asks CONDA_PROMPT_MODIFIER, so there is no text to change."""

    script_extensions = (".nu",)
    hook_file = "kaa.nu"

    def holds(self, value: str) -> bool:
        return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value)

    def render(self, actions: Iterable[ShellAction]) -> str:
        variables: dict[str, str] = {}
        unset: list[str] = []
        scripts: list[str] = []
        for action in actions:
            match action:
                case SetVariable(name, value):
                    variables[name] = value
                case EmptyVariable(name) | UnsetVariable(name):
                    unset.append(name)
                case SourceScript(path):
                    scripts.append(path)
                case SetPrompt():
                    pass
        return json.dumps({"set": variables, "unset": unset, "scripts": scripts}) + "\n"

    def hook(self, hook: Hook) -> str:
        """Text for a file that is read at each start: it holds nothing of the shell that asked for it."""
        variables = {
            action.name: action.value
            for action in hook.start
            if isinstance(action, SetVariable) and action.name not in ("PATH", "CONDA_SHLVL")
        }
        text = f"const {hook.name.upper()}_COMMAND = {_json(list(hook.command))}\n" + hook.source
        text += f"load-env {_json(variables)}\n"
        if hook.default is not None:
            text += f'if ($env.CONDA_SHLVL? | default "0") == "0" {{ {hook.name} activate {_json(hook.default)} }}\n'
        return text


def _json(value: object) -> str:
    """JSON, which nushell reads as its own values."""
    return json.dumps(value, ensure_ascii=False)


DIALECT = Nushell()
