"""The corpus of hostile input: every case by the way that a user would meet it, and what it gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels import Server, serve
from tests.hostile.cases import CASES
from tests.hostile.page import PAGE, page_text
from tests.hostile.runner import Runner
from tests.hostile.world import World, check_case

QUICK = 6
"""One case in so many is tried each time; all of them with the slow tests."""


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


NUMBERED = [
    pytest.param(number, name, id=name, marks=() if number % QUICK == 0 else pytest.mark.slow)
    for number, name in enumerate(CASES)
]


@pytest.mark.parametrize(("number", "name"), NUMBERED)
def test_hostile_input_is_refused_or_harmless(
    number: int, name: str, runner: Runner, server: tuple[Server, Path]
) -> None:
    running, folder = server
    path = folder / f"{number}-{re.sub(r'[^A-Za-z0-9]+', '-', name)[:50]}"
    check_case(CASES[name], World(path, f"{running.url}/{path.name}/served", runner))


def test_the_page_of_the_documentation_lists_every_case() -> None:
    assert PAGE.read_text(encoding="utf-8") == page_text(), "write it again with `python -m tests.hostile.page`"
