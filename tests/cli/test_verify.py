"""`kaa verify` and `kaa recover`: real environments, damaged in every way, and killed changes."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kaa.host.locks import file_lock
from kaa.prefix.distribution_files import paths_in_record
from kaa.prefix.interruption import JOURNAL, LOCK
from kaa.transaction.journal import Journal
from tests.channels import ChannelBuilder, File, Package, Symlink
from tests.cli.commands import Kaa
from tests.transaction.test_rollback import NEW, kill_at
from tests.transaction.world import SITE, TAG, World, python_package

PLACEHOLDER = "/opt/placeholder_" + "x" * 230
RECORD = "conda-meta/lib-1.0-0.json"


@pytest.fixture
def only(tmp_path: Path) -> list[str]:
    channel = ChannelBuilder(tmp_path / "many")
    script = File(f"#!{PLACEHOLDER}/bin/sh\n".encode(), mode=0o755, placeholder=PLACEHOLDER)
    binary = File(b"\x7fELF" + PLACEHOLDER.encode() + b"\0rest", placeholder=PLACEHOLDER, binary=True)
    channel.add(
        Package(
            "lib",
            "1.0",
            files={
                "lib/libx.so.1": "a library",
                "lib/libx.so": Symlink("libx.so.1"),
                "lib/nowhere": Symlink("never/there"),
                "bin/script": script,
                "bin/binary": binary,
                "share/lib/table": "1 2 3",
            },
        ),
        Package("needs", "1.0", depends=["lib >=1", "__glibc >=2.5"], constrains=["lib <2"], files={"share/n": "n"}),
        python_package(),
        Package(
            "app",
            "1.0",
            depends=["python"],
            noarch="python",
            files={
                "site-packages/app/__init__.py": "def main() -> int:\n    return 0\n",
                "site-packages/app-1.0.dist-info/METADATA": "Name: app\nVersion: 1.0\n",
                "site-packages/app-1.0.dist-info/RECORD": "app/__init__.py,,\n",
            },
            entry_points=["app = app:main"],
        ),
    )
    return ["-O", "-c", str(channel.write().folder)]


@pytest.fixture
def env(kaa: Kaa, only: list[str], monkeypatch: pytest.MonkeyPatch) -> Kaa:
    monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", "2.28")
    kaa.ok("create", "-y", "-n", "env", *only, "needs", "app")
    return kaa


def verify(env: Kaa, *words: str) -> dict[str, Any]:
    """What `kaa verify --json` says about one environment; the exit code must agree with it."""
    answer = env("verify", *(words or ("-n", "env")), "--json")
    document = answer.json()
    assert document["success"] is True
    [found] = document["environments"]
    assert answer.code == (0 if found["clean"] else 1)
    assert found["clean"] is document["clean"] is (found["problems"] == 0)
    return dict(found)


def test_a_sound_environment(env: Kaa) -> None:
    found = verify(env)
    assert found["clean"] is True
    assert (found["packages"], found["damaged"], found["unmet"], found["broken_records"]) == (4, [], [], [])
    assert found["files"] == sum(
        len(json.loads(file.read_text())["files"]) for file in env.environment("env").glob("conda-meta/*-*-*.json")
    )
    assert found["user_files"] == []
    answer = env.ok("verify", "-n", "env")
    assert answer.out.startswith("env: 4 packages, ")
    assert answer.out.endswith("Nothing is wrong.\n")


def test_nothing_is_changed(env: Kaa) -> None:
    before = env.tree(env.environment("env"))
    verify(env)
    (env.environment("env") / "share/n").unlink()
    before.pop("share/n")
    verify(env)
    assert env.tree(env.environment("env")) == before


def put(path: str, content: bytes) -> Callable[[Path], None]:
    """Replace a file (never write into it: it is a link to the cache)."""

    def do(prefix: Path) -> None:
        (prefix / path).unlink(missing_ok=True)
        (prefix / path).write_bytes(content)

    return do


def remove(path: str) -> Callable[[Path], None]:
    return lambda prefix: (prefix / path).unlink()


def link(path: str, target: str) -> Callable[[Path], None]:
    def do(prefix: Path) -> None:
        (prefix / path).unlink()
        (prefix / path).symlink_to(target)

    return do


def make_directory(prefix: Path) -> None:
    (prefix / "share/n").unlink()
    (prefix / "share/n").mkdir()


def make_pipe(prefix: Path) -> None:
    (prefix / "share/n").unlink()
    os.mkfifo(prefix / "share/n")


def move_out(prefix: Path) -> None:
    (prefix / "share/lib").rename(prefix.parent / "moved")
    (prefix / "share/lib").symlink_to(prefix.parent / "moved")


DAMAGES: dict[str, tuple[Callable[[Path], None], str, str, str]] = {
    "changed": (put("lib/libx.so.1", b"A library"), "lib-1.0-0", "lib/libx.so.1", "has another content"),
    "truncated": (
        put("lib/libx.so.1", b"a lib"),
        "lib-1.0-0",
        "lib/libx.so.1",
        "has another content (5 bytes instead of 9)",
    ),
    "prefix in a text": (put("bin/script", b"#!/bin/sh\n"), "lib-1.0-0", "bin/script", "has another content"),
    "prefix in a binary": (put("bin/binary", b"\x7fELF"), "lib-1.0-0", "bin/binary", "has another content"),
    "entry point": (put("bin/app", b"#!/bin/sh\n"), "app-1.0-0", "bin/app", "has another content"),
    "chmod": (lambda p: (p / "bin/app").chmod(0o644), "app-1.0-0", "bin/app", "is not executable any more"),
    "link for a file": (link("share/n", "lib/table"), "needs-1.0-0", "share/n", "is a link, not a file"),
    "file for a link": (put("lib/libx.so", b"a library"), "lib-1.0-0", "lib/libx.so", "is a file, not a link"),
    "link to nothing": (link("lib/libx.so", "gone"), "lib-1.0-0", "lib/libx.so", "is a link to gone, not to libx.so.1"),
    "link to another file": (
        link("lib/libx.so", "../share/n"),
        "lib-1.0-0",
        "lib/libx.so",
        "is a link to ../share/n, not to libx.so.1",
    ),
    "chmod of a file that was written": (
        lambda p: (p / "bin/script").chmod(0o644),
        "lib-1.0-0",
        "bin/script",
        "is not executable any more",
    ),
    "target of a link": (remove("lib/libx.so.1"), "lib-1.0-0", "lib/libx.so.1", ""),
    "directory for a file": (make_directory, "needs-1.0-0", "share/n", "is a directory, not a file"),
    "pipe for a file": (make_pipe, "needs-1.0-0", "share/n", "is no regular file, not a file"),
    "directory led outside": (
        move_out,
        "lib-1.0-0",
        "share/lib/table",
        "lies behind a link that leads out of the environment",
    ),
    "deleted": (remove("share/n"), "needs-1.0-0", "share/n", ""),
    "deleted link": (remove("lib/libx.so"), "lib-1.0-0", "lib/libx.so", ""),
    "deleted bytecode": (
        remove(f"{SITE}/app/__pycache__/__init__.{TAG}.pyc"),
        "app-1.0-0",
        f"{SITE}/app/__pycache__/__init__.{TAG}.pyc",
        "",
    ),
}
"""What is done → the package that is damaged, the path, and the reason (empty: it is missing)."""


@pytest.mark.parametrize("name", DAMAGES)
def test_damages(env: Kaa, name: str) -> None:
    damage, dist, path, reason = DAMAGES[name]
    damage(env.environment("env"))
    found = verify(env)
    [package] = found["damaged"]
    assert package["dist"] == dist
    assert package["overwritten_by"] == []
    assert package["changed"] == ([{"path": path, "reason": reason}] if reason else [])
    assert package["missing"] == ([] if reason else [path])
    assert found["problems"] == 1
    line = f"    changed  {path}: {reason}" if reason else f"    missing  {path}"
    assert line in env("verify", "-n", "env").out.splitlines()


def test_files_of_the_user_and_of_no_one_else(env: Kaa) -> None:
    prefix = env.environment("env")
    (prefix / "notes").mkdir()
    (prefix / "notes" / "mine.txt").write_text("mine")
    (prefix / "own").symlink_to("/")
    # Bytecode beside a package's module is of no one; bytecode of nothing is the user's.
    cache = prefix / SITE / "app" / "__pycache__"
    (cache / f"__init__.{TAG}.opt-1.pyc").write_bytes(b"")
    (cache / f"gone.{TAG}.pyc").write_bytes(b"")
    env.ok("create", "-y", "-p", str(prefix / "inner"), "--offline")
    (prefix / "inner" / "file").write_text("of another environment")
    assert verify(env)["user_files"] == [f"{SITE}/app/__pycache__/gone.{TAG}.pyc", "notes/mine.txt", "own"]
    assert "  3 files of no package; -v lists them\n" in env.ok("verify", "-n", "env").out
    assert "    notes/mine.txt\n" in env.ok("verify", "-v", "-n", "env").out


def pip_install(prefix: Path, name: str, version: str, files: dict[str, str]) -> None:
    """Put a distribution there as pip does."""
    site = prefix / SITE
    info = f"{name}-{version}.dist-info"
    files = {**files, f"{info}/METADATA": f"Name: {name}\nVersion: {version}\n", f"{info}/INSTALLER": "pip\n"}
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).unlink(missing_ok=True)
        (site / path).write_text(text)
    (site / info / "RECORD").unlink(missing_ok=True)
    (site / info / "RECORD").write_text("".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"]))


def test_what_pip_installed_is_no_problem(env: Kaa) -> None:
    prefix = env.environment("env")
    pip_install(prefix, "other", "3.0", {"other.py": "x = 1\n", "../../../bin/other": "#!/bin/sh\n"})
    found = verify(env)
    assert found["clean"] is True
    assert found["pip"] == [{"name": "other", "version": "3.0", "installer": "pip", "files": 5}]
    assert found["user_files"] == []
    assert "installed by pip: other 3.0 (5 files)" in env.ok("verify", "-n", "env").out


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_package_that_pip_wrote_over(env: Kaa, version: str) -> None:
    prefix = env.environment("env")
    cached = list(env.packages.rglob("app/__init__.py"))
    before = [path.read_bytes() for path in cached]
    if version != "1.0":
        for path in (prefix / SITE / "app-1.0.dist-info").iterdir():
            path.unlink()
    pip_install(prefix, "app", version, {"app/__init__.py": "def main():\n    return 1\n"})
    found = verify(env)
    [package] = found["damaged"]
    assert package["overwritten_by"] == [f"app {version}"]
    assert f"{SITE}/app/__init__.py" in [one["path"] for one in package["changed"]]
    assert found["user_files"] == []
    assert f"overwritten by pip: app {version}" in env("verify", "-n", "env").out
    assert [path.read_bytes() for path in cached] == before


def change_record(prefix: Path, **changes: object) -> None:
    file = prefix / RECORD
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def rename_record(prefix: Path, dist: str) -> None:
    (prefix / RECORD).rename(prefix / "conda-meta" / f"{dist}.json")


def record_of_a_path(path: str) -> Callable[[Path], None]:
    """Make a record name one more file, with the hash that it really has."""

    def do(prefix: Path) -> None:
        content = json.loads((prefix / RECORD).read_text())
        digest = hashlib.sha256(b"outside").hexdigest()
        entry = {"_path": path, "path_type": "hardlink", "sha256": digest, "sha256_in_prefix": digest}
        content["paths_data"]["paths"].append(entry)
        change_record(prefix, files=[*content["files"], path], paths_data=content["paths_data"])

    return do


BROKEN: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "no JSON": (put(RECORD, b"{"), RECORD, "unreadable"),
    "no record": (put(RECORD, b"[1]"), RECORD, "unreadable"),
    "a link to nothing": (link(RECORD, "nowhere"), RECORD, "unreadable"),
    "another name": (
        lambda prefix: rename_record(prefix, "lib-9.0-0"),
        "conda-meta/lib-9.0-0.json",
        "misnamed",
    ),
    "two of one name": (
        lambda prefix: put(
            "conda-meta/lib-1.5-0.json",
            json.dumps(json.loads((prefix / RECORD).read_text()) | {"version": "1.5"}).encode(),
        )(prefix),
        "conda-meta/lib-1.5-0.json",
        "duplicate",
    ),
    "a path above": (record_of_a_path("../outside"), RECORD, "unsafe"),
    "a path above, aside": (record_of_a_path("__clobbers__/x/../../../outside"), RECORD, "unsafe"),
    "an absolute path": (record_of_a_path("/etc/passwd"), RECORD, "unsafe"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_records(env: Kaa, name: str) -> None:
    (env.root / "envs" / "outside").write_text("outside")
    damage, path, kind = BROKEN[name]
    damage(env.environment("env"))
    found = verify(env)
    [broken] = found["broken_records"]
    assert (broken["path"], broken["kind"]) == (path, kind)
    assert found["damaged"] == []
    without = kind in ("unreadable", "misnamed")
    assert [one["spec"] for one in found["unmet"]] == (["lib >=1"] if without else [])
    assert f"  {path} ({kind}): " in env("verify", "-n", "env").out


def test_files_outside_are_never_opened(env: Kaa) -> None:
    """A pipe that nobody writes to would be waited for."""
    os.mkfifo(env.root / "envs" / "outside")
    record_of_a_path("../outside")(env.environment("env"))
    assert [one["kind"] for one in verify(env)["broken_records"]] == ["unsafe"]


def test_dependencies_that_are_not_met(env: Kaa, monkeypatch: pytest.MonkeyPatch) -> None:
    prefix = env.environment("env")
    change_record(prefix, version="2.5")
    rename_record(prefix, "lib-2.5-0")
    monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", "2.1")
    assert verify(env)["unmet"] == [
        {"package": "needs-1.0-0", "spec": "__glibc >=2.5", "kind": "depends", "installed": ["__glibc-2.1-0"]},
        {"package": "needs-1.0-0", "spec": "lib <2", "kind": "constrains", "installed": ["lib-2.5-0"]},
    ]
    out = env("verify", "-n", "env").out
    assert "    goes only with lib <2, and there is lib-2.5-0\n" in out
    env.ok("remove", "-y", "-n", "env", "--force", "app")
    assert "2 problems." in env("verify", "-n", "env").out


def test_several_environments(env: Kaa, only: list[str]) -> None:
    env.ok("create", "-y", "-n", "second", *only, "lib")
    assert env("verify", "-n", "env", "-n", "second").code == 0
    (env.environment("second") / "share/lib/table").unlink()
    second = str(env.environment("second"))
    answer = env("verify", "-n", "env", "-p", second, "-n", "second", "--json")
    assert answer.code == 1
    assert [one["clean"] for one in answer.json()["environments"]] == [True, False]
    assert env("verify", "-p", second).code == 1


def test_an_environment_that_cannot_be_looked_at(env: Kaa) -> None:
    remove("share/n")(env.environment("env"))
    answer = env("verify", "-n", "env", "-n", "nowhere", "--json")
    assert answer.code == 2
    document = answer.json()
    assert (document["success"], document["clean"]) == (False, False)
    assert [one["problems"] for one in document["environments"]] == [1]
    assert [one["exception_name"] for one in document["errors"]] == ["EnvironmentNameNotFound"]
    answer = env("verify", "-n", "nowhere", "--json")
    assert (answer.code, answer.json()["exception_name"]) == (2, "EnvironmentNameNotFound")
    answer = env("verify", "-p", str(env.home))
    assert answer.code == 2
    assert "is not an environment" in answer.err


def test_terminal_escapes_are_harmless(env: Kaa) -> None:
    prefix = env.environment("env")
    record_of_a_path("share/\x1b]0;owned\x07\x1b[2J")(prefix)
    change = json.loads((prefix / RECORD).read_text())["depends"]
    change_record(prefix, depends=[*change, "gone\x1b[31m >=1"])
    (prefix / "user\x1b[2Jfile").write_text("")
    out = env("verify", "-v", "-n", "env").out
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "user[2Jfile" in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a.py,sha256=x,1\nb/c.py,,\n", {"lib/s/a.py", "lib/s/b/c.py"}),
        ('"with,comma.py",,\n"a ""b"".py",,\n', {"lib/s/with,comma.py", 'lib/s/a "b".py'}),
        ("../../bin/x,,\n", {"bin/x"}),
        ("../../../etc/passwd,,\n/etc/passwd,,\n/env/share/x,,\n", {"share/x"}),
        ("/env/../etc/passwd,,\n", set()),
        ('"unclosed,,\n\n', set()),
    ],
)
def test_paths_that_a_distribution_lists(text: str, expected: set[str]) -> None:
    assert paths_in_record(text, "lib/s", "/env") == expected


# -- recover ----------------------------------------------------------------------------------------------------------


def test_nothing_to_recover(env: Kaa) -> None:
    before = env.tree(env.environment("env"))
    assert "there is nothing to do" in env.ok("recover", "-n", "env").out
    assert env.ok("recover", "-n", "env", "--json").json()["outcome"] == "nothing"
    assert env.tree(env.environment("env")) == before
    assert env("recover", "-p", str(env.home / "nowhere")).code == 1


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A cache that has the packages of a change which is going to be killed."""
    world = World(tmp_path / "world")
    for package in (*NEW, python_package()):
        world.unpack(package)
    return world


@pytest.mark.parametrize("number", [4, 20, 35])
def test_a_killed_creation(kaa: Kaa, world: World, number: int) -> None:
    kill_at(world, number)
    prefix = str(world.prefix)
    assert verify(kaa, "-p", prefix)["interrupted"] is True
    assert f"kaa recover --prefix {prefix}" in kaa("verify", "-p", prefix).out
    document = kaa.ok("recover", "-p", prefix, "--json").json()
    assert document == {"success": True, "prefix": prefix, "outcome": "taken back", "exists": False}
    assert not world.prefix.exists()
    assert kaa("recover", "-p", prefix).code == 1


@pytest.mark.parametrize("number", [4, 9, 33])
def test_a_killed_change(kaa: Kaa, world: World, number: int) -> None:
    world.install(*NEW[:1], python_package())
    prefix = str(world.prefix)
    before = {path: text for path, text in kaa.tree(world.prefix).items() if "kaa-lock" not in path}
    kill_at(world, number)
    assert verify(kaa, "-p", prefix)["interrupted"] is True
    out = kaa.ok("recover", "-p", prefix).out
    assert "is taken back; the environment is what it was before" in out
    after = {path: text for path, text in kaa.tree(world.prefix).items() if "kaa-lock" not in path}
    assert after == before
    assert verify(kaa, "-p", prefix)["interrupted"] is False
    assert "nothing to do" in kaa.ok("recover", "-p", prefix).out


def test_a_change_that_was_complete_is_finished(env: Kaa) -> None:
    prefix = env.environment("env")
    (prefix / "old").write_text("set aside")
    journal = Journal(prefix)
    journal.begin()
    journal.set_aside(["old"])
    journal.declare_complete()
    del journal
    assert verify(env)["interrupted"] is True
    assert env.ok("recover", "-n", "env", "--json").json()["outcome"] == "finished"
    assert not (prefix / JOURNAL).exists()
    assert verify(env)["clean"] is True
    assert verify(env)["user_files"] == []


def test_a_change_that_is_under_way_is_no_interrupted_one(env: Kaa) -> None:
    prefix = env.environment("env")
    journal = Journal(prefix)
    with file_lock(prefix / LOCK):
        journal.begin()
        found = verify(env)
        assert found["interrupted"] is False
        assert f"process {os.getpid()} on " in found["busy"]
        assert "is changing this environment now" in env("verify", "-n", "env").out
        assert "kaa recover" not in env("verify", "-n", "env").out
    assert verify(env)["busy"] == ""
    journal.roll_back()
    assert verify(env)["clean"] is True


@pytest.mark.parametrize("line", [b"", b'["made", ["/etc"', b'["made", ["/", "/tmp"]]\n'])
def test_a_journal_that_says_little_or_too_much(kaa: Kaa, line: bytes) -> None:
    prefix = kaa.environment("never")
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / JOURNAL).write_bytes(line)
    beside = prefix.parent / "beside"
    beside.mkdir()
    assert kaa.ok("recover", "-p", str(prefix), "--json").json()["exists"] is False
    assert not (prefix / JOURNAL).exists()
    assert beside.is_dir()


@pytest.mark.parametrize("line", [b"[]\n", b'["made", 3]\n', b'["create", ["../beside/file"]]\n'])
def test_a_journal_that_kaa_cannot_have_written(kaa: Kaa, line: bytes) -> None:
    prefix = kaa.environment("never")
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / JOURNAL).write_bytes(line)
    beside = prefix.parent / "beside"
    beside.mkdir()
    (beside / "file").write_text("mine")
    answer = kaa("recover", "-p", str(prefix), "--json")
    assert answer.code == 1
    assert answer.json()["path"] == str(prefix / JOURNAL)
    assert (prefix / JOURNAL).read_bytes() == line
    assert (beside / "file").read_text() == "mine"


def test_what_cannot_be_taken_back_is_told(env: Kaa) -> None:
    prefix = env.environment("env")
    (prefix / "gone").mkdir()
    (prefix / "gone/old").write_text("set aside")
    journal = Journal(prefix)
    journal.begin()
    journal.set_aside(["gone/old"])
    del journal
    (prefix / "gone").rmdir()
    (prefix / "gone").write_text("in the way")
    answer = env("recover", "-n", "env", "--json")
    assert answer.code == 1
    assert len(answer.json()["problems"]) == 1
    assert (prefix / JOURNAL).exists()
    (prefix / "gone").unlink()
    env.ok("recover", "-n", "env")
    assert (prefix / "gone/old").read_text() == "set aside"
