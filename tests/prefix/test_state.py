from __future__ import annotations

import json
from pathlib import Path

import pytest

from kaa.models.match_spec import InvalidMatchSpec
from kaa.prefix.pins import InvalidPin, read_pinned
from kaa.prefix.prefix import Prefix
from kaa.prefix.state import (
    BrokenState,
    EnvironmentFrozen,
    check_not_frozen,
    find_frozen_marker,
    is_frozen,
    read_pinned_lines,
    read_variables,
    state_content,
)


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    (tmp_path / "conda-meta").mkdir()
    return Prefix(tmp_path)


@pytest.mark.parametrize(
    ("content", "variables"),
    [
        (None, {}),
        ("{}", {}),
        ('{"env_vars": {"A": "1", "B": "***unset***"}}', {"A": "1", "B": "***unset***"}),
        ('{"env_vars": {"A": 1, "B": true, "C": null}, "version": 1}', {"A": "1", "B": "true", "C": "null"}),
        ('{"env_vars": ["A"]}', {}),
    ],
)
def test_variables(prefix: Prefix, content: str | None, variables: dict[str, str]) -> None:
    if content is not None:
        (prefix.conda_meta / "state").write_text(content)
    assert read_variables(prefix) == variables


def test_writing_variables_keeps_the_rest(prefix: Prefix) -> None:
    content = state_content(prefix, {"A": "1"})
    assert content is not None
    assert json.loads(content) == {"env_vars": {"A": "1"}}
    assert state_content(prefix, {}) is None
    (prefix.conda_meta / "state").write_text('{"env_vars": {"A": "1"}, "version": 1}')
    for variables in ({"B": "é"}, {}):
        content = state_content(prefix, variables)
        assert content is not None
        assert json.loads(content) == {"env_vars": variables, "version": 1}


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "\udcff"])
def test_a_broken_state_is_named(prefix: Prefix, content: str) -> None:
    (prefix.conda_meta / "state").write_text(content, errors="surrogateescape")
    for call in (read_variables, lambda prefix: state_content(prefix, {})):
        with pytest.raises(BrokenState, match="conda-meta/state"):
            call(prefix)


def test_a_state_that_is_a_directory(prefix: Prefix) -> None:
    (prefix.conda_meta / "state").mkdir()
    with pytest.raises(BrokenState, match="directory"):
        read_variables(prefix)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        ("# only a comment\n\n", ()),
        ("numpy 1.7.*\n  scipy ==0.14.2  # why\n", ("numpy 1.7.*", "scipy ==0.14.2")),
        ("a[url=https://h/c/a.conda#abc]\r\n", ("a[url=https://h/c/a.conda#abc]",)),
    ],
)
def test_pins(prefix: Prefix, text: str, lines: tuple[str, ...]) -> None:
    (prefix.conda_meta / "pinned").write_text(text)
    assert read_pinned_lines(prefix) == lines


def test_pins_are_match_specs(prefix: Prefix) -> None:
    assert read_pinned(prefix) == ()
    (prefix.conda_meta / "pinned").write_text("numpy 1.7.*\n")
    [pin] = read_pinned(prefix)
    assert pin.name == "numpy"
    (prefix.conda_meta / "pinned").write_text("numpy >=<1\n")
    with pytest.raises(InvalidPin) as caught:
        read_pinned(prefix)
    assert isinstance(caught.value, InvalidMatchSpec)
    assert "numpy >=<1" in str(caught.value)
    assert str(prefix.conda_meta / "pinned") in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", ""),
        ("  \n", ""),
        ('{"message": "ask Ada"}', "ask Ada"),
        ('{"message": "a\\u001b[2Jb\\u0007"}', "ab"),
        ('{"message": 3}', ""),
        ("not json", ""),
        ("[1]", ""),
    ],
)
def test_the_frozen_marker(prefix: Prefix, content: str, message: str) -> None:
    check_not_frozen(prefix)
    assert not is_frozen(prefix)
    (prefix.conda_meta / "Frozen").touch()
    assert not is_frozen(prefix) or (prefix.conda_meta / "frozen").exists()
    (prefix.conda_meta / "frozen").write_text(content)
    marker = find_frozen_marker(prefix)
    assert marker is not None
    assert marker.message == message
    with pytest.raises(EnvironmentFrozen, match="override-frozen") as caught:
        check_not_frozen(prefix)
    assert caught.value.conda_name == "EnvironmentIsFrozenError"


def test_a_marker_that_cannot_be_read_freezes(prefix: Prefix) -> None:
    (prefix.conda_meta / "frozen").mkdir()
    assert is_frozen(prefix)


def test_no_environment_at_all(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert not is_frozen(Prefix(tmp_path / "file"))
    assert not is_frozen(Prefix(tmp_path / "missing"))
    assert read_variables(Prefix(tmp_path / "missing")) == {}
