"""Bytecode, compiled once per package and Python and kept beside the package; environments link it from there.

A package's bytecode directory holds the files at `<source directory>/__pycache__/<module>.<tag>.pyc`, and
`compiled.json`, written last: for every module the time and size of the source that the bytecode is valid for, and
whether it compiled. All packages that lack bytecode are compiled by one run of the environment's own python.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from kaa.errors import KaaError
from kaa.events import Note, Reporter, StageFinished, StageStarted, Warned
from kaa.host.files import current_umask, remove_tree, write_atomic
from kaa.host.process import CannotRun, run
from kaa.transaction import bytecode_worker
from kaa.transaction.actions import bytecode_path
from kaa.transaction.prepare import Source

MANIFEST = "compiled.json"


class Compiled(msgspec.Struct, frozen=True):
    """The manifest of a bytecode directory."""

    package: tuple[int, int]
    """What tells this unpacked package from the same one unpacked again: inode and change time of its index.json."""
    modules: dict[str, tuple[int, int, bool]]
    """Source path within the package → modification time in seconds, size, and whether it compiled."""


class Job(NamedTuple):
    """A module to compile."""

    source: str
    target: str
    shown: str
    """The name that tracebacks show; python replaces it by the real path when it imports the module."""


class PackageBytecode(msgspec.Struct):
    """The bytecode of one package: where it is, and which modules have one."""

    directory: Path
    """The directory to link from."""
    modules: set[str] = msgspec.field(default_factory=set)
    """The source paths (within the package) that have bytecode there."""
    missing: list[str] = msgspec.field(default_factory=list)
    """The source paths that are still to be compiled; all of them, or none."""


def find_bytecode(source: Source, modules: Sequence[str], tag: str) -> PackageBytecode:
    """What the cache has of the bytecode of `modules`; when it does not fit their files, all are to be compiled."""
    for directory in source.package.bytecode_directories(tag):
        found = _read_valid(directory, source, modules)
        if found is not None:
            return PackageBytecode(directory, found)
    return PackageBytecode(source.package.bytecode_directory(tag), missing=list(modules))


def _read_valid(directory: Path, source: Source, modules: Sequence[str]) -> set[str] | None:
    """Which of `modules` have bytecode in `directory`; None when it is not that of these files."""
    try:
        known = msgspec.json.decode((directory / MANIFEST).read_bytes(), type=Compiled)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None
    if known.package != _identity(source):
        return None
    found = set()
    for module in modules:
        state = source.stats.get(module)
        entry = known.modules.get(module)
        if entry is None or (state is not None and entry[:2] != (int(state.st_mtime), state.st_size)):
            return None
        if entry[2]:
            found.add(module)
    return found


def _identity(source: Source) -> tuple[int, int]:
    try:
        state = (source.package.directory / "info" / "index.json").stat()
    except OSError:
        return 0, 0
    return state.st_ino, state.st_ctime_ns


def compile_packages(
    wanted: Sequence[tuple[Source, PackageBytecode]],
    in_place: Sequence[Job],
    *,
    interpreter: Path,
    tag: str,
    scratch: Path,
    workers: int | None,
    environ: Mapping[str, str],
    reporter: Reporter,
) -> set[str]:
    """Compile what is missing, update `wanted`, and give the targets of `in_place` that were written.

    A cache that cannot be written to gets its bytecode below `scratch` instead. When the interpreter itself fails,
    nothing is compiled, and that is told.
    """
    lacking = [(source, bytecode) for source, bytecode in wanted if bytecode.missing]
    folders = [_new_folder(bytecode.directory, scratch) for _, bytecode in lacking]
    jobs = [
        Job(f"{source.directory}/{module}", f"{folder}/{bytecode_path(module, tag)}", module)
        for (source, bytecode), folder in zip(lacking, folders, strict=True)
        for module in bytecode.missing
    ]
    try:
        failed = _run_worker([*jobs, *in_place], interpreter, workers, environ, reporter)
        position = 0
        for (source, bytecode), folder in zip(lacking, folders, strict=True):
            count = len(bytecode.missing)
            good = {module for n, module in enumerate(bytecode.missing, position) if n not in failed}
            position += count
            _keep(source, bytecode, folder, good, scratch, tag)
        return {job.target for n, job in enumerate(in_place, position) if n not in failed}
    except (CannotRun, CompilationFailed) as error:
        reporter(Warned(f"no bytecode was compiled: {error.message}"))
        for _, bytecode in lacking:
            bytecode.missing = []
        return set()
    finally:
        for folder in folders:
            if scratch not in folder.parents:
                remove_tree(folder)


class CompilationFailed(KaaError):
    """The interpreter that was to compile bytecode did not do it."""

    def __init__(self, interpreter: Path, reason: str) -> None:
        self.interpreter = str(interpreter)
        self.reason = reason
        super().__init__(f"{interpreter} failed: {reason}")


def _run_worker(
    jobs: Sequence[Job], interpreter: Path, workers: int | None, environ: Mapping[str, str], reporter: Reporter
) -> set[int]:
    """The positions of the jobs whose modules do not compile."""
    if not jobs:
        return set()
    reporter(StageStarted("Compiling", len(jobs)))
    request = json.dumps({"parent": os.getpid(), "jobs": jobs, "workers": workers}).encode()
    # Isolated, without site: nothing that a package put into site-packages runs here.
    argv: list[str | Path] = [interpreter, "-I", "-S", "-B", "-W", "ignore", bytecode_worker.__file__]
    start = time.monotonic()
    done = run(argv, environ=environ, input=request)
    reporter(StageFinished("Compiling", time.monotonic() - start))
    if done.code != 0:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.code}"]
        raise CompilationFailed(interpreter, last[0])
    try:
        failed = msgspec.json.decode(done.stdout, type=set[int])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CompilationFailed(interpreter, f"its answer cannot be read ({error})") from error
    if failed:
        shown = ", ".join(jobs[n].shown for n in sorted(failed)[:5])
        more = f" and {len(failed) - 5} more" if len(failed) > 5 else ""
        reporter(Note(f"not compiled, no valid modules for this python: {shown}{more}"))
    return failed


def _new_folder(directory: Path, scratch: Path) -> Path:
    """An empty directory for new bytecode: beside its final place, or below `scratch` when that is closed."""
    try:
        directory.parent.mkdir(mode=0o775, parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(prefix=f".{directory.name}-", dir=directory.parent))
    except OSError:
        return Path(tempfile.mkdtemp(prefix="bytecode-", dir=scratch))


def _keep(source: Source, bytecode: PackageBytecode, folder: Path, good: set[str], scratch: Path, tag: str) -> None:
    """Put freshly compiled bytecode in its place in the cache, unless it has to stay where it is."""
    modules, bytecode.missing, bytecode.modules = bytecode.missing, [], good
    if scratch in folder.parents:
        bytecode.directory = folder
        return
    states = ((module, (source.package.directory / module).stat()) for module in modules)
    entries = {name: (int(state.st_mtime), state.st_size, name in good) for name, state in states}
    write_atomic(folder / MANIFEST, msgspec.json.encode(Compiled(_identity(source), entries)))
    umask = current_umask()
    for module in good:
        # Environments link it: what one of them would write there, all would have.
        os.chmod(f"{folder}/{bytecode_path(module, tag)}", 0o444 & ~umask)  # noqa: PTH101
    # mkdtemp made it private; the bytecode is for everybody who can read the cache.
    folder.chmod(0o777 & ~umask)
    found = _read_valid(bytecode.directory, source, modules)
    if found is not None:
        # Another process was faster, and is perhaps linking from there.
        bytecode.modules = found
        return
    aside = folder.with_name(f"{folder.name}-old")
    with contextlib.suppress(OSError):
        # As quickly as can be: another process may be linking from there.
        with contextlib.suppress(FileNotFoundError):
            bytecode.directory.rename(aside)
        folder.rename(bytecode.directory)
        remove_tree(aside)
        return
    target = scratch / folder.name
    shutil.copytree(folder, target)
    bytecode.directory = target
