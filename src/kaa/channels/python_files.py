"""Gather the files of an interpreter into a staging directory, laid out as its package will be (design note 0005)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from kaa.channels.elf import ElfImage, glibc_needed, is_elf
from kaa.channels.elf_patch import with_run_path, without_debugging
from kaa.channels.interpreter import Interpreter
from kaa.channels.loader import FoundLibrary, LibrarySearch, belongs_to_c_library, needed_libraries
from kaa.channels.python_config import (
    PLACEHOLDER,
    Layout,
    is_configuration_module,
    relocate_build_variables,
    relocate_makefile,
    relocate_text,
    with_usual_schemes,
)

LEFT_OUT_FOLDERS = frozenset({"__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test"})
LEFT_OUT_FILES = frozenset({"EXTERNALLY-MANAGED", "sitecustomize.py", "usercustomize.py"})
LEFT_OUT_SUFFIXES = frozenset({".a", ".o", ".exe", ".pyc"})
TEST_MODULES = ("_test", "_ctypes_test", "_xxtestfuzz", "xxlimited", "xxsubtype")
USES_THE_MACHINES_LIBRARIES = ("_tkinter",)
"""Modules whose libraries are not carried: Tk needs its scripts and a display, and both are the machine's."""
README = "Packages that are installed into this environment are here.\n"


@dataclass
class Staged:
    """A staging directory and what became known while it was filled."""

    folder: Path
    layout: Layout
    images: dict[str, ElfImage] = field(default_factory=dict)
    """The ELF files, as they were, by their path in the package."""
    carried: dict[str, Path] = field(default_factory=dict)
    """The libraries of the machine that are carried along, and where they were found."""
    missing: dict[str, str] = field(default_factory=dict)
    """Libraries that were not found, and a file that needs each."""
    placeholders: set[str] = field(default_factory=set)
    """The text files that hold the placeholder."""
    notes: list[str] = field(default_factory=list)

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a file into the staging directory."""
        target = self.folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(mode)

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link into the staging directory."""
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).symlink_to(target)

    @property
    def least_glibc(self) -> tuple[int, ...]:
        """The C library that the most demanding file needs."""
        return max((glibc_needed(image) for image in self.images.values()), default=())


def layout_of(interpreter: Interpreter) -> Layout:
    """Where the parts of an interpreter are, and where they will be."""
    stdlib = Path(interpreter.stdlib)
    prefix = Path(interpreter.prefix).resolve()
    inside = stdlib.is_relative_to(prefix) and len(stdlib.relative_to(prefix).parts) == 2
    library = stdlib.relative_to(prefix).parts[0] if inside else "lib"
    prefixes = tuple(dict.fromkeys((interpreter.prefix, interpreter.built_prefix)))
    return Layout(prefixes, interpreter.directory_name, library)


def stage_interpreter(interpreter: Interpreter, folder: Path, search_path: str = "") -> Staged:
    """Fill `folder` with a relocatable copy of an interpreter; `search_path` is LD_LIBRARY_PATH."""
    staged = Staged(folder, layout_of(interpreter))
    standard_library = staged.layout.standard_library
    _stage_standard_library(staged, interpreter)
    _stage_headers(staged, interpreter)
    _stage_programs(staged, interpreter)
    _stage_modules(staged, Path(interpreter.platstdlib) / "lib-dynload")
    _stage_bundled_wheels(staged, interpreter)
    _stage_libraries(staged, interpreter, LibrarySearch(search_path))
    staged.write(f"{staged.layout.site_packages}/README.txt", README.encode())
    if not (folder / standard_library / "lib-dynload").exists():
        # Python finds its platform-dependent part by this directory, even if everything is built in.
        staged.write(f"{standard_library}/lib-dynload/README.txt", b"Every module of this Python is built in.\n")
    return staged


# -- Python's own files -----------------------------------------------------------------------------------------------


def _stage_standard_library(staged: Staged, interpreter: Interpreter) -> None:
    source = Path(interpreter.stdlib)
    for relative in _iter_files(source, LEFT_OUT_FOLDERS | {"lib-dynload", "lib-carried"}):
        if relative.name in LEFT_OUT_FILES or relative.suffix in LEFT_OUT_SUFFIXES:
            continue
        configuration = relative.parts[0].startswith("config-")
        if configuration and relative.name != "Makefile":
            continue
        content = (source / relative).read_bytes()
        if not is_elf(content):
            content = _relocated(content, PurePosixPath(relative), staged, interpreter)
            _write_text(staged, f"{staged.layout.standard_library}/{relative.as_posix()}", content)


def _relocated(content: bytes, path: PurePosixPath, staged: Staged, interpreter: Interpreter) -> bytes:
    """A file of the standard library as it has to be in the package."""
    configuration = next((p.name for p in Path(interpreter.stdlib).glob("config-*") if p.is_dir()), "config")
    if is_configuration_module(path):
        return relocate_build_variables(content.decode(), staged.layout, configuration).encode()
    if path.name == "Makefile":
        text = content.decode("utf-8", "surrogateescape")
        return relocate_makefile(text, staged.layout, configuration).encode("utf-8", "surrogateescape")
    if path in (PurePosixPath("sysconfig.py"), PurePosixPath("sysconfig/__init__.py")):
        return content if interpreter.has_usual_layout else with_usual_schemes(content.decode()).encode()
    return _relocated_text(content, staged.layout.prefixes)


def _relocated_text(content: bytes, prefixes: Sequence[str]) -> bytes:
    if b"\0" in content or not any(os.fsencode(prefix) in content for prefix in prefixes):
        return content
    text = content.decode("utf-8", "surrogateescape")
    return relocate_text(text, prefixes).encode("utf-8", "surrogateescape")


def _write_text(staged: Staged, path: str, content: bytes, mode: int = 0o644) -> None:
    if PLACEHOLDER.encode() in content:
        staged.placeholders.add(path)
    staged.write(path, content, mode)


def _iter_files(folder: Path, left_out: frozenset[str]) -> Iterator[Path]:
    """Every file below a folder, relative to it, in order; links to files count as files."""
    for parent, folders, names in os.walk(folder, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in left_out)
        for name in sorted(names):
            path = Path(parent, name)
            if path.is_file():
                yield path.relative_to(folder)


def _stage_headers(staged: Staged, interpreter: Interpreter) -> None:
    source = Path(interpreter.include)
    if not source.is_dir():
        staged.notes.append(f"there are no headers in {source}: extension modules cannot be built with this package")
        return
    target = f"include/{staged.layout.directory_name}"
    for relative in _iter_files(source, frozenset()):
        content = (source / relative).read_bytes()
        if relative == Path("pyconfig.h"):
            content = _platform_configuration(content, source)
        _write_text(staged, f"{target}/{relative.as_posix()}", _relocated_text(content, staged.layout.prefixes))


def _platform_configuration(content: bytes, include: Path) -> bytes:
    """Debian's pyconfig.h only chooses between those of several platforms; this is the one of this platform."""
    if b"-linux-gnu" not in content:
        return content
    for candidate in sorted(include.parent.glob(f"*-linux-gnu*/{include.name}/pyconfig.h")):
        return candidate.read_bytes()
    return content


PYDOC = """\
#!{prefix}/bin/{python}
import pydoc

if __name__ == "__main__":
    pydoc.cli()
"""


def _stage_programs(staged: Staged, interpreter: Interpreter) -> None:
    name = staged.layout.directory_name
    executable = Path(interpreter.executable)
    _stage_elf(staged, f"bin/{name}", executable, 0o755)
    for link in dict.fromkeys(("python", "python3", f"python{interpreter.minor}")):
        if link != name:
            staged.link(f"bin/{link}", name)
    pydoc = PYDOC.format(prefix=PLACEHOLDER, python=name).encode()
    _write_text(staged, f"bin/pydoc{interpreter.minor}", pydoc, 0o755)
    staged.link("bin/pydoc3", f"pydoc{interpreter.minor}")
    staged.link("bin/pydoc", f"pydoc{interpreter.minor}")
    script = executable.parent / f"{name}-config"
    if script.is_file() and not is_elf(script.read_bytes()[:4]):
        content = _relocated_text(script.read_bytes(), staged.layout.prefixes)
        if PLACEHOLDER.encode() in content:
            _write_text(staged, f"bin/{name}-config", content, 0o755)
            staged.link("bin/python3-config", f"{name}-config")


def _stage_modules(staged: Staged, source: Path) -> None:
    for path in sorted(source.glob("*.so")) if source.is_dir() else []:
        if not path.name.startswith(TEST_MODULES):
            _stage_elf(staged, f"{staged.layout.standard_library}/lib-dynload/{path.name}", path, 0o755)


def _stage_bundled_wheels(staged: Staged, interpreter: Interpreter) -> None:
    """The wheels that a distribution keeps elsewhere go where `python -m venv` looks for them here."""
    target = f"{staged.layout.standard_library}/ensurepip/_bundled"
    if not (staged.folder / staged.layout.standard_library / "ensurepip").is_dir():
        return
    for path in bundled_wheels(interpreter):
        if not (staged.folder / target / path.name).exists():
            staged.write(f"{target}/{path.name}", path.read_bytes())


def bundled_wheels(interpreter: Interpreter) -> list[Path]:
    """The wheels from which an interpreter makes virtual environments."""
    found: dict[str, Path] = {}
    for directory in interpreter.wheel_directories:
        for path in sorted(Path(directory).glob("*.whl")):
            found.setdefault(path.name.partition("-")[0], path)
    return list(found.values())


# -- what the loader loads --------------------------------------------------------------------------------------------


def _stage_elf(staged: Staged, path: str, source: Path, mode: int) -> None:
    content = source.read_bytes()
    staged.images[path] = ElfImage(content, str(source))
    staged.write(path, content, mode)


def _stage_libraries(staged: Staged, interpreter: Interpreter, search: LibrarySearch) -> None:
    layout = staged.layout
    executable = Path(interpreter.executable)
    program = staged.images[f"bin/{layout.directory_name}"]
    modules = Path(interpreter.platstdlib) / "lib-dynload"
    starts = [(executable, program)]
    for path, image in staged.images.items():
        name = PurePosixPath(path).name
        if "/lib-dynload/" in path and not name.startswith(USES_THE_MACHINES_LIBRARIES):
            starts.append((modules / name, image))
    found, staged.missing = needed_libraries(starts, search, ((program, executable),))
    for name, library in found.items():
        own = name.startswith("libpython")
        target = f"lib/{name}" if own else f"{layout.carried_libraries}/{name}"
        _stage_elf(staged, target, library.path, 0o755)
        if own:
            _link_own_library(staged, library, name)
        else:
            staged.carried[name] = library.path
    for path, image in staged.images.items():
        _rewrite(staged, path, image)
    if any("_tkinter" in path for path in staged.images):
        staged.notes.append("tkinter uses the Tk of the machine, where there is one")


def _link_own_library(staged: Staged, library: FoundLibrary, name: str) -> None:
    """The name under which linkers look for libpython."""
    plain = name.partition(".so")[0] + ".so"
    if plain != name:
        staged.link(f"lib/{plain}", name)


def _rewrite(staged: Staged, path: str, image: ElfImage) -> None:
    """Take away what only debuggers read, and lead the loader to what is carried along."""
    content = without_debugging(image.data, image.name)
    beyond = [name for name in image.needed if not belongs_to_c_library(name)]
    if beyond or image.rpath or image.runpath:
        content = with_run_path(content, run_path_of(path, staged.layout), image.name)
    staged.write(path, content, stat.S_IMODE((staged.folder / path).stat().st_mode))


def run_path_of(path: str, layout: Layout) -> str:
    """Where a file of the package finds libraries, relative to its own place."""
    folder = PurePosixPath(path).parent

    def from_here(target: str) -> str:
        relative = os.path.relpath(target, folder)
        return "$ORIGIN" if relative == "." else f"$ORIGIN/{relative}"

    return ":".join(from_here(target) for target in ("lib", layout.carried_libraries))


def import_names(paths: Sequence[str]) -> list[str]:
    """The names of the extension modules among the paths of a package."""
    return sorted(PurePosixPath(path).name.partition(".")[0] for path in paths if "/lib-dynload/" in path)
