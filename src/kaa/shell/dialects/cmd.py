"""The dialect of cmd.exe, as lines of a batch file.

Every special character is written with a caret, not in quotes: a value with a quotation mark of its own would end
them, and what follows would be run. A variable of cmd cannot hold a line end.
"""

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

_PROMPT = """\
@SET __KAA_OLD={old}\r
@IF DEFINED __KAA_OLD @CALL SET "PROMPT=%%PROMPT:%__KAA_OLD%=%%"\r
@SET __KAA_OLD=\r
@SET PROMPT={new}%PROMPT%\r
"""

_SPECIAL = re.compile(r'[&|<>^"()!]')


class Cmd:
    """cmd.exe."""

    script_extensions = (".bat",)
    hook_file = "kaa.bat"

    def holds(self, value: str) -> bool:
        return not any(character in value for character in "\0\r\n")

    def render(self, actions: Iterable[ShellAction]) -> str:
        return "".join(_render(action) for action in actions)

    def hook(self, hook: Hook) -> str:
        """A batch file that is the command, run each time: what only a new shell needs has no place in it."""
        words = " ".join(f'"{word}"' for word in hook.command)
        return f"@SET __{hook.name.upper()}_COMMAND={escape(words)}\r\n" + hook.source


def _render(action: ShellAction) -> str:
    match action:
        case SetVariable(name, value):
            return f"@SET {name}={escape(value)}\r\n"
        case EmptyVariable(name) | UnsetVariable(name):
            return f"@SET {name}=\r\n"
        case SourceScript(path):
            return f'@CALL "{path.replace("%", "%%")}"\r\n'
        case SetPrompt(old, new):
            return _PROMPT.format(old=escape(old), new=escape(new))


def escape(text: str) -> str:
    """The text as it stands behind `SET NAME=` in a batch file."""
    return _SPECIAL.sub(lambda match: "^" + match[0], text).replace("%", "%%")


DIALECT = Cmd()
