"""`ensure` over real archives and a real server: what is there, what is missing, what goes wrong."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from kaa.archive.read import BadArchive
from kaa.errors import KaaError
from kaa.events import BytesReceived, Event, StageAdvanced, StageFinished, StageStarted, Warned
from kaa.models.artifact import InvalidArtifactName
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient, HttpStatusError, Offline
from kaa.net.download import CannotWrite, HashMismatch, SizeMismatch
from kaa.net.settings import HttpSettings
from kaa.package_cache.cache import NoWritableCache, PackageCache, UnsafeName
from kaa.package_cache.extracted_package import read_record
from kaa.package_cache.fetch import ensure, record_of_url
from tests.archive.builders import tree
from tests.channels import ChannelBuilder, Fault, Server, serve
from tests.package_cache.fixtures import World, make_world, package


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "channel")


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with serve(world.channel.folder) as server:
        yield server


@pytest.fixture
def client() -> Iterator[HttpClient]:
    with HttpClient(HttpSettings(backoff_factor=0.01, max_retries=2), environ={}) as client:
        yield client


@pytest.fixture
def offline() -> Iterator[HttpClient]:
    with HttpClient(HttpSettings(offline=True), environ={}) as client:
        yield client


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache([tmp_path / "pkgs"])


def visible(directory: Path) -> list[str]:
    """What a cache directory holds, without what is kaa's own."""
    return sorted(path.name for path in directory.iterdir() if not path.name.startswith("."))


def without_leftovers(directory: Path) -> bool:
    names = [path.name for path in directory.iterdir()]
    return not [name for name in names if name.endswith((".partial", ".kaa~"))]


# --- fetching


def test_everything_is_fetched_in_order(server: Server, world: World, client: HttpClient, cache: PackageCache) -> None:
    records = world.records(server.url)
    events: list[Event] = []
    packages = ensure(records, cache, client, events.append)
    assert [found.record for found in packages] == records
    for found, record in zip(packages, records, strict=True):
        assert found.directory == cache.directories[0] / record.dist
        assert found.archive == cache.directories[0] / record.fn
        assert {entry.path for entry in found.paths()} == {
            f"bin/{record.name}",
            f"lib/{record.name}.txt",
            f"lib/{record.name}.link",
            f"share/{record.name}.cfg",
        }
        assert (found.directory / "lib" / f"{record.name}.link").read_bytes() == record.name.encode() * 1000
    assert events[0] == StageStarted("Fetching packages", len(records))
    assert isinstance(events[-1], StageFinished)
    done = {event.what for event in events if isinstance(event, StageAdvanced)}
    assert done == {record.dist for record in records}
    assert without_leftovers(cache.directories[0])


def test_what_is_there_is_not_fetched_again(
    server: Server, world: World, client: HttpClient, offline: HttpClient, cache: PackageCache
) -> None:
    records = world.records(server.url)
    first = ensure(records, cache, client)
    requests = len(server.requests)
    events: list[Event] = []
    assert ensure(records, cache, offline, events.append) == first
    assert len(server.requests) == requests
    assert events == []


def test_layout_is_condas(server: Server, world: World, client: HttpClient, cache: PackageCache) -> None:
    records = world.records(server.url)
    ensure(records, cache, client)
    directory = cache.directories[0]
    names = {name for record in records for name in (record.dist, record.fn)}
    assert set(visible(directory)) == {*names, "urls.txt"}
    assert sorted((directory / "urls.txt").read_text().split()) == sorted(record.url for record in records)
    for record in records:
        stored = json.loads((directory / record.dist / "info" / "repodata_record.json").read_bytes())
        assert stored["channel"] == f"{server.url}/linux-64"
        for key in ("name", "version", "build", "build_number", "depends", "constrains", "url", "fn", "md5", "sha256"):
            assert key in stored, key
        assert (stored["url"], stored["fn"], stored["subdir"]) == (record.url, record.fn, "linux-64")
        assert read_record(directory / record.dist) == record


def test_equal_records_are_fetched_once(server: Server, world: World, client: HttpClient, cache: PackageCache) -> None:
    record = world.record("p1", server.url)
    packages = ensure([record] * 5, cache, client)
    assert len({found.directory for found in packages}) == 1
    assert server.count(".conda") == 1


def test_nothing_needs_nothing(tmp_path: Path, offline: HttpClient) -> None:
    assert ensure([], PackageCache([tmp_path / "no"]), offline) == []
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize("parallel", [0, 1, 2, 30])
def test_any_number_of_threads(
    server: Server, world: World, client: HttpClient, cache: PackageCache, parallel: int
) -> None:
    assert len(ensure(world.records(server.url), cache, client, parallel=parallel)) == 6


def test_the_reporter_is_called_by_one_thread_at_a_time(
    server: Server, world: World, client: HttpClient, cache: PackageCache
) -> None:
    busy = threading.Lock()
    crossed: list[Event] = []

    def reporter(event: Event) -> None:
        if not busy.acquire(blocking=False):
            crossed.append(event)
            return
        threading.Event().wait(0.001)
        busy.release()

    ensure(world.records(server.url), cache, client, reporter)
    assert crossed == []


def test_a_cached_archive_is_unpacked_without_network(
    server: Server, world: World, client: HttpClient, offline: HttpClient, cache: PackageCache
) -> None:
    records = world.records(server.url)
    for found in ensure(records, cache, client):
        subprocess.run(["rm", "-r", str(found.directory)], check=True)
    assert [found.record for found in ensure(records, cache, offline)] == records


def test_a_warm_cache_loads_no_archives_and_no_network(tmp_path: Path, world: World, offline: HttpClient) -> None:
    ensure(world.records(), PackageCache([tmp_path / "pkgs"]), offline)
    program = f"""
import msgspec, sys
from pathlib import Path
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.fetch import ensure
records = msgspec.json.decode({msgspec.json.encode(world.records())!r}, type=list[RepoDataRecord])
with HttpClient(environ={{}}) as client:
    assert len(ensure(records, PackageCache([Path({str(tmp_path / "pkgs")!r})]), client)) == len(records)
heavy = ("zstandard", "zipfile", "urllib3", "ssl", "concurrent.futures", "email")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_offline_names_what_is_missing(server: Server, world: World, offline: HttpClient, cache: PackageCache) -> None:
    with pytest.raises(Offline, match=r"p0-1\.0-0"):
        ensure(world.records(server.url)[:1], cache, offline)


# --- files of this machine


def test_file_addresses_are_unpacked_where_they_lie(world: World, offline: HttpClient, cache: PackageCache) -> None:
    for found in ensure(world.records(), cache, offline):
        assert found.archive == world.channel.folder / "linux-64" / found.record.fn
    assert visible(cache.directories[0]) == sorted([*(record.dist for record in world.records()), "urls.txt"])


def test_a_file_that_was_replaced_is_another_package(tmp_path: Path, offline: HttpClient, cache: PackageCache) -> None:
    path = tmp_path / "tool-1.0-0.conda"
    path.write_bytes(package("tool").to_bytes())
    [first] = ensure([record_of_url(path.as_uri())], cache, offline, bare=True)
    path.write_bytes(package("tool", depends=["python"]).to_bytes())
    [second] = ensure([record_of_url(path.as_uri())], cache, offline, bare=True)
    assert (first.record.depends, second.record.depends) == ((), ("python",))
    assert first.directory != second.directory
    assert second.directory.name.startswith("tool-1.0-0-")


def test_a_file_with_other_bytes_than_the_index_says(world: World, offline: HttpClient, cache: PackageCache) -> None:
    record = world.record("p1")
    path = world.channel.folder / "linux-64" / record.fn
    content = path.read_bytes()
    path.write_bytes(bytes(255 - byte for byte in content))
    with pytest.raises(HashMismatch, match=r"p1-1\.0-0"):
        ensure([record], cache, offline)
    path.write_bytes(content[:-1])
    with pytest.raises(SizeMismatch):
        ensure([record], cache, offline)
    path.unlink()
    with pytest.raises(HttpStatusError, match="not found"):
        ensure([record], cache, offline)
    assert visible(cache.directories[0]) == ["urls.txt"]


# --- packages of which only the address is known


@pytest.mark.parametrize("known", ["nothing", "md5", "sha256"])
def test_bare_records_are_completed(
    server: Server, world: World, client: HttpClient, offline: HttpClient, cache: PackageCache, known: str
) -> None:
    world.channel.add(package("tool", depends=["python >=3"], build="h1_2", build_number=2))
    true = world.record("tool", server.url)
    hashes = {} if known == "nothing" else {known: getattr(true, known)}
    bare = record_of_url(true.url, **hashes)
    for using in (client, offline):
        [found] = ensure([bare], cache, using, bare=True)
        assert (found.record.depends, found.record.build_number) == (("python >=3",), 2)
        assert (found.record.url, found.record.channel, found.record.fn) == (true.url, true.channel, true.fn)
        if known == "nothing":
            assert (found.record.sha256, found.record.size) == (true.sha256, true.size)
        else:
            assert getattr(found.record, known) == getattr(true, known)


def test_a_record_of_an_address_needs_a_proper_name() -> None:
    record = record_of_url("https://host/chan/linux-64/a-b-1%2B2-0.conda")
    assert (record.name, record.version, record.build, record.subdir) == ("a-b", "1+2", "0", "linux-64")
    with pytest.raises(InvalidArtifactName):
        record_of_url("https://host/chan/linux-64/readme.txt")


# --- one dist, several contents


def test_the_same_dist_of_two_channels_is_never_confused(tmp_path: Path, offline: HttpClient) -> None:
    worlds = []
    for number in range(3):
        channel = ChannelBuilder(tmp_path / f"channel{number}")
        channel.add(package("tool", files={"bin/tool": f"from channel {number}"}))
        worlds.append(World(channel.write()))
    cache = PackageCache([tmp_path / "pkgs"])
    for _ in range(2):
        for number, world in enumerate(worlds):
            [found] = ensure([world.record("tool")], cache, offline)
            assert (found.directory / "bin" / "tool").read_text() == f"from channel {number}"
    names = {path.name for path in cache.directories[0].glob("tool-*")}
    hashes = [world.record("tool").sha256 for world in worlds]
    assert names == {"tool-1.0-0", *(f"tool-1.0-0-{sha256[:8]}" for sha256 in hashes[1:] if sha256)}
    # All three at once, too.
    packages = ensure([world.record("tool") for world in worlds], PackageCache([tmp_path / "fresh"]), offline)
    assert len({found.directory for found in packages}) == 3


def test_two_archives_of_one_dist_over_http(tmp_path: Path, client: HttpClient, offline: HttpClient) -> None:
    cache = PackageCache([tmp_path / "pkgs"])
    records = []
    for number in range(2):
        channel = ChannelBuilder(tmp_path / f"channel{number}")
        channel.add(package("tool", files={"bin/tool": f"from channel {number}"}))
        world = World(channel.write())
        with serve(channel.folder) as server:
            records.append(world.record("tool", server.url))
            ensure(records[-1:], cache, client)
    for number, found in enumerate(ensure(records, cache, offline)):
        assert (found.directory / "bin" / "tool").read_text() == f"from channel {number}"
        assert found.archive is not None
        assert hashlib.sha256(found.archive.read_bytes()).hexdigest() == records[number].sha256


def test_the_same_bytes_of_a_mirror_are_the_same_package(
    server: Server, world: World, client: HttpClient, offline: HttpClient, cache: PackageCache
) -> None:
    first = ensure([world.record("p1", server.url)], cache, client)
    mirrored = world.record("p1", "https://mirror.example/chan")
    second = ensure([mirrored], cache, offline)
    assert first[0].directory == second[0].directory
    assert second[0].record == mirrored


# --- directories of conda


def test_what_conda_unpacked_is_used(tmp_path: Path, world: World, offline: HttpClient, cache: PackageCache) -> None:
    record = world.record("p1", "https://conda.example/chan")
    directory = cache.directories[0] / record.dist
    subprocess.run(["mkdir", "-p", str(directory)], check=True)
    for path, content in package("p1").info().items():
        (directory / path).parent.mkdir(exist_ok=True)
        (directory / path).write_bytes(content)
    for entry_path in ("bin/p1", "lib/p1.txt", "share/p1.cfg"):
        (directory / entry_path).parent.mkdir(exist_ok=True)
        entry = package("p1").entries()[entry_path]
        (directory / entry_path).write_bytes(entry.content)  # type: ignore[union-attr]
    (directory / "lib" / "p1.link").symlink_to("p1.txt")
    conda = {
        "build": "0",
        "build_number": 0,
        "channel": "https://me:secret@conda.example/t/tk-secret/chan/linux-64",
        "constrains": [],
        "depends": [],
        "fn": record.fn,
        "md5": record.md5,
        "name": "p1",
        "noarch": None,
        "sha256": record.sha256,
        "size": record.size,
        "subdir": "linux-64",
        "timestamp": 1_700_000_000.0,
        "url": f"https://me:secret@conda.example/t/tk-secret/chan/linux-64/{record.fn}",
        "version": "1.0",
        "unknown": {"to": "us"},
    }
    (directory / "info" / "repodata_record.json").write_text(json.dumps(conda))
    [found] = ensure([record], cache, offline)
    assert found.directory == directory
    [listed] = cache.iter_packages()
    assert (listed.record.channel, listed.record.url) == (record.channel, record.url)
    assert "secret" not in repr(listed)
    # By hash alone, when conda wrote no address; by address alone, when it wrote no hash.
    for missing in (["url"], ["sha256"], ["sha256", "md5"]):
        left = {key: value for key, value in conda.items() if key not in missing}
        (directory / "info" / "repodata_record.json").write_text(json.dumps(left))
        assert ensure([record], cache, offline)[0].directory == directory
    left = {key: value for key, value in conda.items() if key not in ("sha256", "md5", "url")}
    (directory / "info" / "repodata_record.json").write_text(json.dumps(left))
    with pytest.raises(Offline):
        ensure([record], cache, offline)


# --- damage


def replace_by_file(path: Path) -> None:
    path.unlink()
    path.touch()


def remove_both(info: Path) -> None:
    (info / "paths.json").unlink()
    (info / "files").unlink()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "missing file": lambda directory: (directory / "lib" / "p1.txt").unlink(),
    "missing link": lambda directory: (directory / "lib" / "p1.link").unlink(),
    "cut off": lambda directory: (directory / "lib" / "p1.txt").write_bytes(b"p1"),
    "empty": lambda directory: (directory / "lib" / "p1.txt").write_bytes(b""),
    "a link that became a file": lambda directory: replace_by_file(directory / "lib" / "p1.link"),
    "no index": lambda directory: (directory / "info" / "index.json").unlink(),
    "no paths": lambda directory: remove_both(directory / "info"),
    "broken paths": lambda directory: (directory / "info" / "paths.json").write_bytes(b"{"),
    "no record": lambda directory: (directory / "info" / "repodata_record.json").unlink(),
    "broken record": lambda directory: (directory / "info" / "repodata_record.json").write_bytes(b""),
    "nothing left": lambda directory: subprocess.run(["rm", "-r", str(directory / "info")], check=True),
}


@pytest.mark.parametrize("case", DAMAGES)
@pytest.mark.parametrize("archive", ["kept", "gone", "damaged"])
def test_damage_is_noticed_and_repaired(
    server: Server, world: World, client: HttpClient, cache: PackageCache, case: str, archive: str
) -> None:
    record = world.record("p1", server.url)
    [found] = ensure([record], cache, client)
    before = tree(found.directory, times=False)
    assert found.archive is not None
    if archive == "gone":
        found.archive.unlink()
    elif archive == "damaged":
        found.archive.write_bytes(bytes(record.size or 0))
    made = found.bytecode_directory("cpython-312")
    made.mkdir(parents=True)
    DAMAGES[case](found.directory)
    requests = len(server.requests)
    events: list[Event] = []
    [again] = ensure([record], cache, client, events.append)
    assert again == found
    assert tree(again.directory, times=False) == before
    assert len(server.requests) == requests + (0 if archive == "kept" else 1)
    assert visible(cache.directories[0]) == sorted([record.dist, record.fn, "urls.txt"])
    # What was compiled from the damaged files is not trusted.
    assert not made.exists()
    if "record" not in case and case != "nothing left":
        assert [event for event in events if isinstance(event, Warned)]


def test_changed_content_is_noticed_by_the_full_check(world: World, offline: HttpClient, cache: PackageCache) -> None:
    record = world.record("p1")
    [found] = ensure([record], cache, offline)
    path = found.directory / "lib" / "p1.txt"
    good = path.read_bytes()
    path.write_bytes(good[::-1])
    assert ensure([record], cache, offline)[0] == found
    assert path.read_bytes() == good[::-1]
    ensure([record], cache, offline, check="none")
    ensure([record], cache, offline, check="hashes")
    assert path.read_bytes() == good


def test_a_package_that_is_not_what_it_says_is_refused(tmp_path: Path, offline: HttpClient) -> None:
    channel = ChannelBuilder(tmp_path / "channel")
    wrong = json.dumps({"paths_version": 1, "paths": [{"_path": "bin/tool", "size_in_bytes": 99}]}).encode()
    channel.add(package("tool", info_files={"paths.json": wrong}, files={"bin/tool": b"x"}))
    cache = PackageCache([tmp_path / "pkgs"])
    with pytest.raises(BadArchive, match="bin/tool"):
        ensure([World(channel).record("tool")], cache, offline)
    assert visible(cache.directories[0]) == ["urls.txt"]
    ensure([World(channel).record("tool")], cache, offline, check="none")


# --- what goes wrong on the way


@pytest.mark.parametrize("kind", ["short", "reset", "corrupt"])
def test_troubles_that_pass(server: Server, world: World, client: HttpClient, cache: PackageCache, kind: str) -> None:
    server.faults.append(Fault(".conda", kind, times=1))  # type: ignore[arg-type]
    server.faults.append(Fault(".tar.bz2", "status", status=500, times=2))
    assert len(ensure(world.records(server.url), cache, client)) == 6
    assert without_leftovers(cache.directories[0])


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault("p3-1.0-0.conda", "corrupt"), HashMismatch),
        (Fault("p3-1.0-0.conda", "status", status=404), HttpStatusError),
        (Fault("p3-1.0-0.conda", "status", status=500), HttpStatusError),
        (Fault("p3-1.0-0.conda", "short"), KaaError),
        (Fault("p3-1.0-0.conda", "reset"), KaaError),
    ],
    ids=["corrupt", "404", "500", "short", "reset"],
)
def test_troubles_that_stay_are_raised_and_the_rest_is_whole(
    server: Server, world: World, client: HttpClient, cache: PackageCache, fault: Fault, error: type[KaaError]
) -> None:
    server.faults.append(fault)
    records = world.records(server.url)
    with pytest.raises(error, match=r"p3-1\.0-0"):
        ensure(records, cache, client)
    for found in cache.iter_packages():
        assert found.record.name != "p3"
    server.faults.clear()
    assert [found.record for found in ensure(records, cache, client)] == records


def test_a_bad_archive_with_the_right_hash(tmp_path: Path, offline: HttpClient, cache: PackageCache) -> None:
    path = tmp_path / "tool-1.0-0.conda"
    path.write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(BadArchive, match=r"tool-1\.0-0\.conda"):
        ensure([record_of_url(path.as_uri())], cache, offline, bare=True)
    assert visible(cache.directories[0]) == ["urls.txt"]
    assert without_leftovers(cache.directories[0])


def test_a_failure_stops_the_others(server: Server, world: World, client: HttpClient, cache: PackageCache) -> None:
    """The second download stalls; the first one's failure ends it at the next block, not at its end."""
    for number in range(30):
        world.channel.add(package(f"more{number}"))
    server.faults.append(Fault("p0-1.0-0.tar.bz2", "status", status=404))
    with pytest.raises(HttpStatusError):
        ensure(world.records(server.url), cache, client, parallel=1)
    assert len(server.requests) < 5


def test_an_interruption_leaves_nothing_half_done(
    server: Server, world: World, client: HttpClient, cache: PackageCache
) -> None:
    records = world.records(server.url)

    def interrupt(event: Event) -> None:
        if isinstance(event, BytesReceived) and event.what.startswith("p3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ensure(records, cache, client, interrupt)
    whole = {found.record.name for found in cache.iter_packages()}
    assert "p3" not in whole
    assert [found.record for found in ensure(records, cache, client)] == records
    assert without_leftovers(cache.directories[0])


@pytest.mark.parametrize("field", ["name", "version", "build", "sha256"])
@pytest.mark.parametrize("value", ["../../evil", "a/b", "", ".hidden/..", "a\\b", "a\nb", "C:x"])
def test_names_that_would_leave_the_cache(
    world: World, offline: HttpClient, cache: PackageCache, field: str, value: str
) -> None:
    if field == "sha256" and not value:
        return
    record = msgspec.structs.replace(world.record("p1"), **{field: value})
    if not (record.name and record.version and record.build) and field != "name":
        # An empty part is odd, but stays where it is.
        return
    with pytest.raises(UnsafeName):
        ensure([record], cache, offline)


# --- several directories


def test_all_directories_are_searched_and_the_first_is_filled(
    tmp_path: Path, server: Server, world: World, client: HttpClient, offline: HttpClient
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    ensure(world.records(server.url)[:3], PackageCache([second]), client)
    both = PackageCache([first, second])
    packages = ensure(world.records(server.url), both, client)
    assert [found.directory.parent.name for found in packages] == ["second"] * 3 + ["first"] * 3
    assert ensure(world.records(server.url), both, offline) == packages


def test_an_archive_of_the_second_directory_is_unpacked_into_the_first(
    tmp_path: Path, server: Server, world: World, client: HttpClient, offline: HttpClient
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    record = world.record("p1", server.url)
    [found] = ensure([record], PackageCache([second]), client)
    subprocess.run(["rm", "-r", str(found.directory)], check=True)
    [again] = ensure([record], PackageCache([first, second]), offline)
    assert (again.directory.parent, again.archive) == (first, second / record.fn)


def test_damage_in_a_directory_behind_is_repaired_in_front(
    tmp_path: Path, server: Server, world: World, client: HttpClient, offline: HttpClient
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    record = world.record("p1", server.url)
    [found] = ensure([record], PackageCache([first]), client)
    (found.directory / "lib" / "p1.txt").unlink()
    # The writable directory comes second here, so that the damaged one is seen first every time.
    (second / "x").mkdir(parents=True)
    [again] = ensure([record], PackageCache([second, first]), offline)
    assert again.directory.parent == second
    assert ensure([record], PackageCache([first, second]), offline)[0].directory == again.directory


UNPRIVILEGED = 65534


def as_nobody(action: Callable[[], str]) -> str:
    """What an action returns, or the error that it raises, in a process without root's rights (no mode stops root)."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        # The child of this fork does nothing with the threads that it has not.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        with os.fdopen(writer, "w") as answer:
            try:
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setgid(UNPRIVILEGED)
                    os.setuid(UNPRIVILEGED)
                answer.write(action())
            except BaseException as error:
                answer.write(f"{type(error).__name__}: {error}")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    return text


@pytest.fixture
def open_path(tmp_path: Path) -> Iterator[Path]:
    """A directory that other users can reach (pytest's own they cannot), with a channel that they can read."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def test_a_read_only_cache_is_used_and_new_packages_go_elsewhere(open_path: Path) -> None:
    world = make_world(open_path / "channel")
    shared, own = open_path / "shared", open_path / "own"
    own.mkdir()
    if os.getuid() == 0:
        os.chown(own, UNPRIVILEGED, UNPRIVILEGED)
    with HttpClient(environ={}) as client:
        ensure(world.records()[:2], PackageCache([shared]), client)
    (shared / "urls.txt").chmod(0o444)
    shared.chmod(0o555)

    def action() -> str:
        cache = PackageCache([shared, own])
        with HttpClient(environ={}) as client:
            packages = ensure(world.records(), cache, client)
        places = [found.directory.parent.name for found in packages]
        # What is compiled from a package that nobody may write to is kept elsewhere, too.
        assert all(found.bytecode_directory("cpython-312").is_relative_to(own) for found in packages)
        return " ".join(places)

    assert as_nobody(action) == "shared shared own own own own"
    shared.chmod(0o755)


def test_no_writable_directory_is_a_clear_error(open_path: Path) -> None:
    closed = open_path / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    said = as_nobody(lambda: str(PackageCache([closed, closed / "below"]).writable_directory()))
    assert said.startswith("NoWritableCache")
    assert f"({closed}, {closed / 'below'})" in said
    assert "pkgs_dirs" in said


def test_a_file_where_the_cache_should_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NoWritableCache, match="file"):
        PackageCache([tmp_path / "file"]).writable_directory()
    with pytest.raises(NoWritableCache, match="none is configured"):
        PackageCache([]).writable_directory()


def test_locks_of_another_user_are_no_obstacle(open_path: Path) -> None:
    world = make_world(open_path / "channel", 1)
    shared = open_path / "shared"
    [record] = world.records()
    (shared / ".locks").mkdir(parents=True)
    (shared / ".locks" / f"{record.dist}.lock").touch(mode=0o600)
    (shared / "urls.txt").touch()
    if os.getuid() == 0:
        os.chown(shared, 0, UNPRIVILEGED)
    for path, mode in ((shared, 0o775), (shared / ".locks", 0o755), (shared / "urls.txt", 0o644)):
        path.chmod(mode)
    if os.getuid() != 0:
        (shared / ".locks" / f"{record.dist}.lock").chmod(0o000)

    def action() -> str:
        with HttpClient(environ={}) as client:
            return ensure([record], PackageCache([shared]), client)[0].directory.name

    assert as_nobody(action) == record.dist


# --- several processes


def test_many_processes_fetch_the_same_packages(tmp_path: Path, server: Server, world: World) -> None:
    records = tmp_path / "records.json"
    records.write_bytes(msgspec.json.encode(world.records(server.url)))
    program = f"""
import msgspec
from pathlib import Path
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.fetch import ensure
from kaa.package_cache.validate import find_damage
records = msgspec.json.decode(Path({str(records)!r}).read_bytes(), type=list[RepoDataRecord])
with HttpClient(environ={{}}) as client:
    for found in ensure(records, PackageCache([Path({str(tmp_path / "pkgs")!r})]), client):
        assert find_damage(found, "hashes") is None
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(4)
    ]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    # Each package went over the wire once.
    assert sum(request.path.endswith((".conda", ".tar.bz2")) for request in server.requests) == len(world.records())
    assert without_leftovers(tmp_path / "pkgs")


def test_a_process_that_is_killed_leaves_a_cache_that_works(
    tmp_path: Path, server: Server, world: World, client: HttpClient
) -> None:
    records = tmp_path / "records.json"
    records.write_bytes(msgspec.json.encode(world.records(server.url)))
    for count in range(1, 14, 3):
        program = f"""
import msgspec, os
from pathlib import Path
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.fetch import ensure
records = msgspec.json.decode(Path({str(records)!r}).read_bytes(), type=list[RepoDataRecord])
seen = []
def die(event):
    seen.append(event)
    if len(seen) == {count}:
        os.kill(os.getpid(), 9)
with HttpClient(environ={{}}) as client:
    ensure(records, PackageCache([Path({str(tmp_path / "pkgs")!r})]), client, die, parallel=2)
"""
        assert subprocess.run([sys.executable, "-c", program], check=False).returncode in (-9, 0)
    cache = PackageCache([tmp_path / "pkgs"])
    packages = ensure(world.records(server.url), cache, client, check="hashes")
    assert [found.record for found in packages] == world.records(server.url)


def test_an_unwritable_file_is_named(world: World, client: HttpClient, cache: PackageCache, server: Server) -> None:
    record = world.record("p1", server.url)
    directory = cache.writable_directory()
    # A directory stands where the archive has to go.
    (directory / record.fn / "x").mkdir(parents=True)
    with pytest.raises(CannotWrite, match="pkgs_dirs"):
        ensure([record], cache, client)


def test_records_are_as_they_were_asked_for(world: World, offline: HttpClient, cache: PackageCache) -> None:
    """An index may have been corrected since the package was unpacked."""
    record = world.record("p1")
    ensure([record], cache, offline)
    patched: RepoDataRecord = msgspec.structs.replace(record, depends=("python <4",))
    assert ensure([patched], cache, offline)[0].record == patched
