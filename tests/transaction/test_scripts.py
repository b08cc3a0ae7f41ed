"""Link scripts, run by a real shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from kaa.transaction.scripts import LinkScriptFailed, printable, script_path
from tests.channels import File, Package
from tests.transaction.world import World, contents, tree


def scripted(action: str, text: str, version: str = "1.0", **fields: int) -> Package:
    return Package(
        "tool",
        version,
        build_number=fields.get("build_number", 0),
        files={f"bin/.tool-{action}.sh": File(text.encode(), mode=0o755), "share/tool": "tool"},
    )


VARIABLES = "for n in ROOT_PREFIX PREFIX SOURCE_DIR PKG_NAME PKG_VERSION PKG_BUILDNUM; do eval echo $n=\\$$n; done"


@pytest.mark.parametrize("action", ["post-link", "pre-link"])
def test_a_script_knows_where_it_is(world: World, action: str, tmp_path: Path) -> None:
    world.options = replace(world.options, root_prefix=tmp_path / "root")
    world.install(
        scripted(action, f"{VARIABLES} > $PREFIX/log\npwd >> $PREFIX/log\necho $PATH >> $PREFIX/log\n", build_number=3)
    )
    log = world.text("log").splitlines()
    home = world.prefix if action == "post-link" else world.cache / "tool-1.0-0"
    assert log[:7] == [
        f"ROOT_PREFIX={tmp_path / 'root'}",
        f"PREFIX={world.prefix}",
        f"SOURCE_DIR={world.cache / 'tool-1.0-0'}",
        "PKG_NAME=tool",
        "PKG_VERSION=1.0",
        "PKG_BUILDNUM=3",
        str(home / "bin"),
    ]
    assert log[7].startswith(f"{home / 'bin'}:")


def test_pre_unlink_sees_the_files(world: World) -> None:
    world.install(scripted("pre-unlink", "cat $PREFIX/share/tool > $PREFIX/seen\n"))
    world.install()
    assert contents(world.prefix) == {"seen": "tool"}


def test_scripts_run_in_the_order_of_dependencies(world: World) -> None:
    def package(name: str, *depends: str) -> Package:
        script = File(f"echo {name} >> $PREFIX/log\n".encode(), mode=0o755)
        return Package(name, depends=[*depends], files={f"bin/.{name}-post-link.sh": script})

    world.install(package("b"), package("a", "c"), package("c", "b"))
    assert world.text("log").split() == ["b", "c", "a"]


def test_what_a_script_says_is_handed_on_without_control_characters(world: World) -> None:
    world.install(scripted("post-link", "printf 'read this\\n\\033[31mred\\033[0m\\r\\n' > $PREFIX/.messages.txt\n"))
    assert world.messages() == ["read this\nred\n"]
    assert not (world.prefix / ".messages.txt").exists()


@pytest.mark.parametrize("action", ["post-link", "pre-link"])
def test_a_failing_script_stops_everything(world: World, action: str) -> None:
    world.install(Package("other", files={"share/other": "other"}))
    before = tree(world.prefix)
    text = "mkdir -p $PREFIX/made/here; echo x > $PREFIX/made/here/file; echo why it failed >&2; exit 3\n"
    with pytest.raises(LinkScriptFailed) as caught:
        world.install(scripted(action, text))
    assert (caught.value.package, caught.value.code) == ("tool-1.0-0", 3)
    assert "why it failed" in str(caught.value)
    assert tree(world.prefix) == before


def test_a_script_of_a_new_environment_leaves_nothing(world: World) -> None:
    with pytest.raises(LinkScriptFailed):
        world.install(scripted("post-link", "mkdir $PREFIX/var; echo x > $PREFIX/var/x; false\n"))
    assert not (world.folder / "envs").exists()


def test_a_failing_pre_unlink_script_is_only_told_of(world: World) -> None:
    world.install(scripted("pre-unlink", "exit 1\n"))
    world.install()
    assert any("pre-unlink.sh of tool-1.0-0 ended with code 1" in warning for warning in world.warnings())
    assert contents(world.prefix) == {}


def test_post_unlink_is_not_run(world: World) -> None:
    world.install(scripted("post-unlink", "touch $PREFIX/ran\n"))
    world.install()
    assert contents(world.prefix) == {}
    assert any("post-unlink scripts are deprecated" in note for note in world.notes())


@pytest.mark.parametrize("action", ["post-link", "pre-link"])
def test_refused_scripts_do_not_run(world: World, action: str) -> None:
    world.install(scripted(action, "touch $PREFIX/ran\n"), refused_scripts=frozenset(["tool-1.0-0"]))
    assert not (world.prefix / "ran").exists()
    assert any("was not run: it was not allowed to" in note for note in world.notes())


def test_scripts_for_another_platform_are_not_run(tmp_path: Path) -> None:
    world = World(tmp_path, subdir="osx-arm64")
    world.install(replace_subdir(scripted("post-link", "touch $PREFIX/ran\n"), "osx-arm64"))
    assert not (world.prefix / "ran").exists()
    assert any("this machine is not osx-arm64" in note for note in world.notes())


def replace_subdir(package: Package, subdir: str) -> Package:
    package.subdir = subdir
    return package


def test_a_shell_that_is_missing(world: World) -> None:
    world.options = replace(world.options, environ={"PATH": ""})
    with pytest.raises(LinkScriptFailed):
        world.install(scripted("post-link", "exit 9\n"))


def test_where_scripts_are() -> None:
    assert script_path("Tool", "post-link", "linux-64") == "bin/.tool-post-link.sh"
    assert script_path("tool", "pre-unlink", "win-64") == "Scripts/.tool-pre-unlink.bat"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("a\x07\x00b\x9b", "ab"),
        ("a\r\nb\rc", "a\nbc"),
    ],
)
def test_remote_text_cannot_steer_the_terminal(text: str, expected: str) -> None:
    assert printable(text) == expected
