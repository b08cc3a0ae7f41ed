"""Where the files of a `noarch: python` package go, and the programs made from its entry points (CEP 17, 20).

On Windows an entry point `tool` becomes `Scripts/tool-script.py` and `Scripts/tool.bat`, which starts the former with
the environment's own python. conda puts a compiled launcher there instead; kaa ships no compiled programs.
"""

from __future__ import annotations

import msgspec

from kaa.errors import KaaError
from kaa.models.entry_point import EntryPoint
from kaa.models.subdir import is_windows
from kaa.transaction.placeholder import is_usable, rewritten_shebang
from kaa.transaction.plan import PythonInfo

SITE_PACKAGES = "site-packages/"
PYTHON_SCRIPTS = "python-scripts/"


class PythonMissing(KaaError):
    """A package needs a python that the environment will not have."""

    conda_name = "LinkError"

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(
            f"{package} is made for python, and the environment has no python package",
            hints=("add python to the packages asked for", "leave out --no-deps"),
        )


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


def entry_point_scripts(entry_point: EntryPoint, prefix: str, python: PythonInfo, subdir: str) -> tuple[Script, ...]:
    """The programs for one entry point on the target platform."""
    body = entry_point.program.encode()
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


_LAUNCHER = '@"%~dp0..\\python.exe" "%~dp0{command}-script.py" %*\r\n@exit /b %ERRORLEVEL%\r\n'
