"""Make a package of a Python interpreter of this machine, so that environments need no other source of Python.

The package is relocatable and stands alone: with the interpreter taken away, or on another machine with a C library as
new, an environment made of it works. How, and why so, is in docs/design/0005-python-packages.md. Before it is written,
the copy is run and must be independent of the original.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from kaa.archive.write import Source, SourceFile, SourceLink, iter_folder
from kaa.events import Reporter, StageFinished, StageStarted, silent
from kaa.host.process import CannotRun, Completed, run
from kaa.models.package_info import IndexJson
from kaa.pypi.built_package import BuiltPackage, build_time, digest_of
from kaa.pypi.interpreters.candidates import LICENSE, build_string, glibc_dependencies, site_packages_path
from kaa.pypi.interpreters.interpreter import Interpreter, ask_interpreter
from kaa.pypi.interpreters.staging import Staged, import_names, stage_interpreter
from kaa.pypi.interpreters.subdirs import CannotPackage, supported_subdir

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
import importlib.util, os, py_compile, sys
root, original = sys.argv[1:]
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
def read(path):
    with open(path, "rb") as stream:
        return stream.read()
def number(value):
    return (int(value) & 0xFFFFFFFF).to_bytes(4, "little")
def adopt(name):
    try:
        source = original + "/" + name
        found = os.stat(source)
        code = read(importlib.util.cache_from_source(source))
        head = importlib.util.MAGIC_NUMBER + number(0) + number(found.st_mtime) + number(found.st_size)
        content = read(root + "/" + name)
        if code[:16] != head or content != read(source):
            return False
        target = importlib.util.cache_from_source(root + "/" + name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as stream:
            stream.write(importlib.util.MAGIC_NUMBER + number(1) + importlib.util.source_hash(content) + code[16:])
    except (OSError, NotImplementedError):
        return False
    return True
for name in sys.stdin.buffer.read().decode("utf-8", "surrogateescape").split("\0"):
    if name and not (original and adopt(name)):
        try:
            py_compile.compile(root + "/" + name, dfile=name, doraise=True, invalidation_mode=mode)
        except (py_compile.PyCompileError, SyntaxError, ValueError):
            pass
"""
"""Compiles modules below a directory, unless there is bytecode of the same source beside the original."""


class PackagedPython(msgspec.Struct, frozen=True):
    """A package made of an interpreter."""

    path: Path
    interpreter: Interpreter
    carried: tuple[str, ...]
    """The libraries of the machine that are in the package."""
    notes: tuple[str, ...]


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
    subdir = supported_subdir(answer)
    search_path = environ.get("LD_LIBRARY_PATH", "")
    with TemporaryDirectory(prefix="kaa-python-") as temporary:
        folder = Path(temporary).resolve() / "prefix"
        with _stage(reporter, "Copying"):
            staged = stage_interpreter(answer, folder, search_path)
        with _stage(reporter, "Trying the copy"):
            try_copy(staged, answer, environ)
        depends = glibc_dependencies(staged.least_glibc)
        digest = digest_of(dict(iter_folder(folder)), subdir, *depends)
        with _stage(reporter, "Compiling"):
            compile_library(staged, answer)
        index = IndexJson(
            name="python",
            version=answer.full_version,
            build=build_string(answer, digest),
            build_number=0,
            depends=depends,
            subdir=subdir,
            license=LICENSE,
            timestamp=build_time(environ),
            python_site_packages_path=site_packages_path(answer),
        )
        with _stage(reporter, "Writing"):
            path = built_package(index, staged, answer).write(channel, level=level)
    return PackagedPython(path, answer, tuple(sorted(staged.carried)), tuple(staged.notes))


def built_package(index: IndexJson, staged: Staged, answer: Interpreter) -> BuiltPackage:
    """What a package of a staged interpreter is made of."""
    about = {
        "summary": "The Python programming language",
        "home": "https://www.python.org/",
        "license": LICENSE,
        "extra": {"carried_libraries": sorted(staged.carried)},
    }
    files: dict[str, Source] = {path: SourceFile(staged.folder / path) for path in staged.written}
    files |= {path: SourceLink(target) for path, target in staged.links.items()}
    placeholders = frozenset(staged.placeholders)
    return BuiltPackage(
        index, files, placeholders, about=about, info_files=_license_files(answer), hashes=staged.written
    )


@contextlib.contextmanager
def _stage(reporter: Reporter, name: str) -> Iterator[None]:
    started = time.monotonic()
    reporter(StageStarted(name))
    yield
    reporter(StageFinished(name, time.monotonic() - started))


def _license_files(answer: Interpreter) -> dict[str, bytes]:
    for name in LICENSE_NAMES:
        path = Path(answer.stdlib) / name
        if path.is_file():
            return {"licenses/LICENSE.txt": path.read_bytes()}
    return {}


# -- the copy must work, alone ----------------------------------------------------------------------------------------


def _run_copy(staged: Staged, *words: str, input: bytes = b"") -> Completed:
    """Run the copy with nothing of this process's environment."""
    program = staged.folder / "bin/python3"
    try:
        return run([program, "-I", "-B", *words], environ={}, cwd=staged.folder, input=input, timeout=600)
    except CannotRun as error:
        return Completed(-1, b"", error.reason.encode())


def try_copy(staged: Staged, answer: Interpreter, environ: Mapping[str, str]) -> None:
    """Run the copy: its paths must lie in it, and it must import what the original can; raises CannotPackage."""
    names = import_names(list(staged.images))
    found = _check_copy(staged, answer, names)
    wanted = staged.folder / staged.layout.site_packages
    if not any(Path(text).resolve() == wanted for text in found.sites):
        _link_site_packages(staged, answer, [Path(text) for text in found.sites])
        found = _check_copy(staged, answer, names)
    outside = [text for text in [*found.prefixes, *found.paths] if not _inside(text, staged.folder)]
    if outside:
        raise CannotPackage(answer.executable, f"a copy of it goes on using {', '.join(outside)}")
    if Path(found.purelib) != wanted:
        raise CannotPackage(answer.executable, f"a copy of it installs packages into {found.purelib}")
    if found.failed:
        original = run([answer.executable, "-I", "-c", CHECK, *found.failed], environ=environ, timeout=300)
        too = msgspec.json.decode(original.stdout, type=_Checked).failed if original.code == 0 else {}
        for name in sorted(found.failed.keys() - too.keys()):
            if not name.startswith("_tkinter"):
                raise CannotPackage(answer.executable, _why_not(name, found.failed[name], staged))


class _Checked(msgspec.Struct, frozen=True):
    """What a Python says of itself to CHECK."""

    prefixes: list[str]
    paths: list[str]
    purelib: str
    sites: list[str]
    failed: dict[str, str]


def _check_copy(staged: Staged, answer: Interpreter, names: Sequence[str]) -> _Checked:
    done = _run_copy(staged, "-c", CHECK, *names)
    if done.code != 0:
        raise CannotPackage(answer.executable, f"a copy of it does not run ({_last_line(done)})")
    return msgspec.json.decode(done.stdout, type=_Checked)


def _link_site_packages(staged: Staged, answer: Interpreter, places: Sequence[Path]) -> None:
    """Let a Python that looks for packages elsewhere find them where conda puts them.

    The list of those directories is compiled into it (`site` is a frozen module), so one of them becomes a link.
    """
    library = staged.folder / staged.layout.standard_library
    for place in places:
        if place.parent == library and not place.exists():
            target = os.path.relpath(staged.folder / staged.layout.site_packages, library)
            staged.link(place.relative_to(staged.folder).as_posix(), target)
            return
    reason = "it would not look for packages in " + staged.layout.site_packages
    raise CannotPackage(answer.executable, reason)


def _why_not(name: str, message: str, staged: Staged) -> str:
    library = re.match(r"(lib[^:\s]+): cannot open", message)
    needs = f" (it needs {library[1]})" if library and library[1] in staged.missing else ""
    return f"a copy of it cannot import {name}{needs}: {message}"


def _inside(text: str, folder: Path) -> bool:
    return Path(text).is_relative_to(folder)


def _last_line(done: Completed) -> str:
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"exit code {done.code}"


def compile_library(staged: Staged, answer: Interpreter, *, adopting: bool = False) -> None:
    """Compile the standard library; the bytecode says itself that it is valid, whatever happens to files' times.

    With `adopting`, what the original has compiled already is taken: it names the original's files, and nobody but
    this machine is to see that.
    """
    library = f"{staged.layout.standard_library}/"
    names = [
        path.removeprefix(library)
        for path in staged.written
        if path.startswith(library) and path.endswith(".py") and path not in staged.placeholders
    ]
    for folder in {path.rpartition("/")[0] for path in names}:
        staged.make_folder(f"{library}{folder}/__pycache__".replace("//", "/"))
    workers = os.cpu_count() or 1
    words = ("-c", COMPILE, str(staged.folder / library), answer.stdlib if adopting else "")

    def compile_some(some: Sequence[str]) -> Completed:
        return _run_copy(staged, *words, input=os.fsencode("\0".join(some)))

    with ThreadPoolExecutor(workers) as pool:
        for done in pool.map(compile_some, [names[start::workers] for start in range(workers)]):
            if done.code != 0:
                raise CannotPackage(answer.executable, f"a copy of it cannot compile ({_last_line(done)})")
    staged.take_bytecode()
