"""Servers, and what stands before them, at their worst: an answer or a clear error, and a cache as good as before.

Every fault meets a reader that has an earlier state of the channel, and one that has nothing; afterwards the earlier
state still serves offline, and the first sound answer is taken.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import zstandard

from kaa.errors import KaaError
from kaa.index.fetch import LARGEST_SHARD_INDEX, ChannelUnreachable
from kaa.index.index import ChannelNotFound
from kaa.index.shard_source import ShardInvalid, ShardNotServed
from kaa.models.repodata import RepodataInvalid
from kaa.net.client import HttpStatusError, RedirectRefused
from tests.channels import ChannelBuilder, Fault, Server, read_shard_index, serve, write_shard_index
from tests.index.worlds import Reader, record

SHARDS = "repodata_shards.msgpack.zst"
NOARCH = ("noarch",)


def zeros(size: int) -> Iterator[bytes]:
    block = bytes(1 << 20)
    for _ in range(size >> 20):
        yield block


def zstd_bomb(size: int) -> bytes:
    """Zeros that do not say beforehand how many they are."""
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return b"".join([*map(compressor.compress, zeros(size)), compressor.flush()])


def announced_bomb(size: int) -> bytes:
    """A frame that says how large it is, and is cut off."""
    compressor = zstandard.ZstdCompressor().compressobj(size=size)
    return compressor.compress(bytes(1 << 20)) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)


def gzip_bomb(size: int) -> bytes:
    return gzip.compress(b"".join(zeros(size)), compresslevel=1)


PAGE = b"<!DOCTYPE html>\n<html><title>Sign in</title><body>to go on</body></html>"
LATER = {"Retry-After": "3600"}
FAULTS: dict[str, Fault] = {
    "cut off": Fault("", "short"),
    "other bytes": Fault("", "corrupt"),
    "no answer": Fault("", "stall", seconds=20),
    "stalls in the middle": Fault("", "hang", seconds=20),
    "reset before": Fault("", "reset"),
    "reset in the middle": Fault("", "break"),
    "too many requests": Fault("", "status", status=429, headers=LATER),
    "not available now": Fault("", "status", status=503, headers=LATER),
    "server error": Fault("", "status", status=500),
    "who are you": Fault("", "status", status=401),
    "not found": Fault("", "status", status=404),
    "not allowed": Fault("", "status", status=403),
    "login page": Fault("", "instead", body=PAGE),
    "login page elsewhere": Fault("", "redirect", headers={"Location": "/login"}),
    "around in circles": Fault("", "redirect", headers={"Location": "?again"}),
    "nothing": Fault("", "instead", body=b""),
    "half a frame": Fault("", "instead", body=zstandard.ZstdCompressor().compress(bytes(99999))[:-9]),
    "a bomb that says so": Fault("", "instead", body=announced_bomb(1 << 33)),
}
BOMBS = {
    "a zstd bomb": Fault("", "instead", body=zstd_bomb(LARGEST_SHARD_INDEX + (1 << 20))),
    "a gzip bomb": Fault("", "instead", body=gzip_bomb(LARGEST_SHARD_INDEX + (1 << 20))),
}

TROUBLES = ("no answer", "stalls in the middle", "reset before", "reset in the middle", "cut off")
"""What looks like a network in trouble, wherever it happens."""
ABSENCES = ("not found", "not allowed")
REFUSALS = ("too many requests", "not available now", "server error", "who are you")


def deep(levels: int) -> object:
    """Lists in lists."""
    found: object = []
    for _ in range(levels):
        found = [found]
    return found


class Scene:
    """A channel with a server and a reader; `offered` are the dists that it has now."""

    def __init__(self, folder: Path, reader: Reader, server: Server) -> None:
        self.builder = ChannelBuilder(folder)
        self.reader = reader
        self.server = server
        self.whole = True
        self.sharded = True

    def offer(self, version: str) -> list[str]:
        """Another version of two packages; returns all dists that there are now."""
        for name in ("app", "lib"):
            self.builder.add_record(f"{name}-{version}-0.conda", record(name, version), "noarch")
        if self.whole:
            self.builder.write()
        if self.sharded:
            self.builder.write_shards()
        return sorted(name.removesuffix(".conda") for name in self.builder.repodata["noarch"]["packages.conda"])

    def read(self, *, offline: bool = False) -> list[str]:
        return self.reader.dists(self.server.url, subdirs=NOARCH, offline=offline)

    def shard(self, name: str) -> str:
        """The file name of a shard."""
        digest: bytes = read_shard_index(self.builder.folder / "noarch")["shards"][name]
        return f"{digest.hex()}.msgpack.zst"

    def meet(self, *faults: Fault, expected: type[KaaError] | None) -> KaaError | None:
        """Read twice while the server has faults, and once when they are over; returns the error."""
        before = self.offer("1")
        assert self.read() == before
        after = self.offer("2")
        self.server.faults[:] = faults
        error = self.try_to_read(after, expected)
        if expected not in (None, ChannelNotFound):
            # Single shards may be newer; those that did not come are the ones that were there before.
            there = self.read(offline=True)
            assert set(before) <= set(there) and "app-2-0" not in there
        full = self.reader.cache
        self.reader.cache = full.with_name("empty")
        self.try_to_read(after, expected)
        self.check_cache()
        self.server.faults.clear()
        assert self.read() == after
        self.reader.cache = full
        assert self.read() == after
        assert self.read(offline=True) == after
        self.check_cache()
        return error

    def try_to_read(self, after: list[str], expected: type[KaaError] | None) -> KaaError | None:
        if expected is None:
            assert self.read() == after
            return None
        with pytest.raises(expected) as caught:
            self.read()
        error = caught.value
        assert error.hints, "every failure says what to try"
        assert "127.0.0.1" in error.message, "and where it happened"
        return error

    def replace_shard(self, name: str, packed: bytes) -> None:
        """List other bytes for a name, and serve them."""
        folder = self.builder.folder / "noarch"
        digest = hashlib.sha256(packed)
        (folder / "shards" / f"{digest.hexdigest()}.msgpack.zst").write_bytes(packed)
        index = read_shard_index(folder)
        index["shards"][name] = digest.digest()
        write_shard_index(folder, index)

    def read_after_repair(self) -> list[str]:
        """What there is when the channel is as it should be again."""
        self.builder.write_shards()
        return self.read()

    def check_cache(self) -> None:
        """No unfinished file is left behind."""
        assert not [path for path in self.reader.cache.rglob(".*") if path.is_file()]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    (tmp_path / "channel").mkdir()
    (tmp_path / "channel" / "login").write_bytes(PAGE)
    with serve(tmp_path / "channel") as server:
        yield Scene(tmp_path / "channel", Reader(tmp_path / "cache", timeout=0.4), server)


def at(suffix: str, fault: Fault) -> Fault:
    return replace(fault, suffix=suffix)


def expected_of(fault: str, *, absent: type[KaaError], invalid: type[KaaError] = RepodataInvalid) -> type[KaaError]:
    """What a fault is told as: `absent` for what is not there, `invalid` for what is not what it should be."""
    for kind, faults in ((ChannelUnreachable, TROUBLES), (HttpStatusError, REFUSALS), (absent, ABSENCES)):
        if fault in faults:
            return kind
    return RedirectRefused if fault == "around in circles" else invalid


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "nothing"])
@pytest.mark.parametrize("everywhere", [False, True])
def test_whole_documents(scene: Scene, fault: str, everywhere: bool) -> None:
    """What is no document is passed over where there is another one, what is trouble is told."""
    scene.reader.use_shards = False
    expected: type[KaaError] | None = expected_of(fault, absent=ChannelNotFound)
    names = ["repodata.json.zst"]
    if everywhere:
        names += ["repodata.json", "repodata.json.bz2"]
    elif expected in (RepodataInvalid, ChannelNotFound):
        expected = None
    scene.meet(*(at(name, FAULTS[fault]) for name in names), expected=expected)


@pytest.mark.parametrize("fault", FAULTS | BOMBS)
@pytest.mark.parametrize("whole", [False, True])
def test_shard_indexes(scene: Scene, fault: str, whole: bool) -> None:
    """What is no shard index is passed over where there is a whole document, what is trouble is told."""
    scene.whole = whole
    expected: type[KaaError] | None = expected_of(fault, absent=ChannelNotFound)
    if whole and expected in (RepodataInvalid, ChannelNotFound):
        expected = None
    scene.meet(at(SHARDS, (FAULTS | BOMBS)[fault]), expected=expected)


@pytest.mark.parametrize("fault", FAULTS | BOMBS)
def test_shards(scene: Scene, fault: str) -> None:
    scene.offer("1")
    scene.offer("2")
    name = scene.shard("app")
    scene.builder.repodata["noarch"]["packages.conda"].clear()
    expected = expected_of(fault, absent=ShardNotServed, invalid=ShardInvalid)
    scene.meet(at(name, (FAULTS | BOMBS)[fault]), expected=expected)


@pytest.mark.parametrize("fault", ["cut off", "no answer", "reset in the middle", "not available now", "other bytes"])
@pytest.mark.parametrize("what", ["repodata.json.zst", SHARDS, "app"])
def test_what_passes_is_not_told(scene: Scene, fault: str, what: str) -> None:
    """One failure is made good by asking again."""
    scene.reader.use_shards = what != "repodata.json.zst"
    expected = scene.offer("1")
    suffix = scene.shard("app") if what == "app" else what
    scene.server.faults.append(replace(at(suffix, FAULTS[fault]), times=1))
    assert scene.read() == expected


def test_nothing_new_about_what_was_never_here(scene: Scene) -> None:
    scene.whole = False
    dists = scene.offer("1")
    name = scene.shard("app")
    for suffix, expected in ((SHARDS, RepodataInvalid), (name, ShardInvalid)):
        scene.server.faults[:] = [Fault(suffix, "status", status=304)]
        scene.try_to_read(dists, expected)
    scene.server.faults.clear()
    assert scene.read() == dists


@pytest.mark.parametrize("use_shards", [False, True])
def test_a_document_that_changes_while_it_comes(scene: Scene, use_shards: bool) -> None:
    """What came of the old one is never joined to the new one."""
    scene.reader.use_shards = use_shards
    scene.offer("1")
    assert scene.read()
    for version in ("2", "3", "4"):
        scene.offer(version)
        suffix = SHARDS if use_shards else "repodata.json.zst"
        scene.server.faults[:] = [Fault(suffix, "short", times=1)]
        following = scene.offer(f"{version}.5")
        assert scene.read() == following


@pytest.mark.parametrize("digest", [b"short", b"", bytes(33), [1, 2], "../../etc/passwd", None, 7, {"a": 1}])
def test_hashes_that_are_none(scene: Scene, digest: object) -> None:
    """They matter to who needs that package, and to nobody else."""
    scene.whole = False
    scene.offer("1")
    folder = scene.builder.folder / "noarch"
    index = read_shard_index(folder)
    index["shards"]["app"] = digest
    write_shard_index(folder, index)
    with scene.reader.open(scene.server.url, subdirs=NOARCH) as opened:
        assert [record.dist for record in opened.records("lib")] == ["lib-1-0"]
        assert any("no sha256" in remark and "app" in remark for remark in scene.reader.remarks)
        with pytest.raises(RepodataInvalid, match="app"):
            opened.load(["app"])
    assert scene.read_after_repair() == ["app-1-0", "lib-1-0"]


LIES: dict[str, object] = {
    "of another name": {"packages.conda": {"lib-7-0.conda": record("lib", "7")}},
    "under another file name": {"packages.conda": {"app-7-0.conda": record("lib", "7")}},
    "of another version": {"packages.conda": {"app-7-0.conda": record("app", "8")}},
    "with a way out": {"packages.conda": {"../../../app-7-0.conda": record("app", "7")}},
    "with a way out in its version": {"packages.conda": {"app-../../7-0.conda": record("app", "../../7")}},
    "no records": {"packages.conda": {"app-7-0.conda": "none", "app-8-0.conda": None, "app-9-0.conda": [[[]]]}},
    "nested without end": {"packages.conda": {"app-7-0.conda": {**record("app", "7"), "more": deep(200)}}},
    "with a hash that is none": {"packages.conda": {"app-7-0.conda": {**record("app", "7"), "sha256": [300]}}},
    "nothing": {},
}


@pytest.mark.parametrize("lie", LIES)
def test_shards_that_lie(scene: Scene, lie: str) -> None:
    """A shard with the right hash and the wrong content: its records are left out, and those of others stay."""
    scene.whole = False
    scene.offer("1")
    scene.replace_shard("app", zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(LIES[lie])))
    with scene.reader.open(scene.server.url, subdirs=NOARCH) as index:
        found = [record.dist for record in index.records("app")]
        assert found == (["app-7-0"] if lie == "nested without end" else [])
        [group] = index.groups("app")
        assert group.columns.count == len(found)
        assert [record.dist for record in index.records("lib")] == ["lib-1-0"]
    assert scene.read_after_repair() == ["app-1-0", "lib-1-0"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        b"\x81",
        b"null",
        PAGE,
        msgspec.msgpack.encode([1]),
        msgspec.msgpack.encode({"packages": 1}),
        b"\x91" * 99999,
    ],
    ids=["empty", "no msgpack", "cut off", "JSON", "page", "list", "no map", "nested without end"],
)
@pytest.mark.parametrize("what", ["app", SHARDS])
def test_what_is_no_shard_and_no_shard_index(scene: Scene, content: bytes, what: str) -> None:
    """With the right hash, even so."""
    scene.whole = False
    scene.offer("1")
    packed = zstandard.ZstdCompressor().compress(content)
    if what == SHARDS:
        (scene.builder.folder / "noarch" / SHARDS).write_bytes(packed)
    else:
        scene.replace_shard("app", packed)
    scene.try_to_read([], RepodataInvalid)
    scene.check_cache()
    assert scene.read_after_repair() == ["app-1-0", "lib-1-0"]


def test_an_impatient_reader_hears_of_the_stall(scene: Scene) -> None:
    """The pause that a server may ask for, and the time it may take, have their limits."""
    scene.offer("1")
    scene.server.faults.append(Fault(SHARDS, "stall", seconds=20))
    with pytest.raises(ChannelUnreachable, match="time") as caught:
        scene.read()
    assert any("proxy" in hint or "network" in hint for hint in caught.value.hints)


def test_a_sound_shard_under_the_name_of_another(scene: Scene) -> None:
    """It unpacks, it has records of that package, and it is not what the shard index says: nothing of it is kept."""
    scene.whole = False
    scene.offer("1")
    false = zstandard.ZstdCompressor().compress(
        msgspec.msgpack.encode({"packages.conda": {"app-1-0.conda": record("app", "1", depends=["something-else"])}})
    )
    name = scene.shard("app")
    scene.server.faults.append(Fault(name, "instead", body=false))
    error = scene.try_to_read([], ShardInvalid)
    assert error is not None and hashlib.sha256(false).hexdigest() in error.message and name[:64] in error.message
    assert scene.server.count(name) == 2, "asked for once more, past all caches on the way"
    assert scene.server.requests[-1].headers["Cache-Control"] == "no-cache"
    scene.server.faults.clear()
    with scene.reader.open(scene.server.url, subdirs=NOARCH) as index:
        assert [found.depends for found in index.records("app")] == [()]
