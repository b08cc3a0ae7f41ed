"""`kaa create --clone`, `kaa rename` and `kaa move`: real environments, used in their new places."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Answer, Kaa
from tests.transaction.relocations import (
    BYTECODE,
    add_user_files,
    channel_of_all_kinds,
    files_naming,
    pip_install,
    run_in,
)
from tests.transaction.world import SITE

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every test has its home: always at one path, so that what was made once can be copied."""
    return tmp_path_factory.mktemp("relocating")


@pytest.fixture
def tmp_path(ground: Path) -> Path:
    shutil.rmtree(ground / "test", ignore_errors=True)
    (ground / "test").mkdir()
    return ground / "test"


def made_once(kaa: Kaa, template: Path, make: Callable[[], None]) -> Kaa:
    """Fill the user's home as `make` does it, hard links included."""
    if template.exists():
        subprocess.run(["cp", "-a", f"{template}/.", kaa.home], check=True)
    else:
        make()
        subprocess.run(["cp", "-a", kaa.home, template], check=True)
    return kaa


@pytest.fixture
def env(kaa: Kaa, tmp_path: Path, ground: Path) -> Kaa:
    """An environment `old` of packages of every kind; no channel is there any more."""

    def make() -> None:
        channel = channel_of_all_kinds(tmp_path / "channel")
        kaa.ok("create", "-y", "-q", "-n", "old", "-O", "-c", str(channel.folder), "app")
        shutil.rmtree(channel.folder)

    return made_once(kaa, ground / "env", make)


@pytest.fixture
def full(kaa: Kaa, tmp_path: Path, ground: Path, request: pytest.FixtureRequest) -> Kaa:
    """The same with what pip installed, files of the user, variables, pins and a changed file."""

    def make() -> None:
        request.getfixturevalue("env")
        old = kaa.environment("old")
        pip_install(old, tmp_path / "wheels")
        kaa.ok("env", "config", "vars", "set", "-n", "old", "COLOUR=blue")
        (old / "conda-meta/pinned").write_text("lib 1.*\n")
        (old / ".condarc").write_text("auto_activate_base: false\n")
        add_user_files(old)

    return made_once(kaa, ground / "full", make)


def problems(kaa: Kaa, prefix: Path) -> dict[str, Any]:
    """What `kaa verify` finds wrong."""
    [found] = kaa("verify", "-p", str(prefix), "--json").json()["environments"]
    return {key: found[key] for key in ("damaged", "broken_records", "unmet", "interrupted")}


SOUND = {"damaged": [], "broken_records": [], "unmet": [], "interrupted": False}


def works(prefix: Path) -> None:
    """The programs of an environment do what they should, in this place."""
    assert run_in(prefix, "bin/app") == f"{prefix}\n"
    assert run_in(prefix, "bin/python", "-c", "import app, sys; print(app.PLACE, sys.prefix)") == f"{prefix} {prefix}\n"


def pip_works(prefix: Path) -> None:
    """What pip installed works, and its RECORD is right."""
    assert run_in(prefix, "bin/tool") == f"{prefix}\n"
    record = prefix / SITE / "tool-1.0.dist-info/RECORD"
    for path, digest, size in csv.reader(record.read_text().splitlines()):
        if digest:
            content = (prefix / SITE / path).read_bytes()
            encoded = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            assert (path, digest, int(size)) == (path, f"sha256={encoded}", len(content))


# -- cloning ----------------------------------------------------------------------------------------------------------


def test_a_clone_is_what_was_cloned(full: Kaa) -> None:
    old, new = full.environment("old"), full.environment("a-longer-name")
    before = full.tree(old)
    answer = full.ok("create", "-n", "a-longer-name", "--clone", "old", "--offline")
    assert "Files of no package stay behind (--with-user-files takes them along):" in answer.out
    assert full.tree(old) == before
    works(new)
    pip_works(new)
    assert problems(full, new) == SOUND
    assert files_naming(new, str(old)) == set()
    assert full.ok("list", "-n", "a-longer-name", "--json").json() == full.ok("list", "-n", "old", "--json").json()
    assert full.ok("env", "config", "vars", "list", "-n", "a-longer-name").out == "COLOUR = blue\n"
    assert (new / "conda-meta/pinned").read_text() == "lib 1.*\n"
    assert not (new / "notes").exists()
    history = (new / "conda-meta/history").read_text()
    assert history.startswith((old / "conda-meta/history").read_text())
    assert "create -n a-longer-name --clone old" in history
    assert str(new) in (full.home / ".conda/environments.txt").read_text()
    # The package cache could be lost and the environment still be cloned: nothing came from there.
    works(old)


def test_what_is_written_in_a_clone_does_not_change_the_original(full: Kaa) -> None:
    full.ok("create", "-n", "new", "--clone", "old", "--with-user-files")
    old, new = full.environment("old"), full.environment("new")
    inodes = {path.stat().st_ino for path in old.rglob("*") if path.is_file()}
    shared = {
        path.relative_to(new).as_posix()
        for path in new.rglob("*")
        if path.is_file() and not path.is_symlink() and path.stat().st_ino in inodes
    }
    assert f"{SITE}/app/__init__.py" in shared
    assert "lib/libx.so.1" in shared
    assert not {f"{SITE}/tool.py", "notes/plain.txt", "share/lib/own", "conda-meta/history", "bin/mine"} & shared
    assert all(not name.startswith("conda-meta/") for name in shared)


def test_files_of_the_user_come_along_when_asked_for(full: Kaa) -> None:
    old, new = full.environment("old"), full.environment("new")
    document = full.ok("create", "-n", "new", "--clone", "old", "--with-user-files", "--json").json()
    users = ["bin/mine", "notes/data.bin", "notes/paths.txt", "notes/plain.txt"]
    users += ["share/jupyter/kernels/mine/kernel.json", "to-lib", "to-share"]
    assert {key: sorted(value) if isinstance(value, list) else value for key, value in document.items()} == {
        "success": True,
        "untracked_files": sorted(users),
        "src_prefix": str(old),
        "dst_prefix": str(new),
    }
    assert (new / "notes/empty").is_dir()
    assert run_in(new, "bin/mine") == "mine\n"
    assert (new / "bin/mine").stat().st_mode & 0o777 == 0o750
    assert (new / "to-lib").readlink() == new / "lib"
    assert (new / "to-share").readlink() == Path("share")
    # What a program wrote with the path in it is right; what the user wrote is the user's.
    assert json.loads((new / "share/jupyter/kernels/mine/kernel.json").read_text())["argv"][0] == f"{new}/bin/python"
    assert files_naming(new, str(old)) == {"notes/paths.txt", "notes/data.bin"}


def test_a_dry_run_changes_nothing(full: Kaa) -> None:
    before = full.tree(full.root)
    for words in (
        ["create", "-n", "new", "--clone", "old"],
        ["rename", "-n", "old", "new"],
        ["move", "-n", "old", "x"],
    ):
        answer = full(*words, "--dry-run")
        assert (answer.code, "DryRunExit" in answer.err) == (0, True)
        assert full.ok(*words, "--dry-run", "--json").json()["dry_run"] is True
        assert full.tree(full.root) == before


def test_pins_reach_the_clone(full: Kaa) -> None:
    """conda/conda#9943: pins were not copied."""
    full.ok("create", "-q", "-p", "somewhere/else", "--clone", str(full.environment("old")))
    assert (full.home / "somewhere/else/conda-meta/pinned").read_text() == "lib 1.*\n"


def test_what_pip_put_in_a_packages_place_is_cloned_as_it_is(env: Kaa, tmp_path: Path) -> None:
    """conda/conda#9063: the clone had the package's files and those of pip mixed."""
    old, new = env.environment("old"), env.environment("new")
    app = old / SITE / "app/__init__.py"
    app.unlink()
    app.write_text("def main() -> int:\n    print('of pip')\n")
    shutil.rmtree(old / SITE / "app-1.0.dist-info")
    (old / BYTECODE).unlink()
    before = problems(env, old)
    assert before != SOUND
    env.ok("create", "-q", "-n", "new", "--clone", "old")
    assert run_in(new, "bin/app") == run_in(old, "bin/app") == "of pip\n"
    after = problems(env, new)
    # Not a path more, and not one less.
    assert after == before


def test_a_frozen_environment_is_cloned_and_stays(env: Kaa) -> None:
    old = env.environment("old")
    (old / "conda-meta/frozen").write_text("")
    assert "its clone is not" in env.ok("create", "-n", "free", "--clone", "old").out
    assert not (env.environment("free") / "conda-meta/frozen").exists()
    env.ok("create", "-n", "fast", "--clone", "old", "--keep-frozen")
    assert (env.environment("fast") / "conda-meta/frozen").exists()
    answer = env("rename", "-y", "-n", "old", "other")
    assert answer.code == 1
    assert "EnvironmentIsFrozenError" in answer.err
    env.ok("rename", "-y", "-n", "old", "other", "--override-frozen")
    assert (env.environment("other") / "conda-meta/frozen").exists()


def test_the_base_can_be_cloned(env: Kaa) -> None:
    """Not with it: the other environments, the package cache, its configuration."""
    old = env.environment("old")
    env.ok("create", "-q", "-p", str(env.home / "place"), "--clone", "old")
    for path in (env.home / "place").iterdir():
        path.rename(env.root / path.name)
    (env.root / ".condarc").write_text("channels: [mine]\n")
    (env.root / "condabin").mkdir()
    env.ok("create", "-n", "copy", "--clone", "base")
    copy = env.environment("copy")
    assert {path.name for path in copy.iterdir()} == {path.name for path in old.iterdir()}
    answer = env("rename", "-y", "-n", "base", "other")
    assert (answer.code, "it is the base environment" in answer.err) == (1, True)


def test_a_clone_over_an_environment_takes_its_place(env: Kaa) -> None:
    env.ok("create", "-y", "-q", "-n", "new")
    words = ["create", "-n", "new", "--clone", "old"]
    done = subprocess.run(
        [sys.executable, "-m", "kaa", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    # Nobody said yes.
    assert (done.returncode, (env.environment("new") / "bin").exists()) == (0, False), done
    env.ok("create", "-y", "-q", "-n", "new", "--clone", "old")
    works(env.environment("new"))
    assert sorted(path.name for path in (env.root / "envs").iterdir()) == ["new", "old"]


# -- renaming and moving ----------------------------------------------------------------------------------------------


def test_rename(full: Kaa) -> None:
    old, new = full.environment("old"), full.environment("new")
    files = {name for name in full.tree(old) if name.partition("/")[0] != "conda-meta"}
    inode = (old / "notes/plain.txt").stat().st_ino
    answer = full.ok("rename", "-y", "-n", "old", "new")
    assert "notes/paths.txt" in answer.out
    assert not old.exists()
    works(new)
    pip_works(new)
    assert problems(full, new) == SOUND
    assert {name for name in full.tree(new) if name.partition("/")[0] != "conda-meta"} == files
    assert (new / "notes/plain.txt").stat().st_ino == inode
    assert files_naming(new, str(old)) == {"notes/paths.txt", "notes/data.bin"}
    assert (new / ".condarc").read_text() == "auto_activate_base: false\n"
    registered = (full.home / ".conda/environments.txt").read_text().splitlines()
    assert str(new) in registered
    assert str(old) not in registered
    assert [path.name for path in (full.root / "envs").iterdir()] == ["new"]
    assert list(new.glob("conda-meta/.kaa-relocation*")) == []


PLACES = ["x", "a name that is longer by far, and has spaces in it", "y" * 90, "é", "-", "50%", 'quo"te']


def test_there_and_back_again(full: Kaa) -> None:
    """Through short, long and odd paths: every file is what it was."""
    first = full.home / "first/env"
    full.ok("move", "-y", "-q", "-n", "old", str(first))
    before = pictures(first)
    place = first
    for name in PLACES:
        target = full.home / "places" / name / "env"
        full.ok("move", "-y", "-q", "-p", str(place), str(target))
        assert problems(full, target) == SOUND, name
        works(target)
        pip_works(target)
        place = target
    full.ok("move", "-y", "-q", "-p", str(place), str(first))
    assert pictures(first) == before


def pictures(prefix: Path) -> dict[str, tuple[int, bytes]]:
    """Modes and contents, without what tells of the past."""
    found = {}
    for path in sorted(prefix.rglob("*")):
        name = path.relative_to(prefix).as_posix()
        if path.is_symlink():
            found[name] = (0, os.fsencode(path.readlink()))
        elif path.is_file() and path.suffix != ".pyc" and not name.startswith(("conda-meta/history", "conda-meta/.")):
            found[name] = (path.stat().st_mode, path.read_bytes())
    return found


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory on another file system."""
    if not MEMORY.is_dir() or not os.access(MEMORY, os.W_OK):
        pytest.skip(f"{MEMORY} is not there")
    folder = MEMORY / f"kaa-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


def test_to_another_file_system_and_back(full: Kaa, elsewhere: Path) -> None:
    if elsewhere.stat().st_dev == full.home.stat().st_dev:
        pytest.skip("it is the same file system here")
    old, new = full.environment("old"), elsewhere / "env"
    os.link(old / "notes/plain.txt", old / "notes/again.txt")
    before = full.ok("list", "-n", "old", "--json").json()
    assert "which is another one" in full.ok("move", "-y", "-n", "old", str(new)).out
    assert not old.exists()
    works(new)
    pip_works(new)
    assert problems(full, new) == SOUND
    assert (new / "notes/again.txt").samefile(new / "notes/plain.txt")
    assert {json.loads(file.read_text())["link"]["type"] for file in new.glob("conda-meta/*-*-*.json")} == {3}
    full.ok("move", "-y", "-q", "-p", str(new), str(old))
    assert not new.exists()
    works(old)
    assert problems(full, old) == SOUND
    assert full.ok("list", "-n", "old", "--json").json() == before


def test_bytecode_of_modules_that_name_their_place(env: Kaa) -> None:
    env.ok("rename", "-y", "-n", "old", "new")
    new = env.environment("new")
    assert (new / BYTECODE).is_file()
    [record] = [json.loads(path.read_text()) for path in new.glob("conda-meta/app-*.json")]
    assert BYTECODE in record["files"]
    # It is valid: python does not write it again.
    before = (new / BYTECODE).stat().st_mtime_ns
    works(new)
    assert (new / BYTECODE).stat().st_mtime_ns == before


def refusal(answer: Answer, old: Path) -> str:
    assert answer.code == 1
    assert (old / "conda-meta/history").is_file()
    return answer.err


def test_refusals(env: Kaa, monkeypatch: pytest.MonkeyPatch) -> None:
    old = env.environment("old")
    env.ok("create", "-y", "-q", "-n", "there")
    (env.home / "full").mkdir()
    (env.home / "full/file").write_text("")
    before = env.tree(env.root)
    cases = {
        ("rename", "-y", "-n", "old", "there"): "is an environment already",
        ("move", "-y", "-n", "old", str(env.home / "full")): "something else is there already",
        ("move", "-y", "-n", "old", str(old / "inner")): "lies in",
        ("create", "-y", "-p", str(old / "inner"), "--clone", "old"): "lies in",
        ("rename", "-y", "-n", "no-such", "new"): "no-such",
        ("rename", "-y", "-n", "old", "a#b"): "cannot be the name",
        ("create", "-n", "new", "--clone", "no-such"): "no-such",
    }
    for words, reason in cases.items():
        assert reason in refusal(env(*words), old), words
    answer = env("create", "-n", "new", "--clone", "old", "lib")
    assert (answer.code, "TooManyArgumentsError" in answer.err) == (2, True)
    monkeypatch.setenv("CONDA_PREFIX", str(old))
    assert "it is active in this shell" in refusal(env("rename", "-y", "new"), old)
    assert env.tree(env.root) == before


def test_the_same_name_is_no_reason_to_remove_anything(env: Kaa) -> None:
    """conda/conda#13271: renaming an environment to its own name deleted it."""
    old = env.environment("old")
    before = env.tree(old)
    for words in (["rename", "-y", "-n", "old", "old"], ["rename", "-y", "--force", "-n", "old", "old"]):
        assert "is that environment already" in refusal(env(*words), old)
    (env.root / "envs/link").symlink_to(old)
    assert "is that environment already" in refusal(env("rename", "-y", "--force", "-n", "old", "link"), old)
    assert "it is a link to" in refusal(env("rename", "-y", "--force", "-n", "link", "other"), old)
    assert env.tree(old) == before


def test_force_replaces_an_environment(env: Kaa) -> None:
    env.ok("create", "-y", "-q", "-n", "there")
    env.ok("rename", "-y", "--force", "-n", "old", "there")
    works(env.environment("there"))
    assert [path.name for path in (env.root / "envs").iterdir()] == ["there"]


def test_environments_below_an_environment_stop_it(env: Kaa) -> None:
    old = env.environment("old")
    env.ok("create", "-y", "-q", "-p", str(old / "envs/inner"))
    assert "envs/inner" in refusal(env("rename", "-y", "-n", "old", "new"), old)
    env.ok("create", "-q", "-n", "new", "--clone", "old")
    assert not (env.environment("new") / "envs").exists()


def test_a_path_that_is_too_long_is_refused_before_anything_is_made(env: Kaa) -> None:
    old = env.environment("old")
    before = env.tree(env.home)
    target = env.home / ("d" * 120) / ("e" * 120) / "env"
    answer = env("move", "-y", "-n", "old", str(target))
    assert "bin/program" in refusal(answer, old)
    assert env.tree(env.home) == before


def test_an_environment_behind_a_link_is_found_in_its_files(env: Kaa) -> None:
    """Files name the real path, the user the one with a link in it."""
    (env.home / "link").symlink_to(env.root / "envs")
    env.ok("move", "-y", "-q", "-p", str(env.home / "link/old"), str(env.home / "new"))
    works(env.home / "new")
    assert files_naming(env.home / "new", str(env.environment("old"))) == set()


def test_going_back_works_after_a_rename(full: Kaa, tmp_path: Path) -> None:
    """What generations keep of pip's files moves along: the way back leads to files for the new path."""
    new = full.environment("new")
    full.ok("rename", "-y", "-n", "old", "new")
    pip_install(new, tmp_path / "wheels", "2.0")
    assert (new / SITE / "tool-2.0.dist-info").is_dir()
    full.ok("undo", "-y", "-n", "new")
    assert not (new / SITE / "tool-2.0.dist-info").exists()
    pip_works(new)
    assert problems(full, new) == SOUND
    assert files_naming(new, str(full.environment("old"))) == {"notes/paths.txt", "notes/data.bin"}
