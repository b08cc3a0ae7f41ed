"""The corpus of hostile input: every case by the way that a user would meet it, and what it gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels import Server, serve
from tests.hostile.cases import CASES
from tests.hostile.runner import Runner
from tests.hostile.world import World, check_case


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    running = Runner(tmp_path_factory.mktemp("runner"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("worlds")
    with serve(folder) as running:
        yield running, folder


@pytest.mark.parametrize("name", CASES)
def test_hostile_input_is_refused_or_harmless(name: str, runner: Runner, server: tuple[Server, Path]) -> None:
    running, folder = server
    path = folder / re.sub(r"\W+", "-", name)[:60]
    world = World(path, f"{running.url}/{path.name}/served", runner)
    check_case(CASES[name], world)
