"""The lines that `kaa init` keeps in the start-up files of shells.

The lines stand between two marks and are the only thing that is ever changed: everything before and behind them stays
byte for byte, and taking them out gives back the file as it was. Planning an edit is pure (`plan_install`,
`plan_removal`); `execute` writes it, atomically, through links, and only if the file still is what was planned for.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kaa.errors import KaaError
from kaa.host.files import write_atomic
from kaa.shell.dialects.csh import quote as _quote_csh
from kaa.shell.dialects.fish import quote as _quote_fish
from kaa.shell.dialects.posix import quote as _quote_sh
from kaa.shell.dialects.powershell import quote as _quote_powershell
from kaa.shell.dialects.table import MODULES, UnknownShell

START = b"# >>> kaa initialize >>>"
END = b"# <<< kaa initialize <<<"

NOTE_START = b"# Written by `kaa init`"
NOTE = b"# Written by `kaa init`; `kaa init --reverse` takes it out."
NOTE_NEW_FILE = b"# Written by `kaa init`, as is this file; `kaa init --reverse` takes it out."
NOTE_OPEN_LINE = b"# Written by `kaa init` behind a line without an end; `kaa init --reverse` takes it out."
"""The second line of the block: what taking it out has to put right besides."""


def _named(text: bytes, program: str) -> bytes:
    """A mark or a note, of `kaa init` or of `conda init` where kaa is called so."""
    return text.replace(b"kaa init", f"{program} init".encode())


SHELLS = ("bash", "zsh", "fish", "tcsh", "xonsh", "powershell", "nushell", "posix")
"""The shells that have a start-up file which kaa can write, as `--all` goes through them."""

_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
"""Words that mean themselves in every shell."""

_PROGRAMS = {"powershell": ("pwsh", "powershell"), "nushell": ("nu",), "posix": ("dash", "ash", "ksh")}


class DamagedBlock(KaaError):
    """The marks in a start-up file do not match."""

    def __init__(self, path: str, line: int, reason: str, program: str = "kaa") -> None:
        start, end = (_named(mark, program).decode() for mark in (START, END))
        super().__init__(
            f"{path}, line {line}: {reason}, so kaa cannot tell which lines are its own. The file was not changed.",
            hints=(f"take out by hand what lies between {start} and {end}, marks included",),
        )
        self.path = path
        self.line = line


class UnfitStartupFile(KaaError):
    """A start-up file that kaa does not change, or could not."""

    def __init__(self, path: str, reason: str, hint: str) -> None:
        super().__init__(f"{path}: {reason}. The file was not changed.", hints=(hint,))
        self.path = path
        self.reason = reason


class Edit(NamedTuple):
    """A change of one file; None stands for a file that is not there."""

    path: str
    before: bytes | None
    after: bytes | None

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.before != self.after


# -- which files ------------------------------------------------------------------------------------------------------


def startup_file(shell: str, environ: Mapping[str, str], *, home: str, system: str) -> str:
    """The start-up file that the shell reads; `system` is a value of `sys.platform`.

    A file that would keep the shell from reading the one which the user has is never chosen.
    """
    config = environ.get("XDG_CONFIG_HOME") or f"{home}/.config"
    name = {"pwsh": "powershell", "nu": "nushell"}.get(shell, shell)
    if name == "bash":
        login = (".bash_profile", ".bash_login", ".profile")
        return _first_existing(home, *login) if system == "darwin" else f"{home}/.bashrc"
    if name == "zsh":
        return f"{environ.get('ZDOTDIR') or home}/.zshrc"
    if name == "fish":
        return f"{config}/fish/config.fish"
    if name in ("tcsh", "csh"):
        return f"{home}/.cshrc" if name == "csh" else _first_existing(home, ".tcshrc", ".cshrc")
    if name == "xonsh":
        return f"{home}/.xonshrc"
    if name == "powershell":
        return f"{home}/Documents/PowerShell/profile.ps1" if system == "win32" else f"{config}/powershell/profile.ps1"
    if name == "nushell":
        if system == "darwin" and not environ.get("XDG_CONFIG_HOME"):
            config = f"{home}/Library/Application Support"
        return f"{config}/nushell/config.nu"
    if MODULES.get(name) == "posix":
        return f"{home}/.profile"
    if name == "cmd":
        raise UnfitStartupFile(
            "cmd.exe", "has no start-up file", "write the text of `kaa shell hook cmd` to a file kaa.bat on PATH"
        )
    raise UnknownShell(shell)


def _first_existing(directory: str, *names: str) -> str:
    paths = [f"{directory}/{name}" for name in names]
    return next((path for path in paths if os.path.lexists(path)), paths[0])


def installed_shells(environ: Mapping[str, str], *, home: str, system: str) -> tuple[str, ...]:
    """The shells that this machine has, or that the user has a start-up file for."""
    directories = environ.get("PATH", "").split(os.pathsep)
    return tuple(
        shell
        for shell in SHELLS
        if os.path.exists(startup_file(shell, environ, home=home, system=system))  # noqa: PTH110
        or any(
            os.access(f"{directory}/{program}", os.X_OK)
            for program in _PROGRAMS.get(shell, (shell,))
            for directory in directories
        )
    )


# -- which lines ------------------------------------------------------------------------------------------------------


def startup_lines(shell: str, words: Sequence[str], hook: str) -> bytes:
    """What the start-up file of the shell is to say: it runs `words`, which print the hook, and evaluates that.

    If kaa is gone, the lines do nothing. nushell evaluates nothing at run time: its lines are the `hook` itself.
    """
    dialect = MODULES.get(shell)
    if dialect == "nushell":
        return os.fsencode(hook)
    if dialect == "xonsh":
        text = f"if __import__('os').access({words[0]!r}, 1):\n    execx($(@({list(words)!r})))\n"
    elif dialect == "powershell":
        quoted = [_quote_powershell(word) for word in words]
        text = (
            f"if (Test-Path -LiteralPath {quoted[0]}) {{\n"
            f'    (& {" ".join(quoted)}) -join "`n" | Invoke-Expression\n'
            "}\n"
        )
    else:
        text = _sh_like(dialect, words)
    return os.fsencode(text)


def _sh_like(dialect: str | None, words: Sequence[str]) -> str:
    quote = _quote_fish if dialect == "fish" else _quote_csh if dialect == "csh" else _quote_sh
    program, command = quote(words[0]), " ".join(word if _PLAIN.fullmatch(word) else quote(word) for word in words)
    if dialect == "fish":
        return f"if test -x {program}\n    eval ({command} | string collect)\nend\n"
    if dialect == "csh":
        return f'if ( -x {program} ) then\n    eval "`{command}`"\nendif\n'
    return f'if [ -x {program} ]; then\n    eval "$({command})"\nfi\n'


# -- edits ------------------------------------------------------------------------------------------------------------


def plan_install(path: str, before: bytes | None, lines: bytes, program: str = "kaa") -> Edit:
    """The edit that brings the lines into the file: in the place of older ones, else at the end.

    `program` is the name by which kaa is called, kaa or conda: each has lines of its own.
    """
    _check_encoding(path, before)
    text = before or b""
    blocks = _own_blocks(path, text, program)
    new_file, open_line = _named(NOTE_NEW_FILE, program), _named(NOTE_OPEN_LINE, program)
    if blocks:
        start, end = blocks[0]
        note = next((note for note in (new_file, open_line) if note in text[start:end]), NOTE)
        for other_start, other_end in reversed(blocks[1:]):
            text = text[:other_start] + text[other_end:]
        return Edit(path, before, text[:start] + _block(note, lines, program) + text[end:])
    if before is None:
        return Edit(path, before, _block(NOTE_NEW_FILE, lines, program))
    if text and not text.endswith(b"\n"):
        return Edit(path, before, text + b"\n" + _block(NOTE_OPEN_LINE, lines, program))
    return Edit(path, before, text + _block(NOTE, lines, program))


def plan_removal(path: str, before: bytes | None, program: str = "kaa") -> Edit:
    """The edit that takes the lines out; a file that holds nothing but what `kaa init` wrote goes with them."""
    text = before or b""
    made_here = False
    for start, end in reversed(_own_blocks(path, text, program)):
        block, rest = text[start:end], text[end:]
        made_here = made_here or _named(NOTE_NEW_FILE, program) in block
        # The line end before the block was written with it. It stays if more lines followed since.
        if _named(NOTE_OPEN_LINE, program) in block and not rest and text[:start].endswith(b"\n"):
            start -= 1
        text = text[:start] + rest
    return Edit(path, before, None if before is None or (made_here and not text) else text)


def _block(note: bytes, lines: bytes, program: str) -> bytes:
    return _named(START, program) + b"\n" + _named(note, program) + b"\n" + lines + _named(END, program) + b"\n"


def _own_blocks(path: str, text: bytes, program: str) -> list[tuple[int, int]]:
    """Where kaa's blocks are; raises UnfitStartupFile where one by the name conda is that of another conda."""
    blocks = _blocks(path, text, program)
    if program != "kaa" and any(_named(NOTE_START, program) not in text[start:end] for start, end in blocks):
        reason = "has the lines of another installation of conda"
        raise UnfitStartupFile(path, reason, f"have that installation take them out: conda init --reverse ({path})")
    return blocks


def _blocks(path: str, text: bytes, program: str) -> list[tuple[int, int]]:
    """Where the blocks between the marks of that name start and end in a file; raises DamagedBlock."""
    first, last = _named(START, program), _named(END, program)
    found: list[tuple[int, int]] = []
    opened: tuple[int, int] | None = None
    at = 0
    for number, line in enumerate(text.splitlines(keepends=True), 1):
        mark = line.strip()
        if mark == first:
            if opened is not None:
                raise DamagedBlock(path, number, "the mark of the beginning stands here a second time", program)
            opened = (at, number)
        elif mark == last:
            if opened is None:
                raise DamagedBlock(path, number, "the mark of the end has no beginning", program)
            found.append((opened[0], at + len(line)))
            opened = None
        at += len(line)
    if opened is not None:
        raise DamagedBlock(path, opened[1], "the mark of the beginning has no end", program)
    return found


def _check_encoding(path: str, text: bytes | None) -> None:
    if text is not None and text.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnfitStartupFile(path, "is written in UTF-16", "save it as UTF-8 and run `kaa init` again")


# -- effects ----------------------------------------------------------------------------------------------------------


def read_startup_file(path: str) -> bytes | None:
    """What the file says, None if it is not there."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UnfitStartupFile(path, f"cannot be read: {error.strerror}", "look at the file's permissions") from error


def execute(edit: Edit) -> None:
    """Write an edit. A link is followed, the file's permissions and owner stay."""
    if not edit.changes:
        return
    target = Path(os.path.realpath(edit.path))
    if read_startup_file(edit.path) != edit.before:
        raise UnfitStartupFile(edit.path, "has just been changed by someone else", "run `kaa init` again")
    try:
        if edit.after is None:
            target.unlink()
            return
        owner = target.stat() if edit.before is not None else None
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, edit.after, sync=True)
        if owner is not None and hasattr(os, "chown") and os.geteuid() == 0:
            os.chown(target, owner.st_uid, owner.st_gid)
    except OSError as error:
        reason = f"cannot be written: {error.strerror}"
        raise UnfitStartupFile(edit.path, reason, "look at the permissions of the file and its directory") from error


def describe(edits: Sequence[Edit]) -> dict[str, object]:
    """The edits as a document for machines."""
    return {
        "success": True,
        "changed": [edit.path for edit in edits if edit.changes],
        "unchanged": [edit.path for edit in edits if not edit.changes],
    }
