"""A kept activation in the words of fish: builtins alone, so that no process is started."""

from __future__ import annotations

from kaa.shell.activation import PathChange
from kaa.shell.dialects.fish import DIALECT, quote
from kaa.shell.kept import Kept

_TEXT = """\
begin
    {conditions}
end 2>/dev/null
or return 0
set -g __entered yes
{path}{steps}"""

_PATH = """\
set -l __kaa_at (contains -i -- {old} $PATH)
if set -q __kaa_at[1]
    {change}
else
    set -gx PATH {new} $PATH
end
"""


def render_kept(kept: Kept) -> str:
    """The script."""
    conditions = []
    for name, value in kept.variables.items():
        if value is None:
            conditions.append(f"not set -q {name}")
        else:
            conditions += [f"set -q {name}", f'test "${name}" = {quote(value)}']
    for path, stamp in kept.present:
        one, other = quote(path), quote(stamp)
        conditions += [f"test -e {one}", f"test -e {other}"]
        conditions += [f"not test {one} -nt {other}", f"not test {one} -ot {other}"]
    conditions += [f"not test -e {quote(path)}" for path in kept.absent]
    warnings = "".join(f"printf '%s\\n' {quote(f'warning: {warning}')} >&2\n" for warning in kept.warnings)
    steps = warnings + DIALECT.render(kept.actions)
    return _TEXT.format(conditions="\n    and ".join(conditions), path=_path(kept.path), steps=steps)


def _path(change: PathChange) -> str:
    """The step of the search path, whatever else is on it; here an environment has one directory, or none."""
    new = " ".join(quote(directory) for directory in change.new)
    if not change.old:
        return f"set -gx PATH {new} $PATH\n" if new else ""
    replace = f"set -gx PATH[$__kaa_at] {new}" if new else "set -e PATH[$__kaa_at]"
    return _PATH.format(old=quote(change.old[0]), change=replace, new=new)
