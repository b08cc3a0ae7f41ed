"""Making very many small objects at once."""

from __future__ import annotations

import gc

import pytest

from kaa.models.allocation import without_collections


@pytest.mark.parametrize("enabled", [True, False])
def test_collections_are_as_before_afterwards(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with pytest.raises(KeyError), without_collections():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()
