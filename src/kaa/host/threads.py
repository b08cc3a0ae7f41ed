"""One function over many things at once, in threads; for work that waits for servers and disks.

concurrent.futures does more, and brings logging along: 10 ms that a run which finds everything at hand need not spend.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

Item = TypeVar("Item")
Result = TypeVar("Result")


def know_types(*types: type[msgspec.Struct]) -> None:
    """Let msgspec complete what it knows of types; to be called before several threads decode into them.

    It does that when a type is first used, and a second thread that uses the type meanwhile crashes the process.
    """
    for one in types:
        msgspec.json.Decoder(one)


def map_in_threads(function: Callable[[Item], Result], items: Sequence[Item], *, workers: int) -> list[Result]:
    """The results for all items, in their order.

    Of the errors the one of the first item is raised, when all work that had begun has ended; what had not begun by
    the time of an error is left undone. A single item needs no thread.
    """
    if len(items) < 2:
        return [function(item) for item in items]
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}
    places = iter(range(len(items)))
    lock = threading.Lock()

    def work() -> None:
        while not errors:
            with lock:
                place = next(places, None)
            if place is None:
                return
            try:
                results[place] = function(items[place])
            except BaseException as error:
                errors[place] = error

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(workers, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[min(errors)]
    return [results[place] for place in range(len(items))]
