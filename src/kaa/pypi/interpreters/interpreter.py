"""Ask a Python interpreter what it is and where its parts are."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.host.process import CannotRun, run

QUESTIONS = r"""
import json, os, site, sys, sysconfig
def path(name):
    try:
        return sysconfig.get_path(name, "posix_prefix") or ""
    except KeyError:
        return ""
wheels = sysconfig.get_config_var("WHEEL_PKG_DIR") or ""
try:
    import ensurepip
    bundled = os.path.join(os.path.dirname(ensurepip.__file__), "_bundled")
except ImportError:
    bundled = ""
try:
    built = __import__(sysconfig._get_sysconfigdata_name()).build_time_vars["prefix"]
except (ImportError, AttributeError, KeyError):
    built = sys.base_prefix
import importlib.util
pip = importlib.util.find_spec("pip")
json.dump({
    "executable": os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable),
    "prefix": sys.base_prefix,
    "built_prefix": built,
    "version": "%d.%d.%d" % sys.version_info[:3],
    "release_level": sys.version_info[3],
    "serial": sys.version_info[4],
    "implementation": sys.implementation.name,
    "platform": sys.platform,
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "stdlib": os.path.realpath(path("stdlib") or os.path.dirname(os.__file__)),
    "platstdlib": os.path.realpath(path("platstdlib") or path("stdlib")),
    "include": path("include"),
    "pyconfig": sysconfig.get_config_h_filename(),
    "library": sysconfig.get_config_var("INSTSONAME") or "",
    "library_directory": sysconfig.get_config_var("LIBDIR") or "",
    "purelib": sysconfig.get_path("purelib") or "",
    "standard_purelib": path("purelib"),
    "site_directories": getattr(site, "getsitepackages", list)(),
    "wheel_directories": [directory for directory in (bundled, wheels) if directory],
    "pip": os.path.dirname(pip.origin) if pip is not None and pip.origin else "",
    "virtual": sys.prefix != sys.base_prefix,
}, sys.stdout)
"""


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """What an interpreter says of itself; all paths are absolute. A virtual environment's answers for its base."""

    executable: str
    prefix: str
    built_prefix: str
    """The prefix that it was built for; another one if it has been moved."""
    version: str
    release_level: str
    serial: int
    implementation: str
    platform: str
    free_threaded: bool
    stdlib: str
    platstdlib: str
    include: str
    pyconfig: str
    library: str
    library_directory: str
    purelib: str
    standard_purelib: str
    site_directories: tuple[str, ...]
    wheel_directories: tuple[str, ...]
    pip: str
    virtual: bool

    @property
    def minor(self) -> str:
        """`3.12`."""
        return ".".join(self.version.split(".")[:2])

    @property
    def full_version(self) -> str:
        """`3.12.1`, `3.14.0rc2`: the version of a package of it."""
        level = {"alpha": "a", "beta": "b", "candidate": "rc"}.get(self.release_level)
        return f"{self.version}{level}{self.serial}" if level else self.version

    @property
    def directory_name(self) -> str:
        """The name of the directory of its standard library: `python3.12`, `python3.13t`."""
        return f"python{self.minor}{'t' if self.free_threaded else ''}"

    @property
    def has_usual_layout(self) -> bool:
        """Whether it installs packages where a Python as its makers release it does."""
        return self.purelib == self.standard_purelib

    @property
    def finds_site_packages(self) -> bool:
        """Whether it looks for packages where a Python as its makers release it does."""
        return any(os.path.basename(path) == "site-packages" for path in self.site_directories)  # noqa: PTH119


class NoInterpreter(KaaError):
    """A path or name leads to nothing that is a Python interpreter."""

    def __init__(self, text: str, reason: str) -> None:
        self.interpreter = text
        self.reason = reason
        super().__init__(
            f"{text} cannot be asked what Python it is: {reason}",
            hints=("name the program itself, as in /usr/bin/python3",),
        )


def find_interpreter(text: str, search_path: str) -> Path:
    """The interpreter that a path, or a name on PATH, means."""
    if os.sep in text or Path(text).exists():
        path = Path(text).absolute()
        return next((path / name for name in ("bin/python3", "python3") if (path / name).exists()), path)
    for directory in filter(None, search_path.split(os.pathsep)):
        candidate = Path(directory, text)
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    raise NoInterpreter(text, "there is no program of that name on PATH")


def ask_interpreter(path: Path) -> Interpreter:
    """Run an interpreter, without the user's settings, and let it tell."""
    try:
        # Modules that its site imports must not speak up, so no -S either: Debian's layout is only seen with site.
        done = run([path, "-I", "-c", QUESTIONS], timeout=60)
    except CannotRun as error:
        raise NoInterpreter(str(path), error.reason) from error
    if done.code != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise NoInterpreter(str(path), lines[-1] if lines else f"it ended with code {done.code}")
    try:
        answer = msgspec.json.decode(done.stdout, type=Interpreter)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoInterpreter(str(path), f"its answer makes no sense ({error})") from error
    return ask_interpreter(Path(answer.executable)) if answer.virtual else answer
