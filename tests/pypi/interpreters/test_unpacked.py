"""Interpreters are packaged straight into the cache; what is made of them does without them."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from kaa.cli.main import main
from kaa.events import Event, Note, StageAdvanced
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.extracted_package import ExtractedPackage, read_record
from kaa.package_cache.fetch import ensure, record_of_url
from kaa.package_cache.validate import find_damage
from kaa.pypi.interpreters.addresses import interpreter_of
from kaa.pypi.interpreters.candidates import record_of
from kaa.pypi.interpreters.description import describe_interpreter
from kaa.pypi.interpreters.unpacked import InterpreterChanged, unpack_interpreter
from tests.pypi.interpreters.copies import OWN, copied_interpreter

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="done on Linux only")

CHANNEL = "pypi+https://index.example/simple"
HASH_BASED = b"\1\0\0\0"
"""The second word of a .pyc that is valid whatever happens to the times of files."""


def record_at(executable: Path) -> RepoDataRecord:
    return record_of(describe_interpreter(executable, {}), CHANNEL)


class World(msgspec.Struct):
    """The package of an interpreter in a cache; the interpreter has been moved away."""

    record: RepoDataRecord
    cache: PackageCache
    package: ExtractedPackage
    told: list[Event]
    copy: Path
    moved: Path


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("unpacked")
    executable = copied_interpreter(folder / "copy")
    # As an installation has it: bytecode beside the sources.
    subprocess.run([executable, "-c", "import json, tomllib, this"], check=True, capture_output=True)
    record = record_at(executable)
    cache = PackageCache([folder / "root/pkgs"])
    told: list[Event] = []
    [package] = ensure([record], cache, HttpClient(), told.append, check="hashes")
    if executable.is_relative_to(folder):
        (folder / "copy").rename(folder / "moved")
    return World(record, cache, package, told, folder / "copy", folder / "moved")


def test_it_lies_in_the_cache_as_any_package(world: World) -> None:
    package = world.package
    assert package.directory.name == world.record.dist
    assert package.archive is None
    assert read_record(package.directory) == world.record
    index = json.loads((package.directory / "info/index.json").read_text())
    assert (index["name"], index["version"], index["build"]) == ("python", world.record.version, world.record.build)
    assert index["depends"] == list(world.record.depends)
    assert find_damage(package, "hashes") is None
    listed = {entry.path for entry in package.paths()}
    there = {
        path.relative_to(package.directory).as_posix()
        for path in package.directory.rglob("*")
        if path.is_symlink() or path.is_file()
    }
    assert {path for path in there if not path.startswith("info/")} == listed
    assert [path.name for path in package.directory.parent.iterdir() if path.name.endswith("~")] == []


def test_what_was_told(world: World) -> None:
    notes = [event.text for event in world.told if isinstance(event, Note)]
    assert notes == [f"{world.record.dist} is made of {interpreter_of(world.record)}"]
    assert [event.what for event in world.told if isinstance(event, StageAdvanced)] == [world.record.dist]


def test_nobody_writes_to_its_files(world: World) -> None:
    for path in world.package.directory.rglob("*"):
        mode = path.lstat().st_mode
        if stat.S_ISREG(mode):
            assert not mode & 0o222, path
        elif stat.S_ISDIR(mode):
            assert not mode & stat.S_IWOTH, path


def test_all_modules_have_bytecode_that_stays_valid(world: World) -> None:
    paths = {entry.path: entry for entry in world.package.paths()}
    compiled = [path for path in paths if path.endswith(".pyc")]
    sources = [path for path, e in paths.items() if path.endswith(".py") and path.startswith("lib") and not e.file_mode]
    assert len(compiled) > 0.95 * len(sources)
    for path in compiled:
        assert (world.package.directory / path).read_bytes()[4:8] == HASH_BASED
    code = "import importlib.util as u, json, sys; p = open(json.__file__, 'rb').read(); "
    code += "print(open(json.__cached__, 'rb').read()[8:16] == u.source_hash(p), json.__cached__)"
    python = world.package.directory / "bin/python3"
    done = subprocess.run([python, "-I", "-B", "-c", code], env={}, capture_output=True, text=True, check=True)
    assert done.stdout.split(maxsplit=1)[0] == "True"
    assert done.stdout.strip().endswith(".pyc")


def test_what_is_found_needs_no_interpreter(world: World) -> None:
    other = PackageCache(world.cache.directories)
    [package] = ensure([world.record], other, HttpClient())
    assert package == world.package


def explicit_list(folder: Path, record: RepoDataRecord) -> Path:
    """A list of one package, from which an environment is made without a solve."""
    path = folder / "list.txt"
    path.write_text(f"@EXPLICIT\n{record.url}#sha256:{record.sha256}\n")
    return path


def test_an_environment_outlives_the_interpreter(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(world.cache.directories[0].parent))
    monkeypatch.setenv("HOME", str(tmp_path))
    prefix = str(tmp_path / "env")
    listed = explicit_list(tmp_path, world.record)
    assert main(["create", "-y", "-q", "-p", prefix, "--file", str(listed)]) == 0
    code = "import sys, sysconfig, ssl, tomllib; print(sys.prefix, sysconfig.get_path('purelib'))"
    site = f"{prefix}/lib/python{OWN.minor}/site-packages"
    python = f"{prefix}/bin/python"

    def runs() -> bool:
        done = subprocess.run([python, "-I", "-c", code], env={}, capture_output=True, text=True)
        return done.stdout == f"{prefix} {site}\n"

    assert runs()
    assert main(["verify", "-p", prefix]) == 0
    (tmp_path / "env/lib" / f"python{OWN.minor}" / "ssl.py").unlink()
    assert not runs()
    assert main(["repair", "-y", "-q", "-p", prefix]) == 0
    assert runs()
    assert main(["create", "-y", "-q", "-p", str(tmp_path / "clone"), "--clone", prefix]) == 0
    assert main(["clean", "-y", "-q", "--packages"]) == 0
    capsys.readouterr()
    assert main(["list", "-p", prefix, "--explicit", "--sha256"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{world.record.url}#{world.record.sha256}"
    assert world.package.directory.is_dir()
    shutil.rmtree(tmp_path / "clone")
    assert main(["remove", "-y", "-q", "-p", prefix, "--all"]) == 0


def test_threads_that_want_the_same_one_package_it_once(tmp_path: Path) -> None:
    record = record_at(Path(OWN.executable))
    told: list[Event] = []

    def have(_: int) -> ExtractedPackage:
        return ensure([record], PackageCache([tmp_path / "pkgs"]), HttpClient(), told.append)[0]

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(have, range(2))
    assert one == two
    assert len([event for event in told if isinstance(event, Note) and "is made of" in event.text]) == 1


@pytest.mark.slow
def test_a_damaged_package_is_made_again(tmp_path: Path) -> None:
    record = record_at(Path(OWN.executable))
    cache = PackageCache([tmp_path / "pkgs"])
    [package] = ensure([record], cache, HttpClient())
    (package.directory / "bin" / f"python{OWN.minor}").unlink()
    [again] = ensure([record], cache, HttpClient())
    assert again == package
    assert find_damage(again, "hashes") is None


@pytest.mark.slow
def test_a_cache_that_is_verified_makes_it_anew(tmp_path: Path) -> None:
    record = record_at(Path(OWN.executable))
    [package] = ensure([record], PackageCache([tmp_path / "pkgs"]), HttpClient())
    told: list[Event] = []
    [again] = ensure([record], PackageCache([tmp_path / "pkgs"], verified=True), HttpClient(), told.append)
    assert again.record == package.record
    assert any(isinstance(event, Note) and "is made of" in event.text for event in told)
    assert find_damage(again, "hashes") is None


def test_an_address_alone_is_enough(tmp_path: Path) -> None:
    record = record_at(Path(OWN.executable))
    [package] = ensure([record_of_url(record.url)], PackageCache([tmp_path / "pkgs"]), HttpClient(), bare=True)
    assert package.record.sha256 == record.sha256
    assert (package.record.dist, package.record.depends) == (record.dist, record.depends)


# -- when it is not what it was ---------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(OWN.prefix == "/usr", reason="the interpreter cannot be copied")
def test_another_one_with_the_same_content_stands_in(tmp_path: Path) -> None:
    one, other = (copied_interpreter(tmp_path / name) for name in ("one", "other"))
    record = record_at(one)
    shutil.rmtree(tmp_path / "one")
    environ = {"PATH": str(other.parent), "HOME": str(tmp_path)}
    assert unpack_interpreter(record, tmp_path / "package", None, environ) == record
    done = subprocess.run([tmp_path / "package/bin/python", "-c", "import ssl"], env={}, capture_output=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(OWN.prefix == "/usr", reason="the interpreter cannot be copied")
@pytest.mark.parametrize(
    ("change", "reason"), [("gone", "it is not there any more"), ("changed", "it is another one now")]
)
def test_an_interpreter_that_is_no_more_what_it_was(tmp_path: Path, change: str, reason: str) -> None:
    executable = copied_interpreter(tmp_path / "copy")
    record = record_at(executable)
    if change == "gone":
        shutil.rmtree(tmp_path / "copy")
    else:
        with (tmp_path / "copy/lib" / f"python{OWN.minor}" / "this.py").open("a") as stream:
            stream.write("# changed\n")
    # With a fingerprint of its own: the Python that it is a copy of would do in its place.
    altered = msgspec.structs.replace(record, sha256="0" * 64)
    cache = PackageCache([tmp_path / "pkgs"])
    with pytest.raises(InterpreterChanged, match=reason) as raised:
        ensure([altered], cache, HttpClient())
    assert raised.value.interpreter == str(executable)
    assert raised.value.dist == record.dist
    assert [path.name for path in (tmp_path / "pkgs").iterdir() if path.name.startswith((".python", "python"))] == []


@pytest.mark.slow
@pytest.mark.skipif(OWN.prefix == "/usr", reason="the interpreter cannot be copied")
def test_what_cannot_be_repaired_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(tmp_path / "root"))
    executable = copied_interpreter(tmp_path / "copy")
    prefix = tmp_path / "env"
    listed = explicit_list(tmp_path, record_at(executable))
    assert main(["create", "-y", "-q", "-p", str(prefix), "--file", str(listed)]) == 0
    shutil.rmtree(tmp_path / "root/pkgs")
    module = prefix / "lib" / f"python{OWN.minor}" / "this.py"
    content = module.read_bytes()
    module.unlink()
    (tmp_path / "copy").rename(tmp_path / "away")
    capsys.readouterr()
    assert main(["repair", "-y", "-p", str(prefix)]) == 1
    assert f"it was made of {executable}, which is not there any more" in "".join(capsys.readouterr())
    (tmp_path / "away").rename(tmp_path / "copy")
    assert main(["repair", "-y", "-q", "-p", str(prefix)]) == 0
    assert module.read_bytes() == content
