"""What `kaa init` can write besides the hook into a user's start-up file: files for all users, a folder on PATH."""

from __future__ import annotations

import os

from kaa.shell.dialects.csh import quote as _quote_csh
from kaa.shell.dialects.fish import quote as _quote_fish
from kaa.shell.dialects.posix import quote as _quote_sh
from kaa.shell.dialects.powershell import quote as _quote_powershell
from kaa.shell.dialects.table import MODULES, UnknownShell
from kaa.shell.init import Edit, UnfitStartupFile, plan_install


def system_file(shell: str, program: str, *, system: str) -> tuple[str, str]:
    """The start-up file of all users for a shell, and the shell whose lines it holds; `system` is of `sys.platform`.

    Raises UnknownShell, and UnfitStartupFile where there is no such file.
    """
    dialect = MODULES.get(shell)
    if dialect is None:
        raise UnknownShell(shell)
    if system != "win32":
        if shell == "zsh":
            return ("/etc/zsh/zshrc" if os.path.isdir("/etc/zsh") else "/etc/zshrc"), "zsh"  # noqa: PTH112
        if dialect == "posix":
            # Read by every shell of that family, so its lines are none of bash alone.
            return ("/etc/profile" if system == "darwin" else f"/etc/profile.d/{program}.sh"), "posix"
        if dialect == "csh":
            return ("/etc/csh.cshrc" if system == "darwin" else f"/etc/profile.d/{program}.csh"), "tcsh"
        if dialect == "fish":
            return f"/etc/fish/conf.d/{program}.fish", "fish"
        if dialect == "xonsh":
            return f"/etc/xonsh/rc.d/{program}.xsh", "xonsh"
    raise UnfitStartupFile(shell, "has no start-up file for all users that kaa knows", "leave out --system")


def plan_for_all_users(path: str, before: bytes | None, lines: bytes, program: str) -> Edit:
    """The edit of a file for all users; raises UnfitStartupFile for one that another installation put there."""
    edit = plan_install(path, before, lines, program)
    own = os.path.splitext(os.path.basename(path))[0] == program  # noqa: PTH119, PTH122
    if own and before and f"# >>> {program} initialize >>>".encode() not in before:
        reason = f"belongs to another installation of {program}"
        raise UnfitStartupFile(path, reason, "take that installation out first")
    return edit


def search_path_lines(shell: str, directory: str) -> bytes:
    """Lines that put a directory in front of PATH, where it is not on it yet."""
    dialect = MODULES.get(shell)
    if dialect is None:
        raise UnknownShell(shell)
    if dialect == "fish":
        place = _quote_fish(directory)
        text = f"contains -- {place} $PATH; or set -gx PATH {place} $PATH\n"
    elif dialect == "csh":
        looked_for, place = _quote_csh(f":{directory}:"), _quote_csh(directory)
        text = f'echo ":${{PATH}}:" | grep -Fq {looked_for}\nif ( $status ) setenv PATH {place}:"${{PATH}}"\n'
    elif dialect == "xonsh":
        text = f"if {directory!r} not in $PATH:\n    $PATH.insert(0, {directory!r})\n"
    elif dialect == "powershell":
        place = _quote_powershell(directory)
        missing = f"($env:PATH -split [IO.Path]::PathSeparator) -notcontains {place}"
        text = f"if ({missing}) {{\n    $env:PATH = {place} + [IO.Path]::PathSeparator + $env:PATH\n}}\n"
    elif dialect == "nushell":
        quoted = directory.replace("\\", "\\\\").replace('"', '\\"')
        text = f'$env.PATH = ($env.PATH | split row (char esep) | prepend "{quoted}" | uniq)\n'
    elif dialect == "posix":
        place = _quote_sh(directory)
        added = f'export PATH={place}"${{PATH:+:${{PATH}}}}"'
        text = f'case ":${{PATH}}:" in\n    *:{place}:*) ;;\n    *) {added} ;;\nesac\n'
    else:
        raise UnfitStartupFile(shell, "has no start-up file", f"put {directory} on PATH by other means")
    return os.fsencode(text)
