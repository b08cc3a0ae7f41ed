"""ELF files are read and changed, and then run: by the system's own loader, which is the judge."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.pypi.interpreters.elf import (
    DT_NULL,
    PT_GNU_PROPERTY,
    PT_LOAD,
    PT_NOTE,
    PT_PHDR,
    BadElf,
    ElfImage,
    glibc_needed,
    is_part_of_glibc,
)
from kaa.pypi.interpreters.elf_patch import with_run_path, without_debugging
from kaa.pypi.interpreters.loader import (
    CACHE_FILE,
    LibrarySearch,
    belongs_to_c_library,
    expand_origin,
    needed_libraries,
    read_loader_cache,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ELF files are Linux's")
compiler = shutil.which("gcc")
needs_compiler = pytest.mark.skipif(compiler is None, reason="no compiler here")

PYTHON = Path(sys.executable).resolve()
DEBIAN_PYTHON = Path("/usr/bin/python3")
RUN_PATH = "$ORIGIN/../lib/of/this/package:$ORIGIN/else"

LIBRARY = "int number(void) { return 42; }\n"
USER = "int number(void);\nint twice(void) { return 2 * number(); }\n"
PROGRAM = '#include <stdio.h>\nint twice(void);\nint main(void) { printf("%d\\n", twice()); return 0; }\n'

STYLES = {
    "usual": [],
    "fewer notes": ["-Wl,--build-id=none"],
    "no room for more entries": ["-Wl,--spare-dynamic-tags=0"],
    "old style run path": ["-Wl,--disable-new-dtags,-rpath,/nowhere"],
    "new style run path": ["-Wl,--enable-new-dtags,-rpath,/nowhere"],
    "debugging": ["-g3"],
    "large pages": ["-Wl,-z,max-page-size=65536"],
    "not position independent": ["-no-pie"],
    "everything read-only": ["-Wl,-z,relro,-z,now,-z,separate-code"],
    "much zeroed memory": ["-DZEROES"],
}


def compile_c(folder: Path, name: str, source: str, *flags: str) -> Path:
    text = folder / f"{name}.c"
    text.write_text("#ifdef ZEROES\nstatic char zeroes[1 << 20];\nchar *z(void) { return zeroes; }\n#endif\n" + source)
    target = folder / name
    subprocess.run([str(compiler), "-o", target, text, *flags], check=True, capture_output=True)
    text.unlink()
    return target


def run(program: Path, *words: str, **environ: str) -> str:
    done = subprocess.run([program, *words], env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build(folder: Path, flags: list[str]) -> tuple[Path, Path, Path]:
    """A program that needs libtwice, which needs libnumber; neither knows where."""
    shared = [flag for flag in flags if flag != "-no-pie"]
    common = ["-shared", "-fPIC", *shared]
    number = compile_c(folder, "libnumber.so", LIBRARY, *common, "-Wl,-soname,libnumber.so")
    twice = compile_c(folder, "libtwice.so", USER, *common, "-Wl,-soname,libtwice.so", str(number))
    program = compile_c(folder, "program", PROGRAM, str(twice), f"-Wl,-rpath-link,{folder}", *flags)
    return program, twice, number


@needs_compiler
@pytest.mark.parametrize("keep_notes", [False, True], ids=["in place of a note", "table moved"])
@pytest.mark.parametrize("style", STYLES)
def test_a_program_finds_its_libraries_by_their_new_place(tmp_path: Path, style: str, keep_notes: bool) -> None:
    source = tmp_path / "source"
    source.mkdir()
    program, twice, number = build(source, STYLES[style])
    target = tmp_path / "target"
    for path, place, run_path in [
        (program, "bin", "$ORIGIN/../lib/deep"),
        (twice, "lib/deep", "$ORIGIN/../deeper/still"),
        (number, "lib/deeper/still", "$ORIGIN"),
    ]:
        content = with_run_path(
            without_debugging(path.read_bytes(), path.name), run_path, path.name, keep_notes=keep_notes
        )
        image = ElfImage(content, path.name)
        assert (image.rpath, image.runpath) == ((run_path,), ())
        assert image.needed == ElfImage(path.read_bytes(), path.name).needed
        (target / place).mkdir(parents=True, exist_ok=True)
        (target / place / path.name).write_bytes(content)
        (target / place / path.name).chmod(0o755)
    shutil.rmtree(source)
    assert run(target / "bin/program") == "84\n"


@pytest.mark.parametrize("keep_notes", [False, True])
@pytest.mark.parametrize("path", [PYTHON, DEBIAN_PYTHON], ids=["own python", "system python"])
def test_a_python_runs_after_the_change(tmp_path: Path, path: Path, keep_notes: bool) -> None:
    if not path.exists():
        pytest.skip("not on this machine")
    image = ElfImage(path.read_bytes(), path.name)
    found, missing = needed_libraries([(path, image)], LibrarySearch())
    assert missing == {}
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    for name, content, folder in [
        ("python", image.data, "bin"),
        *((name, library.image.data, "lib") for name, library in found.items()),
    ]:
        small = without_debugging(content, name)
        assert len(small) <= len(content)
        target = tmp_path / folder / name
        target.write_bytes(with_run_path(small, "$ORIGIN/../lib", name, keep_notes=keep_notes))
        target.chmod(0o755)
    home = run(path, "-I", "-c", "import sys; print(sys.base_prefix)").strip()
    code = "import os, zlib, math; print(open('/proc/self/maps').read())"
    maps = run(tmp_path / "bin/python", "-c", code, PYTHONHOME=home)
    for name in found:
        assert str(tmp_path / "lib" / name) in maps


def images() -> Iterator[tuple[str, bytes]]:
    yield "python", PYTHON.read_bytes()
    modules = sorted(Path(sys.base_prefix, "lib").glob("python3.*/lib-dynload/*.so"))
    for path in modules[:: max(1, len(modules) // 6)]:
        yield path.name, path.read_bytes()


IMAGES = dict(images())


@pytest.mark.parametrize("name", IMAGES)
def test_what_loaders_read_stays(name: str) -> None:
    before = ElfImage(IMAGES[name], name)
    for keep_notes in (False, True):
        changed = with_run_path(IMAGES[name], RUN_PATH, name, keep_notes=keep_notes)
        after = ElfImage(changed, name)
        assert after.rpath == tuple(RUN_PATH.split(":"))
        assert after.runpath == ()
        assert (after.needed, after.soname, after.interpreter) == (before.needed, before.soname, before.interpreter)
        assert after.needed_versions == before.needed_versions
        assert with_run_path(changed, RUN_PATH, name) == changed
        addresses = [segment.address for segment in after.loads]
        assert addresses == sorted(addresses)
        assert len(after.loads) == len(before.loads) + 1
        for segment in after.loads:
            assert segment.offset % segment.alignment == segment.address % segment.alignment
            assert segment.offset + segment.file_size <= len(changed)
        kinds = [segment.kind for segment in after.segments]
        assert kinds.index(PT_LOAD) > (kinds.index(PT_PHDR) if PT_PHDR in kinds else -1)


@pytest.mark.parametrize("name", IMAGES)
def test_a_changed_path_replaces_the_old_one(name: str) -> None:
    once = with_run_path(IMAGES[name], "/first", name)
    twice = ElfImage(with_run_path(once, "/second", name), name)
    assert (twice.rpath, twice.runpath) == (("/second",), ())


@pytest.mark.parametrize("name", IMAGES)
def test_a_moved_table_is_where_old_kernels_look(name: str) -> None:
    image = ElfImage(with_run_path(IMAGES[name], RUN_PATH, name, keep_notes=True), name)
    first = image.loads[0]
    holder = next(load for load in image.loads if load.offset <= image.segments_at < load.offset + load.file_size)
    assert holder.address - holder.offset == first.address - first.offset


@pytest.mark.skipif(shutil.which("readelf") is None, reason="no readelf here")
@pytest.mark.parametrize("keep_notes", [False, True])
@pytest.mark.parametrize("name", IMAGES)
def test_other_readers_find_nothing_wrong(tmp_path: Path, name: str, keep_notes: bool) -> None:
    path = tmp_path / name
    path.write_bytes(with_run_path(without_debugging(IMAGES[name], name), RUN_PATH, name, keep_notes=keep_notes))
    done = subprocess.run(["readelf", "-lSdVW", path], capture_output=True, text=True, env={"LC_ALL": "C"})
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Library rpath: [{RUN_PATH}]" in done.stdout
    assert ".debug_info" not in done.stdout


def test_debugging_information_goes() -> None:
    name, content = max(IMAGES.items(), key=lambda item: len(item[1]))
    small = without_debugging(content, name)
    assert without_debugging(small, name) == small
    before, after = ElfImage(content, name), ElfImage(small, name)
    assert after.dynamic == before.dynamic
    assert after.segments == before.segments


def test_the_c_library_that_a_file_needs() -> None:
    image = ElfImage(PYTHON.read_bytes(), "python")
    assert (2, 2) <= glibc_needed(image) < (3,)
    assert not is_part_of_glibc(image)
    assert image.interpreter is not None
    assert belongs_to_c_library(Path(image.interpreter).name)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(IMAGES)), st.floats(0, 1), st.binary(min_size=1, max_size=8))
def test_damaged_files_are_refused_or_read(name: str, place: float, garbage: bytes) -> None:
    content = bytearray(IMAGES[name][:60_000])
    at = int(place * min(len(content), 2_000))
    content[at : at + len(garbage)] = garbage
    try:
        image = ElfImage(bytes(content), name)
        assert isinstance((image.needed, image.rpath, image.needed_versions, image.soname), tuple)
        with_run_path(bytes(content), RUN_PATH, name)
    except BadElf as error:
        assert name in str(error)


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n" + bytes(100), b"\x7fELF\x09\x01" + bytes(100)])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(BadElf, match="tool"):
        ElfImage(content, "tool")


def test_a_file_without_dynamic_section_is_refused() -> None:
    image = ElfImage(PYTHON.read_bytes(), "python")
    data = bytearray(image.data)
    size = struct.calcsize(image.segment_format)
    for position, segment in enumerate(image.segments):
        if segment.kind == 2:
            struct.pack_into(image.order + "I", data, image.segments_at + position * size, DT_NULL)
    with pytest.raises(BadElf, match="not linked dynamically"):
        with_run_path(bytes(data), RUN_PATH, "python")


def test_a_note_is_what_goes() -> None:
    image = ElfImage(PYTHON.read_bytes(), "python")
    changed = ElfImage(with_run_path(image.data, RUN_PATH, "python"), "python")
    notes = (PT_NOTE, PT_GNU_PROPERTY)
    assert sum(s.kind in notes for s in changed.segments) == sum(s.kind in notes for s in image.segments) - 1
    assert len(changed.segments) == len(image.segments)


# -- the loader's rules -----------------------------------------------------------------------------------------------


def place(folder: Path, name: str, *, rpath: str = "", runpath: str = "", needs: tuple[Path, ...] = ()) -> Path:
    folder.mkdir(exist_ok=True)
    flags = ["-shared", "-fPIC", f"-Wl,-soname,{name}", "-Wl,--no-as-needed"]
    if rpath:
        flags.append(f"-Wl,--disable-new-dtags,-rpath,{rpath}")
    if runpath:
        flags.append(f"-Wl,--enable-new-dtags,-rpath,{runpath}")
    return compile_c(folder, name, f"int {name.partition('.')[0]}_in_{folder.name};\n", *flags, *map(str, needs))


def locate(tmp_path: Path, *, rpath: str = "", runpath: str = "", search_path: str = "", standard: str = "") -> str:
    """The folder in which `libb.so` is found for `liba.so`."""
    library = place(tmp_path / "origin", "libb.so")
    first = place(tmp_path / "origin", "liba.so", rpath=rpath, runpath=runpath, needs=(library,))
    library.unlink()
    search = LibrarySearch(search_path, cache_file=tmp_path / "none", standard=[Path(standard)] if standard else [])
    found, _ = needed_libraries([(first, ElfImage(first.read_bytes(), "liba.so"))], search)
    return found["libb.so"].path.parent.resolve().name if found else ""


@needs_compiler
@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (("rpath", "search_path", "standard"), "rpath"),
        (("runpath", "search_path", "standard"), "search_path"),
        (("runpath", "standard"), "runpath"),
        (("rpath", "standard"), "rpath"),
        (("standard",), "standard"),
        ((), ""),
    ],
)
def test_the_order_of_the_places(tmp_path: Path, keys: tuple[str, ...], expected: str) -> None:
    places = {}
    for key in keys:
        place(tmp_path / key, "libb.so")
        places[key] = f"$ORIGIN/../{key}" if key.endswith(("rpath", "runpath")) else str(tmp_path / key)
    assert locate(tmp_path, **places) == expected


@needs_compiler
def test_the_run_path_of_those_that_load_counts(tmp_path: Path) -> None:
    far = place(tmp_path / "far", "libc3.so")
    near = place(tmp_path / "near", "libc2.so", needs=(far,))
    first = place(tmp_path / "origin", "libc1.so", rpath=f"{tmp_path}/far:{tmp_path}/near", needs=(near,))
    search = LibrarySearch(cache_file=tmp_path / "none", standard=[])
    found, missing = needed_libraries([(first, ElfImage(first.read_bytes(), "libc1.so"))], search)
    assert (sorted(found), missing) == (["libc2.so", "libc3.so"], {})


@needs_compiler
def test_what_is_missing_is_named_with_who_needs_it(tmp_path: Path) -> None:
    gone = place(tmp_path / "gone", "libgone.so")
    first = place(tmp_path / "origin", "libfirst.so", needs=(gone,))
    gone.unlink()
    search = LibrarySearch(cache_file=tmp_path / "none", standard=[])
    found, missing = needed_libraries([(first, ElfImage(first.read_bytes(), "libfirst.so"))], search)
    assert (found, missing) == ({}, {"libgone.so": str(first)})


@pytest.mark.skipif(not CACHE_FILE.exists(), reason="no cache of ldconfig here")
def test_the_cache_says_what_ldconfig_says() -> None:
    program = shutil.which("ldconfig", path="/sbin:/usr/sbin")
    if program is None:
        pytest.skip("no ldconfig here")
    cache = read_loader_cache(CACHE_FILE)
    for line in subprocess.run([program, "-p"], capture_output=True, text=True).stdout.splitlines()[1:]:
        name, _, path = line.strip().partition(" => ")
        if path and "hwcap" not in name:
            assert Path(path) in cache[name.split(" ")[0]]


@pytest.mark.parametrize("content", [b"", b"glibc-ld.so.cache1.1", b"glibc-ld.so.cache1.1" + b"\xff" * 60])
def test_a_damaged_cache_is_no_cache(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cache"
    path.write_bytes(content)
    assert read_loader_cache(path) == {}
    assert read_loader_cache(tmp_path / "missing") == {}


def test_origin_is_the_directory_of_the_file(tmp_path: Path) -> None:
    for text in ("$ORIGIN/../lib", "${ORIGIN}/../lib"):
        assert expand_origin(text, tmp_path / "bin/x") == tmp_path / "bin/../lib"
