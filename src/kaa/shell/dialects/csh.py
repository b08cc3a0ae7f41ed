"""The dialect of tcsh and csh.

csh has no functions: the hook makes `kaa` (or `conda`) an alias that sources the hook file, and the text of an
activation goes through a temporary file, because a command substitution would lose its line ends. The prompt that the
user had is kept in a variable of the shell while an environment is active, since csh cannot take a text out of another.
Words without a character get lost on the way through the alias: csh has no way to hand them on.
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


class Csh:
    """tcsh, and csh as far as it is tcsh."""

    script_extensions = (".csh",)
    hook_file = "kaa.csh"

    def holds(self, value: str) -> bool:
        return "\0" not in value

    def render(self, actions: Iterable[ShellAction]) -> str:
        return "".join(_render(action) for action in actions)

    def hook(self, hook: Hook) -> str:
        words = " ".join(quote(word) for word in hook.command)
        # The file is the same for every name: the alias tells it each time which command it stands for.
        source = f"set __kaa_exe = ( $__{hook.name}_words:q ); source {quote(hook.path)}"
        command = f"set __{hook.name}_words = ( {words} );\nalias {hook.name} {quote(source)};\n"
        entry = self.render(hook.entry)
        if hook.default is not None and entry.count("\n") > len(hook.entry) + 1:
            # A value with a line end: it would not survive the command substitution that loads this text.
            entry = f"{source} activate {quote(hook.default)};\n"
        return self.render(hook.start) + command + entry


def _render(action: ShellAction) -> str:
    match action:
        case SetVariable(name, value):
            return f"setenv {name} {quote(value)};\n"
        case EmptyVariable(name) | UnsetVariable(name):
            return f"unsetenv {name};\n"
        case SourceScript(path):
            return f"source {quote(path)};\n"
        case SetPrompt(_, new):
            return _prompt(new)


def _prompt(new: str) -> str:
    if not new:
        restore = 'set prompt = "$__kaa_prompt:q"; unset __kaa_prompt'
        return f"if ( $?__kaa_prompt ) eval {quote(restore)};\n"
    keep = 'set __kaa_prompt = "$prompt:q"'
    show = f'set prompt = {quote(new)}"$__kaa_prompt:q"'
    return f"if ( $?prompt && ! $?__kaa_prompt ) eval {quote(keep)};\nif ( $?__kaa_prompt ) eval {quote(show)};\n"


def quote(text: str) -> str:
    """The text as one word of csh: even in single quotes, `!` and a line end need a backslash."""
    return "'" + text.replace("'", "'\\''").replace("!", "\\!").replace("\n", "\\\n") + "'"


DIALECT = Csh()
