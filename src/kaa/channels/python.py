"""Make a package of a Python interpreter of this machine, so that environments need no other source of Python.

The package is relocatable and stands alone: with the interpreter taken away, or on another machine with a C library as
new, an environment made of it works. How, and why so, is in docs/design/0005-python-packages.md. Before it is written,
the copy is run and must be independent of the original.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kaa.archive.write import Source, iter_folder
from kaa.channels.built_package import BuiltPackage, build_time, digest_of
from kaa.channels.elf import ElfImage
from kaa.channels.interpreter import Interpreter, ask_interpreter
from kaa.channels.python_files import Staged, import_names, stage_interpreter
from kaa.errors import KaaError
from kaa.events import Reporter, StageFinished, StageStarted, silent
from kaa.host.process import Completed, run
from kaa.models.package_info import IndexJson

SUBDIRS = {
    (3, 32): "linux-32",
    (62, 64): "linux-64",
    (183, 64): "linux-aarch64",
    (40, 32): "linux-armv7l",
    (21, 64): "linux-ppc64le",
    (22, 64): "linux-s390x",
    (243, 64): "linux-riscv64",
}
"""Number and word size of a machine in ELF files → the subdir of conda."""
LICENSE_NAMES = ("LICENSE.txt", "LICENSE")

CHECK = r"""
import importlib, json, os, site, sys, sysconfig
modules = sys.argv[1:]
failed = {}
for name in modules:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failed[name] = str(error)
json.dump({
    "prefixes": sorted({sys.prefix, sys.exec_prefix, sys.base_prefix}),
    "paths": sorted({sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib", "scripts", "data")}),
    "purelib": sysconfig.get_path("purelib"),
    "sites": site.getsitepackages(),
    "failed": failed,
}, sys.stdout)
"""

COMPILE = r"""
import py_compile, sys
root = sys.argv[1]
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for name in sys.stdin.read().split("\0"):
    try:
        py_compile.compile(root + "/" + name, dfile=name, doraise=True, invalidation_mode=mode)
    except (py_compile.PyCompileError, SyntaxError, ValueError):
        pass
"""


@dataclass(frozen=True, slots=True)
class PackagedPython:
    """A package made of an interpreter."""

    path: Path
    interpreter: Interpreter
    carried: tuple[str, ...]
    """The libraries of the machine that are in the package."""
    notes: tuple[str, ...]


class CannotPackage(KaaError):
    """An interpreter of which no package can be made."""

    def __init__(self, interpreter: str, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.interpreter = interpreter
        self.reason = reason
        super().__init__(f"no package can be made of {interpreter}: {reason}", hints=hints)


def package_python(
    interpreter: Path,
    channel: Path,
    *,
    environ: Mapping[str, str] | None = None,
    reporter: Reporter = silent,
    level: int | None = None,
) -> PackagedPython:
    """Write a package `python` of an interpreter into the folder of a channel (which is not indexed).

    A virtual environment stands for the Python it was made from. `environ` gives LD_LIBRARY_PATH, which an interpreter
    may depend on, and SOURCE_DATE_EPOCH. Raises NoInterpreter, CannotPackage.
    """
    environ = os.environ if environ is None else environ
    answer = ask_interpreter(interpreter)
    subdir = _supported_subdir(answer)
    with TemporaryDirectory(prefix="kaa-python-") as temporary:
        folder = Path(temporary).resolve() / "prefix"
        with _stage(reporter, "Copying"):
            staged = stage_interpreter(answer, folder, environ.get("LD_LIBRARY_PATH", ""))
            linked = _link_site_packages(staged, answer)
        with _stage(reporter, "Trying the copy"):
            _check_independence(staged, answer, environ)
        depends = (f"__glibc >={'.'.join(map(str, staged.least_glibc))}",) if staged.least_glibc else ()
        digest = digest_of(dict(iter_folder(folder)), subdir, *depends)
        with _stage(reporter, "Compiling"):
            _compile(staged, answer)
        index = IndexJson(
            name="python",
            version=answer.full_version,
            build=f"h{digest}_0_{_implementation(answer)}",
            build_number=0,
            depends=depends,
            subdir=subdir,
            license="PSF-2.0",
            timestamp=build_time(environ),
            python_site_packages_path=staged.layout.site_packages if linked or answer.free_threaded else None,
        )
        about = {
            "summary": "The Python programming language",
            "home": "https://www.python.org/",
            "license": "PSF-2.0",
            "extra": {"carried_libraries": sorted(staged.carried)},
        }
        files: dict[str, Source] = dict(iter_folder(folder))
        placeholders = frozenset(staged.placeholders)
        package = BuiltPackage(index, files, placeholders, about=about, info_files=_license(answer))
        with _stage(reporter, "Writing"):
            path = package.write(channel, level=level)
    return PackagedPython(path, answer, tuple(sorted(staged.carried)), tuple(staged.notes))


@contextlib.contextmanager
def _stage(reporter: Reporter, name: str) -> Iterator[None]:
    started = time.monotonic()
    reporter(StageStarted(name))
    yield
    reporter(StageFinished(name, time.monotonic() - started))


def _supported_subdir(answer: Interpreter) -> str:
    """The subdir for packages of an interpreter; raises CannotPackage."""
    if answer.implementation != "cpython":
        raise CannotPackage(answer.executable, f"it is {answer.implementation}, and packages need CPython")
    if answer.platform != "linux":
        raise CannotPackage(answer.executable, f"it is for {answer.platform}, and this is done on Linux only")
    image = ElfImage(Path(answer.executable).read_bytes(), answer.executable)
    if "musl" in (image.interpreter or ""):
        reason = "it uses musl, and conda's platforms for Linux mean the GNU C library"
        raise CannotPackage(answer.executable, reason)
    subdir = SUBDIRS.get((image.machine, image.bits))
    if subdir is None:
        raise CannotPackage(answer.executable, f"its machine (number {image.machine}) has no platform name in conda")
    return subdir


def _implementation(answer: Interpreter) -> str:
    """The end of the build string, by which packages for one kind of Python choose it."""
    return f"cp{answer.minor.replace('.', '')}t" if answer.free_threaded else "cpython"


def _license(answer: Interpreter) -> dict[str, bytes]:
    for name in LICENSE_NAMES:
        path = Path(answer.stdlib) / name
        if path.is_file():
            return {"licenses/LICENSE.txt": path.read_bytes()}
    return {}


# -- the copy must work, alone ----------------------------------------------------------------------------------------


def _run_copy(staged: Staged, *words: str) -> Completed:
    """Run the copy with nothing of this process's environment."""
    return run([staged.folder / "bin/python3", "-I", "-B", *words], environ={}, cwd=staged.folder, timeout=300)


def _link_site_packages(staged: Staged, answer: Interpreter) -> bool:
    """Let a Python that looks for packages elsewhere find them where conda puts them; whether that was necessary.

    The list of those directories is compiled into it (`site` is a frozen module), so one of them becomes a link. CEP 17
    wants to be told where packages belong then.
    """
    done = _run_copy(staged, "-c", "import json, site, sys; json.dump(site.getsitepackages(), sys.stdout)")
    if done.code != 0:
        raise CannotPackage(answer.executable, f"a copy of it does not run ({_last_line(done)})")
    wanted = staged.folder / staged.layout.site_packages
    places = [Path(text) for text in json.loads(done.stdout)]
    if any(place.resolve() == wanted for place in places):
        return False
    library = staged.folder / staged.layout.standard_library
    for place in places:
        if place.parent == library and not place.exists():
            staged.link(place.relative_to(staged.folder).as_posix(), os.path.relpath(wanted, library))
            return True
    reason = "it would not look for packages in " + staged.layout.site_packages
    raise CannotPackage(answer.executable, reason)


def _check_independence(staged: Staged, answer: Interpreter, environ: Mapping[str, str]) -> None:
    """Run the copy: its paths must lie in it, and it must import what the original can."""
    names = import_names(list(staged.images))
    done = _run_copy(staged, "-c", CHECK, *names)
    if done.code != 0:
        raise CannotPackage(answer.executable, f"a copy of it does not run ({_last_line(done)})")
    found = json.loads(done.stdout)
    outside = [text for text in [*found["prefixes"], *found["paths"]] if not _inside(text, staged.folder)]
    if outside:
        raise CannotPackage(answer.executable, f"a copy of it goes on using {', '.join(outside)}")
    if Path(found["purelib"]) != staged.folder / staged.layout.site_packages:
        raise CannotPackage(answer.executable, f"a copy of it installs packages into {found['purelib']}")
    failed: dict[str, str] = found["failed"]
    if failed:
        original = run([answer.executable, "-I", "-c", CHECK, *failed], environ=environ, timeout=300)
        too = json.loads(original.stdout)["failed"] if original.code == 0 else {}
        for name in sorted(failed.keys() - too.keys()):
            if not name.startswith("_tkinter"):
                raise CannotPackage(answer.executable, _why_not(name, failed[name], staged))


def _why_not(name: str, message: str, staged: Staged) -> str:
    library = re.match(r"(lib[^:\s]+): cannot open", message)
    needs = f" (it needs {library[1]})" if library and library[1] in staged.missing else ""
    return f"a copy of it cannot import {name}{needs}: {message}"


def _inside(text: str, folder: Path) -> bool:
    return Path(text).is_relative_to(folder)


def _last_line(done: Completed) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {done.code}"


def _compile(staged: Staged, answer: Interpreter) -> None:
    """Compile the standard library; the bytecode says itself that it is valid, whatever happens to files' times."""
    library = staged.folder / staged.layout.standard_library
    names = [path.relative_to(staged.folder).as_posix() for path in sorted(library.rglob("*.py"))]
    names = [name for name in names if name not in staged.placeholders]
    workers = os.cpu_count() or 1

    def compile_some(some: Sequence[str]) -> Completed:
        program = staged.folder / "bin/python3"
        return run(
            [program, "-I", "-B", "-c", COMPILE, staged.folder], environ={}, input="\0".join(some).encode(), timeout=600
        )

    with ThreadPoolExecutor(workers) as pool:
        for done in pool.map(compile_some, [names[start::workers] for start in range(workers)]):
            if done.code != 0:
                raise CannotPackage(answer.executable, f"a copy of it cannot compile ({_last_line(done)})")
