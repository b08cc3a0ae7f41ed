"""The dialect of PowerShell, Windows' own and the one for all systems."""

from __future__ import annotations

import re
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

_QUOTES = re.compile("['\u2018\u2019\u201a\u201b]")
"""PowerShell ends a text in single quotes at any of these."""


class PowerShell:
    """PowerShell. Its prompt is a function that asks CONDA_PROMPT_MODIFIER, so there is no text to change."""

    script_extensions = (".ps1",)
    hook_file = "kaa.ps1"

    def holds(self, value: str) -> bool:
        return "\0" not in value

    def render(self, actions: Iterable[ShellAction]) -> str:
        return "".join(_render(action) for action in actions)

    def hook(self, hook: Hook) -> str:
        command = f"$global:__{hook.name.capitalize()}Command = @({', '.join(quote(word) for word in hook.command)})\n"
        return self.render(hook.start) + command + hook.source + self.render(hook.entry)


def _render(action: ShellAction) -> str:
    match action:
        case SetVariable(name, value):
            return f"$Env:{name} = {quote(value)}\n"
        case EmptyVariable(name) | UnsetVariable(name):
            return f"$Env:{name} = $null\n"
        case SourceScript(path):
            return f". {quote(path)}\n"
        case SetPrompt():
            return ""


def quote(text: str) -> str:
    """The text as one word of PowerShell."""
    return "'" + _QUOTES.sub(lambda match: match[0] * 2, text) + "'"


DIALECT = PowerShell()
