"""One function over many things at once."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.host.threads import map_in_threads


@given(st.lists(st.integers(), max_size=40), st.integers(1, 8))
def test_results_come_in_the_order_of_the_items(items: list[int], workers: int) -> None:
    assert map_in_threads(lambda item: item * 2, items, workers=workers) == [item * 2 for item in items]


def test_work_is_done_at_once() -> None:
    # Each waits for all the others: one after the other they would never end.
    barrier = threading.Barrier(5, timeout=30)
    assert map_in_threads(lambda item: barrier.wait() >= 0, range(5), workers=5) == [True] * 5


def test_no_more_workers_than_allowed() -> None:
    seen: set[int] = set()
    map_in_threads(lambda item: seen.add(threading.get_ident()), range(50), workers=3)
    assert len(seen) <= 3
    assert threading.get_ident() not in seen


@pytest.mark.parametrize("count", [1, 2, 9])
def test_an_error_is_raised(count: int) -> None:
    def fail(item: int) -> None:
        raise ValueError(item)

    with pytest.raises(ValueError, match=r"^[0-8]$"):
        map_in_threads(fail, range(count), workers=4)


def test_after_an_error_nothing_new_begins() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 0:
            raise KeyError(item)
        done.append(item)

    with pytest.raises(KeyError):
        map_in_threads(work, range(1000), workers=1)
    assert done == []


FIRST_USE = """
import sys, threading
import msgspec
from kaa.host.threads import know_types
from kaa.models.repodata import make_decoders, parse_repodata, parse_shard
from kaa.package_cache.extracted_package import TYPES_READ

sys.setswitchinterval(1e-6)
know_types(*TYPES_READ)
make_decoders(shards=False)
make_decoders(shards=True)
barrier = threading.Barrier(6)

def work():
    barrier.wait()
    for kind in TYPES_READ:
        try:
            msgspec.json.decode(b'{"name": "a", "version": "1", "build": "0", "paths": []}', type=kind)
        except msgspec.ValidationError:
            pass
    parse_repodata(b'{"packages": {"a-1-0.tar.bz2": {"name": "a", "version": "1", "build": "0"}}}')
    parse_shard(msgspec.msgpack.encode({"packages": {}, "packages.conda": {}}), "")

threads = [threading.Thread(target=work) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_types_are_complete_before_threads_use_them() -> None:
    # Without that most of these end by a signal.
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", FIRST_USE], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
