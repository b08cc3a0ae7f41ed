"""What the tests of the shells share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shell.houses import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    """An empty home and root prefix, at a path with a space and a quote in it."""
    return House(tmp_path / "it's a house")
