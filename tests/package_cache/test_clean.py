"""What can be removed, and that nothing else is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kaa.events import Event, Warned
from kaa.host.locks import file_lock
from kaa.net.client import HttpClient
from kaa.net.settings import HttpSettings
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.clean import CleanPlan, CleanRequest, Removable, plan_clean, stamp_of
from kaa.package_cache.extracted_package import RECORD_FILE, ExtractedPackage
from kaa.package_cache.fetch import ensure
from kaa.package_cache.holds import hold
from kaa.package_cache.measure import has_links_outside, measure, size_of
from kaa.package_cache.needs import Needs, UnknownEnvironment
from kaa.package_cache.removing import CleanFailed, execute_clean
from kaa.package_cache.roots import mark_used
from kaa.package_cache.validate import find_damage
from tests.archive.builders import tree
from tests.channels import serve
from tests.package_cache.fixtures import World, make_world
from tests.users import ALICE, BOB, User, let_others_in, needs_root

EVERYTHING = CleanRequest(archives=True, packages=True, index_cache=True, temporary=True)
PACKAGES = CleanRequest(packages=True)
ARCHIVES = CleanRequest(archives=True)
LEFTOVERS = CleanRequest(temporary=True)
DAY = 24 * 3600.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "channel", 4)


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache([tmp_path / "pkgs"])


@pytest.fixture
def packages(world: World, cache: PackageCache) -> list[ExtractedPackage]:
    return fill(world, cache)


def fill(world: World, cache: PackageCache) -> list[ExtractedPackage]:
    with serve(world.channel.folder) as server, HttpClient(HttpSettings(), environ={}) as client:
        records = sorted(world.records(server.url), key=lambda record: record.name)
        return ensure(records, cache, client)


def names(plan: CleanPlan) -> set[str]:
    return {removable.path.name for removable in plan.all()}


def kept(plan: CleanPlan) -> dict[str, tuple[str, ...]]:
    return {one.path.name: one.reasons for one in plan.kept}


def content(directory: Path) -> set[str]:
    """What lies in a cache directory, kaa's own directories aside."""
    return {path.name for path in directory.iterdir() if path.name not in (".locks", ".holds", ".trash")}


def test_planning_changes_nothing(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    before = tree(cache.directories[0])
    plan = plan_clean(cache, EVERYTHING)
    assert tree(cache.directories[0]) == before
    assert plan.size == sum(removable.size for removable in plan.all()) > 0


def test_each_kind_by_itself(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    directory = cache.directories[0]
    (directory / "cache").mkdir()
    (directory / "cache" / "1234abcd.json").write_bytes(bytes(100))
    (directory / "x-1-0.conda.partial").write_bytes(bytes(10))
    (directory / ".x-1-0.abcd.kaa~").mkdir()
    (directory / ".trash").mkdir(exist_ok=True)
    (directory / ".trash" / "12345678-y-1-0").mkdir()
    assert names(plan_clean(cache, CleanRequest())) == set()
    trash = {"12345678-y-1-0"}
    assert names(plan_clean(cache, ARCHIVES)) == trash | {found.record.fn for found in packages}
    assert names(plan_clean(cache, PACKAGES)) == trash | {found.record.dist for found in packages}
    assert names(plan_clean(cache, CleanRequest(index_cache=True))) == trash | {"cache"}
    assert plan_clean(cache, CleanRequest(index_cache=True)).size == 100
    assert names(plan_clean(cache, LEFTOVERS)) == trash | {"x-1-0.conda.partial", ".x-1-0.abcd.kaa~"}


def test_everything_goes_and_the_cache_still_works(
    world: World, cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    plan = plan_clean(cache, EVERYTHING)
    assert execute_clean(plan).given_back == plan.size
    assert content(cache.directories[0]) == {"urls.txt"}
    assert not list((cache.directories[0] / ".trash").iterdir())
    with HttpClient(environ={}) as client:
        assert len(ensure(world.records(), cache, client)) == 4


def test_packages_with_links_in_an_environment_stay(
    tmp_path: Path, cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    os.link(packages[1].directory / "lib" / "p1.txt", tmp_path / "linked")
    plan = plan_clean(cache, PACKAGES)
    assert names(plan) == {"p0-1.0-0", "p2-1.0-0", "p3-1.0-0"}
    assert kept(plan) == {"p1-1.0-0": ("its files are linked into an environment",)}


NEEDS = [
    # what is known of the need, whether the package of the cache (with sha256 and md5) stays
    ({"directory": "{pkgs}/p1-1.0-0"}, True),
    ({"directory": "{pkgs}/p1-1.0-0/"}, True),
    ({"directory": "{alias}/p1-1.0-0"}, True),
    ({"directory": "{pkgs}/p1-1.0-1"}, False),
    ({"directory": "/elsewhere/p1-1.0-0"}, False),
    ({"dist": "p1-1.0-0"}, True),
    ({"dist": "p1-1.0-0", "digest": "{sha256}"}, True),
    ({"dist": "p1-1.0-0", "digest": "{md5}"}, True),
    ({"dist": "p1-1.0-0", "digest": "0" * 64}, False),
    ({"dist": "p1-1.0-0", "digest": "0" * 32}, False),
    ({"dist": "p1-1.0-0", "digest": "https://mirror/p1-1.0-0.conda"}, True),
    ({"dist": "p1-1.0-1", "digest": "{sha256}"}, False),
]


@pytest.mark.parametrize(("need", "stays"), NEEDS)
def test_needed_packages_stay(
    tmp_path: Path, cache: PackageCache, packages: list[ExtractedPackage], need: dict[str, str], stays: bool
) -> None:
    (tmp_path / "alias").symlink_to(cache.directories[0])
    record = packages[1].record
    known = {
        "pkgs": str(cache.directories[0]),
        "alias": str(tmp_path / "alias"),
        "sha256": record.sha256,
        "md5": record.md5,
    }
    needs = Needs()
    needs.add("in use by x", **{key: text.format(**known) for key, text in need.items()})
    plan = plan_clean(cache, PACKAGES, needs)
    assert ("p1-1.0-0" in kept(plan)) is stays
    assert ("p1-1.0-0" in names(plan)) is not stays


def test_a_needed_package_that_cannot_say_which_it_is_stays(
    cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    (packages[1].directory / RECORD_FILE).unlink()
    needs = Needs()
    needs.add("in use by x", dist="p1-1.0-0", digest="0" * 64)
    assert "p1-1.0-0" in kept(plan_clean(cache, PACKAGES, needs))


def test_a_needed_archive_stays_when_it_is_all_there_is(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    needs = Needs()
    needs.add("generation 1 of x", dist="p1-1.0-0", digest=packages[1].record.sha256 or "")
    assert packages[1].record.fn in names(plan_clean(cache, ARCHIVES, needs))
    execute_clean(plan_clean(cache, PACKAGES))
    assert kept(plan_clean(cache, ARCHIVES, needs)) == {packages[1].record.fn: ("generation 1 of x",)}


def test_nothing_goes_that_an_unknown_environment_may_need(
    cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    needs = Needs()
    needs.unknown.append(UnknownEnvironment("/disk/env", "/disk is not there"))
    plan = plan_clean(cache, PACKAGES, needs)
    assert plan.packages == ()
    assert [one.path for one in plan.unknown] == ["/disk/env"]
    assert set(kept(plan).values()) == {("/disk/env may need it (/disk is not there)",)}
    needs.unknown[0] = UnknownEnvironment("/disk/env", "it is closed", frozenset({str(cache.directories[0])}))
    assert len(plan_clean(cache, PACKAGES, needs).packages) == 4


def test_links_within_a_package_do_not_count(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "a").write_bytes(bytes(50))
    os.link(package / "a", package / "b")
    (package / "link").symlink_to("a")
    assert not has_links_outside(package)
    assert size_of(package) == 50 + (package / "link").lstat().st_size
    os.link(package / "a", tmp_path / "c")
    assert has_links_outside(package)
    assert measure(package).given_back == (package / "link").lstat().st_size
    assert measure(package, tmp_path / "c").given_back == size_of(package)
    assert measure(tmp_path / "missing").size == 0


def test_an_archive_with_another_name_gives_nothing_back(
    tmp_path: Path, cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    [first, *_] = plan_clean(cache, ARCHIVES).archives
    assert first.size == first.path.stat().st_size > 0
    os.link(first.path, tmp_path / "mirrored")
    assert plan_clean(cache, ARCHIVES).archives[0].size == 0


def test_bytecode_counts_and_goes_with_its_package(
    tmp_path: Path, cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    made = packages[1].bytecode_directory("cpython-312")
    made.mkdir(parents=True)
    (made / "x.pyc").write_bytes(bytes(1000))
    before = plan_clean(cache, PACKAGES)
    os.link(made / "x.pyc", tmp_path / "linked.pyc")
    assert "p1-1.0-0" not in names(plan_clean(cache, PACKAGES))
    (tmp_path / "linked.pyc").unlink()
    execute_clean(before)
    assert not made.exists()


def test_bytecode_without_its_package_is_a_leftover(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    directory = cache.directories[0]
    for name in ("gone-1-0", packages[0].directory.name, "0123abcd"):
        (directory / ".bytecode" / name / "cpython-312").mkdir(parents=True)
    assert names(plan_clean(cache, LEFTOVERS)) == {"gone-1-0"}
    execute_clean(plan_clean(cache, LEFTOVERS))
    assert {path.name for path in (directory / ".bytecode").iterdir()} == {packages[0].directory.name, "0123abcd"}


def test_only_writable_directories_are_touched_and_missing_ones_are_fine(tmp_path: Path) -> None:
    assert plan_clean(PackageCache([tmp_path / "missing"]), EVERYTHING) == CleanPlan()
    assert not (tmp_path / "missing").exists()


# -- how much --------------------------------------------------------------------------------------------------------


def use(package: ExtractedPackage, days_ago: float) -> None:
    """Set when a package was last used."""
    moment = time.time() - days_ago * DAY
    os.utime(package.directory / RECORD_FILE, (moment, moment))


def test_by_age(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    for package, days in zip(packages, (0.5, 10, 40, 400), strict=True):
        use(package, days)
    for days, gone in ((0.1, {"p0", "p1", "p2", "p3"}), (1, {"p1", "p2", "p3"}), (30, {"p2", "p3"}), (500, set())):
        plan = plan_clean(cache, CleanRequest(packages=True, unused_since=time.time() - days * DAY))
        assert {name.split("-")[0] for name in names(plan)} == gone
    mark_used(packages[2:])
    plan = plan_clean(cache, CleanRequest(packages=True, unused_since=time.time() - 30 * DAY))
    assert names(plan) == set()


def test_by_size_least_recently_used_first(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    for package, days in zip(packages, (3, 1, 4, 2), strict=True):
        use(package, days)
    sizes = {one.path.name: one.size for one in plan_clean(cache, PACKAGES).packages}
    total = size_of(cache.directories[0])
    order = ["p2-1.0-0", "p0-1.0-0", "p3-1.0-0", "p1-1.0-0"]
    for count in range(5):
        left = total - sum(sizes[name] for name in order[:count])
        for limit in (left, left + sizes[order[count - 1]] - 1 if count else left):
            plan = plan_clean(cache, CleanRequest(packages=True, max_size=limit))
            assert names(plan) == set(order[:count])
            assert plan.total == total
    # What is in use is not enough reason to remove anything else.
    assert names(plan_clean(cache, CleanRequest(packages=True, max_size=0))) == set(order)
    execute_clean(plan_clean(cache, CleanRequest(packages=True, max_size=total - 1)))
    assert size_of(cache.directories[0]) < total
    assert not packages[2].directory.exists()
    assert packages[0].directory.exists()


# -- beside others ---------------------------------------------------------------------------------------------------


def test_what_another_process_works_on_stays(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    directory = cache.directories[0]
    partial = directory / "p1-1.0-0.conda.partial"
    partial.write_bytes(b"half")
    (directory / ".p1-1.0-0.0123abcd.kaa~").mkdir()
    events: list[Event] = []
    program = f"""
import sys
from pathlib import Path
from kaa.host.locks import file_lock
with file_lock(Path({str(directory / ".locks" / "p1-1.0-0.lock")!r})):
    print("locked", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        execute_clean(plan_clean(cache, EVERYTHING), events.append)
        holder.communicate(b"")
    stays = {"p1-1.0-0.conda.partial", ".p1-1.0-0.0123abcd.kaa~", "p1-1.0-0.conda", "p1-1.0-0"}
    assert content(directory) == {*stays, "urls.txt"}
    assert {Path(event.text.split(" stays")[0]).name for event in events if isinstance(event, Warned)} == stays
    with file_lock(directory / ".locks" / "p0-1.0-0.lock", timeout=0):
        # Somebody else's lock is no reason to keep this one.
        execute_clean(plan_clean(cache, EVERYTHING))
    assert content(directory) == {"urls.txt"}


def test_what_is_held_stays(world: World, cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    (cache.directories[0] / "p1-1.0-0.conda.partial").write_bytes(b"half")
    before = plan_clean(cache, EVERYTHING)
    with hold(cache, [world.record("p1"), world.record("p2")]):
        plan = plan_clean(cache, EVERYTHING)
        stays = {"p1-1.0-0", "p1-1.0-0.conda", "p1-1.0-0.conda.partial", "p2-1.0-0", "p2-1.0-0.tar.bz2"}
        assert set(kept(plan)) == stays
        assert all(f"held by process {os.getpid()}" in reason for [reason] in kept(plan).values())
        # The hold began after the plan was made.
        done = execute_clean(before)
        assert {path.name for path, _ in done.stayed} == stays
        assert content(cache.directories[0]) == {*stays, "urls.txt"}


def test_what_was_used_since_it_was_planned_stays(
    tmp_path: Path, cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    for package in packages:
        use(package, 1)
    plan = plan_clean(cache, PACKAGES)
    mark_used(packages[:1])
    os.link(packages[1].directory / "lib" / "p1.txt", tmp_path / "linked")
    done = execute_clean(plan)
    assert {path.name for path, _ in done.stayed} == {"p0-1.0-0", "p1-1.0-0"}
    assert content(cache.directories[0]) >= {"p0-1.0-0", "p1-1.0-0"}
    assert done.given_back == sum(one.size for one in plan.packages[2:])


def test_locks_that_nobody_holds_go_in_time(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    locks = cache.directories[0] / ".locks"
    for path in locks.iterdir():
        path.unlink()
    long_ago = time.time() - 2 * DAY
    for name in ("held.lock", "old.lock", "young.lock"):
        (locks / name).touch()
    program = f"""
import sys
from pathlib import Path
from kaa.host.locks import file_lock
with file_lock(Path({str(locks / "held.lock")!r})):
    print("locked", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"locked\n"
        for name in ("held.lock", "old.lock"):
            os.utime(locks / name, (long_ago, long_ago))
        plan = plan_clean(cache, LEFTOVERS)
        assert names(plan) == {"held.lock", "old.lock"}
        execute_clean(plan)
        assert {path.name for path in locks.iterdir()} == {"held.lock", "young.lock"}
        holder.communicate(b"")


def test_the_index_cache_goes_entry_by_entry(cache: PackageCache) -> None:
    folder = cache.writable_directory() / "cache"
    one, other = "0123456789abcdef", "fedcba9876543210"
    for entry in (one, other):
        (folder / f"{entry}.shards").mkdir(parents=True)
        for name in (f"{entry}.state", f"{entry}-0123.body", f"{entry}.shards/{entry * 4}", f"{entry}.lock"):
            (folder / name).write_bytes(bytes(10))
    (folder / "497deca9.json").write_bytes(bytes(10))
    plan = plan_clean(cache, CleanRequest(index_cache=True))
    with file_lock(folder / f"{other}.lock"):
        done = execute_clean(plan)
    assert {path.name for path, _ in done.stayed} == {f"{other}.state", f"{other}-0123.body", f"{other}.shards"}
    left = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert left == {
        f"{other}.state",
        f"{other}-0123.body",
        f"{other}.shards/{other * 4}",
        f"{other}.lock",
        f"{one}.lock",
    }
    assert (folder / f"{one}.shards").is_dir(), "somebody may be about to write there"


# -- failures and kills ------------------------------------------------------------------------------------------------


def test_what_cannot_be_removed_is_named(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    plan = plan_clean(cache, ARCHIVES)
    # In place of the file, something that cannot be removed.
    too_long = plan.archives[1].path.with_name("x" * 300)
    changed = CleanPlan(
        archives=(plan.archives[0], Removable(too_long, 1, "archive"), *plan.archives[2:]),
        directories=plan.directories,
    )
    plan.archives[1].path.unlink()
    with pytest.raises(CleanFailed, match="x" * 300):
        execute_clean(changed)
    # The others went.
    assert names(plan_clean(cache, ARCHIVES)) == set()


def sound_or_gone(cache: PackageCache, world: World) -> None:
    """Every package that looks whole is whole, and everything can be had again."""
    for package in cache.iter_packages():
        assert find_damage(package, "hashes") is None
    with HttpClient(environ={}) as client:
        for package in ensure(world.records(), cache, client, check="hashes"):
            assert find_damage(package, "hashes") is None


def test_a_clean_that_is_killed_at_any_step_leaves_whole_packages_and_the_next_one_finishes(
    tmp_path: Path,
) -> None:
    world = make_world(tmp_path / "channel", 2)
    steps = 0
    while True:
        cache = PackageCache([tmp_path / f"pkgs{steps}"])
        fill(world, cache)[1].bytecode_directory("cpython-312").mkdir(parents=True)
        child = os.fork()
        if child == 0:
            killed_at(steps, cleaning(cache, EVERYTHING))
        _, status = os.waitpid(child, 0)
        for package in cache.iter_packages():
            assert find_damage(package, "hashes") is None
        execute_clean(plan_clean(cache, EVERYTHING))
        assert content(cache.directories[0]) == {".bytecode", "urls.txt"}
        assert not [*(cache.directories[0] / ".trash").iterdir(), *(cache.directories[0] / ".bytecode").iterdir()]
        sound_or_gone(cache, world)
        if status == 0:
            break
        steps += 1
    assert steps > 10


def test_who_does_not_wait_at_the_gate_gets_back_what_was_taken(
    world: World, cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    holds = cache.directories[0] / ".holds"
    with contextlib.ExitStack() as stack:

        def checkpoint(step: str) -> None:
            # As where locks cannot be shared.
            if step.endswith("p1-1.0-0") and not list(holds.glob("*.names")):
                stack.enter_context(file_lock(holds / f"host-{os.getpid()}-1.lock"))
                (holds / f"host-{os.getpid()}-1.names").write_text("p1-1.0-0\n")

        done = execute_clean(plan_clean(cache, PACKAGES), checkpoint=checkpoint)
    assert [path.name for path, _ in done.stayed] == ["p1-1.0-0"]
    assert {package.record.name for package in cache.iter_packages()} == {"p1"}
    sound_or_gone(cache, world)


@needs_root
def test_packages_of_a_lower_layer_are_deleted_where_they_lie(tmp_path: Path, world: World) -> None:
    layers = [tmp_path / name for name in ("lower", "upper", "work", "merged")]
    for layer in layers:
        layer.mkdir()
    fill(world, PackageCache([layers[0]]))
    options = "lowerdir={},upperdir={},workdir={}".format(*layers)
    words = ["mount", "-t", "overlay", "overlay", "-o", options, str(layers[3])]
    if subprocess.run(words, capture_output=True).returncode:
        pytest.skip("no layers can be mounted here")
    try:
        cache = PackageCache([layers[3]])
        for steps in (3, 5, 9, 10**6):
            child = os.fork()
            if child == 0:
                killed_at(steps, cleaning(cache, PACKAGES))
            os.waitpid(child, 0)
            for package in cache.iter_packages():
                assert find_damage(package, "hashes") is None
        assert content(layers[3]) == {"urls.txt", *(record.fn for record in world.records())}
    finally:
        subprocess.run(["umount", str(layers[3])], check=True)


def cleaning(cache: PackageCache, request: CleanRequest) -> Callable[[Callable[[str], None]], object]:
    return lambda checkpoint: execute_clean(plan_clean(cache, request), checkpoint=checkpoint)


def killed_at(steps: int, work: Callable[[Callable[[str], None]], object]) -> None:
    """Do some work in a process that kills itself before the step of that number, and that ends in any case."""
    left = steps

    def checkpoint(step: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    try:
        work(checkpoint)
    finally:
        os._exit(0)


def test_two_cleans_at_once(tmp_path: Path, world: World) -> None:
    cache = PackageCache([tmp_path / "pkgs"])
    for _ in range(5):
        fill(world, cache)
        children = []
        for _ in range(3):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    execute_clean(plan_clean(cache, EVERYTHING))
                    code = 0
                finally:
                    os._exit(code)
            children.append(child)
        assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
        assert content(cache.directories[0]) == {"urls.txt"}
        assert not list((cache.directories[0] / ".trash").iterdir())


# -- users -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path, world: World) -> Path:
    """A directory that others get to; what their processes load is loaded, as they may not read where it is."""
    let_others_in(tmp_path)
    fill(world, PackageCache([tmp_path / "loaded"]))
    return tmp_path


@needs_root
def test_read_only_packages_are_removed_by_their_owner(shared: Path, world: World) -> None:
    cache = PackageCache([ALICE.directory(shared / "pkgs")])

    def work() -> set[str]:
        for package in fill(world, cache):
            for folder in (package.directory, *filter(Path.is_dir, package.directory.rglob("*"))):
                folder.chmod(0o555)
        execute_clean(plan_clean(cache, EVERYTHING))
        return content(cache.directories[0])

    assert ALICE.does(work) == {"urls.txt"}


@needs_root
@pytest.mark.parametrize("mode", [0o775, 0o1775])
def test_packages_of_others_stay_and_that_is_no_failure(shared: Path, world: World, mode: int) -> None:
    group = 20500
    alice, bob = User(ALICE.uid, (group,)), User(BOB.uid, (group,))
    directory = shared / "pkgs"
    directory.mkdir()
    os.chown(directory, 0, group)
    directory.chmod(mode)
    cache = PackageCache([directory])
    others = len(alice.does(lambda: fill(world, cache)))

    def work() -> tuple[set[str], set[str]]:
        plan = plan_clean(cache, PACKAGES)
        execute_clean(plan)
        return names(plan), {reason for reasons in kept(plan).values() for reason in reasons}

    removed, reasons = bob.does(work)
    assert removed == set()
    assert reasons == {f"it belongs to {ALICE.uid}, and you cannot remove it"}
    assert len(list(cache.iter_packages())) == others
    assert alice.does(lambda: execute_clean(plan_clean(cache, EVERYTHING)).given_back) > 0
    assert content(directory) == {"urls.txt"}


@needs_root
def test_a_cache_that_is_only_read_is_said_to_be(shared: Path, world: World) -> None:
    cache = PackageCache([ALICE.directory(shared / "pkgs"), BOB.directory(shared / "own")])
    ALICE.does(lambda: len(fill(world, cache)))
    plan = BOB.does(lambda: plan_clean(cache, EVERYTHING))
    assert plan.closed == (cache.directories[0],)
    assert plan.all() == ()


def test_a_use_is_noted(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    use(packages[0], 5)
    before = stamp_of(packages[0].directory)
    mark_used(packages[:1])
    assert stamp_of(packages[0].directory) > before
