"""A user to run commands as, and small channels to run them on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels import ChannelBuilder, File, Package, Server, serve
from tests.cli.commands import Kaa

PLACEHOLDER = "/opt/placeholder_" + "x" * 60


@pytest.fixture
def kaa(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Kaa:
    home = tmp_path / "home"
    home.mkdir()
    for name in list(os.environ):
        if name.upper().startswith(("CONDA", "KAA", "_CONDA", "XDG_", "HTTP", "NO_PROXY", "ALL_PROXY", "NETRC")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KAA_ROOT_PREFIX", str(home / "root"))
    monkeypatch.setenv("CONDA_SUBDIR", "linux-64")
    monkeypatch.setenv("CONDA_REMOTE_BACKOFF_FACTOR", "0.01")
    # What is registered on the machine that runs the tests is no part of them.
    monkeypatch.setenv("KAA_CLEAN_FOR_ALL_USERS", "false")
    monkeypatch.chdir(home)
    return Kaa(home, capsys)


def small_channel(folder: Path) -> ChannelBuilder:
    """lib 1.0 and 2.0, tool 1.0 (needs lib <2) and 2.0 (needs lib >=2), notes (noarch), alone."""
    channel = ChannelBuilder(folder)
    script = File(f"#!{PLACEHOLDER}/bin/sh\necho {PLACEHOLDER}\n".encode(), mode=0o755, placeholder=PLACEHOLDER)
    for version in ("1.0", "2.0"):
        channel.add(Package("lib", version, files={"lib/libx.so": f"library {version}", "include/x.h": "#define X"}))
    channel.add(
        Package("tool", "1.0", depends=["lib <2"], files={"bin/tool": File(b"#!/bin/sh\necho tool 1\n", mode=0o755)}),
        Package("tool", "2.0", depends=["lib >=2"], files={"bin/tool": File(b"#!/bin/sh\necho tool 2\n", mode=0o755)}),
        Package("notes", "1.0", noarch="generic", files={"share/notes.txt": "noted", "bin/where": script}),
        Package("alone", "1.0", files={"share/alone": "alone"}),
    )
    return channel.write()


@pytest.fixture
def channel(tmp_path: Path) -> ChannelBuilder:
    return small_channel(tmp_path / "channel")


@pytest.fixture
def server(channel: ChannelBuilder) -> Iterator[Server]:
    with serve(channel.folder) as running:
        yield running
