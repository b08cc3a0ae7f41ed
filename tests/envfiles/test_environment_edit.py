"""Specs written into an environment file: the rest of it stays, byte for byte."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaa.envfiles import environment_edit
from kaa.envfiles.environment_edit import with_specs
from kaa.envfiles.environment_yaml import parse_environment_yaml
from kaa.envfiles.spec import InvalidEnvironmentFile
from kaa.models.match_spec import InvalidMatchSpec, MatchSpec

CASES: list[tuple[str, list[str], str]] = [
    ("dependencies:\n  - a  # why\n  - 'b=1'\n", ["b=2"], "dependencies:\n  - a  # why\n  - 'b=2'\n"),
    ('dependencies:\n- "a =1"   # x\n', ["a >=2,<3"], 'dependencies:\n- "a >=2,<3"   # x\n'),
    ("dependencies:\n  - a\n\n  # last\nname: x\n", ["b"], "dependencies:\n  - a\n  - b\n\n  # last\nname: x\n"),
    ("dependencies:\n- a\n- pip:\n  - rich\n", ["b"], "dependencies:\n- a\n- b\n- pip:\n  - rich\n"),
    ("dependencies:\n    - pip:\n      - rich\n", ["b"], "dependencies:\n    - b\n    - pip:\n      - rich\n"),
    ("dependencies:\n- a", ["b"], "dependencies:\n- a\n- b"),
    ("dependencies:\r\n- a\r\nname: x\r\n", ["b"], "dependencies:\r\n- a\r\n- b\r\nname: x\r\n"),
    ("\ufeffdependencies:\n- a\n", ["a=1"], "\ufeffdependencies:\n- a=1\n"),
    ("dependencies: []  # none\n", ["a", "b"], "dependencies: [a, b]  # none\n"),
    ("dependencies: [a, {pip: [x]}]\n", ["b >=1,<2"], "dependencies: [a, 'b >=1,<2', {pip: [x]}]\n"),
    ("dependencies: [a, b, a]\n", ["a=1"], "dependencies: [a=1, b]\n"),
    ("dependencies: [a, a, b]\n", ["a=1"], "dependencies: [a=1, b]\n"),
    ("dependencies:\nname: x\n", ["a"], "dependencies: [a]\nname: x\n"),
    ("dependencies: null\n", ["a"], "dependencies: [a]\n"),
    ("name: x\ndependencies:  # none yet\n", ["a"], "name: x\ndependencies: [a]  # none yet\n"),
    ("dependencies:\n- a  # [win]\n- a=1  # [linux]\n", ["a=2"], "dependencies:\n- a  # [win]\n- a=2  # [linux]\n"),
    ("dependencies:\n- a  # [win]\n", ["a=2"], "dependencies:\n- a  # [win]\n- a=2\n"),
    ("dependencies:\n- sel(linux): a\n- sel(win): a\n", ["a=2"], "dependencies:\n- sel(linux): a=2\n- sel(win): a\n"),
    ("dependencies:\n- a\n- b\n- a >=1  # twice\n- c\n", ["a=2"], "dependencies:\n- a=2\n- b\n- c\n"),
    ("dependencies:\n- conda-forge::a=1\n", ["a=2"], "dependencies:\n- a=2\n"),
]


@pytest.mark.parametrize(("text", "specs", "wanted"), CASES)
def test_cases(text: str, specs: list[str], wanted: str) -> None:
    assert with_specs(text, specs, subdir="linux-64") == wanted


@pytest.mark.parametrize(
    ("text", "error"),
    [("dependencies: {a: b}\n", InvalidEnvironmentFile), ("name: x\n", InvalidEnvironmentFile)],
)
def test_files_that_are_none(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        with_specs(text, ["a"], filename="f")
    with pytest.raises(InvalidMatchSpec):
        with_specs("dependencies: []\n", ["a >>1"])


WORDS = st.sampled_from(["a", "b=1", "c >=1,<2", "conda-forge::d", "e=1=h0_0", "f[version='>=2']"])
LINES = st.sampled_from(["", "  # a comment", "  ", " # [linux]", " # [win]"])


@settings(max_examples=40)
@given(
    st.lists(st.tuples(WORDS, LINES), max_size=6),
    st.booleans(),
    st.integers(0, 4),
    WORDS,
    st.sampled_from(["\n", "\r\n"]),
)
def test_only_lines_of_that_package_change(
    items: list[tuple[str, str]], has_pip: bool, indent: int, word: str, newline: str
) -> None:
    lines = ["# top", "name: x", "dependencies:"]
    lines += [f"{' ' * indent}- {scalar_of(spec)}{comment}" for spec, comment in items]
    lines += [f"{' ' * indent}- pip:", f"{' ' * indent}  - rich"] if has_pip else []
    lines += ["# behind", "channels: [c]", ""]
    text = newline.join(lines)
    changed = with_specs(text, [word], subdir="linux-64")
    wanted = MatchSpec.parse(word)
    before, after = (parse_environment_yaml(one, subdir="linux-64") for one in (text, changed))
    assert [spec for spec in after.specs if spec.name == wanted.name] == [wanted]
    assert [spec for spec in after.specs if spec.name != wanted.name] == [
        spec for spec in before.specs if spec.name != wanted.name
    ]
    assert (after.pip, after.channels, after.name) == (before.pip, before.channels, before.name)
    others = [line for line in text.split(newline) if not line.strip().startswith("-") or "pip" in line]
    left = changed.split(newline)
    assert [line for line in left if line in others] == others or not (items or has_pip)
    assert with_specs(changed, [word], subdir="linux-64") == changed


def scalar_of(word: str) -> str:
    return f'"{word}"' if "[" in word else word


def test_examples() -> None:
    assert doctest.testmod(environment_edit).failed == 0
