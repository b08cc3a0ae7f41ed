"""Making very many small objects at once."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Nobody looks for circles of objects in a `with` block that makes many objects and hardly a circle.

    That is a tenth of a search, and half of reading half a million records.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
