"""Gather the files of an interpreter into a staging directory, laid out as its package will be (design note 0005)."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from kaa.pypi.interpreters.build_configuration import (
    PLACEHOLDER,
    Layout,
    is_configuration_module,
    relocate_build_variables,
    relocate_makefile,
    relocate_text,
    with_usual_schemes,
)
from kaa.pypi.interpreters.elf import ElfImage, glibc_needed, is_elf
from kaa.pypi.interpreters.elf_patch import with_run_path, without_debugging
from kaa.pypi.interpreters.interpreter import Interpreter
from kaa.pypi.interpreters.loader import FoundLibrary, LibrarySearch, belongs_to_c_library, needed_libraries

LEFT_OUT_FOLDERS = frozenset({"__pycache__", "site-packages", "dist-packages", "test", "tests", "idle_test"})
LEFT_OUT_FILES = frozenset({"EXTERNALLY-MANAGED", "sitecustomize.py", "usercustomize.py"})
LEFT_OUT_SUFFIXES = (".a", ".o", ".exe", ".pyc")
TEST_MODULES = ("_test", "_ctypes_test", "_xxtestfuzz", "xxlimited", "xxsubtype")
USES_THE_MACHINES_LIBRARIES = ("_tkinter",)
"""Modules whose libraries are not carried: Tk needs its scripts and a display, and both are the machine's."""
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
FOLDER_MODE = 0o775
"""Of new directories, less the umask: never may everybody write."""
README = "Packages that are installed into this environment are here.\n"


class Staged(msgspec.Struct, eq=False):
    """A staging directory and what became known while it was filled."""

    folder: Path
    layout: Layout
    read_only: bool = False
    """Whether files are made so that nobody writes to them, as those of a package in the cache are."""
    images: dict[str, ElfImage] = msgspec.field(default_factory=dict)
    """The ELF files, as they were, by their path in the package."""
    carried: dict[str, Path] = msgspec.field(default_factory=dict)
    """The libraries of the machine that are carried along, and where they were found."""
    missing: dict[str, str] = msgspec.field(default_factory=dict)
    """Libraries that were not found, and a file that needs each."""
    placeholders: set[str] = msgspec.field(default_factory=set)
    """The text files that hold the placeholder."""
    changed: set[str] = msgspec.field(default_factory=set)
    """Files of the standard library that are not what they are in the original."""
    written: dict[str, tuple[str, int]] = msgspec.field(default_factory=dict)
    """The hash and size of every file, by its path in the package."""
    links: dict[str, str] = msgspec.field(default_factory=dict)
    """The targets of the symbolic links."""
    notes: list[str] = msgspec.field(default_factory=list)
    _folders: set[str] = msgspec.field(default_factory=set)

    def write(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Put a new file into the staging directory."""
        self.make_folder(path.rpartition("/")[0])
        if self.read_only:
            mode &= 0o555
        target = f"{self.folder}/{path}"
        with os.fdopen(os.open(target, _NEW_FILE, mode), "wb", buffering=0) as stream:
            stream.write(content)
            os.fchmod(stream.fileno(), mode)
        self.written[path] = hashlib.sha256(content).hexdigest(), len(content)

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link into the staging directory."""
        self.make_folder(path.rpartition("/")[0])
        (self.folder / path).symlink_to(target)
        self.links[path] = target

    def make_folder(self, folder: str) -> None:
        """Make a directory of the staging directory, unless it is there."""
        if folder not in self._folders:
            if folder:
                self.make_folder(folder.rpartition("/")[0])
            with contextlib.suppress(FileExistsError):
                (self.folder / folder).mkdir(FOLDER_MODE)
            self._folders.add(folder)

    def take_bytecode(self) -> None:
        """Take in the files that the copy has compiled."""
        for path in (self.folder / self.layout.standard_library).rglob("*.pyc"):
            content = path.read_bytes()
            self.written[path.relative_to(self.folder).as_posix()] = hashlib.sha256(content).hexdigest(), len(content)
            path.chmod(0o444 if self.read_only else 0o644)

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


def stage_interpreter(
    interpreter: Interpreter, folder: Path, search_path: str = "", *, read_only: bool = False
) -> Staged:
    """Fill `folder` with a relocatable copy of an interpreter; `search_path` is LD_LIBRARY_PATH."""
    staged = Staged(folder, layout_of(interpreter), read_only)
    standard_library = staged.layout.standard_library
    _stage_standard_library(staged, interpreter)
    _stage_headers(staged, interpreter)
    _stage_programs(staged, interpreter)
    for path in module_files(interpreter):
        _stage_elf(staged, f"{standard_library}/lib-dynload/{path.name}", path)
    _stage_bundled_wheels(staged, interpreter)
    _stage_libraries(staged, interpreter, search_path)
    staged.write(f"{staged.layout.site_packages}/README.txt", README.encode())
    if not any("/lib-dynload/" in path for path in staged.written):
        # Python finds its platform-dependent part by this directory, even if everything is built in.
        staged.write(f"{standard_library}/lib-dynload/README.txt", b"Every module of this Python is built in.\n")
    return staged


# -- Python's own files -----------------------------------------------------------------------------------------------


def library_files(interpreter: Interpreter) -> Iterator[tuple[str, Path]]:
    """The files of the standard library that go into a package, by their path in it; not its extension modules."""
    source = Path(interpreter.stdlib)
    for relative in _iter_files(source, LEFT_OUT_FOLDERS | {"lib-dynload", "lib-carried"}):
        name = relative.rpartition("/")[2]
        if name in LEFT_OUT_FILES or name.endswith(LEFT_OUT_SUFFIXES):
            continue
        if relative.startswith("config-") and name != "Makefile":
            continue
        yield relative, source / relative


def header_files(interpreter: Interpreter) -> Iterator[tuple[str, Path]]:
    """The headers, by their path below the directory of headers."""
    source = Path(interpreter.include)
    for relative in _iter_files(source, frozenset()):
        yield relative, _platform_configuration(source) if relative == "pyconfig.h" else source / relative


def module_files(interpreter: Interpreter) -> list[Path]:
    """The extension modules of the standard library."""
    paths = sorted(Path(interpreter.platstdlib, "lib-dynload").glob("*.so"))
    return [path for path in paths if not path.name.startswith(TEST_MODULES)]


def _stage_standard_library(staged: Staged, interpreter: Interpreter) -> None:
    configuration = next((p.name for p in Path(interpreter.stdlib).glob("config-*") if p.is_dir()), "config")
    for relative, source in library_files(interpreter):
        content = source.read_bytes()
        if not is_elf(content):
            path = f"{staged.layout.standard_library}/{relative}"
            relocated = _relocated(content, PurePosixPath(relative), staged.layout, interpreter, configuration)
            if relocated != content:
                staged.changed.add(path)
            _write_text(staged, path, relocated)


def _relocated(
    content: bytes, path: PurePosixPath, layout: Layout, interpreter: Interpreter, configuration: str
) -> bytes:
    """A file of the standard library as it has to be in the package."""
    if is_configuration_module(path):
        return relocate_build_variables(content.decode(), layout, configuration).encode()
    if path.name == "Makefile":
        text = content.decode("utf-8", "surrogateescape")
        return relocate_makefile(text, layout, configuration).encode("utf-8", "surrogateescape")
    if path in (PurePosixPath("sysconfig.py"), PurePosixPath("sysconfig/__init__.py")):
        return content if interpreter.has_usual_layout else with_usual_schemes(content.decode()).encode()
    return _relocated_text(content, layout.prefixes)


def _relocated_text(content: bytes, prefixes: Sequence[str]) -> bytes:
    if b"\0" in content or not any(os.fsencode(prefix) in content for prefix in prefixes):
        return content
    text = content.decode("utf-8", "surrogateescape")
    return relocate_text(text, prefixes).encode("utf-8", "surrogateescape")


def _write_text(staged: Staged, path: str, content: bytes, mode: int = 0o644) -> None:
    if PLACEHOLDER.encode() in content:
        staged.placeholders.add(path)
    staged.write(path, content, mode)


def _iter_files(folder: Path, left_out: frozenset[str]) -> Iterator[str]:
    """The posix path of every file below a folder, in order; links to files count as files."""
    root = str(folder)
    for parent, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(name for name in folders if name not in left_out)
        below = parent[len(root) + 1 :]
        for name in sorted(names):
            if os.path.isfile(f"{parent}/{name}"):  # noqa: PTH113 (hundreds of them)
                yield f"{below}/{name}" if below else name


def _stage_headers(staged: Staged, interpreter: Interpreter) -> None:
    source = Path(interpreter.include)
    if not source.is_dir():
        staged.notes.append(f"there are no headers in {source}: extension modules cannot be built with this package")
        return
    target = f"include/{staged.layout.directory_name}"
    for relative, path in header_files(interpreter):
        _write_text(staged, f"{target}/{relative}", _relocated_text(path.read_bytes(), staged.layout.prefixes))


def _platform_configuration(include: Path) -> Path:
    """Debian's pyconfig.h only chooses between those of several platforms; the one of this platform."""
    if b"-linux-gnu" in (include / "pyconfig.h").read_bytes():
        for candidate in sorted(include.parent.glob(f"*-linux-gnu*/{include.name}/pyconfig.h")):
            return candidate
    return include / "pyconfig.h"


PYDOC = """\
#!{prefix}/bin/{python}
import pydoc

if __name__ == "__main__":
    pydoc.cli()
"""


def _stage_programs(staged: Staged, interpreter: Interpreter) -> None:
    name = staged.layout.directory_name
    executable = Path(interpreter.executable)
    _stage_elf(staged, f"bin/{name}", executable)
    for link in dict.fromkeys(("python", "python3", f"python{interpreter.minor}")):
        if link != name:
            staged.link(f"bin/{link}", name)
    pydoc = PYDOC.format(prefix=PLACEHOLDER, python=name).encode()
    _write_text(staged, f"bin/pydoc{interpreter.minor}", pydoc, 0o755)
    staged.link("bin/pydoc3", f"pydoc{interpreter.minor}")
    staged.link("bin/pydoc", f"pydoc{interpreter.minor}")
    script = configuration_script(interpreter)
    if script is not None:
        content = _relocated_text(script.read_bytes(), staged.layout.prefixes)
        if PLACEHOLDER.encode() in content:
            _write_text(staged, f"bin/{name}-config", content, 0o755)
            staged.link("bin/python3-config", f"{name}-config")


def configuration_script(interpreter: Interpreter) -> Path | None:
    """The script that tells compilers what they need to know."""
    script = Path(interpreter.executable).parent / f"{interpreter.directory_name}-config"
    return script if script.is_file() and not is_elf(script.read_bytes()[:4]) else None


def _stage_bundled_wheels(staged: Staged, interpreter: Interpreter) -> None:
    """The wheels that a distribution keeps elsewhere go where `python -m venv` looks for them here."""
    target = f"{staged.layout.standard_library}/ensurepip/_bundled"
    if not (staged.folder / staged.layout.standard_library / "ensurepip").is_dir():
        return
    for path in bundled_wheels(interpreter):
        if f"{target}/{path.name}" not in staged.written:
            staged.write(f"{target}/{path.name}", path.read_bytes())


def bundled_wheels(interpreter: Interpreter) -> list[Path]:
    """The wheels from which an interpreter makes virtual environments."""
    found: dict[str, Path] = {}
    for directory in interpreter.wheel_directories:
        for path in sorted(Path(directory).glob("*.whl")):
            found.setdefault(path.name.partition("-")[0], path)
    return list(found.values())


# -- what the loader loads --------------------------------------------------------------------------------------------


def _stage_elf(staged: Staged, path: str, source: Path) -> None:
    """Take an ELF file into the package; it is written when all are known."""
    staged.images[path] = ElfImage(source.read_bytes(), str(source))


def libraries_of(
    interpreter: Interpreter, program: ElfImage, modules: Sequence[tuple[Path, ElfImage]], search_path: str
) -> tuple[dict[str, FoundLibrary], dict[str, str]]:
    """The libraries that a program and its extension modules need, and what was not found, with what needs it."""
    executable = Path(interpreter.executable)
    starts = [(executable, program)]
    starts += [item for item in modules if not item[0].name.startswith(USES_THE_MACHINES_LIBRARIES)]
    return needed_libraries(starts, LibrarySearch(search_path), ((program, executable),))


def _stage_libraries(staged: Staged, interpreter: Interpreter, search_path: str) -> None:
    layout = staged.layout
    program = staged.images[f"bin/{layout.directory_name}"]
    modules = [(Path(image.name), image) for path, image in staged.images.items() if "/lib-dynload/" in path]
    found, staged.missing = libraries_of(interpreter, program, modules, search_path)
    for name, library in found.items():
        if name.startswith("libpython"):
            staged.images[f"lib/{name}"] = library.image
            _link_own_library(staged, name)
        else:
            staged.images[f"{layout.carried_libraries}/{name}"] = library.image
            staged.carried[name] = library.path
    for path, image in staged.images.items():
        staged.write(path, _rewritten(staged, path, image), 0o755)
    if any("_tkinter" in path for path in staged.images):
        staged.notes.append("tkinter uses the Tk of the machine, where there is one")


def _link_own_library(staged: Staged, name: str) -> None:
    """The name under which linkers look for libpython."""
    plain = name.partition(".so")[0] + ".so"
    if plain != name:
        staged.link(f"lib/{plain}", name)


def _rewritten(staged: Staged, path: str, image: ElfImage) -> bytes:
    """The file without what only debuggers read, and with a run path that leads to what is carried along."""
    content = without_debugging(image.data, image.name)
    beyond = [name for name in image.needed if not belongs_to_c_library(name)]
    if beyond or image.rpath or image.runpath:
        content = with_run_path(content, run_path_of(path, staged.layout), image.name)
    return content


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
