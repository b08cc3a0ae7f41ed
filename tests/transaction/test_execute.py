"""Whole transactions on real directories."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from kaa.errors import KaaError
from kaa.prefix.history import read_history
from kaa.prefix.prefix import Prefix
from kaa.transaction.plan import Change, Install, Reinstall, Remove
from tests.channels import File, Package, Symlink
from tests.transaction.world import SITE, TAG, World, contents, python_package, tree

PLACE = "/opt/place_of_the_builder_" + "x" * 200

TOOL = Package(
    "tool",
    "1.0",
    files={
        "bin/tool": File(f"#!{PLACE}/bin/python\nprint('{PLACE}')\n".encode(), mode=0o755, placeholder=PLACE),
        "lib/libtool.so.1": File(b"\x7fELF" + f"{PLACE}/lib\0rest".encode(), placeholder=PLACE, binary=True),
        "lib/libtool.so": Symlink("libtool.so.1"),
        "share/tool/data": "data\n",
        "etc/tool.conf": File(b"setting = 1\n", no_link=True),
    },
)
LIBRARY = Package(
    "library",
    noarch="python",
    depends=["python"],
    files={"site-packages/library/__init__.py": "VALUE = 7\n", "python-scripts/library-tool": "#!/bin/sh\n"},
    entry_points=["library = library.cli:main"],
)


def test_every_kind_of_file_comes_in_its_way(world: World) -> None:
    world.install(TOOL)
    assert world.text("bin/tool") == f"#!{world.prefix}/bin/python\nprint('{world.prefix}')\n"
    assert (world.prefix / "bin/tool").stat().st_mode & 0o777 == 0o755
    library = (world.prefix / "lib/libtool.so.1").read_bytes()
    assert library.startswith(b"\x7fELF" + os.fsencode(world.prefix) + b"/lib\0")
    assert library.endswith(b"\0rest")
    assert len(library) == len(TOOL.entries()["lib/libtool.so.1"].content)  # type: ignore[union-attr]
    assert str((world.prefix / "lib/libtool.so").readlink()) == "libtool.so.1"
    cached = world.cache / TOOL.dist
    assert (world.prefix / "share/tool/data").samefile(cached / "share/tool/data")
    assert not (world.prefix / "etc/tool.conf").samefile(cached / "etc/tool.conf")
    assert not (world.prefix / "bin/tool").samefile(cached / "bin/tool")


def test_a_new_environment_is_one_for_conda(world: World) -> None:
    world.install(TOOL, command="/opt/kaa/bin/kaa create -n demo tool")
    assert world.text("conda-meta/history").splitlines()[1] == "# cmd: /opt/kaa/bin/kaa create -n demo tool"
    assert read_history(Prefix(world.prefix)).revisions[0].linked == (
        "https://channel.example/demo/linux-64::tool-1.0-0",
    )
    assert float(world.text("conda-meta/created_at")) > 0
    assert sorted(path.name for path in (world.prefix / "conda-meta").glob(".kaa-*")) == [".kaa-lock"]


def test_an_empty_environment_can_be_made(world: World) -> None:
    world.perform(world.plan(command="kaa create"))
    assert Prefix(world.prefix).is_environment()
    assert contents(world.prefix) == {}


def test_noarch_python_goes_where_python_looks(world: World) -> None:
    world.install(python_package(), LIBRARY)
    assert world.text(f"{SITE}/library/__init__.py") == "VALUE = 7\n"
    assert world.text("bin/library-tool") == "#!/bin/sh\n"
    assert world.text("bin/library").startswith(f"#!{world.prefix}/bin/python")
    files = world.record("library").files
    assert set(files) == {
        f"{SITE}/library/__init__.py",
        f"{SITE}/library/__pycache__/__init__.{TAG}.pyc",
        "bin/library-tool",
        "bin/library",
    }
    assert all((world.prefix / path).is_file() for path in files)


def test_removing_leaves_nothing_but_the_history(world: World) -> None:
    world.install(python_package(), LIBRARY, TOOL)
    world.install()
    left = set(tree(world.prefix))
    generations = {"conda-meta/generations", "conda-meta/generations/1.json", "conda-meta/generations/2.json"}
    assert left == {"conda-meta", "conda-meta/history", "conda-meta/created_at", *generations}


def test_files_of_the_user_stay(world: World) -> None:
    world.install(TOOL)
    (world.prefix / "share/tool/mine").write_text("mine")
    (world.prefix / "notes").write_text("notes")
    world.install()
    assert contents(world.prefix) == {"share/tool/mine": "mine", "notes": "notes"}


def test_a_missing_file_is_no_reason_to_fail(world: World) -> None:
    world.install(TOOL)
    (world.prefix / "share/tool/data").unlink()
    world.install()
    assert contents(world.prefix) == {}


def test_a_plan_for_what_is_there_is_empty(world: World) -> None:
    world.install(python_package(), LIBRARY, TOOL)
    before = tree(world.prefix)
    transaction = world.plan(python_package(), LIBRARY, TOOL)
    assert transaction.is_empty
    world.perform(transaction)
    assert tree(world.prefix) == before


def test_asking_again_for_the_same_changes_nothing(world: World) -> None:
    world.perform(world.plan(TOOL, requested_specs={"tool": "tool >=1"}))
    before = tree(world.prefix)
    world.perform(world.plan(TOOL, requested_specs={"tool": "tool >=1"}))
    assert tree(world.prefix) == before
    world.perform(world.plan(TOOL, requested_specs={"tool": "tool"}))
    assert world.record("tool").requested_specs == ("tool",)


def test_a_change_replaces_files_and_record(world: World) -> None:
    world.install(TOOL)
    newer = Package("tool", "2.0", files={"bin/tool": "new", "share/tool/more": "more"})
    world.install(newer)
    assert contents(world.prefix) == {"bin/tool": "new", "share/tool/more": "more"}
    assert [record.dist for record in Prefix(world.prefix).records()] == ["tool-2.0-0"]
    revision = read_history(Prefix(world.prefix)).revisions[-1]
    assert [text.split("::")[1] for text in (*revision.unlinked, *revision.linked)] == ["tool-1.0-0", "tool-2.0-0"]


def test_the_operations_of_a_change(world: World) -> None:
    world.install(TOOL, Package("gone"), Package("same"))
    transaction = world.plan(
        Package("tool", "2.0"), Package("same"), Package("new"), reinstall={"same"}, requested_specs={"new": "new >=1"}
    )
    kinds = {type(one): one for one in transaction.operations}
    assert set(kinds) == {Change, Reinstall, Install, Remove}


def test_a_new_python_takes_its_packages_along(world: World) -> None:
    world.install(python_package("3.8.0"), LIBRARY, interpreter=None, compile_bytecode=False)
    assert "lib/python3.8/site-packages/library/__init__.py" in contents(world.prefix)
    world.install(python_package("3.9.0"), LIBRARY, compile_bytecode=False)
    found = contents(world.prefix)
    assert "lib/python3.9/site-packages/library/__init__.py" in found
    assert not [path for path in found if "python3.8" in path]
    assert found["bin/library"].startswith(f"#!{world.prefix}/bin/python3.9")


def test_requests_are_kept_with_the_packages_and_in_the_history(world: World) -> None:
    world.perform(world.plan(TOOL, Package("zlib"), requested_specs={"tool": "tool >=1"}))
    assert world.record("tool").requested_specs == ("tool >=1",)
    assert world.record("zlib").requested_specs == ()
    path = world.prefix / "conda-meta" / "zlib-1.0-0.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "of_somebody_else": [1, 2]}))
    world.perform(world.plan(TOOL, Package("zlib"), requested_specs={"zlib": "zlib"}, removed_specs=["tool"]))
    assert world.record("tool").requested_specs == ()
    assert world.record("zlib").requested_specs == ("zlib",)
    assert json.loads(path.read_text())["of_somebody_else"] == [1, 2]
    assert read_history(Prefix(world.prefix)).requested_specs() == {"zlib": "zlib"}


def test_a_long_prefix_is_refused_before_anything_changes(world: World) -> None:
    deep = world.folder / ("d" * 120) / ("e" * 120)
    with pytest.raises(KaaError, match="too long"):
        world.install(TOOL, prefix=deep)
    assert not deep.parent.exists()


def test_reinstalling_repairs(world: World) -> None:
    world.install(TOOL)
    (world.prefix / "share/tool/data").unlink()
    (world.prefix / "etc/tool.conf").write_text("changed")
    world.perform(world.plan(TOOL, reinstall={"tool"}))
    assert world.text("etc/tool.conf") == "setting = 1\n"
    assert world.text("share/tool/data") == "data\n"


def test_copies_keep_the_time_and_the_cache_its_files(world: World) -> None:
    world.install(TOOL, always_copy=True)
    cached = world.cache / TOOL.dist / "share/tool/data"
    assert not (world.prefix / "share/tool/data").samefile(cached)
    assert (world.prefix / "share/tool/data").stat().st_mtime == cached.stat().st_mtime
    assert world.record("tool").link is not None
    assert int(world.record("tool").link.type) == 3  # type: ignore[union-attr]


def test_environments_are_registered(world: World, tmp_path: Path) -> None:
    registry = tmp_path / "home" / ".conda" / "environments.txt"
    world.install(TOOL, registry=registry)
    assert registry.read_text() == f"{world.prefix}\n"
