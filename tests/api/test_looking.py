"""Environments that come and go while they are looked at: an answer, or an error of kaa's own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kaa.api.environments import plan_create, plan_install
from kaa.api.execution import execute
from kaa.api.generations import compare_generations, read_environment_history
from kaa.api.going_back import plan_undo
from kaa.api.listing import list_environments, read_environment
from kaa.api.looking import looking_at
from kaa.api.pruning import plan_pruning
from kaa.api.relocating import plan_clone
from kaa.api.removal import plan_environment_removal, remove_environment
from kaa.api.replacing import find_replaced
from kaa.api.session import Session, open_session
from kaa.api.untracked import remove_untracked, untracked_files
from kaa.api.verifying import verify_environment
from kaa.cli.environment_lists import measure_environment
from kaa.errors import KaaError
from kaa.prefix.prefix import NotAnEnvironment, open_prefix
from kaa.transaction.plan import EnvironmentChanged
from tests.channels import ChannelBuilder, Package

SECONDS = 1.5
SITE = "lib/python3.11/site-packages"

LOOKS: dict[str, Callable[[Session, Path], object]] = {
    "removal": plan_environment_removal,
    "replacing": find_replaced,
    "untracked": untracked_files,
    "undo": plan_undo,
    "pruning": lambda session, prefix: plan_pruning(session, prefix, keep=1),
    "history": read_environment_history,
    "diff": compare_generations,
    "verify": verify_environment,
    "list": read_environment,
    "environments": lambda session, prefix: list_environments(session),
    "size": lambda session, prefix: measure_environment(prefix),
    "clone": lambda session, prefix: plan_clone(session, prefix, prefix.with_name("other")),
    "install": lambda session, prefix: plan_install(session, prefix, ["two"]),
    "open": lambda session, prefix: open_prefix(prefix),
}


def session_of(folder: Path) -> Session:
    environ = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    channel = (folder / "channel").as_uri()
    return open_session(root_prefix=folder / "root", environ=environ, channels=[channel], subdir="linux-64")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user with an environment that has a past, files of its own and something that pip brought."""
    folder = tmp_path_factory.mktemp("looking")
    builder = ChannelBuilder(folder / "channel")
    builder.add(
        Package("one", files={f"share/one/{n}/{n}/{n}": f"{n}" for n in range(20)}),
        Package("two", files={"share/two": "2"}),
        Package("python", "3.11.7", files={"bin/python": "#!/bin/sh\n", f"{SITE}/os.py": ""}),
    )
    builder.write()
    prefix = folder / "root/envs/demo"
    with session_of(folder) as session:
        execute(session, plan_create(session, prefix, ["one", "python"]))
        execute(session, plan_install(session, prefix, ["two"]))
    for number in range(20):
        (prefix / f"mine/{number}/deep").mkdir(parents=True)
        (prefix / f"mine/{number}/deep/file").write_text("mine")
    info = prefix / SITE / "byhand-3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: byhand\nVersion: 3\n")
    (info / "RECORD").write_text("byhand-3.dist-info/METADATA,,\nbyhand-3.dist-info/RECORD,,\n")
    return folder


@contextlib.contextmanager
def coming_and_going(folder: Path, prefix: Path) -> Iterator[None]:
    """Another process that moves an environment away and back again, and removes a copy of it, over and over."""
    away = folder / "away"
    child = os.fork()
    if not child:
        while os.getppid() != 1:
            prefix.rename(away)
            time.sleep(0.0005)
            away.rename(prefix)
            time.sleep(0.001)
        os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if away.exists():
            away.rename(prefix)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks a child that changes what is looked at")
@pytest.mark.parametrize("name", LOOKS)
def test_looking_at_what_comes_and_goes(home: Path, name: str) -> None:
    prefix = home / "root/envs/demo"
    with session_of(home) as session:
        LOOKS[name](session, prefix)
        answers = refusals = 0
        with coming_and_going(home, prefix):
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                try:
                    LOOKS[name](session, prefix)
                    answers += 1
                except KaaError:
                    refusals += 1
        LOOKS[name](session, prefix)
        assert answers + refusals


def test_what_is_said(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    (prefix / "conda-meta").mkdir(parents=True)
    (prefix / "conda-meta/history").touch()
    with pytest.raises(EnvironmentChanged, match="share/file"), looking_at(prefix):
        (prefix / "share/file").stat()
    # What is missing elsewhere is somebody else's error.
    with pytest.raises(FileNotFoundError), looking_at(prefix):
        (tmp_path / "other").stat()
    (prefix / "conda-meta/history").unlink()
    with pytest.raises(NotAnEnvironment), looking_at(prefix):
        (prefix / "conda-meta/history").stat()


def test_an_environment_that_went_before_its_removal_leaves_nothing(home: Path, tmp_path: Path) -> None:
    """Waiting for its lock takes a directory, and that goes again."""
    prefix = tmp_path / "envs/demo"
    prefix.parent.mkdir()
    subprocess.run(["cp", "-a", home / "root/envs/demo", prefix], check=True)
    with session_of(home) as session:
        plan = plan_environment_removal(session, prefix)
        remove_environment(session, plan)
        with pytest.raises(EnvironmentChanged, match="gone"):
            remove_environment(session, plan)
    assert list(prefix.parent.iterdir()) == []


def test_untracked_files_that_somebody_else_removed(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    (prefix / "a/b").mkdir(parents=True)
    (prefix / "a/file").touch()
    (prefix / "c").touch()
    remove_untracked(prefix, ["a/b/gone", "a/file", "c", "c/d", "x/y"])
    assert list(prefix.iterdir()) == []
