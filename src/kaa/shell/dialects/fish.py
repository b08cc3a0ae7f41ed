"""The dialect of fish (3.1 and later)."""

from __future__ import annotations

from collections.abc import Iterable

from kaa.shell.activation import (
    EmptyVariable,
    SetPrompt,
    SetVariable,
    ShellAction,
    SourceScript,
    UnsetVariable,
)
from kaa.shell.dialects.dialect import Hook, kept_below

_PLACE = """\
function __{name}_place
    set -g __{name}_kept "$XDG_CACHE_HOME"
    test -n "$__{name}_kept"; or test -z "$HOME"; or set -g __{name}_kept "$HOME/.cache"
    test -z "$__{name}_kept"; or set -g __{name}_kept "$__{name}_kept/{below}"
end
"""


class Fish:
    """fish. Its prompt is a function that asks CONDA_PROMPT_MODIFIER, so there is no text to change."""

    script_extensions = (".fish",)
    hook_file = "kaa.fish"

    def holds(self, value: str) -> bool:
        return "\0" not in value

    def render(self, actions: Iterable[ShellAction]) -> str:
        return "".join(_render(action) for action in actions)

    def hook(self, hook: Hook) -> str:
        words = " ".join(quote(word) for word in hook.command)
        command = f"function __{hook.name}_exe\n    {words} $argv\nend\n"
        command += _PLACE.format(name=hook.name, below=kept_below(hook.command))
        return self.render(hook.start) + command + hook.source + self.render(hook.entry)


def _render(action: ShellAction) -> str:
    match action:
        case SetVariable(name, value):
            return f"set -gx {name} {quote(value)}\n"
        case EmptyVariable(name) | UnsetVariable(name):
            return f"set -e -g {name}\n"
        case SourceScript(path):
            return f"source {quote(path)}\n"
        case SetPrompt():
            return ""


def quote(text: str) -> str:
    """The text as one word of fish."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


DIALECT = Fish()
