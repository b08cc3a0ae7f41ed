"""Bytecode: compiled once per package, linked from the cache, valid for the installed source."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from kaa.transaction import bytecode_worker
from kaa.transaction.plan import LinkOptions
from tests.channels import File, Package
from tests.transaction.world import SITE, TAG, VERSION, World, contents, python_package

PLACE = "/opt/place_of_the_builder_" + "x" * 200
MODULE = Package(
    "module",
    noarch="python",
    files={
        "site-packages/module/__init__.py": "VALUE = 7\n",
        "site-packages/module/old.py": "print 'python 2'\n",
        "site-packages/module/data.txt": "x",
        "site-packages/placed.py": File(f"PLACE = '{PLACE}'\n".encode(), placeholder=PLACE),
    },
)
PYC = f"{SITE}/module/__pycache__/__init__.{TAG}.pyc"
PLACED = f"{SITE}/__pycache__/placed.{TAG}.pyc"


def loads_from_bytecode(world: World, name: str) -> bool:
    """Whether python takes a module from its bytecode file, and does not write one."""
    code = (
        f"import sys; sys.path.insert(0, {str(world.prefix / SITE)!r}); import {name}; "
        f"print({name}.__spec__.cached); print({name}.__file__)"
    )
    argv = [sys.executable, "-I", "-v", "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    cached, file = done.stdout.splitlines()
    assert file.startswith(str(world.prefix))
    return f"# {cached} matches {file}" in done.stderr and f"# wrote {cached!r}" not in done.stderr


def test_installed_modules_load_from_their_bytecode(world: World) -> None:
    world.install(python_package(), MODULE)
    assert loads_from_bytecode(world, "module")
    assert loads_from_bytecode(world, "placed")
    sidecar = world.cache / ".bytecode" / MODULE.dist / TAG
    assert (world.prefix / PYC).samefile(sidecar / f"site-packages/module/__pycache__/__init__.{TAG}.pyc")
    assert not list(sidecar.glob("**/placed*"))
    assert (world.prefix / PLACED).stat().st_nlink == 1


@pytest.mark.parametrize("always_copy", [True, False])
def test_bytecode_fits_copies_as_well(world: World, always_copy: bool) -> None:
    world.install(python_package(), MODULE, always_copy=always_copy)
    assert loads_from_bytecode(world, "module")


def test_bytecode_is_recorded(world: World) -> None:
    world.install(python_package(), MODULE)
    record = world.record("module")
    kinds = dict(zip(record.files, record.paths_data.paths, strict=True))
    assert kinds[PYC].path_type == "pyc_file"
    assert kinds[PLACED].path_type == "pyc_file"
    # A module for another python has none, and does not claim one.
    assert not [path for path in record.files if "old" in path and "__pycache__" in path]
    assert any("old.py" in note for note in world.notes())


def test_the_second_environment_compiles_nothing(world: World) -> None:
    other = world.folder / "envs" / "other"
    plain = Package("module", noarch="python", files={"site-packages/module/__init__.py": "VALUE = 7\n"}, build="1")
    world.install(python_package(), plain)
    # A python that cannot be started shows that none is needed.
    world.install(python_package(), plain, prefix=other, interpreter=Path("/bin/false"))
    assert (other / PYC).samefile(world.prefix / PYC)
    assert world.warnings() == []


@pytest.mark.parametrize(("umask", "mode"), [(0o002, 0o444), (0o022, 0o444), (0o027, 0o440)])
def test_bytecode_that_environments_share_is_read_only(world: World, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        world.install(python_package(), MODULE)
    finally:
        os.umask(before)
    assert (world.prefix / PYC).stat().st_mode & 0o7777 == mode
    # What is the environment's own stays its own.
    assert (world.prefix / PLACED).stat().st_mode & 0o200


def test_bytecode_of_a_directory_that_is_not_filled_is_used(world: World) -> None:
    plain = Package("module", noarch="python", files={"site-packages/module/__init__.py": "VALUE = 7\n"}, build="1")
    world.install(python_package(), plain)
    world.unpack(MODULE)
    for dist, package in world.extracted.items():
        own = world.folder / "own" / ".bytecode"
        world.extracted[dist] = replace(package, bytecode_root=own, shared_bytecode=package.bytecode_root)
    other = world.folder / "envs" / "other"
    world.install(python_package(), plain, prefix=other, interpreter=Path("/bin/false"))
    assert (other / PYC).samefile(world.prefix / PYC)
    # What is not there goes into the own one.
    world.install(python_package(), MODULE, prefix=world.folder / "envs" / "third")
    assert [path.name for path in (world.folder / "own" / ".bytecode").iterdir()] == [MODULE.dist]


def test_one_process_compiles_everything(world: World, tmp_path: Path) -> None:
    log = tmp_path / "log"
    wrapper = tmp_path / "python"
    wrapper.write_text(f'#!/bin/sh\necho started >> {log}\nexec "{sys.executable}" "$@"\n')
    wrapper.chmod(0o755)
    packages = [
        Package(f"p{n}", noarch="python", files={f"site-packages/p{n}/m{m}.py": f"M = {m}\n" for m in range(60)})
        for n in range(3)
    ]
    world.install(python_package(), *packages, interpreter=wrapper, workers=2)
    assert log.read_text() == "started\n"
    assert len([path for path in contents_of_site(world) if path.endswith(".pyc")]) == 180


def contents_of_site(world: World) -> list[str]:
    return [str(path) for path in (world.prefix / SITE).glob("**/*")]


def test_old_bytecode_of_a_package_is_not_trusted(world: World) -> None:
    world.install(python_package(), MODULE)
    world.install()
    source = world.cache / MODULE.dist / "site-packages/module/__init__.py"
    state = source.stat()
    os.utime(source, (state.st_atime, state.st_mtime + 10))
    world.install(python_package(), MODULE)
    assert loads_from_bytecode(world, "module")


@pytest.mark.parametrize("damage", ["{", "[]", '{"modules": {}}', ""])
def test_a_damaged_manifest_means_compiling_again(world: World, damage: str) -> None:
    world.install(python_package(), MODULE)
    world.install()
    (world.cache / ".bytecode" / MODULE.dist / TAG / "compiled.json").write_text(damage)
    world.install(python_package(), MODULE)
    assert loads_from_bytecode(world, "module")
    manifest = json.loads((world.cache / ".bytecode" / MODULE.dist / TAG / "compiled.json").read_text())
    assert manifest["modules"]["site-packages/module/old.py"][2] is False


def test_a_cache_that_cannot_be_written_to_is_no_obstacle(world: World) -> None:
    world.unpack(MODULE)
    # A file where the directory should be: that stops root as well.
    (world.cache / ".bytecode").write_text("")
    world.install(python_package(), MODULE)
    assert loads_from_bytecode(world, "module")


def test_an_interpreter_that_fails_is_told_of(world: World) -> None:
    world.install(python_package(), MODULE, interpreter=Path("/bin/false"))
    assert any("no bytecode was compiled" in warning for warning in world.warnings())
    assert not [path for path in world.record("module").files if path.endswith(".pyc")]
    assert not [path for path in contents_of_site(world) if path.endswith(".pyc")]


def test_a_missing_interpreter_is_told_of(world: World) -> None:
    world.install(Package("python", f"{VERSION}.0"), MODULE)
    assert any("is missing" in note for note in world.notes())
    assert not [path for path in contents_of_site(world) if path.endswith(".pyc")]


def test_nothing_is_compiled_for_other_platforms(tmp_path: Path) -> None:
    world = World(tmp_path, subdir="win-64")
    world.install(Package("python", "3.12.1", subdir="win-64"), MODULE)
    assert "Lib/site-packages/module/__init__.py" in contents(world.prefix)
    assert not [path for path in contents(world.prefix) if path.endswith(".pyc")]


def test_compilation_can_be_left_out(world: World) -> None:
    world.install(python_package(), MODULE, compile_bytecode=False)
    assert not [path for path in contents_of_site(world) if path.endswith(".pyc")]


def test_packages_for_a_platform_are_compiled_where_they_bring_none(world: World) -> None:
    own = f"{SITE}/__pycache__/b.{TAG}.pyc"
    package = Package("built", files={f"{SITE}/a.py": "A = 1\n", f"{SITE}/b.py": "B = 1\n", own: b"brought along"})
    world.install(python_package(), package)
    assert loads_from_bytecode(world, "a")
    assert (world.prefix / own).read_bytes() == b"brought along"


def test_leftovers_of_removed_modules_go(world: World) -> None:
    world.install(python_package(), MODULE, compile_bytecode=False)
    cache = world.prefix / SITE / "module" / "__pycache__"
    cache.mkdir()
    for name in (f"__init__.{TAG}.pyc", f"__init__.{TAG}.opt-1.pyc", "old.cpython-38.pyc"):
        (cache / name).write_bytes(b"")
    (cache / f"mine.{TAG}.pyc").write_bytes(b"")
    world.install(python_package())
    assert contents_of_site(world) == [
        str(world.prefix / SITE / "module"),
        str(cache),
        str(cache / f"mine.{TAG}.pyc"),
    ]


def test_bytecode_that_python_wrote_meanwhile_gives_way(world: World) -> None:
    world.install(python_package(), MODULE, compile_bytecode=False)
    stale = world.prefix / PYC
    stale.parent.mkdir()
    stale.write_bytes(b"stale")
    world.perform(world.plan(python_package(), MODULE, reinstall={"module"}), path_conflict="prevent")
    assert loads_from_bytecode(world, "module")


def test_site_packages_are_not_executed(world: World, tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    evil = f"import pathlib; pathlib.Path({str(marker)!r}).touch()\n"
    package = Package(
        "evil",
        noarch="python",
        files={
            "site-packages/evil.pth": evil,
            "site-packages/sitecustomize.py": evil,
            "site-packages/json.py": evil,
            "site-packages/evil.py": evil,
        },
    )
    world.options = replace(world.options, environ={**world.options.environ, "PYTHONPATH": str(world.prefix / SITE)})
    world.install(python_package(), package)
    assert (world.prefix / SITE / "__pycache__" / f"evil.{TAG}.pyc").exists()
    assert not marker.exists()


@pytest.mark.parametrize("version", ["3.8.18", "3.13.0"])
def test_other_pythons_compile_for_themselves(world: World, version: str) -> None:
    minor = ".".join(version.split(".")[:2])
    interpreter = Path.home() / ".pyenv" / "versions" / version / "bin" / f"python{minor}"
    if not interpreter.exists():
        pytest.skip(f"python {minor} is not on this machine")
    tag = "cpython-" + minor.replace(".", "")
    many = Package("many", noarch="python", files={f"site-packages/many/m{n}.py": f"N = {n}\n" for n in range(90)})
    world.install(Package("python", version), many, interpreter=interpreter, workers=2)
    pyc = world.prefix / f"lib/python{minor}/site-packages/many/__pycache__/m1.{tag}.pyc"
    magic = subprocess.run(
        [interpreter, "-c", "import importlib.util, sys; sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER)"],
        capture_output=True,
        check=True,
    ).stdout
    assert pyc.read_bytes()[:4] == magic != importlib.util.MAGIC_NUMBER
    assert world.warnings() == []


def test_options_have_the_defaults_of_a_native_installation() -> None:
    assert LinkOptions().compile_bytecode


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of the end of their parent")
@pytest.mark.parametrize("jobs", [1, 90])
def test_what_nobody_waits_for_is_not_written(tmp_path: Path, jobs: int) -> None:
    """Who waits for bytecode is killed: what compiles it ends as well, before it writes into what was taken back."""
    module = tmp_path / "module.py"
    os.mkfifo(module)
    wanted = [[str(module), str(tmp_path / "made" / f"{n}.pyc"), "module.py"] for n in range(jobs)]
    child = os.fork()
    if child == 0:
        request = json.dumps({"parent": os.getpid(), "workers": 2, "jobs": wanted}).encode()
        subprocess.run([sys.executable, "-I", "-S", bytecode_worker.__file__], input=request, stdout=subprocess.DEVNULL)
        os._exit(0)
    # The other end of a pipe that never ends: whoever reads it waits.
    pipe = os.open(module, os.O_WRONLY)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deadline = time.monotonic() + 60
    with pytest.raises(BrokenPipeError):
        while time.monotonic() < deadline:
            os.write(pipe, b"#")
            time.sleep(0.02)
    os.close(pipe)
    assert not (tmp_path / "made").exists()
