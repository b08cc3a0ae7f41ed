"""`kaa clean`: after any of it every environment is whole, and can be made again and undone without a network."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kaa.api.environments import plan_create
from kaa.api.execution import execute
from kaa.api.package_roots import find_roots
from kaa.api.session import open_session
from kaa.prefix.registries import User
from tests.channels import ChannelBuilder
from tests.cli.commands import Kaa
from tests.users import ALICE, BOB, let_others_in, needs_root


@pytest.fixture
def only(channel: ChannelBuilder) -> list[str]:
    return ["-O", "-c", str(channel.folder)]


def cached(kaa: Kaa) -> set[str]:
    """The names of the packages that lie unpacked in the cache."""
    return {path.name.rsplit("-", 1)[0] for path in kaa.packages.iterdir() if (path / "info").is_dir()}


def clean(kaa: Kaa, *words: str) -> set[str]:
    """Clean packages, and say what is left."""
    kaa.ok("clean", "--packages", "-y", *words)
    return cached(kaa)


def copied(kaa: Kaa) -> None:
    """From here on environments hold copies: nothing but what is known of them keeps packages."""
    (kaa.home / ".condarc").write_text("always_copy: true\n")


def as_conda_made_it(kaa: Kaa, prefix: Path, *, soft: bool = False) -> None:
    """Make an environment of kaa's one of another program: no root file, nothing of generations, perhaps soft links."""
    shutil.rmtree(kaa.packages / ".roots")
    shutil.rmtree(prefix / "conda-meta" / "generations", ignore_errors=True)
    for path in prefix.glob("conda-meta/*-*-*.json"):
        record = json.loads(path.read_text())
        if soft:
            record["link"]["type"] = 2
            for name in record["files"]:
                if not (prefix / name).is_symlink():
                    (prefix / name).unlink()
                    (prefix / name).symlink_to(Path(record["link"]["source"]) / name)
        # conda's own keys; other programs leave the hashes out.
        for key in ("sha256", "md5"):
            record.pop(key, None)
        path.write_text(json.dumps(record))


# -- what is needed ----------------------------------------------------------------------------------------------------


def test_copied_environments_keep_their_packages_by_name(kaa: Kaa, only: list[str], tmp_path: Path) -> None:
    copied(kaa)
    kaa.ok("create", "-y", "-p", str(tmp_path / "elsewhere"), *only, "tool")
    kaa.ok("create", "-y", "-n", "gone", *only, "alone")
    kaa.ok("env", "remove", "-y", "-n", "gone")
    assert clean(kaa) == {"tool-2.0", "lib-2.0"}
    kaa.ok("create", "-y", "-n", "again", "--offline", *only, "tool")


def test_soft_linked_environments_keep_their_packages(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "soft", *only, "tool")
    kaa.ok("create", "-y", "-n", "gone", *only, "alone")
    shutil.rmtree(kaa.environment("gone"))
    as_conda_made_it(kaa, kaa.environment("soft"), soft=True)
    assert clean(kaa) == {"tool-2.0", "lib-2.0"}
    assert (kaa.environment("soft") / "lib" / "libx.so").read_text() == "library 2.0"


def test_a_damaged_record_keeps_what_it_may_be_of(kaa: Kaa, only: list[str]) -> None:
    copied(kaa)
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    as_conda_made_it(kaa, kaa.environment("env"))
    (kaa.environment("env") / "conda-meta" / "lib-2.0-0.json").write_text("{")
    assert clean(kaa) == {"tool-2.0", "lib-2.0"}


def test_generations_keep_packages_and_undo_works_offline(kaa: Kaa, only: list[str], channel: ChannelBuilder) -> None:
    copied(kaa)
    kaa.ok("create", "-y", "-n", "env", *only, "tool=1")
    kaa.ok("install", "-y", "-n", "env", *only, "tool=2")
    assert clean(kaa, "--tarballs") == {"tool-1.0", "lib-1.0", "tool-2.0", "lib-2.0"}
    kept = {
        Path(one["path"]).name.rsplit("-", 1)[0]: one["reasons"]
        for one in kaa.ok("clean", "--packages", "--json", "--dry-run").json()["kept"]
    }
    assert kept["tool-1.0"] == [f"generation 1 of {kaa.environment('env')}"]
    shutil.rmtree(channel.folder)
    kaa.ok("undo", "-y", "-n", "env", "--offline")
    assert (kaa.environment("env") / "bin" / "tool").read_text().endswith("echo tool 1\n")
    kaa.ok("verify", "-n", "env")


def test_the_archive_stays_when_it_is_all_that_a_generation_has(kaa: Kaa, only: list[str]) -> None:
    copied(kaa)
    kaa.ok("create", "-y", "-n", "env", *only, "tool=1")
    for path in kaa.packages.glob("lib-1.0-*"):
        if path.is_dir():
            shutil.rmtree(path)
    archives = {path.name for path in kaa.packages.glob("*.conda")}
    kaa.ok("clean", "--tarballs", "-y")
    left = {path.name for path in kaa.packages.glob("*.conda")}
    assert left == {name for name in archives if name.startswith("lib-1.0-")}


# -- environments that are not there -----------------------------------------------------------------------------------


def test_a_deleted_environment_needs_nothing(kaa: Kaa, only: list[str]) -> None:
    for name in ("one", "two"):
        kaa.ok("create", "-y", "-n", name, *only, "tool")
    for name in ("one", "two"):
        shutil.rmtree(kaa.environment(name))
    assert clean(kaa) == set()
    assert not list((kaa.packages / ".roots").iterdir())


def test_an_environment_on_a_disk_that_is_away_is_kept_and_comes_back(
    kaa: Kaa, only: list[str], channel: ChannelBuilder, tmp_path: Path
) -> None:
    copied(kaa)
    disk = tmp_path / "disk"
    kaa.ok("create", "-y", "-p", str(disk / "env"), *only, "tool=1")
    kaa.ok("install", "-y", "-p", str(disk / "env"), *only, "tool=2")
    kaa.ok("create", "-y", "-n", "gone", *only, "alone")
    shutil.rmtree(kaa.environment("gone"))
    disk.rename(tmp_path / "unmounted")
    answer = kaa.ok("clean", "--packages", "-y", "-v")
    assert cached(kaa) == {"tool-1.0", "lib-1.0", "tool-2.0", "lib-2.0"}
    assert f"needed by {disk / 'env'}, of which nobody knows now ({disk} is not there)" in answer.out
    (tmp_path / "unmounted").rename(disk)
    kaa.ok("verify", "-p", str(disk / "env"))
    shutil.rmtree(channel.folder)
    kaa.ok("undo", "-y", "-p", str(disk / "env"), "--offline")
    # When it is gone for good, that has to be said.
    shutil.rmtree(disk)
    assert clean(kaa) == {"tool-1.0", "lib-1.0", "tool-2.0", "lib-2.0"}
    assert clean(kaa, "--forget", str(disk / "env")) == set()
    assert (kaa.home / ".conda" / "environments.txt").read_text() == ""
    assert not list((kaa.packages / ".roots").iterdir())


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_a_real_mount(kaa: Kaa, only: list[str], tmp_path: Path, kind: str) -> None:
    point, disk = tmp_path / "point", tmp_path / "disk"
    point.mkdir()
    disk.mkdir()
    words = ["-t", "tmpfs", "tmpfs", str(point)] if kind == "tmpfs" else ["--bind", str(disk), str(point)]
    if os.geteuid() != 0 or subprocess.run(["mount", *words], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    copied(kaa)
    try:
        kaa.ok("create", "-y", "-p", str(point / "env"), *only, "tool")
    finally:
        subprocess.run(["umount", str(point)], check=True)
    # The mount point itself is an empty directory now.
    assert clean(kaa) == {"tool-2.0", "lib-2.0"}
    if kind == "bind":
        subprocess.run(["mount", *words], check=True)
        try:
            kaa.ok("verify", "-p", str(point / "env"))
            shutil.rmtree(point / "env")
            assert clean(kaa) == set()
        finally:
            subprocess.run(["umount", str(point)], check=True)


def test_nothing_goes_that_an_environment_of_another_program_may_need_which_is_away(
    kaa: Kaa, only: list[str], tmp_path: Path
) -> None:
    disk = tmp_path / "a disk"
    kaa.ok("create", "-y", "-p", str(disk / "env"), *only, "tool")
    kaa.ok("create", "-y", "-n", "gone", *only, "alone")
    kaa.ok("env", "remove", "-y", "-n", "gone")
    as_conda_made_it(kaa, disk / "env", soft=True)
    disk.rename(tmp_path / "unmounted")
    answer = kaa.ok("clean", "--packages", "-y")
    assert cached(kaa) == {"tool-2.0", "lib-2.0", "alone-1.0"}
    [line] = [line for line in answer.out.splitlines() if "--forget" in line]
    assert f"{disk / 'env'} ({disk} is not there)" in line
    document = kaa.ok("clean", "--packages", "--json", "--dry-run").json()
    assert document["unknown_environments"] == [{"path": str(disk / "env"), "reason": f"{disk} is not there"}]
    # When it comes back it speaks for itself, and is noted for the next time.
    (tmp_path / "unmounted").rename(disk)
    assert clean(kaa) == {"tool-2.0", "lib-2.0"}
    disk.rename(tmp_path / "unmounted")
    assert clean(kaa) == {"tool-2.0", "lib-2.0"}
    (tmp_path / "unmounted").rename(disk)
    assert (disk / "env" / "lib" / "libx.so").read_text() == "library 2.0"
    # What the first answer said is what to type.
    shutil.rmtree(disk)
    words = shlex.split(line[line.index("kaa clean") :])
    assert words[:3] == ["kaa", "clean", "--packages"]
    kaa.ok(*words[1:], "-y")
    assert cached(kaa) == set()


def test_an_environment_that_is_there_is_not_forgotten(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    answer = kaa("clean", "--packages", "-y", "--forget", str(kaa.environment("env")))
    assert answer.code == 1
    assert "is there" in answer.err
    assert cached(kaa) == {"tool-2.0", "lib-2.0"}


def test_another_environment_at_the_same_place_speaks_for_itself(kaa: Kaa, only: list[str]) -> None:
    copied(kaa)
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    kaa.ok("create", "-y", "-n", "other", *only, "alone")
    shutil.rmtree(kaa.environment("env"))
    kaa.environment("other").rename(kaa.environment("env"))
    assert clean(kaa) == {"alone-1.0"}


def test_what_other_hosts_noted_is_kept(kaa: Kaa, only: list[str]) -> None:
    copied(kaa)
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    [root] = (kaa.packages / ".roots").iterdir()
    document = json.loads(root.read_text())
    root.with_name(f"{root.name.split('.')[0]}.other.json").write_text(json.dumps({**document, "host": "other"}))
    shutil.rmtree(kaa.environment("env"))
    assert clean(kaa) == {"tool-2.0", "lib-2.0"}
    assert clean(kaa, "--forget", str(kaa.environment("env"))) == set()


# -- other users -------------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("closed", [False, True])
def test_environments_of_all_users_count(kaa: Kaa, only: list[str], tmp_path: Path, closed: bool) -> None:
    let_others_in(tmp_path)
    home = ALICE.directory(tmp_path / "alice")
    kaa.ok("create", "-y", "-n", "mine", *only, "alone")
    kaa.ok("create", "-y", "-p", str(home / "soft"), *only, "tool")
    kaa.ok("create", "-y", "-n", "gone", *only, "notes")
    shutil.rmtree(kaa.environment("gone"))
    as_conda_made_it(kaa, home / "soft", soft=True)
    registry = kaa.home / ".conda" / "environments.txt"
    registry.write_text("")
    ALICE.directory(home / ".conda")
    ALICE.own(home / "soft", 0o700 if closed else 0o755)
    (home / ".conda" / "environments.txt").write_text(f"{home / 'soft'}\n")
    alice = User("alice", ALICE.uid, ALICE.uid, home)
    with open_session(root_prefix=kaa.root, environ={"HOME": str(kaa.home)}) as session:
        assert session.package_directories[0] == kaa.packages
        needs = find_roots(session, everyone=[alice]).needs
        assert needs.why(kaa.packages / "tool-2.0-0", None) == (f"in use by {home / 'soft'}",)
        assert needs.unknown == []
        # Somebody who is neither root nor Alice.
        kaa.packages.parent.parent.chmod(0o755)
        unknown = BOB.does(lambda: [one.path for one in find_roots(session, everyone=[alice]).needs.unknown])
    assert unknown == ([str(home / "soft")] if closed else [])


@needs_root
def test_who_cannot_read_a_cache_needs_nothing_of_it(kaa: Kaa, only: list[str], tmp_path: Path) -> None:
    let_others_in(tmp_path)
    home = ALICE.directory(tmp_path / "alice")
    kaa.ok("create", "-y", "-n", "mine", *only, "alone")
    ALICE.directory(home / ".conda")
    (home / ".conda" / "environments.txt").write_text(f"{home / 'away' / 'env'}\n")
    alice = User("alice", ALICE.uid, ALICE.uid, home)
    with open_session(root_prefix=kaa.root, environ={"HOME": str(kaa.home)}) as session:
        [unknown] = find_roots(session, everyone=[alice]).needs.unknown
        assert unknown.cannot_use == set()
        kaa.packages.chmod(0o700)
        [unknown] = find_roots(session, everyone=[alice]).needs.unknown
        assert unknown.cannot_use >= {str(kaa.packages)}


@needs_root
def test_directories_that_others_have_configured_are_looked_into(kaa: Kaa, only: list[str], tmp_path: Path) -> None:
    copied(kaa)
    home = tmp_path / "alice"
    kaa.ok("create", "-y", "-p", str(home / "own" / "env"), *only, "tool")
    as_conda_made_it(kaa, home / "own" / "env")
    (kaa.home / ".conda" / "environments.txt").write_text("")
    alice = User("alice", ALICE.uid, ALICE.uid, home)
    with open_session(root_prefix=kaa.root, environ={"HOME": str(kaa.home)}) as session:
        assert find_roots(session, everyone=[alice]).needs.why(kaa.packages / "tool-2.0-0", None) == ()
        (home / ".condarc").write_text("envs_dirs: [~/own]\n")
        needs = find_roots(session, everyone=[alice]).needs
        assert needs.why(kaa.packages / "tool-2.0-0", None) == (f"in use by {home / 'own' / 'env'}",)


# -- what is printed ---------------------------------------------------------------------------------------------------


def test_a_dry_run_tells_sizes_by_kind_and_by_package(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    kaa.ok("create", "-y", "-n", "gone", *only, "alone")
    shutil.rmtree(kaa.environment("gone"))
    before = kaa.tree(kaa.packages)
    answer = kaa.ok("clean", "--all", "--dry-run", "-v")
    assert kaa.tree(kaa.packages) == before
    rows = [line.split() for line in answer.out.splitlines()]
    assert any(row[:1] == ["alone-1.0-0"] and "used" in row for row in rows)
    assert any(row[:3] == ["unused", "packages", "1"] for row in rows)
    [line] = [line for line in answer.out.splitlines() if line.strip().startswith("tool-2.0-0 ")]
    assert f"in use by {kaa.environment('env')}" in line


def test_the_json_is_condas_with_more(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "gone", *only, "alone")
    shutil.rmtree(kaa.environment("gone"))
    document = kaa.ok("clean", "--all", "--json").json()
    pkgs = str(kaa.packages)
    assert document["success"] is True
    assert document["packages"]["pkgs_dirs"] == {pkgs: ["alone-1.0-0"]}
    assert document["packages"]["pkg_sizes"][pkgs]["alone-1.0-0"] == document["packages"]["total_size"]
    assert document["tarballs"]["pkgs_dirs"] == {}, "archives of a folder are not copied"
    assert document["index_cache"]["files"] == [f"{pkgs}/cache"]
    assert document["logfiles"] == []
    assert document["freed"] == document["total_size"] > 0
    assert document["stayed"] == document["unknown_environments"] == []


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 2),
        (["--older-than", "soon"], 2),
        (["--older-than", "false"], 2),
        (["--max-size", "much"], 2),
        (["--max-size", "-1"], 2),
        (["--max-size", "8GiB", "-y"], 0),
        (["--older-than", "30d", "-y"], 0),
        (["--older-than", "2020-01-01", "--tarballs", "-y"], 0),
        (["--all", "--force-pkgs-dirs", "--yes", "--quiet"], 0),
        (["--logfiles", "-y"], 0),
        (["-t", "-p", "-i", "-c", "-l", "-y"], 0),
        (["--forget", "/no/such/environment", "-y"], 0),
    ],
)
def test_arguments(kaa: Kaa, words: list[str], code: int) -> None:
    assert kaa("clean", *words).code == code


def test_by_age_and_by_size(kaa: Kaa, only: list[str]) -> None:
    for name in ("alone", "notes"):
        kaa.ok("create", "-y", "-n", name, *only, name)
        shutil.rmtree(kaa.environment(name))
    long_ago = time.time() - 40 * 24 * 3600
    os.utime(kaa.packages / "alone-1.0-0" / "info" / "repodata_record.json", (long_ago, long_ago))
    assert clean(kaa, "--older-than", "30d") == {"notes-1.0"}
    # Linking a package is using it.
    os.utime(kaa.packages / "notes-1.0-0" / "info" / "repodata_record.json", (long_ago, long_ago))
    kaa.ok("create", "-y", "-n", "notes", *only, "notes")
    shutil.rmtree(kaa.environment("notes"))
    assert clean(kaa, "--older-than", "30d") == {"notes-1.0"}
    answer = kaa.ok("clean", "--max-size", "1GB", "-y")
    assert "nothing to clean" in answer.out
    kaa.ok("clean", "--max-size", "0", "-y")
    assert cached(kaa) == set()


def test_a_limit_that_cannot_be_kept_is_told(kaa: Kaa, only: list[str]) -> None:
    kaa.ok("create", "-y", "-n", "env", *only, "tool")
    answer = kaa.ok("clean", "--max-size", "1B", "-y")
    assert "more than 1 B: the rest is in use" in answer.out
    assert cached(kaa) == {"tool-2.0", "lib-2.0"}


def test_leftovers_in_a_named_directory(kaa: Kaa, tmp_path: Path) -> None:
    kaa.packages.mkdir(parents=True)
    (kaa.packages / "urls.txt").touch()
    folder = tmp_path / "env" / "lib"
    folder.mkdir(parents=True)
    for name in ("x.so.c~", "y.so.trash", "z.so"):
        (folder / name).touch()
    kaa.ok("clean", "-y", "--tempfiles", str(tmp_path / "env"))
    assert [path.name for path in folder.iterdir()] == ["z.so"]


# -- beside others -----------------------------------------------------------------------------------------------------


def test_a_package_that_vanishes_before_it_is_linked_is_fetched_again(kaa: Kaa, only: list[str]) -> None:
    with open_session(root_prefix=kaa.root, channels=only[2:]) as session:
        vanished: list[str] = []

        def checkpoint(step: str) -> None:
            if not vanished:
                vanished.append(step)
                shutil.rmtree(kaa.packages / "lib-2.0-0")

        session.checkpoint = checkpoint
        execute(session, plan_create(session, kaa.environment("env"), ["tool"]))
    assert vanished
    kaa.ok("verify", "-n", "env")


CLEANING = """
import sys
from kaa.cli.main import main
while True:
    if main(["clean", "--all", "-y", "-q"]):
        sys.exit(1)
"""
CREATING = """
import shutil, sys
from pathlib import Path
from kaa.cli.main import main
prefix, *words = sys.argv[1:]
while True:
    if main(["create", "-y", "-q", "-p", prefix, *words]) or main(["verify", "-q", "-p", prefix]):
        sys.exit(1)
    shutil.rmtree(prefix)
"""


@pytest.mark.parametrize("how", ["linked", "copied"])
def test_creating_while_others_clean(kaa: Kaa, only: list[str], tmp_path: Path, how: str) -> None:
    if how == "copied":
        copied(kaa)
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs" / "keep").touch()
    programs = [["-c", CLEANING]] + [
        ["-c", CREATING, str(tmp_path / "envs" / str(number)), *only, *specs]
        for number, specs in enumerate((["tool", "notes"], ["tool=1", "alone"]))
    ]
    logs = [(tmp_path / f"{number}.log").open("w") for number in range(3)]
    processes = [
        subprocess.Popen([sys.executable, *words], stdout=log, stderr=subprocess.STDOUT)
        for words, log in zip(programs, logs, strict=True)
    ]
    try:
        time.sleep(1.5)
        ended = [process.poll() for process in processes]
    finally:
        for process, log in zip(processes, logs, strict=True):
            process.send_signal(signal.SIGKILL)
            process.wait()
            log.close()
    texts = [(tmp_path / f"{number}.log").read_text() for number in range(3)]
    assert ended == [None, None, None], "\n".join(texts)
    kaa.ok("clean", "--all", "-y")
    for number in range(2):
        shutil.rmtree(tmp_path / "envs" / str(number), ignore_errors=True)


# -- the whole promise -------------------------------------------------------------------------------------------------


CHANGES = [
    ["create", "-y", "-n", "{env}", "tool=1"],
    ["create", "-y", "-n", "{env}", "alone"],
    ["install", "-y", "-n", "{env}", "notes"],
    ["install", "-y", "-n", "{env}", "tool=2"],
    ["remove", "-y", "-n", "{env}", "notes"],
    ["undo", "-y", "-n", "{env}"],
    ["env", "remove", "-y", "-n", "{env}"],
]
CLEANS = [
    ["--all"],
    ["--packages"],
    ["--tarballs", "--packages"],
    ["--tempfiles"],
    ["--max-size", "0"],
    ["--older-than", "0s"],
    ["--index-cache", "--packages"],
]


@pytest.mark.parametrize("seed", range(3))
def test_after_any_clean_every_environment_is_whole_and_can_be_made_again_and_undone_offline(
    kaa: Kaa, only: list[str], channel: ChannelBuilder, seed: int
) -> None:
    chance = random.Random(seed)
    copied(kaa)
    for _ in range(6):
        for _ in range(3):
            name = chance.choice(["a", "b", "c"])
            change = [word.format(env=name) for word in chance.choice(CHANGES)]
            where = only if change[0] in ("create", "install", "update", "remove") else []
            # What does not fit the state of the environment is refused, and that is fine.
            kaa(*change, *where)
        kaa.ok("clean", "-y", *chance.choice(CLEANS))
        for prefix in sorted((kaa.root / "envs").glob("*")):
            kaa.ok("verify", "-p", str(prefix))
    prefixes = [path for path in sorted((kaa.root / "envs").glob("*")) if (path / "conda-meta" / "history").exists()]
    lists = {path: kaa.ok("list", "--explicit", "-p", str(path)).out for path in prefixes}
    channel.folder.rename(channel.folder.with_name("away"))
    for path, text in lists.items():
        file = kaa.home / f"{path.name}.txt"
        file.write_text(text)
        kaa.ok("create", "-y", "--offline", "-p", str(kaa.home / "copies" / path.name), "--file", str(file))
        generations = len(list((path / "conda-meta" / "generations").glob("*.json")))
        for number in range(1, generations + 1):
            kaa.ok("rollback", "-y", "--offline", "-p", str(path), str(number))
            kaa.ok("verify", "-p", str(path))
