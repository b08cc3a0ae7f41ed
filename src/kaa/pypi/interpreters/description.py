"""What a package of an interpreter will be, known without making it: its platform, what it needs, its fingerprint.

The fingerprint is over all that the package is made of: equal ones mean equal packages, wherever the interpreter is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from kaa.pypi.interpreters.elf import ElfImage, glibc_needed
from kaa.pypi.interpreters.interpreter import Interpreter, ask_interpreter
from kaa.pypi.interpreters.loader import FoundLibrary
from kaa.pypi.interpreters.staging import (
    bundled_wheels,
    configuration_script,
    header_files,
    libraries_of,
    library_files,
    module_files,
)
from kaa.pypi.interpreters.subdirs import CannotPackage, supported_subdir

RECIPE = "1"
"""Of the way in which packages are made: with another one, the same interpreter becomes another package."""
LEAST_VERSION = (3, 8)


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """An interpreter of which a package can be made."""

    interpreter: Interpreter
    subdir: str
    fingerprint: str
    """64 hexadecimal digits."""
    least_glibc: tuple[int, ...]
    parts: tuple[str, ...]
    """Files and directories that change when the interpreter does."""


def describe_interpreter(path: Path, environ: Mapping[str, str]) -> Description:
    """Ask an interpreter and look at its files; `environ` gives LD_LIBRARY_PATH.

    Raises NoInterpreter, CannotPackage or BadElf.
    """
    answer = ask_interpreter(path)
    if tuple(map(int, answer.version.split("."))) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise CannotPackage(
            answer.executable, f"it is Python {answer.full_version}, and the oldest that is used is {least}"
        )
    subdir = supported_subdir(answer)
    try:
        return _described(answer, subdir, environ.get("LD_LIBRARY_PATH", ""))
    except OSError as error:
        raise CannotPackage(answer.executable, f"{error.filename}: {error.strerror}") from error


def _described(answer: Interpreter, subdir: str, search_path: str) -> Description:
    executable = Path(answer.executable)
    program = ElfImage(executable.read_bytes(), answer.executable)
    modules = [(path, ElfImage(path.read_bytes(), str(path))) for path in module_files(answer)]
    libraries, _ = libraries_of(answer, program, modules, search_path)
    images = [program, *(image for _, image in modules), *(library.image for library in libraries.values())]
    digest = hashlib.sha256()
    layout = f"{answer.has_usual_layout} {answer.finds_site_packages}"
    for text in (RECIPE, answer.full_version, answer.directory_name, subdir, layout):
        digest.update(f"{text}\0".encode())
    for name, content in _iter_contents(answer, program, modules, libraries):
        digest.update(os.fsencode(name) + b"\0" + hashlib.sha256(content).digest())
    return Description(
        interpreter=answer,
        subdir=subdir,
        fingerprint=digest.hexdigest(),
        least_glibc=max((glibc_needed(image) for image in images), default=()),
        parts=_parts(answer, libraries),
    )


def _iter_contents(
    answer: Interpreter,
    program: ElfImage,
    modules: list[tuple[Path, ElfImage]],
    libraries: Mapping[str, FoundLibrary],
) -> Iterator[tuple[str, bytes]]:
    """All that a package is made of, with names that do not depend on where it is."""
    yield "program", program.data
    for path, image in modules:
        yield f"lib-dynload/{path.name}", image.data
    for name, library in sorted(libraries.items()):
        yield f"lib/{name}", library.image.data
    for name, path in library_files(answer):
        yield f"stdlib/{name}", path.read_bytes()
    for name, path in header_files(answer):
        yield f"include/{name}", path.read_bytes()
    for path in bundled_wheels(answer):
        yield f"wheels/{path.name}", path.read_bytes()
    script = configuration_script(answer)
    if script is not None:
        yield "config", script.read_bytes()


def _parts(answer: Interpreter, libraries: Mapping[str, FoundLibrary]) -> tuple[str, ...]:
    directories = (answer.stdlib, f"{answer.platstdlib}/lib-dynload", answer.include, *answer.wheel_directories)
    files = (answer.executable, f"{answer.stdlib}/os.py", *(str(library.path) for library in libraries.values()))
    return tuple(dict.fromkeys((*files, *directories)))
