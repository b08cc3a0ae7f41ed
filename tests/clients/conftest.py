"""A house per test, and what the houses share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.channels import Server, serve
from tests.clients.house import House, Shared, shared_folder


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Shared:
    return Shared(shared_folder(tmp_path_factory))


@pytest.fixture(scope="session")
def channel_server(shared: Shared) -> Iterator[Server]:
    with serve(shared.channel()) as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, shared: Shared, channel_server: Server) -> House:
    """A user's machine where kaa stands in for conda."""
    house = House(tmp_path, shared, channel_server.url)
    house.furnish()
    return house
