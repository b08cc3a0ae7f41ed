"""What bad input gets: one clear message, an exit code that is not 0, and nothing half-written."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import socket
import subprocess
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from tests.channels import ChannelBuilder, Fault, File, Package, Server, Symlink, serve, tar
from tests.cli.commands import Kaa


@dataclass(frozen=True)
class Bad:
    """A command line, the exit code it ends with, and patterns that its message must match, every one."""

    words: str
    message: tuple[str, ...]
    code: int = 1


BAD_WORDS = {
    "unknown package": Bad("create -n new {c} tol", ("no channel offers.* tol", "tool")),
    "unknown version": Bad("create -n new {c} tool=7", ("tool", r"1\.0|2\.0")),
    "requests that contradict": Bad("create -n new {c} tool=2 lib=1", ("tool", "lib", "2")),
    "bad operator": Bad("create -n new {c} lib>>2", (r"lib>>2\n +\^",)),
    "bad version": Bad("create -n new {c} lib==1..0", (r"1\.\.0\n +\^",)),
    "bad brackets": Bad("create -n new {c} lib[version=1", (r"lib\[version=1\n +\^",)),
    "bad name": Bad("create -n new {c} li--b", (r"li--b\n +\^",)),
    "no such folder as a channel": Bad("create -n new -O -c ./nowhere lib", ("nowhere", "not a channel", "spelling")),
    "not a name for an environment": Bad("create -n a:b {c} lib", ("a:b", "name")),
    "an environment without a name": Bad("create {c} lib", ("--name|-n",), code=2),
    "no such environment": Bad("install -n nobody {c} lib", ("nobody", "kaa env list")),
    "not an environment": Bad("install -p {home} {c} lib", ("conda-meta/history", "another path")),
    "nothing to install": Bad("install -n there {c}", ("nothing|no package",)),
    "update of what is not there": Bad("update -n there {c} alone", ("alone", "kaa install")),
    "removal of what is not there": Bad("remove -n there alone", ("alone", "kaa list")),
    "list of what is not there": Bad("list -n nobody", ("nobody",)),
    "search without an answer": Bad("search {c} tol", ("tol", "tool")),
    "unknown command": Bad("instal", ("instal", "did you mean.* install"), code=2),
    "unknown flag": Bad("list --no-such-flag", ("--no-such-flag",), code=2),
    "no such file of specs": Bad("create -n new {c} --file none.txt", (r"none\.txt",)),
    "file with a bad spec": Bad("create -n new {c} --file bad.txt", (r"bad\.txt, line 2", r"\^")),
    "explicit list with a bad hash": Bad("create -n new --file bad-hash.txt", (r"bad-hash\.txt, line 2", "hash")),
    "package file that is not there": Bad("create -n new ./gone-1-0.conda", ("no package file at .*gone-1-0.conda",)),
    "run nothing": Bad("run -n there", ("program",), code=2),
    "run what is not there": Bad("run -n there no-such-program", ("no-such-program",), code=127),
    "set an option that is none": Bad("config --set colour_of_snakes green", ("colour_of_snakes",)),
    "set an option to nonsense": Bad("config --set channel_priority sometimes", ("channel_priority", "strict")),
}


@pytest.fixture
def there(kaa: Kaa, channel: ChannelBuilder) -> Path:
    """An environment that holds tool 1.0, beside files with faults."""
    kaa.ok("create", "-y", "-n", "there", "-O", "-c", str(channel.folder), "tool=1.0")
    (kaa.home / "bad.txt").write_text("lib\nlib>>2\n")
    (kaa.home / "bad-hash.txt").write_text("@EXPLICIT\nhttps://host/channel/noarch/a-1-0.conda#12345\n")
    return kaa.environment("there")


@pytest.mark.parametrize("case", BAD_WORDS.values(), ids=BAD_WORDS)
def test_bad_words(case: Bad, kaa: Kaa, channel: ChannelBuilder, there: Path) -> None:
    before = kaa.tree(there)
    words = case.words.format(c=f"-O -c {channel.folder}", home=kaa.home).split()
    answer = kaa(*words)
    check(answer.err, case.message)
    assert answer.code == case.code
    assert kaa.tree(there) == before
    assert not kaa.environment("new").exists()


@pytest.mark.parametrize("case", BAD_WORDS.values(), ids=BAD_WORDS)
def test_bad_words_as_json(case: Bad, kaa: Kaa, channel: ChannelBuilder, there: Path) -> None:
    words = case.words.format(c=f"-O -c {channel.folder}", home=kaa.home).split()
    if words[0] == "run" or case.code == 2:
        pytest.skip("the words themselves are wrong: no JSON is promised")
    answer = kaa(*words, "--json")
    document = answer.json()
    assert answer.code == case.code
    assert {"exception_name", "message", "error", "exception_type", "caused_by"} <= document.keys()


def check(text: str, patterns: tuple[str, ...]) -> None:
    assert "Traceback" not in text
    for pattern in patterns:
        assert re.search(pattern, text, re.DOTALL | re.IGNORECASE), f"{pattern!r} is not in:\n{text}"


def leftovers(kaa: Kaa) -> list[str]:
    """What a failed fetch left in the package cache besides its own notes."""
    if not kaa.packages.exists():
        return []
    found = [path.name for path in kaa.packages.iterdir()]
    notes = ("urls.txt", "urls", "cache", ".locks", ".holds", ".roots", ".bytecode")
    return sorted(name for name in found if name not in notes)


# -- channels that cannot be reached, or answer badly -----------------------------------------------------------------


@contextlib.contextmanager
def closed_port() -> Iterator[int]:
    """A port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def test_a_host_that_cannot_be_reached(kaa: Kaa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_REMOTE_MAX_RETRIES", "0")
    with closed_port() as port:
        answer = kaa("create", "-y", "-n", "new", "-O", "-c", f"http://127.0.0.1:{port}/channel", "lib")
    assert answer.code == 1
    check(answer.err, (r"127\.0\.0\.1", "mirror", "proxy", "--offline", "another channel"))
    assert not kaa.environment("new").exists()


def test_a_host_that_does_not_exist(kaa: Kaa, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_REMOTE_MAX_RETRIES", "0")
    answer = kaa("create", "-y", "-n", "new", "-O", "-c", "http://no-such-host.invalid/channel", "lib")
    assert answer.code == 1
    check(answer.err, (r"no-such-host\.invalid", "--offline"))


REPODATA_FAULTS = {
    "404 everywhere": ([Fault("json", "status", 404), Fault(".zst", "status", 404)], ("not a channel", "spelling")),
    "500": ([Fault("repodata.json", "status", 500), Fault(".zst", "status", 500)], ("500", r"127\.0\.0\.1")),
    "403": ([Fault("repodata.json", "status", 403), Fault(".zst", "status", 403)], ("403", "token|password")),
    "a stall": ([Fault("repodata.json", "stall"), Fault(".zst", "stall")], ("time|answer", r"127\.0\.0\.1")),
    "half a body": ([Fault("repodata.json", "short"), Fault(".zst", "short")], ("incomplete|bytes|broke|ended",)),
    "noise": ([Fault("repodata.json", "corrupt"), Fault(".zst", "corrupt")], ("repodata",)),
}


@pytest.mark.parametrize("case", REPODATA_FAULTS.values(), ids=REPODATA_FAULTS)
def test_repodata_that_cannot_be_had(
    case: tuple[list[Fault], tuple[str, ...]], kaa: Kaa, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_REMOTE_MAX_RETRIES", "1")
    monkeypatch.setenv("CONDA_REMOTE_READ_TIMEOUT_SECS", "0.3")
    faults, patterns = case
    server.faults.extend(faults)
    answer = kaa("create", "-y", "-n", "new", "-O", "-c", server.url, "lib")
    assert answer.code == 1
    check(answer.err, patterns)
    assert not kaa.environment("new").exists()
    # The fault passes, and with it the failure: nothing bad was kept.
    server.faults.clear()
    kaa.ok("create", "-y", "-n", "new", "-O", "-c", server.url, "lib")


PACKAGE_FAULTS = {
    "404": (Fault(".conda", "status", 404), ("404", "lib")),
    "500": (Fault(".conda", "status", 500), ("500", "lib")),
    "a stall": (Fault(".conda", "stall"), ("time|answer",)),
    "half a body": (Fault(".conda", "short"), ("incomplete|bytes|broke|ended",)),
    "other bytes": (Fault(".conda", "corrupt"), ("sha256|hash", "lib")),
}


@pytest.mark.parametrize("case", PACKAGE_FAULTS.values(), ids=PACKAGE_FAULTS)
def test_a_package_that_cannot_be_had(
    case: tuple[Fault, tuple[str, ...]], kaa: Kaa, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDA_REMOTE_MAX_RETRIES", "1")
    monkeypatch.setenv("CONDA_REMOTE_READ_TIMEOUT_SECS", "0.3")
    fault, patterns = case
    server.faults.append(fault)
    answer = kaa("create", "-y", "-n", "new", "-O", "-c", server.url, "lib")
    assert answer.code == 1
    check(answer.err, patterns)
    assert not kaa.environment("new").exists()
    assert [name for name in leftovers(kaa) if not name.endswith(".partial")] == []
    server.faults.clear()
    kaa.ok("create", "-y", "-n", "new", "-O", "-c", server.url, "lib")
    assert (kaa.environment("new") / "lib" / "libx.so").read_text() == "library 2.0"


# -- archives that lie ------------------------------------------------------------------------------------------------


def conda_archive(members: bytes) -> bytes:
    """A .conda whose payload is a tar of one's choice."""
    package = Package("evil")
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package.to_bytes())) as good, zipfile.ZipFile(buffer, "w") as bad:
        for name in good.namelist():
            payload = zstandard.ZstdCompressor().compress(members) if name.startswith("pkg-") else good.read(name)
            bad.writestr(name, payload)
    return buffer.getvalue()


def raw_tar(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = 1 if kind == tarfile.REGTYPE else 0
    return info


GOOD = Package("evil", files={"share/fine": "fine"}).to_bytes()

BAD_ARCHIVES: dict[str, tuple[bytes, str]] = {
    "truncated": (GOOD[: len(GOOD) // 2], "evil"),
    "not an archive": (b"<html>busy</html>", "evil"),
    "empty": (b"", "evil"),
    "damaged payload": (conda_archive(b"\x00" * 100 + b"garbage" * 100), "evil"),
    "absolute path": (conda_archive(tar({"/etc/kaa-was-here": File(b"x")})), "/etc/kaa-was-here"),
    "path that climbs out": (conda_archive(tar({"../../kaa-was-here": File(b"x")})), r"\.\./\.\./kaa-was-here"),
    "through a link": (
        conda_archive(tar({"out": Symlink("../../.."), "out/kaa-was-here": File(b"x")})),
        "out",
    ),
    "link without a target": (conda_archive(raw_tar(member("lib/libz.so", tarfile.SYMTYPE, ""))), r"lib/libz\.so"),
    "device": (conda_archive(raw_tar(member("dev/null", tarfile.CHRTYPE))), "dev/null"),
    "hard link that leaves": (conda_archive(raw_tar(member("passwd", tarfile.LNKTYPE, "/etc/passwd"))), "passwd"),
}


@pytest.mark.parametrize("case", BAD_ARCHIVES.values(), ids=BAD_ARCHIVES)
def test_bad_archives(case: tuple[bytes, str], kaa: Kaa, tmp_path: Path) -> None:
    content, named = case
    channel = ChannelBuilder(tmp_path / "bad")
    (channel.folder / "linux-64").mkdir(parents=True)
    (channel.folder / "linux-64" / "evil-1.0-0.conda").write_bytes(content)
    channel.add_record("evil-1.0-0.conda", Package("evil").record(content)).write()
    with serve(channel.folder) as server:
        before = {path for path in tmp_path.rglob("*") if kaa.root not in path.parents}
        answer = kaa("create", "-y", "-n", "new", "-O", "-c", server.url, "evil")
    assert answer.code == 1
    check(answer.err, (named, "evil"))
    assert not kaa.environment("new").exists()
    assert {path for path in tmp_path.rglob("*") if kaa.root not in path.parents} - before <= {kaa.root}
    assert [name for name in leftovers(kaa) if not name.startswith("evil-1.0-0.conda")] == []


# -- the disk ---------------------------------------------------------------------------------------------------------


def test_a_broken_record(kaa: Kaa, channel: ChannelBuilder, there: Path) -> None:
    record = there / "conda-meta" / "lib-1.0-0.json"
    record.write_text('{"name": "lib", ')
    before = kaa.tree(there)
    for words in (["list", "-n", "there"], ["install", "-y", "-n", "there", "-O", "-c", str(channel.folder), "alone"]):
        answer = kaa(*words)
        assert answer.code == 1
        check(answer.err, (r"conda-meta/lib-1\.0-0\.json", "try"))
    assert kaa.tree(there) == before


@pytest.mark.parametrize(
    ("text", "patterns"),
    [
        ("channels: [conda-forge\n", (r"\.condarc", "line")),
        ("channels:\n\t- x\n", (r"\.condarc", "line")),
        ("channel_priority: sometimes\n", (r"\.condarc", "channel_priority", "strict")),
        ("remote_max_retries: many\n", (r"\.condarc", "remote_max_retries")),
        ("- a\n- b\n", (r"\.condarc",)),
    ],
)
def test_a_bad_condarc(text: str, patterns: tuple[str, ...], kaa: Kaa) -> None:
    (kaa.home / ".condarc").write_text(text)
    answer = kaa("info")
    assert answer.code == 1
    check(answer.err, patterns)
    assert (kaa.home / ".condarc").read_text() == text


@pytest.mark.parametrize("closed", ["the package cache", "the environments"])
def test_no_permission_to_write(
    closed: str, kaa: Kaa, channel: ChannelBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another user, where this one may do everything."""
    words = ["create", "-y", "-p", str(kaa.environment("new")), "-O", "-c", str(channel.folder), "alone"]
    # Once with success: whoever runs next finds every module loaded, also where it may not read Python's own files.
    kaa.ok("create", "-y", "-p", str(kaa.environment("first")), *words[4:])
    shutil.rmtree(kaa.packages)
    if closed == "the environments":
        open_to_all = tmp_path / "cache"
        open_to_all.mkdir()
        if os.getuid() == 0:
            shutil.chown(open_to_all, "nobody")
        monkeypatch.setenv("CONDA_PKGS_DIRS", str(open_to_all))
    for folder in (kaa.root, kaa.root / "envs"):
        folder.chmod(0o555)
    if os.getuid() == 0:
        for folder in [channel.folder, *channel.folder.parents]:
            if Path(tempfile.gettempdir()) in folder.parents:
                folder.chmod(0o755)
        code, text = as_nobody(kaa, words)
    else:
        answer = kaa(*words)
        code, text = answer.code, answer.err
    for folder in (kaa.root, kaa.root / "envs"):
        folder.chmod(0o755)
    assert code == 1
    check(text, ("permission|not allowed|may not|writable|cannot be written", str(kaa.home)))
    assert [path.name for path in (kaa.root / "envs").iterdir()] == ["first"]


def as_nobody(kaa: Kaa, words: list[str]) -> tuple[int, str]:
    """Run a command in a child that is an ordinary user."""
    child, parent = socket.socketpair()
    process = os.fork()
    if process == 0:
        code = 70
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            answer = kaa(*words)
            child.sendall(json.dumps([answer.code, answer.err]).encode())
            code = 0
        finally:
            os._exit(code)
    child.close()
    with parent, parent.makefile("rb") as stream:
        content = stream.read()
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    code, text = json.loads(content)
    return code, text


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"mode=0755,size={size}", "none", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("file systems cannot be mounted here")
    try:
        yield
    finally:
        # Lazily: this process may still have an index of the cache mapped.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may mount a small file system")
@pytest.mark.parametrize("full", ["the package cache", "the environment"])
def test_a_full_disk(full: str, kaa: Kaa, tmp_path: Path) -> None:
    channel = ChannelBuilder(tmp_path / "large")
    channel.add(Package("large", files={f"share/{n}": File(os.urandom(300_000)) for n in range(10)})).write()
    folder = kaa.packages if full == "the package cache" else kaa.root / "envs"
    with small_disk(folder, 1_000_000):
        answer = kaa("create", "-y", "-n", "new", "-O", "-c", str(channel.folder), "large")
        assert answer.code == 1
        check(answer.err, ("space|full", str(folder)))
        assert not kaa.environment("new").exists()
        if full == "the package cache":
            assert leftovers(kaa) == []
