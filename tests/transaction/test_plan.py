from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.transaction.plan import (
    Change,
    Install,
    Operation,
    Reinstall,
    Remove,
    Transaction,
    plan_transaction,
    same_package,
)

PREFIX = Path("/env")


def record(name: str, version: str = "1.0", build: str = "0", **fields: Any) -> RepoDataRecord:
    return RepoDataRecord(name=name, version=version, build=build, **fields)


def installed(wanted: RepoDataRecord) -> PrefixRecord:
    return msgspec.convert(msgspec.to_builtins(wanted), PrefixRecord)


def plan(current: list[RepoDataRecord], desired: list[RepoDataRecord], **arguments: Any) -> Transaction:
    return plan_transaction(PREFIX, "linux-64", [installed(one) for one in current], desired, **arguments)


def shown(operation: Operation) -> str:
    match operation:
        case Install(new):
            return f"+{new.dist}"
        case Change(old, new):
            return f"{old.dist}->{new.dist}"
        case Reinstall(_, new):
            return f"={new.dist}"
        case Remove(old):
            return f"-{old.dist}"


A, B, C = record("a"), record("b", depends=("a",)), record("c", depends=("b",))


@pytest.mark.parametrize(
    ("current", "desired", "expected"),
    [
        ([], [], []),
        ([A], [A], []),
        ([], [C, B, A], ["+a-1.0-0", "+b-1.0-0", "+c-1.0-0"]),
        ([A, B, C], [], ["-c-1.0-0", "-b-1.0-0", "-a-1.0-0"]),
        ([A], [record("a", "2.0")], ["a-1.0-0->a-2.0-0"]),
        ([A], [record("a", build="1")], ["a-1.0-0->a-1.0-1"]),
        ([A, C], [B, A], ["+b-1.0-0", "-c-1.0-0"]),
    ],
)
def test_operations(current: list[RepoDataRecord], desired: list[RepoDataRecord], expected: list[str]) -> None:
    transaction = plan(current, desired)
    assert [shown(operation) for operation in transaction.operations] == expected
    assert transaction.is_empty is (expected == [])


def test_unlinking_goes_backwards_and_linking_forwards() -> None:
    transaction = plan(
        [A, B, C], [record("a", "2"), record("b", "2", depends=("a",)), record("c", "2", depends=("b",))]
    )
    assert [one.name for one in transaction.to_link] == ["a", "b", "c"]
    assert [one.name for one in transaction.to_unlink] == ["c", "b", "a"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({}, {}, True),
        ({"sha256": "aa"}, {"sha256": "AA"}, True),
        ({"sha256": "aa"}, {"sha256": "bb"}, False),
        ({"sha256": "aa"}, {}, True),
        ({"md5": "aa"}, {"md5": "bb"}, False),
        ({"sha256": "aa", "md5": "x"}, {"sha256": "aa", "md5": "y"}, True),
        ({"sha256": "aa"}, {"md5": "bb"}, True),
        ({"subdir": "linux-64"}, {"subdir": "noarch"}, False),
        ({"subdir": "linux-64"}, {}, True),
        ({"build_number": 1}, {"build_number": 2}, False),
        ({"channel": "https://a"}, {"channel": "https://b"}, True),
    ],
)
def test_when_a_package_is_the_same(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert same_package(record("a", **one), record("a", **other)) is same
    assert plan([record("a", **one)], [record("a", **other)]).is_empty is same


def python(version: str, **fields: Any) -> RepoDataRecord:
    return record("python", version, **fields)


PURE = record("pure", noarch="python", depends=("python",))
GENERIC = record("generic", noarch="generic")


@pytest.mark.parametrize(
    ("old", "new", "relinked"),
    [
        (python("3.11.2"), python("3.11.9"), False),
        (python("3.11.2"), python("3.12.0"), True),
        (python("3.13.0"), python("3.13.0", build="1_cp313t"), True),
        (python("3.13.0"), python("3.13.0", build="1", python_site_packages_path="lib/here"), True),
        (
            python("3.13.0"),
            python("3.13.1", python_site_packages_path="lib/python3.13/site-packages"),
            False,
        ),
    ],
)
def test_a_python_that_moves_takes_noarch_packages_along(
    old: RepoDataRecord, new: RepoDataRecord, relinked: bool
) -> None:
    transaction = plan([old, PURE, GENERIC], [new, PURE, GENERIC])
    again = [one for one in transaction.operations if isinstance(one, Reinstall)]
    assert [one.new.name for one in again] == (["pure"] if relinked else [])
    assert all("python goes from" in one.reason or "site-packages goes from" in one.reason for one in again)


def test_what_is_named_is_linked_again() -> None:
    transaction = plan([A, B], [A, B], reinstall={"b"})
    assert [shown(one) for one in transaction.operations] == ["=b-1.0-0"]
    assert [one.name for one in transaction.kept] == ["a"]


def test_requests() -> None:
    transaction = plan([], [A], requested_specs={"a": "a >=1"}, removed_specs=["b >2", "c"], command="kaa x")
    assert transaction.requested_specs == {"a": "a >=1"}
    assert transaction.forgotten == {"b", "c"}
    assert transaction.command == "kaa x"


NAMES = st.sampled_from("abcdef")
RECORDS = st.dictionaries(NAMES, st.tuples(st.sampled_from(["1", "2"]), st.lists(NAMES, max_size=2)), max_size=6).map(
    lambda chosen: [record(name, version, depends=tuple(needs)) for name, (version, needs) in chosen.items()]
)


@given(RECORDS, RECORDS)
def test_operations_lead_from_current_to_desired(current: list[RepoDataRecord], desired: list[RepoDataRecord]) -> None:
    transaction = plan(current, desired)
    state = {one.name: one.dist for one in current}
    for operation in transaction.operations:
        if not isinstance(operation, Install):
            assert state.pop(operation.old.name) == operation.old.dist
        if not isinstance(operation, Remove):
            assert operation.new.name not in state
            state[operation.new.name] = operation.new.dist
    assert state == {one.name: one.dist for one in desired}
    assert {one.name for one in transaction.kept} == state.keys() - {one.name for one in transaction.to_link}
    assert plan(desired, desired).is_empty
