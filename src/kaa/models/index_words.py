"""How a user names indexes of Python packages among channels. Apart from the channels because start-up loads it."""

from __future__ import annotations

PYPI = "pypi"
PYPI_SCHEME = "pypi+"


def names_index(text: str) -> bool:
    """Whether a channel, as a user writes it, is an index of Python packages.

    >>> names_index("pypi"), names_index("pypi+./wheels"), names_index("conda-forge")
    (True, True, False)
    """
    return text.strip() == PYPI or text.strip().startswith(PYPI_SCHEME)
