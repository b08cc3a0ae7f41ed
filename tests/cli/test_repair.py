"""`kaa repair`: environments damaged in every way, and what becomes of them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.channels import ChannelBuilder, Package, Server, serve
from tests.cli.commands import Kaa
from tests.cli.test_verify import BROKEN, DAMAGES, RECORD, env, only, put, remove, verify
from tests.transaction.world import SITE, TAG

__all__ = ["env", "only"]

Damage = Callable[[Path], None]


def picture(prefix: Path) -> dict[str, str]:
    """Path → kind and content of all that is not kaa's own notes: times and generations go on."""
    found = {}
    for path in sorted(prefix.rglob("*")):
        name = path.relative_to(prefix).as_posix()
        if name.startswith(("conda-meta/generations", "conda-meta/replaced", "conda-meta/.kaa-lock")):
            continue
        if name == "conda-meta/history":
            continue
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_dir():
            found[name] = "directory"
        else:
            executable = "x" if path.stat().st_mode & 0o100 else "-"
            found[name] = f"{executable} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


def kept(prefix: Path) -> dict[str, Path]:
    """What repairs moved away: path below the environment → where it is."""
    found = {}
    for directory in sorted((prefix / "conda-meta/replaced").glob("*")):
        for path in sorted(directory.rglob("*")):
            if path.is_symlink() or not path.is_dir():
                found[path.relative_to(directory).as_posix()] = path
    return found


def repair(env: Kaa, *words: str) -> dict[str, Any]:
    """What `kaa repair --json` says about one environment."""
    answer = env("repair", "-n", "env", "--json", *words)
    document = answer.json()
    assert document["success"] is True, document
    [found] = document["environments"]
    assert answer.code == (0 if found["clean"] else 1)
    return dict(found)


def test_nothing_to_repair(env: Kaa) -> None:
    before = env.tree(env.environment("env"))
    found = repair(env)
    assert (found["clean"], found["packages"], found["left"]) == (True, [], [])
    assert "env: nothing is wrong.\n" in env.ok("repair", "-n", "env", "-y").out
    assert env.tree(env.environment("env")) == before


# The property in tests/api/test_repairing.py says the same of whole sets of damages.
@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGES)
def test_damages_are_repaired_offline_from_the_cache(env: Kaa, name: str) -> None:
    prefix = env.environment("env")
    before = picture(prefix)
    damage, dist, path, _ = DAMAGES[name]
    damage(prefix)
    changed = prefix / path
    content = changed.read_bytes() if changed.is_file() and not changed.is_symlink() else None
    found = repair(env, "--offline")
    assert [(package["dist"], package["source"]) for package in found["packages"]] == [(dist, "cache")]
    assert picture(prefix) == before
    assert verify(env)["clean"] is True
    # What was there and was not the package's is kept.
    if "another content" in DAMAGES[name][3]:
        assert kept(prefix)[path].read_bytes() == content
        assert found["kept"] == {path: str(kept(prefix)[path].relative_to(prefix))}


def test_what_is_shown_and_asked(env: Kaa) -> None:
    prefix = env.environment("env")
    put("lib/libx.so.1", b"A library")(prefix)
    damaged = picture(prefix)
    answer = env("repair", "-n", "env", "--dry-run")
    assert answer.code == 1
    assert "reinstall  lib" in answer.out
    assert "  lib-1.0-0: 1 file changed\n    linked again from the package cache\n" in answer.out
    assert f"What was changed is kept in {prefix}/conda-meta/replaced/" in answer.out
    assert picture(prefix) == damaged
    answer = env("repair", "-n", "env", "-y")
    assert answer.code == 0
    assert answer.out.endswith("env: repaired.\n")
    assert [one.read_bytes() for one in kept(prefix).values()] == [b"A library"]


def test_an_emptied_file_and_one_without_its_mode_leave_nothing_to_keep(env: Kaa) -> None:
    prefix = env.environment("env")
    before = picture(prefix)
    put("share/n", b"")(prefix)
    (prefix / "bin/script").chmod(0o644)
    repair(env)
    assert picture(prefix) == before
    assert kept(prefix) == {}


def test_a_directory_with_files_in_place_of_a_file(env: Kaa) -> None:
    prefix = env.environment("env")
    before = picture(prefix)
    (prefix / "share/n").unlink()
    (prefix / "share/n/deep").mkdir(parents=True)
    (prefix / "share/n/deep/mine").write_text("mine")
    (prefix / "share/n/link").symlink_to("deep")
    repair(env)
    assert picture(prefix) == before
    assert kept(prefix)["share/n/deep/mine"].read_text() == "mine"
    assert kept(prefix)["share/n/link"].is_symlink()


def test_a_file_in_place_of_a_directory(env: Kaa) -> None:
    prefix = env.environment("env")
    before = picture(prefix)
    shutil.rmtree(prefix / "share/lib")
    (prefix / "share/lib").write_text("mine")
    repair(env)
    assert picture(prefix) == before
    assert kept(prefix)["share/lib"].read_text() == "mine"


def test_a_directory_that_was_led_outside(env: Kaa) -> None:
    prefix = env.environment("env")
    before = picture(prefix)
    elsewhere = prefix.parent.parent / "elsewhere"
    (prefix / "share/lib").rename(elsewhere)
    (prefix / "share/lib").symlink_to(elsewhere)
    repair(env)
    assert picture(prefix) == before
    assert kept(prefix)["share/lib"].readlink() == elsewhere
    # What lies there is nobody's business.
    assert (elsewhere / "table").read_text() == "1 2 3"


def test_only_the_packages_that_are_named(env: Kaa) -> None:
    prefix = env.environment("env")
    put("lib/libx.so.1", b"A library")(prefix)
    remove("share/n")(prefix)
    found = repair(env, "needs")
    assert [package["dist"] for package in found["packages"]] == ["needs-1.0-0"]
    assert found["problems"] == 1
    assert (prefix / "share/n").exists()
    assert (prefix / "lib/libx.so.1").read_bytes() == b"A library"
    answer = env("repair", "-n", "env", "--json", "nothing-of-that-name")
    assert answer.json()["exception_name"] == "PackagesNotFoundInPrefixError"


# -- where packages come from -----------------------------------------------------------------------------------------


def damage_cache(env: Kaa) -> None:
    """Write into a file of the cache in place, as an editor may: the environment has it, too."""
    [cached] = env.packages.glob("lib-*/lib/libx.so.1")
    cached.chmod(0o644)
    with cached.open("wb") as stream:
        stream.write(b"A LIBRARY")


def test_a_damaged_cache_is_not_linked_but_unpacked_again(env: Kaa) -> None:
    prefix = env.environment("env")
    before = picture(prefix)
    damage_cache(env)
    assert verify(env)["clean"] is False
    found = repair(env, "--offline")
    assert [package["source"] for package in found["packages"]] == ["archive"]
    assert picture(prefix) == before
    [cached] = env.packages.glob("lib-*/lib/libx.so.1")
    assert cached.read_bytes() == b"a library"
    assert kept(prefix)["lib/libx.so.1"].read_bytes() == b"A LIBRARY"


@pytest.fixture
def remote(kaa: Kaa, tmp_path: Path, only: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The same environment from a channel behind a server, with nothing in the package cache."""
    monkeypatch.setenv("CONDA_OVERRIDE_GLIBC", "2.28")
    with serve(tmp_path / "many") as server:
        kaa.ok("create", "-y", "-n", "env", "-O", "-c", server.url, "needs", "app")
        shutil.rmtree(kaa.packages)
        yield kaa, server


def test_from_the_channel(remote: tuple[Kaa, Server]) -> None:
    env, server = remote
    prefix = env.environment("env")
    before = picture(prefix)
    put("lib/libx.so.1", b"A library")(prefix)
    server.requests.clear()
    found = repair(env)
    assert [package["source"] for package in found["packages"]] == ["channel"]
    # By the recorded address, without a look at the channel's list.
    assert [request.path for request in server.requests] == ["/linux-64/lib-1.0-0.conda"]
    assert picture(prefix) == before


def test_offline_names_what_is_missing_and_repairs_the_rest(remote: tuple[Kaa, Server]) -> None:
    env, server = remote
    prefix = env.environment("env")
    env.ok("create", "-y", "-n", "other", "-O", "-c", server.url, "needs", "--no-deps")
    put("lib/libx.so.1", b"A library")(prefix)
    remove("share/n")(prefix)
    found = repair(env, "--offline")
    assert [package["dist"] for package in found["packages"]] == ["needs-1.0-0"]
    [left] = found["left"]
    record = json.loads((prefix / RECORD).read_text())
    assert (left["what"], left["url"], left["sha256"]) == ("lib-1.0-0", record["url"], record["sha256"])
    assert (prefix / "lib/libx.so.1").read_bytes() == b"A library"
    assert (prefix / "share/n").exists()
    answer = env("repair", "-n", "env", "--offline")
    assert answer.code == 1
    assert f"  {record['url']}  sha256 {record['sha256']}\n" in answer.out


def test_a_channel_that_deleted_a_package(remote: tuple[Kaa, Server], tmp_path: Path) -> None:
    env, _ = remote
    prefix = env.environment("env")
    (tmp_path / "many/linux-64/lib-1.0-0.conda").unlink()
    put("lib/libx.so.1", b"A library")(prefix)
    remove("share/n")(prefix)
    found = repair(env)
    assert [left["what"] for left in found["left"]] == ["lib-1.0-0"]
    assert "404" in found["left"][0]["reason"]
    assert (prefix / "lib/libx.so.1").read_bytes() == b"A library"
    assert (prefix / "share/n").exists()


def test_other_bytes_under_the_same_address_are_refused(remote: tuple[Kaa, Server], tmp_path: Path) -> None:
    env, _ = remote
    prefix = env.environment("env")
    file = tmp_path / "many/linux-64/lib-1.0-0.conda"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    put("lib/libx.so.1", b"A library")(prefix)
    assert [left["what"] for left in repair(env)["left"]] == ["lib-1.0-0"]
    assert (prefix / "lib/libx.so.1").read_bytes() == b"A library"


# -- records ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BROKEN)
def test_broken_records(env: Kaa, name: str) -> None:
    (env.root / "envs" / "outside").write_text("outside")
    prefix = env.environment("env")
    before = picture(prefix)
    record = json.loads((prefix / RECORD).read_text())
    damage, path, _ = BROKEN[name]
    damage(prefix)
    found = repair(env, "--offline")
    assert found["clean"] is True
    assert verify(env)["clean"] is True
    again = json.loads((prefix / RECORD).read_text())
    for key in ("name", "version", "build", "url", "sha256", "depends", "files", "requested_specs"):
        assert again[key] == record[key], key
    after = picture(prefix)
    assert {path for path in before if before[path] != after.get(path)} <= {RECORD}
    assert set(after) == set(before)
    assert (env.root / "envs" / "outside").read_text() == "outside"
    if path != RECORD or BROKEN[name][2] == "unreadable":
        assert path in kept(prefix)


@pytest.mark.parametrize("known", ["generations", "fragments", "cache", "channel"])
@pytest.mark.parametrize("damaged", [False, True])
def test_where_a_lost_record_comes_from(remote: tuple[Kaa, Server], known: str, damaged: bool) -> None:
    env, server = remote
    prefix = env.environment("env")
    before = picture(prefix)
    text = (prefix / RECORD).read_text()
    if known != "generations":
        shutil.rmtree(prefix / "conda-meta/generations")
    put(RECORD, text[: text.index('"files"')].encode() if known == "fragments" else b"{")(prefix)
    if damaged:
        put("lib/libx.so.1", b"A library")(prefix)
    words: list[str] = []
    if known == "cache":
        env.ok("create", "-y", "-n", "other", "-O", "-c", server.url, "lib")
        words = ["--offline"]
    if known == "channel":
        (prefix / "conda-meta/history").write_text("")
        words = ["-O", "-c", server.url]
    assert repair(env, *words)["clean"] is True
    after = picture(prefix)
    assert {path for path in before if before[path] != after.get(path)} <= {RECORD}
    assert set(after) == set(before)
    assert json.loads((prefix / RECORD).read_text())["sha256"] == json.loads(text)["sha256"]


def as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("mine")


def as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def as_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/etc/hostname")


@pytest.mark.parametrize("put_there", [as_directory, as_pipe, as_link])
def test_something_else_in_place_of_a_record(env: Kaa, put_there: Callable[[Path], None]) -> None:
    prefix = env.environment("env")
    before = picture(prefix)
    record = json.loads((prefix / RECORD).read_text())
    put_there(prefix / RECORD)
    assert repair(env, "--offline")["clean"] is True
    again = json.loads((prefix / RECORD).read_text())
    assert again["sha256"] == record["sha256"]
    assert set(picture(prefix)) == set(before)
    assert [path.split("/")[-1] for path in kept(prefix)] in (["lib-1.0-0.json"], ["inside"])


def test_all_records_at_once(env: Kaa) -> None:
    """Where other packages lie depends on python, which is lost as well."""
    prefix = env.environment("env")
    before = picture(prefix)
    records = sorted((prefix / "conda-meta").glob("*-*-*.json"))
    for record in records:
        record.write_text("")
    put(f"{SITE}/app/__init__.py", b"changed")(prefix)
    assert verify(env)["user_files"] == []
    assert repair(env, "--offline")["clean"] is True
    after = picture(prefix)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert changed <= {f"conda-meta/{record.name}" for record in records}


def test_a_directory_in_place_of_the_history(env: Kaa) -> None:
    prefix = env.environment("env")
    (prefix / "conda-meta/history").unlink()
    (prefix / "conda-meta/history").mkdir()
    found = repair(env)
    assert [left["what"] for left in found["left"]] == ["conda-meta/history"]


def test_a_record_that_nobody_can_make_again_is_moved_away_and_named(remote: tuple[Kaa, Server]) -> None:
    env, _ = remote
    prefix = env.environment("env")
    shutil.rmtree(prefix / "conda-meta/generations")
    put("conda-meta/needs-1.0-0.json", b"{")(prefix)
    found = repair(env, "--offline")
    assert [left["what"] for left in found["left"]] == ["needs-1.0-0"]
    assert "kaa install" in found["left"][0]["advice"]
    assert kept(prefix)["conda-meta/needs-1.0-0.json"].read_bytes() == b"{"
    # The rest of the environment can be used again.
    assert env("list", "-n", "env").code == 0


def test_of_two_records_the_one_whose_files_are_there_stays(env: Kaa) -> None:
    """An update that another program did not finish: the new files, and both records."""
    prefix = env.environment("env")
    before = picture(prefix)
    record = json.loads((prefix / RECORD).read_text())
    old = b"old"
    (prefix / "share/lib/old").write_bytes(old)
    digest = hashlib.sha256(old).hexdigest()
    paths = [
        {"_path": "lib/libx.so.1", "path_type": "hardlink", "sha256": "0" * 64, "sha256_in_prefix": "0" * 64},
        {"_path": "share/lib/old", "path_type": "hardlink", "sha256": digest, "sha256_in_prefix": digest},
        {"_path": "share/lib/older", "path_type": "hardlink", "sha256": digest, "sha256_in_prefix": digest},
    ]
    other = {**record, "version": "0.9", "files": [path["_path"] for path in paths]}
    other["paths_data"] = {"paths_version": 1, "paths": paths}
    put("conda-meta/lib-0.9-0.json", json.dumps(other).encode())(prefix)
    assert repair(env)["clean"] is True
    # What only the old one knew goes, as it is what that package brought.
    assert picture(prefix) == before
    assert list(kept(prefix)) == ["conda-meta/lib-0.9-0.json"]


def test_a_missing_history(env: Kaa) -> None:
    prefix = env.environment("env")
    (prefix / "conda-meta/history").unlink()
    found = verify(env)
    assert [(one["path"], one["kind"]) for one in found["broken_records"]] == [("conda-meta/history", "missing")]
    assert "env" not in env.ok("env", "list").out.replace(str(prefix.parent), "").split()
    assert repair(env)["clean"] is True
    text = (prefix / "conda-meta/history").read_text()
    assert "::lib-1.0-0\n" in text
    assert "# update specs: ['app', 'needs']" in text
    assert verify(env)["clean"] is True


# -- pip --------------------------------------------------------------------------------------------------------------


def pip_install(prefix: Path, name: str, version: str, files: dict[str, str]) -> None:
    """Put a distribution there as pip does, hashes included."""
    site = prefix / SITE
    info = f"{name}-{version}.dist-info"
    files = {**files, f"{info}/METADATA": f"Name: {name}\nVersion: {version}\n", f"{info}/INSTALLER": "pip\n"}
    lines = [f"{info}/RECORD,,\n"]
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).unlink(missing_ok=True)
        (site / path).write_text(text)
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
        lines.append(f"{path},sha256={digest},{len(text)}\n")
    (site / info / "RECORD").unlink(missing_ok=True)
    (site / info / "RECORD").write_text("".join(lines))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_what_pip_put_in_a_packages_place_goes(env: Kaa, version: str) -> None:
    prefix = env.environment("env")
    before = picture(prefix)
    if version != "1.0":
        shutil.rmtree(prefix / SITE / "app-1.0.dist-info")
    files = {"app/__init__.py": "def main():\n    return 1\n", "app/new.py": "x = 1\n", "app/edited.py": "x = 1\n"}
    pip_install(prefix, "app", version, files)
    (prefix / SITE / "app/__pycache__" / f"new.{TAG}.pyc").write_bytes(b"")
    (prefix / SITE / "app/edited.py").write_text("x = 2  # mine\n")
    (prefix / SITE / "app/mine.py").write_text("mine\n")
    pip_install(prefix, "beside", "1.0", {"beside.py": "x = 1\n"})
    beside = {path: text for path, text in picture(prefix).items() if "beside" in path}
    answer = env("repair", "-n", "env", "-y")
    assert answer.code == 0
    assert f"    app {version} of pip goes (" in answer.out
    mine = f"{SITE}/app/mine.py"
    after = picture(prefix)
    assert after.pop(mine)
    assert after == before | beside
    # The user's own change of a file of pip is kept; what pip can bring again is not.
    assert list(kept(prefix)) == [f"{SITE}/app/edited.py"]
    assert verify(env)["user_files"] == [mine]


def test_a_file_that_another_distribution_wrote_over(env: Kaa) -> None:
    """`beside` brings a file of app as well: it stays, and its file is kept."""
    prefix = env.environment("env")
    pip_install(prefix, "beside", "1.0", {"beside.py": "x = 1\n", "app/__init__.py": "beside's\n"})
    assert repair(env)["clean"] is True
    assert kept(prefix)[f"{SITE}/app/__init__.py"].read_text() == "beside's\n"
    assert (prefix / SITE / "beside.py").exists()
    assert [one["name"] for one in verify(env)["pip"]] == ["beside"]


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_a_repair_can_be_undone(env: Kaa, version: str) -> None:
    """What pip had put there was noted before it went."""
    prefix = env.environment("env")
    if version != "1.0":
        shutil.rmtree(prefix / SITE / "app-1.0.dist-info")
    pip_install(prefix, "app", version, {"app/__init__.py": "def main():\n    return 1\n", "app/new.py": "x = 1\n"})
    before = picture(prefix)
    assert repair(env)["clean"] is True
    assert not (prefix / SITE / "app/new.py").exists()
    env.ok("undo", "-n", "env", "-y", "--offline")
    after = picture(prefix)
    assert {path: text for path, text in after.items() if path.endswith(".py")} == {
        path: text for path, text in before.items() if path.endswith(".py")
    }
    [package] = verify(env)["damaged"]
    assert package["overwritten_by"] == [f"app {version}"]


# -- what packages need -----------------------------------------------------------------------------------------------


def test_missing_dependencies_are_named_and_installed_when_asked_for(env: Kaa, only: list[str]) -> None:
    prefix = env.environment("env")
    env.ok("remove", "-y", "-n", "env", "--force", "lib")
    remove("share/n")(prefix)
    found = repair(env)
    assert [left["what"] for left in found["left"]] == ["dependencies"]
    assert "needs-1.0-0 needs lib >=1" in found["left"][0]["reason"]
    assert f"kaa repair --dependencies --prefix {prefix}" in found["left"][0]["advice"]
    assert (prefix / "share/n").exists()
    remove("share/n")(prefix)
    found = repair(env, "--dependencies", *only)
    assert found["clean"] is True
    assert (prefix / RECORD).exists()
    assert [package["dist"] for package in found["packages"]] == ["needs-1.0-0"]


# -- frozen, several, interrupted -------------------------------------------------------------------------------------


def test_a_frozen_environment(env: Kaa) -> None:
    prefix = env.environment("env")
    remove("share/n")(prefix)
    (prefix / "conda-meta/frozen").write_text("")
    answer = env("repair", "-n", "env", "-y")
    assert answer.code == 1
    assert "--override-frozen" in answer.err
    assert not (prefix / "share/n").exists()
    assert env("repair", "-n", "env", "-y", "--override-frozen").code == 0


def test_all_environments(env: Kaa, only: list[str]) -> None:
    env.ok("create", "-y", "-n", "second", *only, "lib")
    env.ok("create", "-y", "-p", str(env.home / "third"), *only, "lib")
    (env.environment("second") / "share/lib/table").unlink()
    (env.home / "third/share/lib/table").unlink()
    (env.home / "third/conda-meta/history").rename(env.home / "history")
    answer = env("verify", "--all", "--json")
    found = {Path(one["prefix"]).name: one["problems"] for one in answer.json()["environments"]}
    assert found == {"env": 0, "second": 1}
    (env.home / "history").rename(env.home / "third/conda-meta/history")
    assert env("verify", "--all").code == 1
    answer = env("repair", "--all", "-y")
    assert answer.code == 0
    assert env("verify", "--all").code == 0


def test_an_answer_of_no_changes_nothing(env: Kaa) -> None:
    prefix = env.environment("env")
    remove("share/n")(prefix)
    before = picture(prefix)
    words = [sys.executable, "-m", "kaa", "repair", "-n", "env"]
    answer = subprocess.run(words, input="n\n", capture_output=True, text=True)
    assert answer.returncode == 1
    assert "Nothing was changed." in answer.stdout
    assert picture(prefix) == before


def test_an_environment_that_was_moved_by_hand(env: Kaa) -> None:
    """Its files are as they were written, and were written for another place."""
    place = env.environment("moved")
    env.environment("env").rename(place)
    found = verify(env, "-p", str(place))
    assert found["moved_from"] == str(env.environment("env"))
    assert (found["problems"], found["damaged"]) == (1, [])
    assert "it was moved here from" in env("verify", "-p", str(place)).out
    answer = env("repair", "-p", str(place), "-y", "--offline")
    assert answer.code == 0
    assert verify(env, "-p", str(place))["clean"] is True
    for script in ("bin/script", "bin/app"):
        assert str(place) in (place / script).read_text()
    assert kept(place) == {}
    # A link to an environment is that environment.
    env.environment("link").symlink_to(place)
    assert verify(env, "-p", str(env.environment("link")))["clean"] is True


SCRIPTED = Package(
    "scripted",
    files={
        "bin/.scripted-post-link.sh": '#!/bin/sh\necho made >> "$PREFIX/made"\n',
        "bin/.scripted-pre-unlink.sh": '#!/bin/sh\necho sound >> "$PREFIX/unlinked"\n',
        "share/scripted": "scripted",
    },
)
SCRIPT = "bin/.scripted-pre-unlink.sh"


@pytest.mark.parametrize("damage", [put(SCRIPT, b'#!/bin/sh\necho bad >> "$PREFIX/unlinked"\n'), remove(SCRIPT)])
def test_a_changed_script_of_a_package_does_not_run(kaa: Kaa, tmp_path: Path, damage: Damage) -> None:
    channel = ChannelBuilder(tmp_path / "scripted").add(SCRIPTED).write()
    kaa.ok("create", "-y", "-n", "env", "-O", "-c", str(channel.folder), "scripted")
    prefix = kaa.environment("env")
    before = picture(prefix)
    damage(prefix)
    assert repair(kaa)["clean"] is True
    assert not (prefix / "unlinked").exists()
    assert (prefix / "made").read_text() == "made\nmade\n"
    (prefix / "made").write_text("made\n")
    assert picture(prefix) == before
    # One that is as it was installed does.
    (prefix / "share/scripted").unlink()
    assert repair(kaa)["clean"] is True
    assert (prefix / "unlinked").read_text() == "sound\n"
