"""py-rattler: reads an environment that kaa made, activates it, changes it; and kaa goes on with what it left."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from kaa.host.platform import current_subdir
from tests.clients.house import House, records_of

pytestmark = [pytest.mark.slow, pytest.mark.clients]
rattler: Any = pytest.importorskip("rattler")


@pytest.fixture
def prefix(house: House) -> Path:
    house.ok("conda", "create", "--yes", "--name", "demo", "python", "greetings", "hello=1.0")
    return house.environment("demo")


def records(prefix: Path) -> list[Any]:
    return [rattler.PrefixRecord.from_path(path) for path in sorted((prefix / "conda-meta").glob("*.json"))]


def run(task: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(task)


def test_it_reads_what_is_installed(house: House, prefix: Path) -> None:
    found = records(prefix)
    listed = json.loads(house.ok("conda", "list", "--name", "demo", "--json").stdout)
    assert [(one.name.normalized, str(one.version), str(one.build), one.subdir) for one in found] == [
        (one["name"], one["version"], one["build_string"], one["platform"]) for one in listed
    ]
    for one in found:
        assert one.url.startswith(f"{house.channel_url}/")
        assert Path(one.extracted_package_dir).is_dir()
        assert all(os.path.lexists(prefix / file) for file in one.files)
        for path in one.paths_data.paths:
            file = prefix / path.relative_path
            told = path.sha256_in_prefix or path.sha256
            if told is not None and path.path_type.hardlink and file.exists():
                assert hashlib.sha256(file.read_bytes()).digest() == told, path.relative_path
    requested = {one.name.normalized: list(one.requested_specs) for one in found}
    assert requested == {"python": ["python"], "greetings": ["greetings"], "hello": ["hello=1.0"]}


def test_it_activates(house: House, prefix: Path) -> None:
    house.ok("conda", "env", "config", "vars", "set", "--name", "demo", "COLOUR=green")
    shell: Any = importlib.import_module("rattler.shell")
    # Nothing active, in front of the folders of PATH.
    result = shell.activate(prefix, shell.ActivationVariables(None, []), shell.Shell.bash)
    assert result.path[0] == prefix / "bin"
    done = house.shell(f"{result.script}\ngreet\nhello\necho $CONDA_PREFIX $COLOUR\n")
    assert done.stdout.splitlines() == ["good day", f"hello 1.0 from {prefix}", f"{prefix} green"]


def test_it_changes_the_environment_and_kaa_goes_on(house: House, prefix: Path, tmp_path: Path) -> None:
    async def newer() -> None:
        subdirs = [rattler.Subdir(current_subdir()), rattler.Subdir("noarch")]
        channel = rattler.Channel(house.channel_url)
        wanted = ["python", "greetings", "hello=2.0"]
        virtual = rattler.VirtualPackage.detect()
        solved = await rattler.solve([channel], wanted, platforms=subdirs, virtual_packages=virtual)
        await rattler.install(solved, target_prefix=prefix, cache_dir=tmp_path / "cache", show_progress=False)

    run(newer())
    assert records_of(prefix)["hello"] == "2.0"
    house.ok("conda", "verify", "--name", "demo")
    assert house.ok("conda", "run", "-n", "demo", "hello").stdout == f"hello 2.0 from {prefix}\n"
    house.ok("conda", "install", "--yes", "--name", "demo", "data")
    house.ok("conda", "remove", "--yes", "--name", "demo", "hello")
    assert records_of(prefix).keys() == {"python", "greetings", "data"}
    assert {one.name.normalized for one in records(prefix)} == {"python", "greetings", "data"}
    assert not (prefix / "bin" / "hello").exists()
