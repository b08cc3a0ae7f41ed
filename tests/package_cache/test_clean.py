"""What can be removed, and that nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kaa.events import Event, Warned
from kaa.host.locks import file_lock
from kaa.net.client import HttpClient
from kaa.net.settings import HttpSettings
from kaa.package_cache.cache import PackageCache
from kaa.package_cache.clean import CleanFailed, CleanPlan, execute_clean, has_links_outside, plan_clean, size_of
from kaa.package_cache.extracted_package import ExtractedPackage
from kaa.package_cache.fetch import ensure
from tests.archive.builders import tree
from tests.channels import serve
from tests.package_cache.fixtures import World, make_world


def plan_all(cache: PackageCache) -> CleanPlan:
    return plan_clean(cache, archives=True, packages=True, index_cache=True, temporary=True)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path / "channel", 4)


@pytest.fixture
def cache(tmp_path: Path) -> PackageCache:
    return PackageCache([tmp_path / "pkgs"])


@pytest.fixture
def packages(world: World, cache: PackageCache) -> list[ExtractedPackage]:
    with serve(world.channel.folder) as server, HttpClient(HttpSettings(), environ={}) as client:
        records = sorted(world.records(server.url), key=lambda record: record.name)
        return ensure(records, cache, client)


def names(plan: CleanPlan) -> set[str]:
    return {removable.path.name for removable in plan.all()}


def test_planning_changes_nothing(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    before = tree(cache.directories[0])
    plan = plan_all(cache)
    assert tree(cache.directories[0]) == before
    assert plan.size == sum(removable.size for removable in plan.all()) > 0


def test_each_kind_by_itself(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    directory = cache.directories[0]
    (directory / "cache").mkdir()
    (directory / "cache" / "1234abcd.json").write_bytes(bytes(100))
    (directory / "x-1-0.conda.partial").write_bytes(bytes(10))
    (directory / ".x-1-0.abcd.kaa~").mkdir()
    (directory / ".trash").mkdir()
    assert names(plan_clean(cache)) == set()
    assert names(plan_clean(cache, archives=True)) == {found.record.fn for found in packages}
    assert names(plan_clean(cache, packages=True)) == {found.record.dist for found in packages}
    assert names(plan_clean(cache, index_cache=True)) == {"cache"}
    assert plan_clean(cache, index_cache=True).size == 100
    assert names(plan_clean(cache, temporary=True)) == {"x-1-0.conda.partial", ".x-1-0.abcd.kaa~", ".trash"}


def test_everything_goes_and_the_cache_still_works(
    world: World, cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    plan = plan_all(cache)
    assert execute_clean(plan) == plan.size
    left = {path.name for path in cache.directories[0].iterdir() if path.name != ".locks"}
    assert left == {"urls.txt"}
    with HttpClient(environ={}) as client:
        assert len(ensure(world.records(), cache, client)) == 4


def test_packages_with_links_in_an_environment_stay(
    tmp_path: Path, cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    os.link(packages[1].directory / "lib" / "p1.txt", tmp_path / "linked")
    assert names(plan_clean(cache, packages=True)) == {"p0-1.0-0", "p2-1.0-0", "p3-1.0-0"}


def test_packages_that_environments_name_stay(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    in_use = [packages[0].directory, packages[3].directory]
    assert names(plan_clean(cache, packages=True, in_use=in_use)) == {"p1-1.0-0", "p2-1.0-0"}


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


def test_bytecode_counts_and_goes_with_its_package(
    tmp_path: Path, cache: PackageCache, packages: list[ExtractedPackage]
) -> None:
    made = packages[1].bytecode_directory("cpython-312")
    made.mkdir(parents=True)
    (made / "x.pyc").write_bytes(bytes(1000))
    before = plan_clean(cache, packages=True)
    os.link(made / "x.pyc", tmp_path / "linked.pyc")
    assert "p1-1.0-0" not in names(plan_clean(cache, packages=True))
    (tmp_path / "linked.pyc").unlink()
    execute_clean(before)
    assert not made.exists()


def test_only_writable_directories_are_touched_and_missing_ones_are_fine(tmp_path: Path) -> None:
    assert plan_all(PackageCache([tmp_path / "missing"])) == CleanPlan()
    assert not (tmp_path / "missing").exists()


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
        execute_clean(plan_all(cache), events.append)
        holder.communicate(b"")
    left = {path.name for path in directory.iterdir()}
    stays = {"p1-1.0-0.conda.partial", ".p1-1.0-0.0123abcd.kaa~", "p1-1.0-0.conda", "p1-1.0-0"}
    assert left == {*stays, ".locks", "urls.txt"}
    assert {Path(event.text.split(" stays")[0]).name for event in events if isinstance(event, Warned)} == stays
    with file_lock(directory / ".locks" / "p0-1.0-0.lock", timeout=0):
        # Somebody else's lock is no reason to keep this one.
        execute_clean(plan_all(cache))
    assert {path.name for path in directory.iterdir()} == {".locks", "urls.txt"}


def test_what_cannot_be_removed_is_named(cache: PackageCache, packages: list[ExtractedPackage]) -> None:
    plan = plan_clean(cache, archives=True)
    stubborn = plan.archives[1].path
    stubborn.unlink()
    # In place of the file, something that a file's removal cannot remove: a mount point would be such a thing.
    too_long = stubborn.with_name("x" * 300)
    changed = CleanPlan(archives=(plan.archives[0], type(plan.archives[0])(too_long, 1), *plan.archives[2:]))
    with pytest.raises(CleanFailed, match="x" * 300):
        execute_clean(changed)
    # The others went.
    assert names(plan_clean(cache, archives=True)) == set()
