"""Downloads: complete and verified under their name, or not there."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kaa.errors import KaaError
from kaa.events import BytesReceived, DownloadFinished, DownloadStarted, Event
from kaa.net.client import HttpClient, HttpStatusError, Offline
from kaa.net.download import CannotWrite, DiskFull, HashMismatch, SizeMismatch, download
from kaa.net.settings import HttpSettings
from kaa.net.transport import IncompleteBody
from tests.channels import Fault, Server, serve

CONTENT = bytes(range(256)) * 4000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT).hexdigest()
NAME = "tool-1.0-0.conda"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / NAME).write_bytes(CONTENT)
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serve(folder) as server:
        yield server


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with HttpClient(HttpSettings(backoff_factor=0.01, max_retries=2), environ={}) as client:
        yield client


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "pkgs").mkdir()
    return tmp_path / "pkgs" / NAME


def names(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())


@pytest.mark.parametrize(
    "known",
    [{}, {"sha256": SHA256}, {"md5": MD5}, {"size": len(CONTENT)}, {"sha256": SHA256.upper(), "md5": "0" * 32}],
    ids=["nothing", "sha256", "md5", "size", "sha256 before md5"],
)
def test_download(server: Server, client: HttpClient, folder: Path, target: Path, known: dict[str, object]) -> None:
    for url in (f"{server.url}/{NAME}", (folder / NAME).as_uri()):
        target.write_bytes(b"old")
        download(url, target, client=client, **known)  # type: ignore[arg-type]
        assert target.read_bytes() == CONTENT
        assert names(target) == [NAME]


def test_what_is_reported(server: Server, client: HttpClient, target: Path) -> None:
    events: list[Event] = []
    download(f"{server.url}/{NAME}", target, client=client, size=len(CONTENT), reporter=events.append)
    assert events[0] == DownloadStarted(NAME, len(CONTENT))
    assert events[-1] == DownloadFinished(NAME)
    assert sum(event.count for event in events if isinstance(event, BytesReceived)) == len(CONTENT)


# --- resuming


def test_a_body_that_breaks_off_is_resumed(server: Server, client: HttpClient, target: Path) -> None:
    server.faults.append(Fault(NAME, "short", times=1))
    download(f"{server.url}/{NAME}", target, client=client, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    second = server.requests[1].headers
    assert second["Range"] == f"bytes={len(CONTENT) // 2}-"
    assert second["If-Range"].startswith('"')


def test_an_earlier_run_is_resumed(server: Server, client: HttpClient, target: Path) -> None:
    partial = target.with_name(NAME + ".partial")
    partial.write_bytes(CONTENT[:300_000])
    download(f"{server.url}/{NAME}", target, client=client, sha256=SHA256, size=len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert [request.headers["Range"] for request in server.requests] == ["bytes=300000-"]
    assert names(target) == [NAME]


def test_a_finished_partial_is_not_fetched(server: Server, client: HttpClient, target: Path) -> None:
    target.with_name(NAME + ".partial").write_bytes(CONTENT)
    download(f"{server.url}/{NAME}", target, client=client, sha256=SHA256, size=len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert server.requests == []


def test_without_a_hash_nothing_is_resumed(server: Server, client: HttpClient, target: Path) -> None:
    target.with_name(NAME + ".partial").write_bytes(b"something else")
    download(f"{server.url}/{NAME}", target, client=client, size=len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert "Range" not in server.requests[0].headers


@pytest.mark.parametrize("start", [b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1)])
@pytest.mark.parametrize("size", [None, len(CONTENT)])
def test_the_beginning_of_another_file_is_thrown_away(
    server: Server, client: HttpClient, target: Path, start: bytes, size: int | None
) -> None:
    target.with_name(NAME + ".partial").write_bytes(start)
    download(f"{server.url}/{NAME}", target, client=client, sha256=SHA256, size=size)
    assert target.read_bytes() == CONTENT
    assert names(target) == [NAME]


@pytest.mark.parametrize("kind", ["whole", "wrong-range"])
def test_a_server_that_cannot_resume(server: Server, client: HttpClient, target: Path, kind: str) -> None:
    target.with_name(NAME + ".partial").write_bytes(CONTENT[:300_000])
    server.faults.append(Fault(NAME, kind, times=1))  # type: ignore[arg-type]
    download(f"{server.url}/{NAME}", target, client=client, sha256=SHA256, size=len(CONTENT))
    assert target.read_bytes() == CONTENT


def test_a_file_that_changes_in_between_is_not_mixed(
    server: Server, client: HttpClient, folder: Path, target: Path
) -> None:
    changed = CONTENT[::-1]

    def change(event: Event) -> None:
        if isinstance(event, BytesReceived):
            (folder / NAME).write_bytes(changed)

    server.faults.append(Fault(NAME, "short", times=1))
    download(f"{server.url}/{NAME}", target, client=client, reporter=change)
    assert target.read_bytes() == changed


def test_a_server_without_etags_is_resumed_by_date(folder: Path, client: HttpClient, target: Path) -> None:
    with serve(folder, etags=False) as server:
        server.faults.append(Fault(NAME, "short", times=1))
        download(f"{server.url}/{NAME}", target, client=client, sha256=SHA256)
        assert server.requests[1].headers["If-Range"].endswith("GMT")
    assert target.read_bytes() == CONTENT


# --- what is wrong


def test_a_wrong_hash_is_fetched_once_more(server: Server, client: HttpClient, target: Path) -> None:
    server.faults.append(Fault(NAME, "corrupt", times=1))
    download(f"{server.url}/{NAME}", target, client=client, sha256=SHA256)
    assert target.read_bytes() == CONTENT
    assert [request.headers.get("Cache-Control") for request in server.requests] == [None, "no-cache"]


@pytest.mark.parametrize("known", [{"sha256": SHA256}, {"md5": MD5}])
def test_a_hash_that_stays_wrong(server: Server, client: HttpClient, target: Path, known: dict[str, str]) -> None:
    server.faults.append(Fault(NAME, "corrupt"))
    target.write_bytes(b"old")
    with pytest.raises(HashMismatch) as caught:
        download(f"{server.url}/{NAME}", target, client=client, **known)  # type: ignore[arg-type]
    error = caught.value
    wrong = hashlib.new(error.algorithm, bytes(255 - byte for byte in CONTENT)).hexdigest()
    assert (error.url, {error.algorithm: error.expected}, error.got) == (f"{server.url}/{NAME}", known, wrong)
    assert wrong in str(error)
    assert "try:" in str(error)
    assert len(server.requests) == 2
    assert names(target) == [NAME]
    assert target.read_bytes() == b"old"


@pytest.mark.parametrize("size", [0, 1, len(CONTENT) - 1, len(CONTENT) + 1])
def test_a_wrong_size(server: Server, client: HttpClient, folder: Path, target: Path, size: int) -> None:
    for url in (f"{server.url}/{NAME}", (folder / NAME).as_uri()):
        with pytest.raises(SizeMismatch, match=str(size)):
            download(url, target, client=client, size=size)
        assert names(target) == []


def test_a_body_that_never_ends_well(server: Server, client: HttpClient, target: Path) -> None:
    server.faults.append(Fault(NAME, "short"))
    with pytest.raises(IncompleteBody):
        download(f"{server.url}/{NAME}", target, client=client)
    assert not target.exists()


@pytest.mark.parametrize("status", [404, 500])
def test_refusals(server: Server, client: HttpClient, target: Path, status: int) -> None:
    server.faults.append(Fault(NAME, "status", status=status))
    with pytest.raises(HttpStatusError, match=str(status)):
        download(f"{server.url}/{NAME}", target, client=client, sha256=SHA256)
    assert not target.exists()


def test_offline(server: Server, target: Path) -> None:
    with HttpClient(HttpSettings(offline=True), environ={}) as client, pytest.raises(Offline):
        download(f"{server.url}/{NAME}", target, client=client)
    assert not target.exists()


def test_a_directory_that_is_not_there(server: Server, client: HttpClient, tmp_path: Path) -> None:
    with pytest.raises(CannotWrite, match="pkgs_dirs"):
        download(f"{server.url}/{NAME}", tmp_path / "missing" / NAME, client=client)


def test_a_file_that_may_grow_no_further_is_a_clear_error(server: Server, target: Path) -> None:
    # A limit on the size of files is what a test can have instead of a full disk: EFBIG, and for the disk ENOSPC.
    program = f"""
import resource, signal, sys
from pathlib import Path
from kaa.net.client import HttpClient
from kaa.net.download import CannotWrite, download
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
try:
    with HttpClient(environ={{}}) as client:
        download({f"{server.url}/{NAME}"!r}, Path({str(target)!r}), client=client, sha256={SHA256!r})
except CannotWrite as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "could not be written" in done.stdout
    assert not target.exists()


FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full on this system")
def test_a_full_disk(server: Server, client: HttpClient, target: Path) -> None:
    partial = target.with_name(NAME + ".partial")
    partial.symlink_to(FULL)
    with pytest.raises(DiskFull, match="clean"):
        download(f"{server.url}/{NAME}", target, client=client)
    assert names(target) == []


def test_every_error_has_a_name_for_clients() -> None:
    for error in (
        HashMismatch("u", "md5", "a", "b"),
        SizeMismatch("u", 1, 2),
        CannotWrite(Path("p"), "u", "r"),
        DiskFull(Path("p"), "u", "r"),
    ):
        assert isinstance(error, KaaError)
        assert error.conda_name != "CondaError"
        assert error.hints


def test_an_interrupted_process_leaves_something_to_resume(server: Server, client: HttpClient, target: Path) -> None:
    program = f"""
import os
from pathlib import Path
from kaa.events import BytesReceived
from kaa.net.client import HttpClient
from kaa.net.download import download
def die(event):
    if isinstance(event, BytesReceived):
        os.kill(os.getpid(), 9)
with HttpClient(environ={{}}) as client:
    download({f"{server.url}/{NAME}"!r}, Path({str(target)!r}), client=client, sha256={SHA256!r}, reporter=die)
"""
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -9
    partial = target.with_name(NAME + ".partial")
    received = partial.stat().st_size
    assert 0 < received < len(CONTENT)
    download(f"{server.url}/{NAME}", target, client=client, sha256=SHA256, size=len(CONTENT))
    assert target.read_bytes() == CONTENT
    assert server.requests[1].headers["Range"] == f"bytes={received}-"
