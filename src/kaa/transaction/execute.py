"""Performing a transaction: the only thing that changes an environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from kaa.events import Reporter, silent
from kaa.package_cache.cache import ExtractedPackage
from kaa.transaction.plan import LinkOptions, Transaction


def execute(
    transaction: Transaction,
    packages: Mapping[str, ExtractedPackage],
    options: LinkOptions,
    reporter: Reporter = silent,
    *,
    checkpoint: Callable[[str], None] = lambda step: None,
) -> None:
    """Change the environment as planned, or leave it exactly as it was and raise.

    `packages` holds the extracted package of every record of `transaction.to_link`, by dist string. `checkpoint` is
    called before every step that changes something.
    """
    raise NotImplementedError
