"""The dialect of sh, bash, dash and zsh.

Values stand in single quotes, so that nothing in them means anything. Commands start with a backslash, so that no
alias takes their place. The scripts of environments are not written for shells that stop at the first failure or at an
unset variable; those two settings are put aside while they run.
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
from kaa.shell.dialects.dialect import Hook, kept_below

_SOURCE = """\
__kaa_options="$-"
\\set +eu
if [ -f {script} ]; then \\. {script} || :; fi
case "$__kaa_options" in (*e*) \\set -e;; esac
case "$__kaa_options" in (*u*) \\set -u;; esac
\\unset -v __kaa_options
"""

_PROMPT = """\
if [ -n "${{PS1+x}}" ]; then
    __kaa_old={old}
    case "$__kaa_old" in
        ('') ;;
        (*) case "$PS1" in (*"$__kaa_old"*) PS1="${{PS1%%"$__kaa_old"*}}${{PS1#*"$__kaa_old"}}";; esac;;
    esac
    PS1={new}"$PS1"
    \\unset -v __kaa_old
fi
"""


class Posix:
    """sh and the shells that understand it."""

    script_extensions = (".sh",)
    hook_file = "kaa.sh"

    def holds(self, value: str) -> bool:
        return "\0" not in value

    def render(self, actions: Iterable[ShellAction]) -> str:
        return "".join(_render(action) for action in actions)

    def hook(self, hook: Hook) -> str:
        words = " ".join(quote(word) for word in hook.command)
        command = f'__{hook.name}_exe() {{\n    {words} "$@"\n}}\n'
        caches = "${XDG_CACHE_HOME:-${HOME:-.}/.cache}"
        command += f'__{hook.name}_place() {{\n    __{hook.name}_kept="{caches}/{kept_below(hook.command)}"\n}}\n'
        return self.render(hook.start) + command + hook.source + self.render(hook.entry)


def _render(action: ShellAction) -> str:
    match action:
        case SetVariable(name, value):
            return f"\\export {name}={quote(value)}\n"
        case EmptyVariable(name):
            return f"\\export {name}=''\n"
        case UnsetVariable(name):
            return f"\\unset -v {name}\n"
        case SourceScript(path):
            return _SOURCE.format(script=quote(path))
        case SetPrompt(old, new):
            return _PROMPT.format(old=quote(old), new=quote(new))


def quote(text: str) -> str:
    """The text as one word of sh.

    >>> print(quote("it's"))
    'it'\\''s'
    """
    return "'" + text.replace("'", "'\\''") + "'"


DIALECT = Posix()
