"""Property: whatever is damaged, verify names exactly that, and repair brings the environment back, byte for byte."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kaa.api.environments import plan_create
from kaa.api.execution import execute
from kaa.api.repairing import plan_repair, repair_environment
from kaa.api.session import Session, open_session
from kaa.api.verifying import verify_environment
from tests.channels import ChannelBuilder, File, Package, Symlink
from tests.transaction.world import python_package

PLACEHOLDER = "/opt/placeholder_" + "x" * 230


def packages() -> list[Package]:
    script = File(f"#!{PLACEHOLDER}/bin/sh\n".encode(), mode=0o755, placeholder=PLACEHOLDER)
    binary = File(b"\x7fELF" + PLACEHOLDER.encode() + b"\0rest", mode=0o755, placeholder=PLACEHOLDER, binary=True)
    many = {f"share/data/{number % 3}/{number}": f"data {number}" for number in range(12)}
    return [
        Package(
            "lib",
            files={
                "lib/libx.so.1.2": "a library",
                "lib/libx.so.1": Symlink("libx.so.1.2"),
                "lib/libx.so": Symlink("libx.so.1"),
                "bin/script": script,
                "bin/binary": binary,
                "lib/empty": "",
            },
        ),
        Package("data", files={**many, "share/contested": "data's"}),
        Package("other", depends=["data"], files={"share/contested": "other's", "share/other": "other"}),
        python_package(),
        Package(
            "app",
            depends=["python"],
            noarch="python",
            files={
                "site-packages/app/__init__.py": "def main() -> int:\n    return 0\n",
                "site-packages/app/part.py": "x = 1\n",
                "site-packages/app-1.0.dist-info/METADATA": "Name: app\nVersion: 1.0\n",
                "site-packages/app-1.0.dist-info/RECORD": "app/__init__.py,,\n",
            },
            entry_points=["app = app:main"],
        ),
    ]


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    folder = tmp_path_factory.mktemp("repairing")
    channel = ChannelBuilder(folder / "channel").add(*packages()).write()
    environ = {"HOME": str(folder), "PATH": os.environ["PATH"], "KAA_CLEAN_FOR_ALL_USERS": "false"}
    channels = [str(channel.folder)]
    with open_session(root_prefix=folder / "root", environ=environ, channels=channels, subdir="linux-64") as session:
        execute(session, plan_create(session, folder / "env", ["lib", "other", "app"]))
        yield session


@pytest.fixture(scope="module")
def prefix(session: Session) -> Path:
    return session.home / "env"


NOTES = ("conda-meta/history", "conda-meta/generations", "conda-meta/replaced", "conda-meta/.")


def picture(prefix: Path) -> dict[str, str]:
    """Path → kind and content, without kaa's own notes."""
    found = {}
    for folder, folders, files in os.walk(prefix):
        for name in (*folders, *files):
            path = Path(folder, name)
            relative = path.relative_to(prefix).as_posix()
            if relative.startswith(
                ("conda-meta/history", "conda-meta/generations", "conda-meta/replaced", "conda-meta/.")
            ):
                continue
            if path.is_symlink():
                found[relative] = f"-> {path.readlink()}"
            elif path.is_dir():
                found[relative] = "directory"
            else:
                mode = "x" if path.stat().st_mode & 0o100 else "-"
                found[relative] = f"{mode} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return found


def replace(content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def do(path: Path) -> None:
        data = b"" if path.is_symlink() else path.read_bytes()
        path.unlink()
        path.write_bytes(content(data))

    return do


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("a user's")


def make_link(path: Path) -> None:
    path.unlink()
    path.symlink_to("/nowhere/at/all")


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "changed": replace(lambda data: bytes(255 - byte for byte in data) or b"not empty"),
    "grown": replace(lambda data: data + b"x"),
    "truncated": replace(lambda data: data[: len(data) // 2] if len(data) > 1 else data + b"not"),
    "emptied": replace(lambda data: b"" if data else b"filled"),
    "deleted": lambda path: path.unlink(),
    "directory": make_directory,
    "link": make_link,
    "pipe": make_pipe,
}


def test_whatever_is_damaged_is_named_and_repaired(session: Session, prefix: Path) -> None:
    records = {path.name for path in (prefix / "conda-meta").glob("*-*-*.json")}
    found = verify_environment(session, prefix)
    assert found.is_clean
    assert found.packages == len(records) == 5
    before = picture(prefix)
    # Bytecode is judged by its presence alone, and directories belong to nobody.
    paths = sorted(
        path
        for path, what in before.items()
        if what != "directory" and not path.startswith("conda-meta/") and not path.endswith(".pyc")
    )
    assert len(paths) > 25
    healthy = shutil.copytree(prefix, prefix.parent / "healthy", symlinks=True)

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(paths), st.sampled_from(sorted(DAMAGES)), min_size=1, max_size=12))
    def check(damage: dict[str, str]) -> None:
        if picture(prefix) != before:
            # An example that failed left it so.
            shutil.rmtree(prefix)
            shutil.copytree(healthy, prefix, symlinks=True)
        for path, kind in damage.items():
            DAMAGES[kind](prefix / path)
        damaged = verify_environment(session, prefix)
        named = {one.path for package in damaged.damaged for one in package.changed}
        named |= {path for package in damaged.damaged for path in package.missing}
        assert named == set(damage)
        assert damaged.problems == len(damage)
        assert (damaged.broken_records, damaged.unmet) == ((), ())
        plan = plan_repair(session, prefix)
        outcome = repair_environment(session, plan)
        assert outcome.is_clean, outcome
        assert picture(prefix) == before
        # Nothing that somebody may have made is lost.
        kept = {path.removesuffix("/inside") for path in plan.kept}
        assert kept == {path for path, kind in damage.items() if not is_worthless(before[path], kind)}
        shutil.rmtree(prefix / "conda-meta/replaced", ignore_errors=True)

    check()


def is_worthless(before: str, kind: str) -> bool:
    """Whether damage leaves nothing to keep: no file, or one without content."""
    was_empty = before.endswith(hashlib.sha256(b"").hexdigest())
    was_link = before.startswith("->")
    return kind == "deleted" or (kind == "emptied" and not was_empty and not was_link)
