"""conda-lock.yml files between conda-lock and kaa: each reads what the other wrote, and means the same."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import find

from kaa.envfiles.conda_lock import conda_lock_text, parse_conda_lock
from kaa.envfiles.lock import Lock
from tests.clients.house import Shared
from tests.envfiles.locks import locks

pytestmark = [pytest.mark.slow, pytest.mark.clients]

PROGRAM = """
import json, pathlib, sys
from conda_lock.lockfile import parse_conda_lock_file, write_conda_lock_file
path = pathlib.Path(sys.argv[1])
content = parse_conda_lock_file(path)
write_conda_lock_file(content, path, metadata_choices=None)
print(json.dumps([
    [p.name, p.version, p.manager, p.platform, p.url, p.hash.md5, p.hash.sha256, p.dependencies, sorted(p.categories)]
    for p in content.package
]))
"""


def test_both_read_and_write(shared: Shared, tmp_path: Path) -> None:
    python = shared.client("conda-lock") / "python"
    for number, lock in enumerate(samples()):
        path = tmp_path / f"conda-lock-{number}.yml"
        text = conda_lock_text(lock)
        path.write_text(text)
        done = subprocess.run(
            [python, "-W", "ignore", "-c", PROGRAM, path], capture_output=True, text=True, env={"PATH": os.defpath}
        )
        assert done.returncode == 0, done.stderr
        meant = parse_conda_lock(text)
        assert conda_packages(json.loads(done.stdout)) == identities(meant)
        # As conda-lock writes it.
        assert identities(parse_conda_lock(path.read_text())) == identities(meant)


def samples() -> list[Lock]:
    """A few locks of the shapes that the tests of formats try, the smallest of each kind."""
    wanted = [
        lambda lock: len(lock.environments[0].conda["linux-64"]) >= 2 and not lock.environments[0].pypi,
        lambda lock: "linux-64" in lock.environments[0].pypi and bool(lock.environments[0].conda["osx-arm64"]),
        lambda lock: any(record.depends for record in lock.environments[0].conda["linux-64"]),
    ]
    return [find(locks(), condition) for condition in wanted]


def conda_packages(rows: list[list[Any]]) -> set[tuple[Any, ...]]:
    return {(*row[:7], *map(str, sorted(row[7]))) for row in rows}


def identities(lock: Lock) -> set[tuple[Any, ...]]:
    [main, *_] = lock.environments
    found: set[tuple[Any, ...]] = set()
    for platform in lock.platforms:
        for one in main.conda.get(platform.name, ()):
            names = sorted({text.partition(" ")[0] for text in one.depends})
            found.add((one.name, one.version, "conda", platform.name, one.url, one.md5, one.sha256, *names))
        for wheel in main.pypi.get(platform.name, ()):
            names = sorted({text.partition(" ")[0] for text in wheel.requires_dist})
            found.add((wheel.name, wheel.version, "pip", platform.name, wheel.url, None, wheel.sha256, *names))
    return found
