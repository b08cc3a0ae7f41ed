"""Environments from channels in shards, as they are written by `kaa channel index --shards`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels import Package, Server, serve
from tests.cli.commands import Kaa
from tests.cli.conftest import small_channel

WHOLE = ("repodata.json", "repodata.json.zst")


@pytest.fixture
def folder(kaa: Kaa, tmp_path: Path) -> Path:
    folder = small_channel(tmp_path / "sharded").folder
    kaa.ok("channel", "index", "--shards", str(folder))
    return folder


@pytest.fixture
def sharded(folder: Path) -> Iterator[Server]:
    """A channel that has shards and nothing else."""
    for path in [path for name in WHOLE for path in folder.glob(f"*/{name}")]:
        path.unlink()
    with serve(folder) as server:
        yield server


def shards_seen(server: Server) -> int:
    return sum("/shards/" in request.path for request in server.requests)


def test_an_environment_from_shards(kaa: Kaa, sharded: Server) -> None:
    channel = ("-O", "-c", sharded.url)
    kaa.ok("create", "-y", "-n", "demo", *channel, "tool")
    assert (kaa.environment("demo") / "bin" / "tool").read_text() == "#!/bin/sh\necho tool 2\n"
    assert shards_seen(sharded) == 2, "tool and lib, and no other"
    assert kaa.ok("create", "-y", "-n", "again", *channel, "tool").code == 0
    assert shards_seen(sharded) == 2
    kaa.ok("create", "-y", "-n", "offline", "--offline", *channel, "tool=2")
    names = [entry["name"] for entry in kaa.ok("list", "-n", "offline", "--json").json()]
    assert names == ["lib", "tool"]


def test_offline_what_was_never_looked_at_is_told(kaa: Kaa, sharded: Server) -> None:
    channel = ("-O", "-c", sharded.url)
    kaa.ok("create", "-y", "-n", "demo", *channel, "tool")
    answer = kaa("create", "-y", "-n", "other", "--offline", *channel, "notes")
    assert answer.code == 1
    assert "notes" in answer.err and "not on this machine" in answer.err and "without --offline" in answer.err
    answer = kaa("search", "--offline", *channel, "notes")
    assert answer.code == 1 and "not on this machine" in answer.err


def test_a_search_fetches_one_shard(kaa: Kaa, sharded: Server) -> None:
    answer = kaa.ok("search", "-O", "-c", sharded.url, "lib", "--json")
    assert [entry["version"] for entry in answer.json()["lib"]] == ["1.0", "2.0"]
    assert shards_seen(sharded) == 1


def test_shards_can_be_switched_off(kaa: Kaa, folder: Path) -> None:
    with serve(folder) as server:
        words = ("create", "--dry-run", "-n", "x", "-O", "-c", server.url, "tool")
        kaa.ok(*words, "--no-repodata-use-shards")
        assert not any("shards" in request.path for request in server.requests)
        kaa.ok("clean", "--index-cache", "--yes")
        server.requests.clear()
        kaa.ok(*words)
        assert shards_seen(server) == 2 and not server.count("repodata.json.zst")
        kaa.ok("clean", "--index-cache", "--yes")
        kaa.ok("config", "--set", "repodata_use_shards", "false")
        server.requests.clear()
        kaa.ok(*words)
        assert not any("shards" in request.path for request in server.requests)


def test_cleaning_takes_the_shards_along(kaa: Kaa, sharded: Server) -> None:
    words = ("create", "--dry-run", "-n", "x", "-O", "-c", sharded.url, "tool")
    kaa.ok(*words)
    assert list(kaa.packages.glob("cache/*.shards/*"))
    kaa.ok("clean", "--index-cache", "--yes")
    # Who holds a lock cannot lose it: the files of locks stay.
    files = [path for path in kaa.packages.glob("cache/**/*") if path.is_file()]
    assert {path.suffix for path in files} <= {".lock"}, files
    kaa.ok(*words)
    assert shards_seen(sharded) == 4


def test_what_is_offered_anew_is_seen(kaa: Kaa, folder: Path) -> None:
    """With the real writer: a new version means one new shard."""
    with serve(folder) as server:
        words = ("search", "-O", "-c", server.url, "lib", "--json")
        assert len(kaa.ok(*words).json()["lib"]) == 2
        package = Package("lib", "3.0")
        (folder / "linux-64" / package.file_name).write_bytes(package.to_bytes())
        kaa.ok("channel", "index", str(folder))
        assert [entry["version"] for entry in kaa.ok(*words).json()["lib"]] == ["1.0", "2.0", "3.0"]
        assert shards_seen(server) == 2


def test_a_failure_with_shards_of_another_platform(kaa: Kaa, folder: Path) -> None:
    """What those offer under a name is only partly known; that is no reason to fail in another way."""
    for name in ("only", "there"):
        package = Package(name, subdir="osx-arm64")
        (folder / "osx-arm64").mkdir(exist_ok=True)
        (folder / "osx-arm64" / package.file_name).write_bytes(package.to_bytes())
    kaa.ok("channel", "index", "--shards", str(folder))
    with serve(folder) as server:
        channel = ("-O", "-c", server.url)
        kaa.ok("search", *channel, "--platform", "osx-arm64", "there")
        for name, known in (("only", False), ("there", True)):
            answer = kaa("create", "-n", "x", "--dry-run", *channel, name)
            assert answer.code == 1 and "PackagesNotFound" in answer.err, answer.err
            assert ("osx-arm64" in answer.err) == known, answer.err
