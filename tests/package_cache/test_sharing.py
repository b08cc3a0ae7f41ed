"""A cache that several users share, under the rights that Unix gives them: each as a user of its own, really."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaa.events import Event, Warned
from kaa.host.locks import file_lock
from kaa.models.record import RepoDataRecord
from kaa.net.client import HttpClient
from kaa.net.settings import HttpSettings
from kaa.package_cache.cache import NoWritableCache, PackageCache
from kaa.package_cache.fetch import ensure
from kaa.package_cache.trust import is_only_ours, why_untrusted
from tests.archive.builders import tree
from tests.channels import ChannelBuilder, File, Server, serve
from tests.package_cache.fixtures import World, make_world, package
from tests.users import ALICE, BOB, CAROL, User, needs_root

GROUP = 30001


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that all users can reach; those of pytest are its own user's."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        yield path


@pytest.fixture
def world(place: Path) -> World:
    world = make_world(place / "channel", 2)
    world.channel.add(package("odd", files={"bin/odd": File(b"#!", mode=0o4755), "etc/odd": File(b"x", mode=0o600)}))
    world.channel.write()
    return world


@pytest.fixture
def server(world: World, place: Path) -> Iterator[Server]:
    with serve(world.channel.folder) as server:
        # What this process loads now, its children need not find: other users cannot read every Python.
        fetch(world.records(server.url)[:1], place / "first")
        shutil.rmtree(place / "first")
        server.requests.clear()
        yield server


def fetch(records: list[RepoDataRecord], *directories: Path, verified: bool = False) -> tuple[list[Path], list[str]]:
    """Where the packages are, and what was warned of."""
    events: list[Event] = []
    with HttpClient(HttpSettings(max_retries=0), environ={}) as client:
        found = ensure(records, PackageCache(directories, verified=verified), client, events.append)
    return [one.directory for one in found], [event.text for event in events if isinstance(event, Warned)]


def modes(directory: Path) -> dict[str, int]:
    """The modes of everything but links."""
    paths = [directory, *directory.rglob("*")]
    return {
        path.relative_to(directory).as_posix(): stat.S_IMODE(path.lstat().st_mode)
        for path in paths
        if not path.is_symlink()
    }


# --- read-only files


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o022, 0o027, 0o077])
def test_files_are_read_only_as_the_umask_says(world: World, tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        [directory], _ = fetch([world.record("odd")], tmp_path / "pkgs")
    finally:
        os.umask(before)
    found = modes(directory)
    executable, plain, folder = 0o555 & ~umask, 0o444 & ~umask, 0o775 & ~umask
    assert {path: found[path] for path in (".", "bin", "info", "bin/odd", "etc/odd")} == {
        ".": folder,
        "bin": folder,
        "info": folder,
        "bin/odd": executable,
        "etc/odd": plain,
    }
    assert {mode for path, mode in found.items() if path.startswith("info/")} == {plain}
    for path in (directory.parent, *directory.parent.rglob("*")):
        assert path.is_symlink() or not path.stat().st_mode & 0o002, path


def unpack_as_conda(world: World, cache: Path, name: str = "p1") -> Path:
    """A package as conda leaves it: its owner may write to every file."""
    [directory], _ = fetch([world.record(name)], cache)
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.chmod(path.stat().st_mode | 0o220)
    return directory


def test_what_another_program_unpacked_is_protected_when_it_is_used(world: World, tmp_path: Path) -> None:
    directory = unpack_as_conda(world, tmp_path / "pkgs")
    (directory / "bin" / "p1").chmod(0o6777)
    (directory / "lib").chmod(0o777)
    content = {path: entry.content for path, entry in tree(directory, times=False).items()}
    assert fetch([world.record("p1")], tmp_path / "pkgs") == ([directory], [])
    found = modes(directory)
    assert found["bin/p1"] == 0o555
    assert found["lib"] == 0o775
    assert {mode & 0o222 for path, mode in found.items() if (directory / path).is_file()} == {0}
    assert {path: entry.content for path, entry in tree(directory, times=False).items()} == content


def test_protection_goes_on_where_it_was_interrupted_and_ends(world: World, tmp_path: Path) -> None:
    directory = unpack_as_conda(world, tmp_path / "pkgs")
    (directory / "bin" / "p1").chmod(0o555)
    fetch([world.record("p1")], tmp_path / "pkgs")
    assert modes(directory)["lib/p1.txt"] == 0o444
    # One file stands for all: the others are not looked at again.
    (directory / "lib" / "p1.txt").chmod(0o644)
    fetch([world.record("p1")], tmp_path / "pkgs")
    assert modes(directory)["lib/p1.txt"] == 0o644


def test_a_package_that_another_process_works_on_is_left_for_the_next_time(world: World, tmp_path: Path) -> None:
    directory = unpack_as_conda(world, tmp_path / "pkgs")
    with file_lock(tmp_path / "pkgs" / ".locks" / "p1-1.0-0.lock"):
        fetch([world.record("p1")], tmp_path / "pkgs")
    assert modes(directory)["info/index.json"] & 0o222


@needs_root
def test_what_belongs_to_somebody_else_is_not_changed(world: World, place: Path) -> None:
    shared, own = ALICE.directory(place / "shared"), BOB.directory(place / "own")
    ALICE.does(lambda: unpack_as_conda(world, shared))
    before = tree(shared / "p1-1.0-0")
    for user in (BOB, User(0)):
        assert user.does(lambda: fetch([world.record("p1")], shared, own)) == ([shared / "p1-1.0-0"], [])
        assert tree(shared / "p1-1.0-0") == before


# --- several users


def of_group(path: Path, mode: int) -> Path:
    """A directory of root's, for a group."""
    path.mkdir()
    os.chown(path, 0, GROUP)
    path.chmod(mode)
    return path


def member(user: User, umask: int) -> User:
    return User(user.uid, (GROUP,), umask)


@needs_root
@pytest.mark.parametrize("umask", [0o002, 0o022])
def test_a_group_fills_a_directory_together(server: Server, world: World, place: Path, umask: int) -> None:
    shared = of_group(place / "shared", 0o2775)
    alice, bob = member(ALICE, umask), member(BOB, umask)
    records = world.records(server.url)
    assert alice.does(lambda: fetch(records[:1], shared)) == ([shared / records[0].dist], [])
    own = bob.directory(place / "own")
    places, warnings = bob.does(lambda: fetch(records, shared, own))
    assert ({path.parent for path in places}, warnings) == ({shared}, [])
    assert server.count(records[0].fn) == 1
    for path in shared.rglob("*"):
        if not path.is_symlink():
            state = path.stat()
            assert (state.st_gid, state.st_mode & 0o002) == (GROUP, 0), path
            assert not path.is_dir() or (state.st_mode & 0o070 == 0o070 & ~umask and state.st_mode & stat.S_ISGID)
    # Each can use what the other has, and replace it when it is damaged.
    victim = places[0] / "lib" / "p0.txt"
    victim.unlink()
    [again], [warning] = bob.does(lambda: fetch(records[:1], shared, own))
    assert again == places[0]
    assert "damaged" in warning
    assert victim.is_file()
    assert alice.does(lambda: fetch(records, shared)) == (places, [])


@needs_root
def test_what_a_strict_umask_closes_is_left_alone(world: World, place: Path) -> None:
    shared = of_group(place / "shared", 0o2775)
    record = world.record("p1")
    strict = [member(user, 0o077) for user in (ALICE, BOB, CAROL)]
    [first], _ = strict[0].does(lambda: fetch([record], shared))
    [second], _ = strict[1].does(lambda: fetch([record], shared))
    assert [path.name[:8] for path in (first, second)] == ["p1-1.0-0", "p1-1.0-0"]
    assert first != second
    with pytest.raises(AssertionError, match="of another user who does not let you use it"):
        strict[2].does(lambda: fetch([record], shared))
    for user, path in zip(strict, (first, second), strict=False):
        assert user.does(lambda: fetch([record], shared)) == ([path], [])


@needs_root
def test_with_the_sticky_bit_everybody_keeps_what_is_theirs(world: World, place: Path) -> None:
    shared = of_group(place / "shared", 0o3775)
    alice, bob = member(ALICE, 0o002), member(BOB, 0o002)
    record = world.record("p1")
    [first], _ = alice.does(lambda: fetch([record], shared))
    (first / "lib" / "p1.txt").unlink()
    [second], _ = bob.does(lambda: fetch([record], shared))
    assert (second.parent, second.name[:9]) == (shared, "p1-1.0-0-")
    assert first.exists()
    assert bob.does(lambda: fetch([record], shared))[0] == [second]


@needs_root
def test_a_cache_of_root_with_one_of_each_user_over_it(server: Server, world: World, place: Path) -> None:
    shared, records = place / "shared", world.records(server.url)
    fetch(records[:2], shared)
    before = tree(shared)
    for user in (ALICE, BOB):
        own = user.directory(place / str(user.uid))
        places, warnings = user.does(lambda: fetch(records, shared, own))  # noqa: B023 - called at once
        assert ([path.parent for path in places], warnings) == ([shared, shared, own], [])
        assert user.does(lambda: fetch(records, shared, own))[0] == places  # noqa: B023
    assert server.count(records[0].fn) == 1
    assert server.count(records[2].fn) == 2
    assert tree(shared) == before


@needs_root
def test_where_the_index_and_the_bytecode_go(world: World, place: Path) -> None:
    """Beside the packages where this user may write there, else into the user's own directory."""
    shared = of_group(place / "shared", 0o2775)
    alice, bob, carol = member(ALICE, 0o022), member(BOB, 0o022), CAROL
    own = {user.uid: user.directory(place / str(user.uid)) for user in (bob, carol)}
    record = world.record("p1")

    def look(*directories: Path, verified: bool = False) -> tuple[Path, Path, tuple[Path, ...]]:
        cache = PackageCache(directories, verified=verified)
        found = cache.find(record)
        assert found is not None
        return cache.index_directory(), found.bytecode_directory("py"), found.bytecode_directories("py")

    def begin() -> None:
        fetch([record], shared)
        (shared / "cache").mkdir()
        (shared / ".bytecode").mkdir()

    alice.does(begin)
    beside = shared / ".bytecode" / "p1-1.0-0" / "py"
    assert alice.does(lambda: look(shared)) == (shared / "cache", beside, (beside,))
    # Her umask keeps the directories for herself: he has his, and looks into hers first.
    for user in (bob, carol):
        index, new, all_of_it = user.does(lambda: look(shared, own[user.uid]))  # noqa: B023 - called at once
        assert index == own[user.uid] / "cache"
        assert new.is_relative_to(own[user.uid])
        assert all_of_it == (beside, new)
    # Nothing that others could have altered counts for who verifies.
    index, new, all_of_it = bob.does(lambda: look(shared, own[bob.uid], verified=True))
    assert index.parent == own[bob.uid]
    assert all_of_it == (new,)
    assert new.is_relative_to(own[bob.uid])


@needs_root
def test_what_another_user_had_begun_is_no_obstacle(server: Server, world: World, place: Path) -> None:
    shared = of_group(place / "shared", 0o2775)
    record = world.record("p1", server.url)
    member(ALICE, 0o022).does(lambda: (shared / f"{record.dist}.conda.partial").write_bytes(b"a part"))
    assert member(BOB, 0o022).does(lambda: fetch([record], shared)) == ([shared / record.dist], [])


# --- trust


@needs_root
@pytest.mark.parametrize(
    ("layout", "trusted"),
    [
        ({"pkgs": (0, 0, 0o755)}, True),
        ({"pkgs": (ALICE.uid, 0, 0o755)}, True),
        ({"pkgs": (BOB.uid, GROUP, 0o2775)}, True),
        ({"pkgs": (ALICE.uid, 0, 0o777)}, False),
        ({"pkgs": (0, 0, 0o1777)}, False),
        ({"tmp": (0, 0, 0o1777), "tmp/pkgs": (ALICE.uid, 0, 0o755)}, True),
        ({"tmp": (0, 0, 0o1777), "tmp/pkgs": (0, 0, 0o755)}, True),
        ({"tmp": (0, 0, 0o1777), "tmp/pkgs": (BOB.uid, 0, 0o755)}, False),
        ({"tmp": (0, 0, 0o777), "tmp/a": (BOB.uid, 0, 0o755), "tmp/a/pkgs": (ALICE.uid, 0, 0o755)}, False),
        ({"tmp": (0, 0, 0o777), "tmp/a": (ALICE.uid, 0, 0o755), "tmp/a/pkgs": (BOB.uid, 0, 0o755)}, True),
        ({"tmp": (0, 0, 0o1777), "tmp/pkgs": None}, True),
    ],
)
def test_who_is_trusted(place: Path, layout: dict[str, tuple[int, int, int] | None], trusted: bool) -> None:
    for name, state in layout.items():
        if state is not None:
            (place / name).mkdir()
            os.chown(place / name, *state[:2])
            (place / name).chmod(state[2])
    directory = place / list(layout)[-1]
    assert (ALICE.does(lambda: why_untrusted(directory)) == "") is trusted
    # A link to it is judged as the directory itself.
    (place / "link").symlink_to(directory)
    assert (ALICE.does(lambda: why_untrusted(place / "link")) == "") is trusted


@needs_root
@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_directory_open_to_everybody_is_neither_used_nor_filled(world: World, place: Path, mode: int) -> None:
    everybody, own = place / "everybody", ALICE.directory(place / "own")
    fetch([world.record("p1")], everybody)
    before = tree(everybody)
    everybody.chmod(mode)
    records = world.records()
    places, [warning] = ALICE.does(lambda: fetch(records, everybody, own))
    assert {path.parent for path in places} == {own}
    assert warning.startswith(f"packages in {everybody} are not used: everybody may write to it; ")
    assert f"chmod o-w {everybody}" in warning
    assert tree(everybody) == before
    with pytest.raises(AssertionError, match=r"everybody may write to it"):
        ALICE.does(lambda: fetch(records, everybody))
    everybody.chmod(0o755)
    assert ALICE.does(lambda: fetch([world.record("p1")], everybody, own)) == ([everybody / "p1-1.0-0"], [])


def test_a_warning_is_given_once(world: World, place: Path) -> None:
    everybody = place / "everybody"
    everybody.mkdir(mode=0o777)
    everybody.chmod(0o777)
    cache = PackageCache([everybody, place / "own"])
    events: list[Event] = []
    with HttpClient(environ={}) as client:
        for record in world.records():
            ensure([record], cache, client, events.append)
    assert len([event for event in events if isinstance(event, Warned)]) == 1
    assert cache.sources == (place / "own",)
    with pytest.raises(NoWritableCache, match=r"everybody may write to it"):
        PackageCache([everybody]).writable_directory()


@pytest.mark.parametrize(("mode", "ours"), [(0o700, True), (0o755, True), (0o775, False), (0o757, False), (None, True)])
def test_what_is_only_ours(tmp_path: Path, mode: int | None, ours: bool) -> None:
    if mode is not None:
        (tmp_path / "pkgs").mkdir()
        (tmp_path / "pkgs").chmod(mode)
    assert is_only_ours(tmp_path / "pkgs") is ours


# --- verified


def poison_text(directory: Path) -> None:
    path = directory / "lib" / "p1.txt"
    path.chmod(0o644)
    path.write_bytes(b"X" * path.stat().st_size)


def poison_link(directory: Path) -> None:
    (directory / "lib" / "p1.link").unlink()
    (directory / "lib" / "p1.link").symlink_to("../share/p1.cfg")


def poison_by_pipe(directory: Path) -> None:
    (directory / "lib" / "p1.txt").unlink()
    os.mkfifo(directory / "lib" / "p1.txt")


def add_script(directory: Path) -> None:
    (directory / "bin" / ".p1-pre-link.sh").write_text("evil\n")


def add_entry_points(directory: Path) -> None:
    (directory / "info" / "link.json").write_text('{"noarch": {"type": "python", "entry_points": ["x = evil:main"]}}')


def add_linked_directory(directory: Path) -> None:
    (directory / "share" / "more").symlink_to("../lib")


def rewrite_list(directory: Path) -> None:
    path = directory / "info" / "paths.json"
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"share/p1.cfg", b"share/p1.cfh"))
    (directory / "share" / "p1.cfg").rename(directory / "share" / "p1.cfh")


POISONS: dict[str, Callable[[Path], object]] = {
    "content of the same size": poison_text,
    "a link to another file": poison_link,
    "a script that nobody packed": add_script,
    "entry points that nobody packed": add_entry_points,
    "a linked directory": add_linked_directory,
    "files and their list": rewrite_list,
    "a file that can be run": lambda directory: (directory / "lib" / "p1.txt").chmod(0o755),
    "a pipe": poison_by_pipe,
}


@pytest.mark.parametrize("case", POISONS)
@pytest.mark.parametrize("extension", [".conda", ".tar.bz2"])
def test_a_poisoned_package_is_refused(tmp_path: Path, case: str, extension: str) -> None:
    channel = ChannelBuilder(tmp_path / "channel")
    channel.add(package("p1", extension=extension))
    world = World(channel.write())
    with serve(channel.folder) as server:
        check_poison(server, world.record("p1", server.url), tmp_path, POISONS[case])


def check_poison(server: Server, record: RepoDataRecord, tmp_path: Path, poison: Callable[[Path], object]) -> None:
    shared, own = tmp_path / "shared", tmp_path / "own"
    [directory], _ = fetch([record], shared)
    assert fetch([record], own, shared, verified=True) == ([directory], [])
    poison(directory)
    places, [warning] = fetch([record], own, shared, verified=True)
    assert places == [own / record.dist]
    assert warning.startswith(f"{directory} is ")
    for path in places[0].rglob("*"):
        assert path.name != ".p1-pre-link.sh"
    # From the archive, whose hash is right: nothing is downloaded again.
    assert server.count(record.fn) == 1
    assert fetch([record], own, shared, verified=True) == (places, [])


def test_a_poisoned_archive_does_not_vouch_for_anything(server: Server, world: World, tmp_path: Path) -> None:
    record = world.record("p1", server.url)
    [directory], _ = fetch([record], tmp_path / "pkgs")
    poison_text(directory)
    archive = tmp_path / "pkgs" / record.fn
    archive.write_bytes(package("p1", files={"lib/p1.txt": b"X"}).to_bytes().ljust(record.size or 0, b" "))
    [again], [warning] = fetch([record], tmp_path / "pkgs", verified=True)
    assert "cannot be verified: its archive is not in the cache" in warning
    assert again == directory
    assert (directory / "lib" / "p1.txt").read_bytes() == b"p1" * 1000
    assert server.count(record.fn) == 2


def test_what_has_no_archive_is_fetched_into_the_cache_of_this_user(
    server: Server, world: World, tmp_path: Path
) -> None:
    record = world.record("p1", server.url)
    shared, own = tmp_path / "shared", tmp_path / "own"
    [directory], _ = fetch([record], shared)
    (shared / record.fn).unlink()
    assert fetch([record], own, shared) == ([directory], [])
    places, [warning] = fetch([record], own, shared, verified=True)
    assert places == [own / record.dist]
    assert str(directory) in warning
    assert (own / record.fn).is_file()


def test_packages_of_this_machine_are_compared_with_the_file_they_are(tmp_path: Path, world: World) -> None:
    directories, _ = fetch(world.records(), tmp_path / "pkgs", verified=True)
    assert fetch(world.records(), tmp_path / "pkgs", verified=True) == (directories, [])
    poison_text(tmp_path / "pkgs" / "p1-1.0-0")
    places, [warning] = fetch(world.records(), tmp_path / "pkgs", verified=True)
    assert (places, "lib/p1.txt" in warning) == (directories, True)
    assert fetch(world.records(), tmp_path / "pkgs", verified=True) == (directories, [])
