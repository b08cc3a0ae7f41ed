"""Functions that call themselves, without a limit to how deep: chains of thousands of packages exist.

Such a function is written as a generator that yields each call of itself and is handed what came of it.

>>> def length(chain):
...     return 0 if not chain else 1 + (yield length(chain[0]))
>>> chain = ()
>>> for _ in range(20_000):
...     chain = (chain,)
>>> unroll(length(chain))
20000
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Unrolled: TypeAlias = Generator[Any, Any, T]
"""A call that yields further calls, each of which it is sent the result of, and that returns a result."""


def unroll(call: Unrolled[T]) -> T:
    """What a call returns."""
    calls: list[Unrolled[Any]] = [call]
    result: Any = None
    while True:
        try:
            further = calls[-1].send(result)
        except StopIteration as end:
            result = end.value
            calls.pop()
            if not calls:
                return result  # type: ignore[no-any-return]
        else:
            calls.append(further)
            result = None
