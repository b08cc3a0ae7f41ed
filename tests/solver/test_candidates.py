"""Columns: order, runs, sets of carriers, and that they survive being stored."""

from __future__ import annotations

import random

import msgspec
import pytest

from kaa.models.record import RepoDataRecord
from kaa.solver.candidates import (
    Columns,
    RecordSource,
    columns_of,
    decode_needs,
    decode_numbers,
    decode_texts,
    read_plain,
    split_dependency,
)
from tests.solver.packages import MAIN, OTHER, package, source

RECORDS = [
    package("tool 2.0 h1_0: python >=3.9; zlib", timestamp=5),
    package("tool 2.0 h2_0: python >=3.9; zlib >=1.2", timestamp=7),
    package("tool 2.0 h3_1: python >=3.10", timestamp=1),
    package("tool 10.0 h4_0: / other <2", timestamp=1),
    package("tool 11.0 mkl_0", track_features="mkl", timestamp=9),
    package("tool 1.0 h5_0"),
    package("tool 1.0.0 h6_2"),
]
ORDER = ["10.0-h4_0", "2.0-h3_1", "2.0-h2_0", "2.0-h1_0", "1.0.0-h6_2", "1.0-h5_0", "11.0-mkl_0"]


def order_of(columns: Columns, records: list[RepoDataRecord]) -> list[str]:
    return [f"{records[place].version}-{records[place].build}" for place in decode_numbers(columns.order)]


def test_candidates_stand_in_order_of_preference() -> None:
    assert order_of(columns_of(RECORDS), RECORDS) == ORDER


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_records_makes_no_difference(seed: int) -> None:
    shuffled = list(RECORDS)
    random.Random(seed).shuffle(shuffled)
    columns = columns_of(shuffled)
    assert order_of(columns, shuffled) == ORDER
    assert msgspec.structs.replace(columns, order=msgspec.Raw()) == msgspec.structs.replace(
        columns_of(RECORDS), order=msgspec.Raw()
    )


def test_columns_hold_runs_ties_and_features() -> None:
    columns = columns_of(RECORDS)
    assert columns.count == 7
    assert decode_texts(columns.versions) == ["10.0", "2.0", "1.0.0", "1.0", "11.0"]
    assert columns.version_runs == [1, 3, 1, 1, 1]
    assert columns.featured == 6
    assert decode_numbers(columns.ties) == [1, 1, 2, 1, 1, 1]
    assert decode_numbers(columns.build_numbers) == [0, 1, 0, 2, 0, 0]
    assert decode_numbers(columns.timestamps) == [1000, 1000, 7000, 5000, 0, 0, 9000]
    assert columns.keys == sorted(columns.keys)
    assert columns.keys[0] == columns.keys[1]
    assert len(columns.featured_keys) == 1


@pytest.mark.parametrize("more", [0, 80], ids=["numbers", "bytes"])
@pytest.mark.parametrize("shift", [0, 5])
def test_every_distinct_dependency_is_kept_once_with_those_that_carry_it(more: int, shift: int) -> None:
    columns = columns_of([*RECORDS, *(package(f"tool 0.{number}") for number in range(more))])
    needs = decode_needs(columns.depends, columns.count, shift)
    carriers = {
        (need.name, text): [place for place in range(columns.count) if states >> shift >> (place + 1) & 1]
        for need in needs
        for states, text, _ in need.rows
    }
    places = {dist: place for place, dist in enumerate(ORDER)}
    assert carriers == {
        ("python", ">=3.9"): [places["2.0-h2_0"], places["2.0-h1_0"]],
        ("python", ">=3.10"): [places["2.0-h3_1"]],
        ("zlib", ""): [places["2.0-h1_0"]],
        ("zlib", ">=1.2"): [places["2.0-h2_0"]],
    }
    assert [need.name for need in decode_needs(columns.constrains, columns.count)] == ["other"]


def test_a_dependency_that_must_be_read_makes_a_need_irregular() -> None:
    columns = columns_of([package("tool 1.0 0: six; MAIN::zlib; python >=3; nose[when='python']; python 3.?")])
    needs = decode_needs(columns.depends, columns.count)
    assert {need.name: need.irregular for need in needs} == {"": True, "nose": True, "python": True, "six": False}


def test_a_dependency_that_is_named_twice_is_carried_once() -> None:
    columns = columns_of([package("tool 1.0 0: six; six"), package("tool 0.9 0: six")])
    [need] = decode_needs(columns.depends, columns.count)
    assert [states for states, _, _ in need.rows] == [0b110]


@pytest.mark.parametrize("more", [0, 80])
def test_columns_survive_being_stored(more: int) -> None:
    columns = columns_of([*RECORDS, *(package(f"tool 0.{number}") for number in range(more))])
    stored = msgspec.msgpack.Decoder(Columns).decode(msgspec.msgpack.encode(columns))
    assert stored.keys == columns.keys
    assert decode_needs(stored.depends, stored.count) == decode_needs(columns.depends, columns.count)
    assert decode_numbers(stored.order) == decode_numbers(columns.order)


def test_columns_that_were_stored_before_there_were_unread_candidates_have_none() -> None:
    columns = columns_of(RECORDS)
    *older, unread = msgspec.msgpack.decode(msgspec.msgpack.encode(columns))
    assert unread == b""
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(older), type=Columns) == columns


def test_a_record_with_an_unreadable_version_is_no_candidate() -> None:
    columns = columns_of([package("tool 1.0"), package("tool 1..0"), package("tool 0.9")])
    assert columns.count == 2
    assert [dist for dist, _ in columns.unreadable] == ["tool-1..0-0"]
    assert "empty" in columns.unreadable[0][1]


def test_extras_and_flags_have_columns_of_their_own() -> None:
    records = [
        package("tool 2", extra_depends={"test": ("pytest",)}, flags=("gpu", "blas:mkl")),
        package("tool 1", extra_depends={"test": ("pytest <8",), "doc": ("sphinx",)}, flags=("gpu",)),
    ]
    columns = columns_of(records)
    assert {extra: [need.name for need in needs] for extra, needs in columns.extras.items()} == {
        "doc": ["sphinx"],
        "test": ["pytest"],
    }
    assert {flag: int.from_bytes(packed, "little") for flag, packed in columns.flags.items()} == {
        "blas:mkl": 0b10,
        "gpu": 0b110,
    }


@pytest.mark.parametrize(
    ("text", "halves"),
    [
        ("python >=3.9", ("python", ">=3.9")),
        ("  Python>=3.9 ", ("python", ">=3.9")),
        ("six", ("six", "")),
        ("foo[version='>=1']", ("foo", "[version='>=1']")),
        ("conda-forge::six >=1", ("", "conda-forge::six >=1")),
        ("conda-forge/noarch::six", ("", "conda-forge/noarch::six")),
        ("*[md5=0]", ("", "*[md5=0]")),
        ("", ("", "")),
    ],
)
def test_a_dependency_string_has_a_name_and_a_rest(text: str, halves: tuple[str, str]) -> None:
    assert split_dependency(text) == halves


@pytest.mark.parametrize(
    ("rest", "meaning"),
    [
        ("", (None, "")),
        ("*", (None, "")),
        ("* *_cp312", (None, "*_cp312")),
        (">=1, <2", (">=1,<2", "")),
        ("==15.2.0=*_7", ("==15.2.0", "*_7")),
        ("=1.8 h0_0", ("==1.8", "h0_0")),
        ("1.0.*|>=2 *mkl*", ("1.0.*|>=2", "*mkl*")),
    ],
)
def test_what_follows_a_name_is_a_version_and_a_build(rest: str, meaning: tuple[str | None, str]) -> None:
    assert read_plain(rest) == meaning


def test_a_source_groups_by_channel_and_subdir() -> None:
    where = RecordSource(
        {
            MAIN: [package("tool 1", subdir="noarch"), package("tool 2")],
            OTHER: [package("tool 3", channel=OTHER)],
        }
    )
    groups = where.groups("tool")
    assert [(group.rank, group.subdir, group.record(0).version) for group in groups] == [
        (0, "linux-64", "2"),
        (0, "noarch", "1"),
        (1, "linux-64", "3"),
    ]
    assert where.groups("nothing") == ()


def test_names_alike_are_found() -> None:
    assert source("numpy 1\nnumba 1\npandas 1").near_names("numpyy") == ["numpy"]
