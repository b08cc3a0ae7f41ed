"""Several packages want one path."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.transaction.clobber import PathConflictError, original_path
from tests.channels import File, Package, Symlink
from tests.transaction.world import SITE, TAG, World, contents, python_package, tree

FIRST = Package("first", files={"share/x": "first", "share/first": "1"})
SECOND = Package("second", files={"share/x": "second", "share/second": "2"})
LATER = Package("a-later", depends=["first", "second"], files={"share/x": "later"})


@pytest.mark.parametrize("order", [(FIRST, SECOND, LATER), (LATER, SECOND, FIRST), (SECOND, LATER, FIRST)])
def test_the_order_of_installation_does_not_matter(world: World, order: tuple[Package, ...]) -> None:
    for count in range(1, 4):
        world.install(*order[:count])
    assert world.text("share/x") == "later"
    assert contents(world.prefix) == {
        "share/x": "later",
        "share/first": "1",
        "share/second": "2",
        "__clobbers__/first/share/x": "first",
        "__clobbers__/second/share/x": "second",
    }


def test_the_losers_come_back_one_after_the_other(world: World) -> None:
    world.install(FIRST, SECOND, LATER)
    world.install(FIRST, SECOND)
    assert contents(world.prefix) == {
        "share/x": "second",
        "share/first": "1",
        "share/second": "2",
        "__clobbers__/first/share/x": "first",
    }
    assert world.record("second").files == ("share/x", "share/second")
    world.install(FIRST)
    assert contents(world.prefix) == {"share/x": "first", "share/first": "1"}


def test_empty_directories_of_other_programs_go(world: World, tmp_path: Path) -> None:
    world.install(FIRST, SECOND)
    (world.prefix / "__clobbers__/second/share").mkdir(parents=True)
    world.install(FIRST)
    assert not (world.prefix / "__clobbers__").exists()
    outside = tmp_path / "outside"
    (outside / "empty").mkdir(parents=True)
    (world.prefix / "__clobbers__").symlink_to(outside)
    world.install()
    assert (outside / "empty").is_dir()


def test_the_record_says_where_a_file_belongs(world: World) -> None:
    world.install(FIRST, SECOND)
    record = world.record("first")
    assert record.files[0] == "__clobbers__/first/share/x"
    assert record.paths_data.paths[0].path == "__clobbers__/first/share/x"
    assert record.paths_data.paths[0].original_path == "share/x"
    world.install(FIRST)
    assert world.record("first").paths_data.paths[0].original_path is None


def test_a_loser_that_goes_takes_its_file_along(world: World) -> None:
    world.install(FIRST, SECOND)
    world.install(SECOND)
    assert contents(world.prefix) == {"share/x": "second", "share/second": "2"}


def test_upgrades_keep_to_the_order(world: World) -> None:
    world.install(FIRST, SECOND)
    world.install(Package("first", "2.0", files={"share/x": "first 2"}), SECOND)
    assert world.text("share/x") == "second"
    world.install(
        Package("first", "2.0", files={"share/x": "first 2"}), Package("second", "2.0", files={"share/y": "y"})
    )
    assert contents(world.prefix) == {"share/x": "first 2", "share/y": "y"}


@pytest.mark.parametrize("mode", ["clobber", "warn"])
def test_how_a_conflict_is_told(world: World, mode: str) -> None:
    world.install(FIRST, SECOND, path_conflict=mode)
    told = world.warnings() if mode == "warn" else world.notes()
    assert any("share/x: second takes the place of first" in text for text in told)
    world.events.clear()
    # What was told once is not told at every later change.
    world.install(FIRST, SECOND, Package("third"), path_conflict=mode)
    world.install(FIRST, Package("second", "2.0", files={"share/x": "2"}), path_conflict=mode)
    assert not [text for text in (*world.warnings(), *world.notes()) if "takes the place" in text]


def test_a_conflict_can_be_prevented(world: World) -> None:
    with pytest.raises(PathConflictError, match="share/x: second takes the place of first"):
        world.install(FIRST, SECOND, path_conflict="prevent")
    assert not world.prefix.exists()
    world.install(FIRST, path_conflict="prevent")
    before = tree(world.prefix)
    with pytest.raises(PathConflictError):
        world.install(FIRST, SECOND, path_conflict="prevent")
    assert tree(world.prefix) == before


def test_equal_files_are_no_conflict(world: World) -> None:
    one, two = (Package(name, files={"share/x": "same", f"share/{name}": name}) for name in ("one", "two"))
    world.install(one, path_conflict="prevent")
    world.install(one, two, path_conflict="prevent")
    assert world.text("share/x") == "same"
    world.install(one, path_conflict="prevent")
    assert contents(world.prefix) == {"share/x": "same", "share/one": "one"}


def test_a_file_that_nobody_owns_is_kept_and_comes_back(world: World) -> None:
    world.install()
    (world.prefix / "share").mkdir()
    (world.prefix / "share/x").write_text("of the user")
    world.install(FIRST)
    assert world.text("share/x") == "first"
    assert world.text("__clobbers__/__unowned__/share/x") == "of the user"
    assert any("share/x: first takes the place of a file that no package brought" in note for note in world.notes())
    world.install(FIRST, SECOND)
    world.install(FIRST)
    assert world.text("share/x") == "first"
    world.install()
    assert contents(world.prefix) == {"share/x": "of the user"}


def test_a_file_that_nobody_owns_can_be_protected(world: World) -> None:
    world.install()
    (world.prefix / "share").mkdir()
    (world.prefix / "share/x").write_text("of the user")
    with pytest.raises(PathConflictError, match="a file that no package brought"):
        world.install(FIRST, path_conflict="prevent")
    (world.prefix / "share/x").write_text("first")
    world.install(FIRST, path_conflict="prevent")
    assert contents(world.prefix) == {"share/x": "first", "share/first": "1"}


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"share/x": "file"}, {"share/x/y": "below"}),
        ({"share/x/y": "below"}, {"share/x": "file"}),
        ({"share": "file"}, {"share/x/y": "below"}),
    ],
)
@pytest.mark.parametrize("together", [True, False])
def test_a_file_cannot_be_a_directory(world: World, one: dict[str, str], two: dict[str, str], together: bool) -> None:
    packages = (Package("one", files=one), Package("two", files=two))
    if not together:
        world.install(packages[0])
    before = tree(world.prefix)
    with pytest.raises(PathConflictError, match="is a file for one and a directory for the other"):
        world.install(*packages)
    assert tree(world.prefix) == before
    assert world.prefix.exists() is not together


def test_a_directory_of_the_user_is_in_the_way(world: World) -> None:
    world.install()
    (world.prefix / "share/x").mkdir(parents=True)
    (world.prefix / "share/x/mine").write_text("mine")
    with pytest.raises(PathConflictError, match="directory for the other"):
        world.install(FIRST)
    (world.prefix / "share/x/mine").unlink()
    world.install(FIRST)
    assert world.text("share/x") == "first"


def test_a_link_to_a_directory_may_serve_as_one(world: World) -> None:
    owner = Package("zz-owner", files={"lib/real": "r", "lib64": Symlink("lib")})
    user = Package("user", files={"lib64/below/it": "it"})
    world.install(owner, user)
    assert world.text("lib/below/it") == "it"
    world.install()
    assert contents(world.prefix) == {}
    world.install(owner)
    world.install(owner, user)
    assert world.text("lib/below/it") == "it"


def test_case_decides_by_the_target(tmp_path: Path) -> None:
    upper, lower = Package("upper", files={"share/File": "upper"}), Package("zlower", files={"share/file": "lower"})
    linux = World(tmp_path / "linux")
    linux.install(upper, lower)
    assert contents(linux.prefix) == {"share/File": "upper", "share/file": "lower"}
    mac = World(tmp_path / "mac", subdir="osx-arm64")
    mac.install(upper, lower)
    assert contents(mac.prefix) == {"share/file": "lower", "__clobbers__/upper/share/File": "upper"}
    mac.install(upper)
    assert contents(mac.prefix) == {"share/File": "upper"}


def test_bytecode_goes_with_its_module(world: World) -> None:
    one = Package("one", noarch="python", files={"site-packages/m.py": "WHO = 'one'\n"})
    two = Package("two", noarch="python", files={"site-packages/m.py": "this is no python\n"})
    place = f"{SITE}/__pycache__/m.{TAG}.pyc"
    world.install(python_package(), one)
    assert (world.prefix / place).is_file()
    world.install(python_package(), one, two)
    assert world.text(f"{SITE}/m.py") == "this is no python\n"
    assert not (world.prefix / place).exists()
    assert (world.prefix / "__clobbers__/one" / place).is_file()
    world.install(python_package(), one)
    assert (world.prefix / place).is_file()
    world.install()
    assert contents(world.prefix) == {}


def test_entry_points_take_part(world: World) -> None:
    packages = [
        Package(name, noarch="python", entry_points=[f"tool = {name}:main"], files={f"site-packages/{name}.py": ""})
        for name in ("one", "two")
    ]
    world.install(python_package(), *packages)
    assert "from two import main" in world.text("bin/tool")
    world.install(python_package(), packages[0])
    assert "from one import main" in world.text("bin/tool")


PATHS = st.sampled_from(["a", "b", "d/a", "d/b", "e/f/a"])
NAMES = ("ant", "bee", "cat", "dog")


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Package], list[tuple[int, ...]]]:
    """Some packages with paths in common, and the sets of them that an environment goes through."""
    packages = [
        Package(
            name,
            depends=draw(st.sets(st.sampled_from(NAMES[:position]))) if position else [],  # type: ignore[arg-type]
            files={path: draw(content(name)) for path in draw(st.sets(PATHS, min_size=1))},
        )
        for position, name in enumerate(NAMES)
    ]
    for package in packages:
        package.depends = sorted(package.depends)
    states = draw(st.lists(st.sets(st.integers(0, 3)).map(lambda state: tuple(sorted(state))), min_size=1, max_size=6))
    return packages, states


def content(name: str) -> st.SearchStrategy[File | Symlink]:
    return st.sampled_from([File(name.encode()), File(b"same"), Symlink("nowhere"), File(name.encode(), no_link=True)])


@settings(max_examples=40, deadline=None)
@given(histories(), st.booleans())
def test_whatever_the_history_the_packages_are_intact(
    history: tuple[list[Package], list[tuple[int, ...]]], foreign: bool
) -> None:
    packages, states = history
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder, "world"))
        world.install()
        if foreign:
            (world.prefix / "d").mkdir()
            (world.prefix / "d/a").write_text("of the user")
        for state in states:
            world.install(*(packages[number] for number in state))
            check_intact(world, [packages[number] for number in state])
            # The same set in a new environment gives the same files.
            if not foreign:
                other = World(Path(folder, f"other{len(list(Path(folder).iterdir()))}"))
                other.install(*(packages[number] for number in state))
                assert contents(world.prefix) == contents(other.prefix)
        world.install()
        assert contents(world.prefix) == ({"d/a": "of the user"} if foreign else {})


def check_intact(world: World, packages: list[Package]) -> None:
    """Every path has the content of one of its packages, and every package has all its files somewhere."""
    for package in packages:
        record = world.record(package.name)
        assert sorted(original_path(path) or path for path in record.files) == sorted(package.files)
        for path in record.files:
            entry = package.entries()[original_path(path) or path]
            present = world.prefix / path
            if isinstance(entry, Symlink):
                assert str(present.readlink()) == entry.target
            else:
                assert present.read_bytes() == entry.content


def test_the_second_file_that_loses_a_place_is_kept_beside_the_first(world: World) -> None:
    world.install()
    kept = world.prefix / "__clobbers__/__unowned__/share"
    kept.mkdir(parents=True)
    (kept / "x").write_text("lost its place long ago")
    (world.prefix / "share").mkdir(exist_ok=True)
    (world.prefix / "share/x").write_text("of the user")
    world.install(Package("x", files={"share/x": "of the package"}))
    assert world.text("share/x") == "of the package"
    assert (kept / "x").read_text() == "lost its place long ago"
    assert (kept / "x.1").read_text() == "of the user"
