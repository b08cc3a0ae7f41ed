"""`kaa doctor`: a sound installation, and one with each thing wrong with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import Kaa
from tests.cli.test_verify import RECORD, env, only, put
from tests.transaction.test_rollback import NEW, kill_at
from tests.transaction.world import World, python_package

__all__ = ["env", "only"]


def doctor(kaa: Kaa, *words: str) -> dict[str, Any]:
    """What `kaa doctor --json` says, check by check."""
    answer = kaa("doctor", "--json", *words)
    document = answer.json()
    assert document["success"] is True
    found = {check["name"]: check for check in document["checks"]}
    has_errors = any(check["status"] == "error" for check in found.values())
    assert answer.code == (1 if has_errors else 0)
    assert document["healthy"] is all(check["status"] in ("ok", "skipped") for check in found.values())
    return found


@pytest.fixture
def healthy(env: Kaa, monkeypatch: pytest.MonkeyPatch) -> Kaa:
    """A user who has done all that one should: kaa is on PATH, and the shell knows it."""
    programs = env.home / "bin"
    programs.mkdir()
    (programs / "kaa").write_text("#!/bin/sh\n")
    (programs / "kaa").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("SHELL", "/bin/bash")
    (env.home / ".bashrc").write_text("# mine\n")
    env.ok("init", "bash")
    return env


def test_a_healthy_installation(healthy: Kaa) -> None:
    found = doctor(healthy)
    assert {name: check["status"] for name, check in found.items()} == dict.fromkeys(found, "ok")
    answer = healthy.ok("doctor")
    assert answer.out.splitlines() == [f"ok       {name}" for name in found]
    assert f"{healthy.packages}: new packages go here (" in healthy.ok("doctor", "-v").out
    assert healthy.ok("check", "--strict").out == answer.out


def interrupt(kaa: Kaa) -> None:
    world = World(kaa.root / "world")
    for package in (*NEW, python_package()):
        world.unpack(package)
    world.install(*NEW[:1], python_package())
    kill_at(world, 9)
    (kaa.home / ".conda/environments.txt").write_text(f"{world.prefix}\n")


def damage_package(kaa: Kaa) -> None:
    [path] = kaa.packages.glob("lib-*/share/lib/table")
    path.unlink()


def open_files(kaa: Kaa) -> None:
    """A package as conda unpacks it."""
    [package] = kaa.packages.glob("lib-*/info/index.json")
    package.chmod(0o644)


def leave_partial(kaa: Kaa) -> None:
    (kaa.packages / "big-1.0-0.conda.partial").write_bytes(b"x" * 1000)


def break_index(kaa: Kaa) -> None:
    cache = kaa.packages / "cache"
    cache.mkdir(exist_ok=True)
    (cache / "0123456789abcdef.state").write_text("{")
    (cache / "0123456789abcdef-0000.index").write_bytes(b"old format")


def forget(kaa: Kaa) -> None:
    with (kaa.home / ".conda/environments.txt").open("a") as stream:
        stream.write(f"{kaa.home}/gone\n")


def write(name: str, text: str) -> Callable[[Kaa], None]:
    return lambda kaa: void((kaa.home / name).write_text(text))


def void(value: object) -> None:
    """A statement in place of an expression."""


def in_environment(damage: Callable[[Path], None]) -> Callable[[Kaa], None]:
    return lambda kaa: damage(kaa.environment("env"))


def lose_generation(kaa: Kaa) -> None:
    [file] = (kaa.environment("env") / "conda-meta/generations").glob("*.json")
    file.write_text("{")


def move_environment(kaa: Kaa) -> None:
    kaa.environment("env").rename(kaa.environment("elsewhere"))
    (kaa.home / ".conda/environments.txt").write_text("")


def from_tomorrow(kaa: Kaa) -> None:
    tomorrow = time.time() + 86400
    os.utime(kaa.packages / "urls.txt", (tomorrow, tomorrow))


def second_kaa(kaa: Kaa) -> None:
    other = kaa.home / "other"
    other.mkdir()
    (other / "kaa").write_text("#!/bin/sh\n# another\n")
    (other / "kaa").chmod(0o755)
    os.environ["PATH"] += os.pathsep + str(other)


def setting(name: str, value: str) -> Callable[[Kaa], None]:
    """Set a variable; the test takes it back."""
    return lambda kaa: os.environ.update({name: value})


def root_is_a_file(kaa: Kaa) -> None:
    (kaa.home / "file").write_text("")
    os.environ["KAA_ROOT_PREFIX"] = str(kaa.home / "file")


def add_to_bashrc(text: str) -> Callable[[Kaa], None]:
    def do(kaa: Kaa) -> None:
        with (kaa.home / ".bashrc").open("a") as stream:
            stream.write(text)

    return do


def change_block(kaa: Kaa) -> None:
    path = kaa.home / ".bashrc"
    path.write_text(path.read_text().replace("eval", "true; eval"))


ILLS: dict[str, tuple[Callable[[Kaa], None], str, str, str, bool]] = {
    "misspelt key": (write(".condarc", "chanels: [x]\n"), "configuration", "warning", "did you mean channels?", False),
    "broken file": (write(".condarc", "channels: [\n"), "configuration", "error", ".condarc", False),
    "bad value": (write(".condarc", "channel_priority: most\n"), "configuration", "error", "channel_priority", False),
    "untrusted setting": (
        in_environment(lambda prefix: void((prefix / ".condarc").write_text("ssl_verify: false\n"))),
        "configuration",
        "warning",
        "ssl_verify does not count there",
        False,
    ),
    "misspelt variable": (
        setting("KAA_CHANNEL_PRIORTY", "strict"),
        "configuration",
        "warning",
        "did you mean KAA_CHANNEL_PRIORITY?",
        False,
    ),
    "root is a file": (root_is_a_file, "root-prefix", "error", "is no directory", False),
    "no init": (write(".bashrc", "# mine\n"), "shells", "warning", "does not teach bash", True),
    "old init": (change_block, "shells", "warning", "not those that it would write now", True),
    "cut init": (write(".bashrc", "# >>> kaa initialize >>>\n"), "shells", "warning", "has no end", False),
    "conda after kaa": (
        add_to_bashrc("# >>> conda initialize >>>\n# <<< conda initialize <<<\n"),
        "shells",
        "warning",
        "sets up conda as well, after kaa",
        False,
    ),
    "two programs": (second_kaa, "path", "warning", "there are 2 programs `kaa`", False),
    "certificates": (
        setting("SSL_CERT_FILE", "/nowhere.pem"),
        "requests-ca-bundle",
        "error",
        "/nowhere.pem, which cannot be read",
        False,
    ),
    "cache open to all": (
        lambda kaa: kaa.packages.chmod(0o777),
        "package-cache",
        "warning",
        "everybody may write",
        False,
    ),
    "open files": (open_files, "package-cache", "warning", "files of 1 package can be written to", True),
    "damaged package": (damage_package, "package-cache", "error", "share/lib/table is missing", True),
    "unfinished download": (leave_partial, "package-cache", "warning", "big-1.0-0.conda.partial", True),
    "unusable index": (break_index, "index-cache", "warning", "another format", True),
    "gone environment": (forget, "environments", "warning", "/gone, where no environment is", True),
    "interrupted change": (interrupt, "environments", "error", "was interrupted", True),
    "broken record": (in_environment(put(RECORD, b"{")), "environments", "error", "lib-1.0-0.json (unreadable)", False),
    "no history": (
        in_environment(lambda prefix: (prefix / "conda-meta/history").unlink()),
        "environments",
        "error",
        "no conda-meta/history",
        False,
    ),
    "moved by hand": (move_environment, "environments", "error", "was moved here from", False),
    "broken generation": (lose_generation, "generations", "warning", "a generation of its environment", False),
    "clock": (from_tomorrow, "clock", "warning", "24 hours from now", False),
}
"""What is done → the check that finds it, how bad it is, what it says, and whether it can be put right."""


@pytest.mark.parametrize("name", ILLS)
def test_what_is_found_and_put_right(healthy: Kaa, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    harm, check, status, says, fixable = ILLS[name]
    for variable in ("PATH", "KAA_ROOT_PREFIX", "KAA_CHANNEL_PRIORTY", "SSL_CERT_FILE"):
        value = os.environ.get(variable)
        monkeypatch.setenv(variable, "what the test changes is taken back")
        os.environ[variable] = value or ""
        if value is None:
            del os.environ[variable]
    # An environment's own file counts when that environment is looked at; another root has other lines of init.
    words = {"untrusted setting": ["-p", str(healthy.environment("env")), check], "root is a file": [check]}.get(
        name, []
    )
    harm(healthy)
    found = doctor(healthy, *words)
    bad = {name: one["status"] for name, one in found.items() if one["status"] in ("warning", "error")}
    assert bad == {check: status}
    findings = [one for one in found[check]["findings"] if one["status"] == status]
    assert any(says in one["what"] for one in findings), findings
    assert all(one["advice"] for one in findings)
    assert any(one["fix"] for one in findings) is fixable
    assert healthy("doctor", "--strict", *words).code == 1
    before = healthy.tree(healthy.home)
    healthy("doctor", "--fix", "--dry-run", *words)
    assert healthy.tree(healthy.home) == before
    if fixable:
        answer = healthy.ok("doctor", "--fix", "--yes")
        assert "done" in answer.out
        assert doctor(healthy)[check]["status"] == "ok"
        # Once is enough.
        assert "done" not in healthy.ok("doctor", "--fix", "--yes").out


def test_fixes_are_asked_for(healthy: Kaa) -> None:
    leave_partial(healthy)
    (healthy.home / ".bashrc").write_text("# mine\n")
    words = [sys.executable, "-m", "kaa", "doctor", "--fix"]
    answer = subprocess.run(words, input="n\ny\n", capture_output=True, text=True)
    assert answer.stdout.count("Proceed ([y]/n)?") == 2
    assert (healthy.home / ".bashrc").read_text() == "# mine\n"
    assert not (healthy.packages / "big-1.0-0.conda.partial").exists()


def test_what_needs_a_configuration_is_skipped_without_one(healthy: Kaa) -> None:
    (healthy.home / ".condarc").write_text("channels: [\n")
    found = doctor(healthy)
    assert found["package-cache"]["status"] == "skipped"
    assert found["path"]["status"] == "ok"


def test_one_environment(healthy: Kaa) -> None:
    prefix = healthy.environment("env")
    found = doctor(healthy, "-n", "env")
    assert {name: check["status"] for name, check in found.items()} == dict.fromkeys(
        ["missing-files", "altered-files", "records", "consistency", "pinned", "environment-txt"], "ok"
    )
    (prefix / "share/n").unlink()
    put("lib/libx.so.1", b"A library")(prefix)
    put("conda-meta/app-1.0-0.json", b"{")(prefix)
    (prefix / "conda-meta/pinned").write_text("lib >=2\n")
    (healthy.home / ".conda/environments.txt").write_text("")
    content = json.loads((prefix / "conda-meta/needs-1.0-0.json").read_text())
    put("conda-meta/needs-1.0-0.json", json.dumps(content | {"depends": ["gone >=1"]}).encode())(prefix)
    found = doctor(healthy, "-n", "env")
    assert {name: check["status"] for name, check in found.items()} == {
        "missing-files": "error",
        "altered-files": "error",
        "records": "error",
        "consistency": "error",
        "pinned": "warning",
        "environment-txt": "warning",
    }
    assert list(doctor(healthy, "-n", "env", "pinned", "path")) == ["path", "pinned"]
    healthy("doctor", "-n", "env", "environment-txt", "--fix", "-y")
    assert (healthy.home / ".conda/environments.txt").read_text() == f"{prefix}\n"


def test_checks_have_names(healthy: Kaa) -> None:
    listed = healthy.ok("doctor", "--list").out
    names = [one["name"] for one in healthy.ok("doctor", "--list", "--json").json()["checks"]]
    assert all(f"{name} " in listed for name in names)
    assert list(doctor(healthy, "clock", "path")) == ["path", "clock"]
    answer = healthy("doctor", "--json", "nonsense")
    assert answer.code == 1
    assert answer.json()["known"] == names


def test_credentials_do_not_appear(healthy: Kaa) -> None:
    (healthy.home / ".condarc").write_text(
        "https://user:secret@host/x: 1\nchannels: [https://user:secret@host.example/c]\n"
    )
    answer = healthy("doctor", "-v")
    assert "secret" not in answer.out + answer.err
