"""Where the files of a `noarch: python` package go, and the programs made from its entry points (CEP 17, 20).

On Windows an entry point `tool` becomes `Scripts/tool-script.py` and `Scripts/tool.bat`, which starts the former with
the environment's own python. conda puts a compiled launcher there instead; kaa ships no compiled programs.
"""

from __future__ import annotations

import keyword
import re

import msgspec

from kaa.errors import KaaError
from kaa.models.subdir import is_windows
from kaa.transaction.placeholder import is_usable, rewritten_shebang
from kaa.transaction.plan import PythonInfo

SITE_PACKAGES = "site-packages/"
PYTHON_SCRIPTS = "python-scripts/"

_COMMAND = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@ -]*")
LONGEST_COMMAND = 200
"""A command in bytes; a file name has at most 255, and Windows gets endings behind it."""
_DOTTED = r"[^\W\d]\w*(?:\.[^\W\d]\w*)*"
_REFERENCE = re.compile(rf"(?P<module>{_DOTTED})\s*:\s*(?P<function>{_DOTTED})(?:\s*\[[^\]]*\])?")


class PythonMissing(KaaError):
    """A package needs a python that the environment will not have."""

    conda_name = "LinkError"

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(
            f"{package} is made for python, and the environment has no python package",
            hints=("add python to the packages asked for", "leave out --no-deps"),
        )


class InvalidEntryPoint(KaaError):
    """An entry point that would write elsewhere, or run something else, than a command of that name."""

    conda_name = "LinkError"

    def __init__(self, package: str, entry_point: str, reason: str) -> None:
        self.package = package
        self.entry_point = entry_point
        self.reason = reason
        super().__init__(
            f"{package} has the entry point {entry_point!r}, which is refused: {reason}",
            hints=("report this to those who built the package", "take another build of the package"),
        )


class EntryPoint(msgspec.Struct, frozen=True):
    """A command and the function behind it."""

    command: str
    module: str
    function: str


class Script(msgspec.Struct, frozen=True):
    """A program to be written: its path below the prefix, its type in `paths_data`, and its text."""

    path: str
    path_type: str
    content: bytes
    mode: int


def target_path(path: str, python: PythonInfo) -> str:
    """Where a path of a noarch python package goes, below the prefix."""
    if path.startswith(SITE_PACKAGES):
        return f"{python.site_packages}/{path[len(SITE_PACKAGES) :]}"
    if path.startswith(PYTHON_SCRIPTS):
        return f"{python.scripts}/{path[len(PYTHON_SCRIPTS) :]}"
    return path


def needs_python(path: str) -> bool:
    """Whether a path of a noarch python package depends on the python of the environment."""
    return path.startswith((SITE_PACKAGES, PYTHON_SCRIPTS))


def parse_entry_point(text: str, package: str) -> EntryPoint:
    """The entry point that `command = module:function` stands for; raises InvalidEntryPoint.

    >>> parse_entry_point("tool = tool.cli:main", "tool-1.0-0")
    EntryPoint(command='tool', module='tool.cli', function='main')
    """
    command, equals, reference = (part.strip() for part in text.partition("="))
    if not equals:
        raise InvalidEntryPoint(package, text, "it has not the form command = module:function")
    if not _COMMAND.fullmatch(command) or command.endswith((" ", ".")) or len(command) > LONGEST_COMMAND:
        raise InvalidEntryPoint(package, text, "the command is not a simple file name")
    match = _REFERENCE.fullmatch(reference)
    if match is None or any(map(keyword.iskeyword, re.split(r"[.:\s]+", reference))):
        raise InvalidEntryPoint(package, text, "what follows '=' is not module:function")
    return EntryPoint(command, match["module"], match["function"])


def entry_point_scripts(entry_point: EntryPoint, prefix: str, python: PythonInfo, subdir: str) -> tuple[Script, ...]:
    """The programs for one entry point on the target platform."""
    body = _BODY.format(
        module=entry_point.module,
        imported=entry_point.function.partition(".")[0],
        function=entry_point.function,
    ).encode()
    if is_windows(subdir):
        name = f"{python.scripts}/{entry_point.command}"
        launcher = _LAUNCHER.format(command=entry_point.command).encode()
        return (
            Script(f"{name}-script.py", "windows_python_entry_point_script", body, 0o644),
            Script(f"{name}.bat", "windows_python_entry_point_script", launcher, 0o644),
        )
    program = f"{prefix}/{python.executable}".encode(errors="surrogateescape")
    shebang = b"#!" + program
    if not is_usable(shebang, program, subdir):
        shebang = rewritten_shebang(program)
    content = shebang + b"\n" + body
    return (Script(f"{python.scripts}/{entry_point.command}", "unix_python_entry_point", content, 0o755),)


_BODY = """\
import sys

from {module} import {imported}

if __name__ == "__main__":
    for ending in ("-script.pyw", "-script.py", ".exe"):
        if sys.argv[0].endswith(ending):
            sys.argv[0] = sys.argv[0][: -len(ending)]
            break
    sys.exit({function}())
"""

_LAUNCHER = '@"%~dp0..\\python.exe" "%~dp0{command}-script.py" %*\r\n@exit /b %ERRORLEVEL%\r\n'
