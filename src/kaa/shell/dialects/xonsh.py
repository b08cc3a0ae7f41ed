"""The dialect of xonsh: Python's own quoting.

xonsh shows the active environment in its prompt by itself (the field `env_name`). Environments bring scripts for sh
rather than for xonsh, so where there is no `.xsh` the `.sh` runs, in bash, and what it exports is taken over.
"""

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
from kaa.shell.dialects.dialect import Hook


class Xonsh:
    """xonsh."""

    script_extensions = (".xsh", ".sh")
    hook_file = "kaa.xsh"

    def holds(self, value: str) -> bool:
        return "\0" not in value

    def render(self, actions: Iterable[ShellAction]) -> str:
        return "".join(_render(action) for action in actions)

    def hook(self, hook: Hook) -> str:
        command = f"__{hook.name}_command = {list(hook.command)!r}\n"
        return self.render(hook.start) + command + hook.source + self.render(hook.entry)


def _render(action: ShellAction) -> str:
    match action:
        case SetVariable(name, value):
            return f"${name} = {value!r}\n"
        case EmptyVariable(name) | UnsetVariable(name):
            return f"${{...}}.pop({name!r}, None)\n"
        case SourceScript(path):
            words = ["source-bash", "--suppress-skip-message", "-n", path] if path.endswith(".sh") else ["source", path]
            return f"![@({words!r})]\n"
        case SetPrompt():
            return ""


DIALECT = Xonsh()
