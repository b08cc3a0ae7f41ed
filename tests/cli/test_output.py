"""Tables, sizes, JSON of any value, and errors in their two forms."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.cli.output import error_json, error_text, report_crash, report_error, size_text, table, to_json
from kaa.errors import KaaError


class Plain(KaaError):
    """An error without a name of conda's."""


class Missing(KaaError):
    """An error with a name and facts."""

    conda_name = "PackagesNotFoundInChannelsError"

    def __init__(self) -> None:
        super().__init__("nothing there", hints=("look elsewhere", "give up"))
        self.packages = ["a"]
        self.path = Path("/x")


class Zero(KaaError):
    """An error that is none."""

    exit_code = 0
    conda_name = "DryRunExit"


def test_errors_as_text() -> None:
    assert error_text(Plain("it failed", hints=("again",))) == "error: it failed\n  try: again"
    assert error_text(Missing()) == (
        "PackagesNotFoundInChannelsError (PackagesNotFoundError): nothing there\n  try: look elsewhere\n  try: give up"
    )


def test_errors_as_json() -> None:
    error = Missing()
    error.__cause__ = ValueError("deeper")
    document = json.loads(to_json(error_json(error)))
    assert document == {
        "caused_by": "deeper",
        "error": "PackagesNotFoundInChannelsError: nothing there",
        "exception_name": "PackagesNotFoundInChannelsError",
        "exception_type": "<class 'conda.exceptions.PackagesNotFoundInChannelsError'>",
        "guidance": {"cause": "", "hints": ["look elsewhere", "give up"], "summary": "nothing there"},
        "message": "nothing there",
        "packages": ["a"],
        "path": "/x",
    }


def test_where_errors_go(capsys: pytest.CaptureFixture[str]) -> None:
    report_error(Missing(), as_json=True)
    assert json.loads(capsys.readouterr().out)["message"] == "nothing there"
    report_error(Zero("enough"), as_json=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["exception_name"] == "DryRunExit"
    report_error(Missing(), as_json=False)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("\nPackagesNotFound")
    assert captured.err.endswith("give up\n\n")


@pytest.mark.parametrize("as_json", [True, False])
def test_crashes(capsys: pytest.CaptureFixture[str], as_json: bool) -> None:
    try:
        raise ZeroDivisionError("https://me:hunter2@host")
    except ZeroDivisionError as error:
        report_crash(error, ["list", "https://me:hunter2@host"], as_json=as_json)
    captured = capsys.readouterr()
    assert "hunter2" not in captured.out + captured.err
    if as_json:
        document = json.loads(captured.out)
        assert document["exception_name"] == "ZeroDivisionError"
        assert document["command"] == "kaa list https://***@host"
        assert "Traceback" in document["traceback"]
    else:
        assert captured.out == ""
        assert "Traceback" in captured.err
        assert "The command was: kaa list https://***@host" in captured.err


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 KB"),
        (1949, "1.9 KB"),
        (123_456, "123 KB"),
        (7_100_000, "7.1 MB"),
        (1_234_000_000, "1.2 GB"),
        (5_000_000_000_000, "5000 GB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_tables() -> None:
    assert table([("a", "bcd", ""), ("efg", "h", "i")]) == ["a    bcd", "efg  h    i"]
    assert table([("a", "b")], header=("# Name", "X"), indent="  ") == ["  # Name  X", "  a       b"]
    assert table([]) == []


@given(st.lists(st.lists(st.text(alphabet="abc", max_size=5), min_size=2, max_size=2), max_size=5))
def test_columns_line_up(rows: list[list[str]]) -> None:
    lines = table(rows)
    width = max((len(first) for first, _ in rows), default=0)
    for (first, second), line in zip(rows, lines, strict=True):
        assert line == f"{first:<{width}}  {second}".rstrip()


@dataclass
class Point:
    """A value of our own."""

    x: int
    y: tuple[int, ...]


class Struct(msgspec.Struct):
    """A value of the disk."""

    x: int
    y: frozenset[str]


def test_any_value_has_a_json_form() -> None:
    value = {"a": Point(1, (2,)), "b": Struct(1, frozenset("zy")), "c": Path("/x"), "d": {1: {2}}, "e": iter([1])}
    assert json.loads(to_json(value)) == {
        "a": {"x": 1, "y": [2]},
        "b": {"x": 1, "y": ["y", "z"]},
        "c": "/x",
        "d": {"1": [2]},
        "e": [1],
    }
    assert to_json({"b": 1, "a": 2}) == '{\n  "b": 1,\n  "a": 2\n}'
    assert json.loads(to_json(1 + 2j)) == "(1+2j)"
