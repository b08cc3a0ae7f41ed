"""A kept activation in the words of sh, bash, dash and zsh: builtins alone, so that no process is started."""

from __future__ import annotations

from kaa.shell.activation import PathChange
from kaa.shell.dialects.posix import DIALECT, quote
from kaa.shell.kept import Kept

_TEXT = """\
if {{ {conditions}
}} 2>/dev/null; then :; else \\return 0; fi
__entered=yes
{path}{steps}"""

_PATH = """\
__kaa_path=":${{PATH:+$PATH:}}"
__kaa_old={old}
case "$__kaa_path" in
    (*":$__kaa_old:"*) __kaa_path="${{__kaa_path%%":$__kaa_old:"*}}"{new}":${{__kaa_path#*":$__kaa_old:"}}" ;;
    (*) __kaa_path={new}"$__kaa_path" ;;
esac
__kaa_path="${{__kaa_path#:}}"
\\export PATH="${{__kaa_path%:}}"
\\unset -v __kaa_path __kaa_old
"""


def render_kept(kept: Kept) -> str:
    """The script."""
    unset = "".join(f"${{{name}+x}}" for name, value in kept.variables.items() if value is None)
    conditions = [f'[ -z "{unset}" ]'] if unset else []
    conditions += [
        f'[ "${{{name}+x}}${{{name}-}}" = {quote(f"x{value}")} ]'
        for name, value in kept.variables.items()
        if value is not None
    ]
    for path, stamp in kept.present:
        one, other = quote(path), quote(stamp)
        conditions += [f"[ -e {one} ]", f"[ -e {other} ]", f"! [ {one} -nt {other} ]", f"! [ {one} -ot {other} ]"]
    conditions += [f"! [ -e {quote(path)} ]" for path in kept.absent]
    warnings = "".join(f"\\printf '%s\\n' {quote(f'warning: {warning}')} >&2\n" for warning in kept.warnings)
    steps = warnings + DIALECT.render(kept.actions)
    return _TEXT.format(conditions=" &&\n    ".join(conditions) + ";", path=_path(kept.path), steps=steps)


def _path(change: PathChange) -> str:
    """The step of the search path, whatever else is on it; here an environment has one directory, or none."""
    new = quote("".join(f":{directory}" for directory in change.new))
    if not change.old:
        joined = quote(":".join(change.new))
        return f'\\export PATH={joined}"${{PATH:+:$PATH}}"\n' if change.new else ""
    return _PATH.format(old=quote(change.old[0]), new=new)
