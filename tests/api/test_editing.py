"""What is written in one environment never changes another, nor the cache: each time by a user without root's rights,
whom the modes of files bind, with the programs that people use."""

from __future__ import annotations

import hashlib
import importlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from kaa.api.cache_report import cache_report
from kaa.api.environments import plan_create
from kaa.api.execution import execute
from kaa.api.session import open_session
from kaa.events import Event, Note
from kaa.host.files import remove_tree
from tests.channels import ChannelBuilder, File, Package
from tests.cli.generation_worlds import python_channel, wheels
from tests.transaction.world import SITE
from tests.users import ALICE, BOB, User, needs_root

PLACEHOLDER = "/opt/placeholder"
NAMES = ("one", "two", "three")
TEXT = "share/tool/0"
pytestmark = needs_root

for _module in ("kaa.transaction.execute", "kaa.package_cache.fetching", "kaa.index.shard_source", "urllib3"):
    # Children that are other users cannot read every Python's library: what they need is loaded before.
    importlib.import_module(_module)


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name).resolve()
        path.chmod(0o755)
        yield path


@pytest.fixture(scope="module")
def channel(place: Path) -> Path:
    folder = python_channel(place / "channel", wheels(place / "wheels"))
    files: dict[str, File | str] = {
        **{f"share/tool/{number}": "a text\nof two lines\n" for number in range(len(EDITS))},
        "bin/tool": File(f"#!{PLACEHOLDER}/bin/sh\n".encode(), mode=0o755, placeholder=PLACEHOLDER),
        "etc/tool.conf": File(b"x = 1\n", no_link=True),
        "bin/run": File(b"#!/bin/sh\n", mode=0o755),
    }
    more = ChannelBuilder(place / "more")
    more.add(Package("linked", files=files)).write()
    return folder


def create(place: Path, user_home: Path, prefix: Path, caches: Sequence[Path], specs: Sequence[str]) -> list[str]:
    """Make an environment; gives what was noted."""
    events: list[Event] = []
    environ = {"HOME": str(user_home), "PATH": "/usr/bin:/bin"}
    channels = [str(place / "channel"), str(place / "more")]
    with open_session(
        events.append,
        root_prefix=user_home / "kaa",
        environ=environ,
        channels=channels,
        pkgs_dirs=[str(path) for path in caches],
        compile_bytecode=False,
    ) as session:
        execute(session, plan_create(session, prefix, specs))
    return [event.text for event in events if isinstance(event, Note)]


def make_home(place: Path, name: str) -> Path:
    """Alice's, with three environments that share all their files with the cache."""
    home = ALICE.directory(place / name)

    def work() -> None:
        for environment in NAMES:
            create(place, home, home / environment, [home / "pkgs"], ["python", "speech", "linked"])

    ALICE.does(work)
    return home


@pytest.fixture(scope="module")
def home(place: Path, channel: Path) -> Path:
    return make_home(place, "alice")


def picture(*folders: Path) -> dict[str, str]:
    """Kind, mode and content of everything."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            state = path.lstat()
            if stat.S_ISREG(state.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                found[str(path)] = f"{stat.S_IMODE(state.st_mode):o} {content}"
            else:
                found[str(path)] = str(path.readlink()) if path.is_symlink() else "directory"
    return found


def run(*command: str | Path) -> int:
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True).returncode


def write_in_place(flags: str) -> Callable[[Path], bool]:
    def edit(path: Path) -> bool:
        try:
            with path.open(flags) as stream:
                stream.write("changed")
        except PermissionError:
            return False
        return True

    return edit


def truncate(path: Path) -> bool:
    try:
        os.truncate(path, 3)
    except PermissionError:
        return False
    return True


def write_beside(path: Path) -> bool:
    """As many editors do."""
    beside = path.with_name(".new")
    beside.write_text("changed")
    beside.replace(path)
    return True


EDITS: dict[str, tuple[Callable[[Path], bool], bool]] = {
    # what is done → whether it succeeds
    "open r+": (write_in_place("r+"), False),
    "open w": (write_in_place("w"), False),
    "open a": (write_in_place("a"), False),
    "truncate": (truncate, False),
    "write beside, rename": (write_beside, True),
    "sed -i": (lambda path: run("sed", "-i", "s/text/changed/", path) == 0, True),
    "cp": (lambda path: run("cp", "/etc/hostname", path) == 0, False),
    "cp -f": (lambda path: run("cp", "-f", "/etc/hostname", path) == 0, True),
    "tee": (lambda path: run("tee", "-a", path) == 0, False),
    "vim :wq": (lambda path: run("vim", "-u", "NONE", "-es", "-c", "%s/text/changed/", "-c", "wq", path) == 0, False),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_in_one_environment_is_in_no_other(home: Path, name: str) -> None:
    edit, succeeds = EDITS[name]
    if name.startswith("vim") and shutil.which("vim") is None:
        pytest.skip("no vim here")
    edited = home / "one" / "share" / "tool" / str(list(EDITS).index(name))
    assert edited.stat().st_nlink == len(NAMES) + 1
    before, others = edited.read_text(), picture(home / "two", home / "three", home / "pkgs")
    assert ALICE.does(lambda: edit(edited)) is succeeds
    assert picture(home / "two", home / "three", home / "pkgs") == others
    assert (edited.read_text() != before) is succeeds


def test_modes_in_an_environment(home: Path) -> None:
    found = {
        path: oct((home / "two" / path).stat().st_mode & 0o7777)
        for path in (TEXT, "bin/run", "bin/tool", "etc/tool.conf", "share/tool")
    }
    assert found == {
        TEXT: "0o444",
        "bin/run": "0o555",
        # These are the environment's own.
        "bin/tool": "0o755",
        "etc/tool.conf": "0o644",
        "share/tool": "0o755",
    }
    assert ALICE.does(lambda: write_in_place("a")(home / "two" / "etc" / "tool.conf"))


def pip_as_alice(prefix: Path, home: Path, *words: str) -> None:
    """Real pip, as Alice, with the right to read everything: the python of the tests may lie where only root can."""
    rights = "+dac_read_search"
    as_alice = ["setpriv", f"--reuid={ALICE.uid}", f"--regid={ALICE.uid}", "--clear-groups"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir", "--no-input"]
    subprocess.run(
        [
            *as_alice,
            f"--inh-caps={rights}",
            f"--ambient-caps={rights}",
            *pip,
            "--python",
            prefix / "bin/python",
            *words,
        ],
        env={"PATH": "/usr/bin:/bin", "PIP_CONFIG_FILE": "/dev/null", "HOME": str(home)},
        capture_output=True,
        check=True,
    )


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="there is no setpriv to give up rights with")
def test_pip_in_one_environment(home: Path, place: Path) -> None:
    others = picture(home / "two", home / "three", home / "pkgs")
    wheels = ("--no-index", "--find-links", str(place / "wheels"))
    pip_as_alice(home / "one", home, "install", "-U", *wheels, "speech==2.0")
    assert "speech 2.0" in (home / "one" / SITE / "speech" / "__init__.py").read_text()
    assert picture(home / "two", home / "three", home / "pkgs") == others
    pip_as_alice(home / "one", home, "uninstall", "-y", "speech")
    assert not (home / "one" / SITE / "speech").exists()
    assert picture(home / "two", home / "three", home / "pkgs") == others


def test_environments_and_caches_can_be_removed(place: Path, channel: Path) -> None:
    home = make_home(place, "removing")

    def work() -> list[str]:
        remove_tree(home / "one")
        remove_tree(home / "pkgs")
        return sorted(path.name for path in home.iterdir())

    left = ALICE.does(work)
    assert "one" not in left
    assert "pkgs" not in left
    assert (home / "two" / TEXT).stat().st_nlink == 2


# --- links to files of other users (fs.protected_hardlinks)


def protected() -> bool:
    setting = Path("/proc/sys/fs/protected_hardlinks")
    return setting.exists() and setting.read_text().strip() == "1"


def test_files_of_another_user_are_copied_and_the_reason_is_told_once(home: Path, place: Path) -> None:
    if not protected():
        pytest.skip("this system lets everybody link everything")
    bobs = BOB.directory(place / "bob")
    try:
        notes = BOB.does(
            lambda: create(place, bobs, bobs / "env", [home / "pkgs", bobs / "pkgs"], ["python", "linked", "lib"])
        )
        copied = [text for text in notes if "copied" in text]
        assert len(copied) == 1
        assert "belongs to another user" in copied[0]
        assert "fs.protected_hardlinks" in copied[0]
        # His own: he may write to them, and what is from his own cache is linked.
        assert oct((bobs / "env" / TEXT).stat().st_mode & 0o777) == "0o644"
        assert (bobs / "env" / TEXT).stat().st_uid == BOB.uid
        assert (bobs / "env" / "lib" / "libx.so").stat().st_nlink == 2
        assert not [path for path in (home / "pkgs").iterdir() if path.stat().st_uid != ALICE.uid]

        def report() -> list[tuple[bool, bool, str, str]]:
            caches, environ = [str(home / "pkgs"), str(bobs / "pkgs")], {"HOME": str(bobs)}
            with open_session(
                root_prefix=bobs / "kaa", environ=environ, pkgs_dirs=caches, envs_dirs=[str(bobs)]
            ) as session:
                return [
                    (one.writable, one.filled, one.links[0].method, one.links[0].reason)
                    for one in cache_report(session).directories
                ]

        foreign, own = BOB.does(report)
        assert foreign[:3] == (False, False, "copy")
        assert "fs.protected_hardlinks" in foreign[3]
        assert own == (True, True, "hard link", "")
    finally:
        remove_tree(bobs)


@pytest.mark.parametrize("mode", [0o755, 0o777])
def test_the_report_says_whose_a_directory_is(place: Path, mode: int) -> None:
    folder = User(0).directory(place / "reported", mode)

    def report() -> tuple[str, bool, bool, str, str]:
        with open_session(root_prefix=place / "no", environ={"HOME": "/"}, pkgs_dirs=[str(folder)]) as session:
            [one] = cache_report(session).directories
            return one.mode, one.writable, one.filled, one.use, one.owner

    expected = {
        0o755: ("drwxr-xr-x", False, False, "used, read only", "root"),
        0o777: ("drwxrwxrwx", True, False, "not used: everybody may write to it", "root"),
    }
    assert ALICE.does(report) == expected[mode]
    assert list(folder.iterdir()) == []


def test_python_runs_from_read_only_files(home: Path) -> None:
    done = subprocess.run(
        [home / "two" / "bin" / "python", "-c", "import speech; speech.main()"], capture_output=True, text=True
    )
    assert done.stdout == "speech 1.0\n", done.stderr
