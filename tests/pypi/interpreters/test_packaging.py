"""Packages of real interpreters, put into a directory of their own and run with nothing of the original in reach."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kaa.archive.extract import extract
from kaa.channels.index import index_channel
from kaa.cli.main import main
from kaa.pypi.interpreters.build_configuration import PLACEHOLDER, SHARED_PREFIXES
from kaa.pypi.interpreters.bundled_pip import find_installed_pip, package_pip, wheel_of_installed
from kaa.pypi.interpreters.interpreter import Interpreter, NoInterpreter, ask_interpreter, find_interpreter
from kaa.pypi.interpreters.loader import belongs_to_c_library
from kaa.pypi.interpreters.packaging import PackagedPython, package_python
from kaa.pypi.interpreters.subdirs import CannotPackage
from kaa.pypi.wheel import package_wheel
from tests.pypi.interpreters.copies import copied_interpreter
from tests.pypi.wheels import build_wheel

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="done on Linux only")

LEVEL = 1
MODULES = (
    "ssl",
    "sqlite3",
    "ctypes",
    "lzma",
    "bz2",
    "zlib",
    "readline",
    "hashlib",
    "_decimal",
    "curses",
    "uuid",
    "dbm",
)


def others() -> Iterator[Path]:
    """Other interpreters of this machine."""
    yield Path("/usr/bin/python3")
    for path in sorted(Path.home().glob(".pyenv/versions/3.*/bin/python3")):
        minor = int(path.parent.parent.name.split(".")[1])
        if minor >= 8 and path.parent.parent != Path(sys.base_prefix):
            yield path


INTERPRETERS = [
    pytest.param(Path(sys.executable), id="own"),
    *(
        pytest.param(path, id=str(path).removeprefix(str(Path.home())), marks=pytest.mark.slow)
        for path in others()
        if path.exists()
    ),
]


@dataclass
class World:
    """A package of an interpreter, in a prefix; the interpreter that it was made of is gone, if it could be moved."""

    original: Interpreter
    packaged: PackagedPython
    channel: Path
    prefix: Path
    index: dict[str, Any]
    paths: dict[str, dict[str, Any]]

    @property
    def python(self) -> Path:
        return self.prefix / "bin/python"

    @property
    def library(self) -> Path:
        return next(path for path in self.prefix.glob("lib*/python3.*") if (path / "os.py").exists())

    def run(self, *words: str | Path, **environ: str) -> str:
        done = subprocess.run([self.python, *words], env=environ, capture_output=True, text=True, cwd="/")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ask(self, expression: str, **environ: str) -> Any:
        code = f"import json, os, site, sys, sysconfig; print(json.dumps({expression}))"
        return json.loads(self.run("-c", code, **environ))


def install(package: Path, prefix: Path) -> dict[str, dict[str, Any]]:
    """Unpack a package as a prefix, by hand: put the prefix where the placeholder is."""
    extract(package, prefix)
    paths = {entry["_path"]: entry for entry in json.loads((prefix / "info/paths.json").read_text())["paths"]}
    for path, entry in paths.items():
        if "prefix_placeholder" in entry:
            assert entry["file_mode"] == "text"
            content = (prefix / path).read_bytes()
            assert entry["prefix_placeholder"].encode() in content
            (prefix / path).write_bytes(content.replace(entry["prefix_placeholder"].encode(), os.fsencode(prefix)))
    return paths


@pytest.fixture(scope="module", params=INTERPRETERS)
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> World:
    original = ask_interpreter(request.param)
    folder = tmp_path_factory.mktemp("python")
    copy = copied_interpreter(folder / "copy", original)
    packaged = package_python(copy, folder / "channel", environ={"SOURCE_DATE_EPOCH": "1700000000"}, level=LEVEL)
    shutil.rmtree(folder / "copy", ignore_errors=True)
    prefix = folder / "a prefix"
    paths = install(packaged.path, prefix)
    index = json.loads((prefix / "info/index.json").read_text())
    return World(original, packaged, folder / "channel", prefix, index, paths)


def test_what_the_package_says(world: World) -> None:
    index = world.index
    assert (index["name"], index["version"]) == ("python", world.original.full_version)
    assert world.packaged.path.parent.name == index["subdir"]
    assert index["build"].endswith("_0_cpython")
    assert index["timestamp"] == 1_700_000_000_000
    [glibc] = index["depends"]
    assert glibc.startswith("__glibc >=2.")
    assert (world.prefix / "info/licenses/LICENSE.txt").exists()


def test_its_programs(world: World) -> None:
    minor = world.original.minor
    for name in ("python", "python3", f"python{minor}"):
        done = subprocess.run([world.prefix / "bin" / name, "--version"], env={}, capture_output=True, text=True)
        assert done.stdout == f"Python {world.original.version}\n"
    assert (world.prefix / f"bin/pydoc{minor}").read_text().startswith(f"#!{world.prefix}/bin/python{minor}\n")


def test_all_its_paths_lie_in_the_prefix(world: World) -> None:
    prefix = str(world.prefix)
    assert world.ask("[sys.prefix, sys.base_prefix, sys.exec_prefix]") == [prefix] * 3
    assert world.ask("sys.executable") == str(world.python)
    site = f"{prefix}/lib/python{world.original.minor}/site-packages"
    assert world.ask("sysconfig.get_path('purelib')") == site
    for path in world.ask("[path for path in sys.path if path]"):
        assert path.startswith(prefix)
    for name, path in world.ask("sysconfig.get_paths()").items():
        assert path.startswith(prefix), name
    assert site in world.ask("[os.path.realpath(path) for path in sys.path]")
    assert site in world.ask("[os.path.realpath(path) for path in site.getsitepackages()]")


def test_it_can_import_what_the_original_can(world: World) -> None:
    for name in MODULES:
        code = f"import {name}"
        original = subprocess.run([world.original.executable, "-I", "-c", code], capture_output=True, text=True)
        copy = subprocess.run([world.python, "-I", "-c", code], env={}, capture_output=True, text=True)
        assert copy.returncode == original.returncode, (name, copy.stderr)


def test_nothing_but_the_c_library_comes_from_elsewhere(world: World) -> None:
    code = "import ssl, sqlite3, ctypes, lzma, zlib, readline; print(open('/proc/self/maps').read())"
    mapped = {line.split(None, 5)[5] for line in world.run("-c", code).splitlines() if line.count("/")}
    outside = {path for path in mapped if not path.startswith(str(world.prefix)) and ".so" in path}
    assert {path for path in outside if not belongs_to_c_library(Path(path).name)} == set()
    assert any("lib-carried" in path for path in mapped) or not world.packaged.carried


def test_libraries_of_the_user_do_not_get_in_its_way(world: World, tmp_path: Path) -> None:
    for name in world.packaged.carried:
        (tmp_path / name).write_bytes(b"not a library")
    assert world.run("-c", "import ssl, zlib; print('fine')", LD_LIBRARY_PATH=str(tmp_path)) == "fine\n"


def test_the_original_is_mentioned_nowhere(world: World) -> None:
    if world.original.prefix in SHARED_PREFIXES:
        pytest.skip("its prefix is everybody's")
    needle = os.fsencode(world.original.prefix)
    for path in world.paths:
        content = (world.prefix / path).read_bytes() if (world.prefix / path).is_file() else b""
        assert content[:4] == b"\x7fELF" or needle not in content, path


def test_sysconfig_tells_of_this_prefix(world: World) -> None:
    variables = world.ask("sysconfig.get_config_vars()")
    assert PLACEHOLDER not in json.dumps(variables)
    for name in ("BINDIR", "LIBDIR", "LIBDEST", "INCLUDEPY", "LIBPL", "DESTSHARED"):
        assert Path(variables[name]).is_dir() or name == "INCLUDEPY", name
        assert variables[name].startswith(str(world.prefix))
    assert Path(world.ask("sysconfig.get_makefile_filename()")).is_file()
    assert world.ask("sysconfig.get_config_var('TZPATH')") == ask_tzpath(world.original)


def ask_tzpath(original: Interpreter) -> str | None:
    code = "import json, sysconfig; print(json.dumps(sysconfig.get_config_var('TZPATH')))"
    done = subprocess.run([original.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    answer: str | None = json.loads(done.stdout)
    return answer


def test_what_is_not_in_it(world: World) -> None:
    for path in world.paths:
        parts = path.split("/")
        assert not {"test", "tests", "idle_test"} & set(parts), path
        assert parts[-1] not in ("EXTERNALLY-MANAGED", "sitecustomize.py"), path
        assert not path.endswith((".a", ".o")), path
    site = [path for path in world.paths if "/site-packages/" in path]
    assert [path.rpartition("/")[2] for path in site] == ["README.txt"]


def test_bytecode_comes_along_and_stays_valid(world: World) -> None:
    names = {path for path in world.paths if path.endswith(".pyc")}
    sources = {p for p, entry in world.paths.items() if p.endswith(".py") and "prefix_placeholder" not in entry}
    assert len(names) > 0.95 * len([path for path in sources if path.startswith(("lib/python", "lib64/python"))])
    for name in names:
        # The second word of a .pyc: bit 0 says that its source is told by a hash, bit 1 that it is to be compared.
        assert (world.prefix / name).read_bytes()[4:8] == b"\1\0\0\0"
    code = (
        "import json, argparse, email.message, asyncio, sys; print('\\n'.join(m.__cached__ for m in (json, argparse)))"
    )
    before = sorted(path for path in world.prefix.rglob("*"))
    for path in world.run("-c", code).splitlines():
        assert Path(path).is_file()
    assert sorted(path for path in world.prefix.rglob("*")) == before
    assert world.ask("os.__file__").startswith(str(world.prefix))


@pytest.mark.slow
def test_pip_installs_into_the_prefix_and_takes_away_again(world: World, tmp_path: Path) -> None:
    packages = package_pip(world.original, world.channel, subdir=world.index["subdir"], level=LEVEL)
    pip = next((path for package in packages for path in package.paths if path.name.startswith("pip-")), None)
    assert pip is not None
    prefix = tmp_path / "with pip"
    shutil.copytree(world.prefix, prefix, symlinks=True)
    extract(pip, tmp_path / "pip")
    site = prefix / f"lib/python{world.original.minor}/site-packages"
    shutil.copytree(tmp_path / "pip/site-packages", site, dirs_exist_ok=True)
    entry = "[console_scripts]\ntool = tool:main\n"
    code = "import sys\ndef main():\n    print(sys.prefix)\n"
    build_wheel(tmp_path / "wheels", files={"tool.py": code, "{data}/data/share/t": "t"}, entry_points=entry)
    before = set(Path(sysconfig.get_path("purelib")).iterdir())
    options = ["-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "-q"]

    def run(*words: str | Path) -> str:
        done = subprocess.run(words, env={"HOME": str(tmp_path / "home")}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run(prefix / "bin/python", *options, "install", "--no-index", "--find-links", tmp_path / "wheels", "tool")
    assert (site / "tool.py").exists()
    assert (prefix / "share/t").exists()
    assert run(prefix / "bin/tool") == f"{prefix}\n"
    assert set(Path(sysconfig.get_path("purelib")).iterdir()) == before
    assert not (tmp_path / "home").exists()
    assert not (prefix / "local").exists()
    run(prefix / "bin/python", *options, "uninstall", "-y", "tool")
    assert not (site / "tool.py").exists()
    assert not (prefix / "bin/tool").exists()


@pytest.mark.slow
def test_virtual_environments_can_be_made(world: World, tmp_path: Path) -> None:
    code = "import ensurepip"
    if subprocess.run([world.original.executable, "-I", "-c", code], capture_output=True).returncode:
        pytest.skip("the original has no ensurepip either")
    world.run("-m", "venv", tmp_path / "venv")
    done = subprocess.run([tmp_path / "venv/bin/pip", "--version"], env={}, capture_output=True, text=True)
    assert str(tmp_path / "venv") in done.stdout


def test_it_can_be_moved(world: World, tmp_path: Path) -> None:
    shutil.copytree(world.prefix, tmp_path / "moved", symlinks=True)
    code = "import ssl, sys, sysconfig; print(sys.prefix, sysconfig.get_path('purelib'))"
    done = subprocess.run([tmp_path / "moved/bin/python", "-I", "-c", code], env={}, capture_output=True, text=True)
    moved = tmp_path / "moved"
    assert done.stdout == f"{moved} {moved}/lib/python{world.original.minor}/site-packages\n"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no compiler here")
def test_extension_modules_can_be_built_with_it(world: World, tmp_path: Path) -> None:
    include = Path(world.ask("sysconfig.get_path('include')"))
    if not include.is_dir():
        assert any("headers" in note for note in world.packaged.notes)
        pytest.skip("the original has no headers either")
    source = tmp_path / "small.c"
    source.write_text(
        "#include <Python.h>\n"
        'static PyModuleDef module = {PyModuleDef_HEAD_INIT, "small", NULL, -1, NULL};\n'
        "PyMODINIT_FUNC PyInit_small(void) { return PyModule_Create(&module); }\n"
    )
    target = tmp_path / ("small" + world.ask("sysconfig.get_config_var('EXT_SUFFIX')"))
    subprocess.run(["gcc", "-shared", "-fPIC", f"-I{include}", "-o", target, source], check=True, capture_output=True)
    assert world.run("-c", "import small; print(small.__name__)", PYTHONPATH=str(tmp_path)) == "small\n"


@pytest.mark.slow
def test_a_package_of_the_package_is_the_same(world: World, tmp_path: Path) -> None:
    again = package_python(world.python, tmp_path, environ={"SOURCE_DATE_EPOCH": "1700000000"}, level=LEVEL)
    assert again.path.name == world.packaged.path.name
    assert again.carried == world.packaged.carried
    paths = install(again.path, tmp_path / "again")

    def facts(entries: dict[str, dict[str, Any]]) -> dict[str, Any]:
        return {path: entry["sha256"] for path, entry in entries.items() if not path.endswith(".pyc")}

    assert facts(paths) == facts(world.paths)
    index = json.loads((tmp_path / "again/info/index.json").read_text())
    assert index == world.index


def test_an_unusual_layout_is_told(world: World) -> None:
    path = world.index.get("python_site_packages_path")
    if world.original.has_usual_layout:
        assert path is None
    else:
        assert path == f"lib/python{world.original.minor}/site-packages"
        links = [entry for entry in world.library.iterdir() if entry.is_symlink()]
        assert [link.readlink() for link in links] == [Path("site-packages")]


def test_an_environment_of_it(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(tmp_path / "root"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    code = "import sys\ndef main():\n    print(sys.prefix)\n"
    wheel = build_wheel(tmp_path, files={"tool.py": code}, entry_points="[console_scripts]\ntool = tool:main\n")
    channel = tmp_path / "channel"
    shutil.copytree(world.channel, channel)
    package_wheel(wheel, channel, subdir=world.index["subdir"])
    tag = f"cp{world.original.minor.replace('.', '')}"
    compiled = build_wheel(tmp_path, "compiled", tag=f"{tag}-{tag}-linux_x86_64")
    if world.index["subdir"] == "linux-64":
        package_wheel(compiled, channel, subdir="linux-64")
    index_channel(channel)
    prefix = tmp_path / "env"
    names = ["tool", "compiled"] if world.index["subdir"] == "linux-64" else ["tool"]
    words = ["create", "-y", "-q", "-p", str(prefix), "-O", "-c", channel.as_uri(), *names]
    assert main(words) == 0
    done = subprocess.run([prefix / "bin/tool"], env={}, capture_output=True, text=True)
    assert done.stdout == f"{prefix}\n"
    for name in names:
        subprocess.run([prefix / "bin/python", "-I", "-c", f"import {name}"], env={}, check=True)


# -- asking -----------------------------------------------------------------------------------------------------------


def answering(folder: Path, **changes: object) -> Path:
    """A program that answers as an interpreter of another kind would."""
    answer = {**msgspec.to_builtins(ask_interpreter(Path(sys.executable))), **changes}
    (folder / "answer.json").write_text(json.dumps(answer))
    program = folder / "python"
    program.write_text(f"#!/bin/sh\ncat '{folder}/answer.json'\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("changes", "reason"),
    [({"implementation": "pypy"}, "it is pypy"), ({"platform": "darwin"}, "it is for darwin")],
)
def test_other_kinds_of_python_are_refused(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(CannotPackage, match=reason):
        package_python(answering(tmp_path, **changes), tmp_path / "channel", environ={})
    assert not (tmp_path / "channel").exists()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("echo hello", "makes no sense"),
        ("echo broken >&2; exit 3", "broken"),
        ("exit 3", "code 3"),
        ("kill $$", "code -15"),
    ],
)
def test_what_is_no_interpreter(tmp_path: Path, script: str, reason: str) -> None:
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(NoInterpreter, match=reason):
        ask_interpreter(program)


def test_a_file_that_cannot_be_run(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with pytest.raises(NoInterpreter, match="text"):
        ask_interpreter(tmp_path / "text")


def test_interpreters_are_found(tmp_path: Path) -> None:
    program = answering(tmp_path)
    assert find_interpreter("python", str(tmp_path)) == program
    assert find_interpreter(str(program), "") == program
    (tmp_path / "prefix/bin").mkdir(parents=True)
    (tmp_path / "prefix/bin/python3").symlink_to(program)
    assert find_interpreter(str(tmp_path / "prefix"), "") == tmp_path / "prefix/bin/python3"
    with pytest.raises(NoInterpreter, match="no program of that name"):
        find_interpreter("no-such-python", str(tmp_path))


def test_a_virtual_environment_answers_for_its_base() -> None:
    answer = ask_interpreter(Path(sys.executable))
    assert (answer.prefix, answer.virtual) == (sys.base_prefix, False)
    assert answer.full_version == ".".join(map(str, sys.version_info[:3]))


@pytest.mark.skipif(importlib.util.find_spec("pip") is None, reason="no pip here")
def test_pip_is_taken_from_where_it_is_installed(tmp_path: Path) -> None:
    spec = importlib.util.find_spec("pip")
    assert spec is not None
    assert spec.origin is not None
    bare = msgspec.structs.replace(
        ask_interpreter(Path(sys.executable)), wheel_directories=(), pip=str(Path(spec.origin).parent)
    )
    information = find_installed_pip(bare)
    assert information is not None
    [packaged] = package_pip(bare, tmp_path / "channel", subdir="linux-64", level=LEVEL)
    [path] = packaged.paths
    assert path.name.startswith("pip-")
    extract(path, tmp_path / "pip")
    link = json.loads((tmp_path / "pip/info/link.json").read_text())
    assert link["noarch"]["entry_points"][0].startswith("pip = pip._internal.cli.main:")
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    wheels = [wheel_of_installed(information, ("pip",), tmp_path / name) for name in ("one", "two")]
    assert wheels[0].read_bytes() == wheels[1].read_bytes()
    assert package_pip(msgspec.structs.replace(bare, pip=""), tmp_path / "channel", subdir="linux-64") == []


@pytest.mark.slow
def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(tmp_path / "root"))
    channel = tmp_path / "channel"
    words = ["package", "python", sys.executable, "-c", str(channel), "--level", "1", "--json"]
    assert main(words) == 0
    answer = json.loads(capsys.readouterr().out)
    names = [Path(package["path"]).name for package in answer["packages"]]
    assert names[0].startswith("python-")
    assert any(name.startswith("pip-") for name in names)
    found = json.loads((channel / "noarch/repodata.json").read_text())["packages.conda"]
    assert sorted(found) == sorted(names[1:])
    assert main([*words[:-1], "--no-pip", "--no-index", "-q"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert "python-" in lines[0]
