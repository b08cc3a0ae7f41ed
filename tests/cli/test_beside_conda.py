"""The JSON of kaa beside that of conda itself, where a conda is on PATH: kaa's answers hold every key of conda's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from tests.channels import ChannelBuilder
from tests.cli.commands import Kaa

CONDA = shutil.which("conda")

pytestmark = [pytest.mark.peers, pytest.mark.skipif(CONDA is None, reason="there is no conda on PATH")]

PROBES = (
    "info",
    "env list",
    "list -n demo",
    "list -n empty",
    "list -n demo --revisions",
    "search tool",
    "config --show channel_alias default_channels custom_channels",
    "config --get channels",
    "config --describe channels",
    "create -n new alone --dry-run",
    "install -n demo alone --dry-run",
    "install -n demo notes --dry-run",
    "remove -n demo notes --dry-run",
    "env export -n demo",
    "clean --tarballs --dry-run",
    "list -n absent",
    "list -n demo -f absent",
    "create -n new absent",
    "update -n demo tool=1",
    "config --set nonsense 1",
)
OF_CONDA_ALONE = {"guidance", "package_formatted", "packages_formatted", "channels_formatted", "installer", "dry_run"}
"""Keys that only some versions of conda have."""


def is_conda() -> bool:
    """Whether the program called conda is conda, not kaa in its place."""
    assert CONDA is not None
    done = subprocess.run([CONDA, "info", "--json"], capture_output=True, text=True, check=False)
    return '"kaa_version"' not in done.stdout


def missing_keys(theirs: Any, ours: Any, where: str = "") -> list[str]:
    """The keys of one answer that the other lacks, and the places where the kinds of values differ."""
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        lacking = [f"{where}/{key}" for key in theirs if key not in ours and key not in OF_CONDA_ALONE]
        return lacking + [
            line for key in theirs if key in ours for line in missing_keys(theirs[key], ours[key], f"{where}/{key}")
        ]
    if isinstance(theirs, list) and isinstance(ours, list):
        return missing_keys(theirs[0], ours[0], f"{where}[0]") if theirs and ours else []
    if theirs is None or ours is None or type(theirs) is type(ours):
        return []
    return [f"{where}: {type(theirs).__name__}, not {type(ours).__name__}"]


@pytest.mark.parametrize("words", PROBES)
def test_every_key_of_conda(kaa: Kaa, channel: ChannelBuilder, words: str) -> None:
    if not is_conda():
        pytest.skip("the conda on PATH is kaa in conda's place")
    (kaa.home / ".condarc").write_text(
        f"channels: [channel]\nchannel_alias: {channel.folder.parent.as_uri()}\nenvs_dirs: [{kaa.root / 'envs'}]\n"
        f"pkgs_dirs: [{kaa.packages}]\nchannel_priority: strict\n"
    )
    kaa.ok("create", "-y", "-n", "empty")
    kaa.ok("create", "-y", "-n", "demo", "tool=1", "notes")
    assert CONDA is not None
    done = subprocess.run(
        [CONDA, *words.split(), "--json"],
        capture_output=True,
        text=True,
        check=False,
        cwd=kaa.home,
        env=dict(os.environ),
    )
    ours = kaa(*words.split(), "--json")
    assert ours.code == done.returncode
    assert missing_keys(json.loads(done.stdout), ours.json()) == []
