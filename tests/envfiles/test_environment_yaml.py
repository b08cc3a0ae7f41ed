"""environment.yml (CEP 24)."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.envfiles import environment_yaml as environment_yaml_module
from kaa.envfiles.environment_yaml import environment_document, environment_text, parse_environment_yaml
from kaa.envfiles.spec import EnvironmentSpec, InvalidEnvironmentFile
from kaa.models.match_spec import MatchSpec

FULL = """\
# our environment
name: demo
prefix: ~/somewhere
channels:
  - conda-forge
  - https://user:pass@host/own
  - nodefaults
dependencies:
  - python >=3.11
  - numpy=2.1=py312_0
  - sel(linux): glibc-only
  - sel(osx): mac-only
  - sel(unix): [wrong]
  - pip:
      - -r more.txt
      - rich==13
variables:
  A: text
  B: 3
  C:
  D: yes
platforms: [linux-64]
category: main
extra: {a: 1}
"""


def test_all_keys() -> None:
    spec = parse_environment_yaml(FULL.replace("[wrong]", "unix-only"), subdir="linux-64")
    assert spec == EnvironmentSpec(
        name="demo",
        prefix="~/somewhere",
        channels=("conda-forge", "https://user:pass@host/own"),
        only_these_channels=True,
        specs=tuple(
            MatchSpec.parse(text) for text in ("python >=3.11", "numpy=2.1=py312_0", "glibc-only", "unix-only")
        ),
        pip=("-r more.txt", "rich==13"),
        variables={"A": "text", "B": "3", "C": "", "D": "yes"},
        platforms=("linux-64",),
        unknown_keys=("extra",),
    )


@pytest.mark.parametrize(
    ("subdir", "names"),
    [("linux-64", ["a", "d"]), ("osx-arm64", ["b", "d"]), ("win-64", ["c"]), ("", [])],
)
def test_selectors(subdir: str, names: list[str]) -> None:
    text = "dependencies: [{sel(linux): a}, {sel(osx): b}, {sel(win): c}, {sel(unix): d}]"
    assert [spec.name for spec in parse_environment_yaml(text, subdir=subdir).specs] == names


@pytest.mark.parametrize(
    "text", ["dependencies:\n", "dependencies: []\n", "dependencies: null\nchannels:\nvariables:\n"]
)
def test_an_empty_environment(text: str) -> None:
    assert parse_environment_yaml(text) == EnvironmentSpec()


WRONG: list[tuple[str, int | None, str]] = [
    ("", None, "does not hold `key: value` lines"),
    ("- a\n", None, "does not hold"),
    ("name: x\n", None, "no `dependencies:`"),
    ("dependencies: numpy\n", 1, "is not a list"),
    ("name: x\ndependencies: {a: b}\n", 2, "is not a list"),
    ("dependencies:\n  - a\n  - b >>1\n", 3, "b >>1"),
    ("dependencies:\n  - a\n  - 3.11\n", 3, "3.11 is not a spec"),
    ("dependencies:\n  - a\n  - numpy: 1.2\n", 3, "write numpy=1.2"),
    ("dependencies:\n  - npm: [a]\n", 2, "nothing here installs 'npm'"),
    ("dependencies:\n  - pip: rich\n", 2, "`pip` is not a list"),
    ("dependencies:\n  - pip: [{a: b}]\n", 2, "`pip` is not a list"),
    ("dependencies:\n  - [a]\n", 2, "is not a spec"),
    ("dependencies: []\nchannels: conda-forge\n", 2, "`channels` is not a list"),
    ("dependencies: []\nchannels: [1]\n", 2, "`channels` is not a list"),
    ("dependencies: []\nname: [a]\n", 2, "`name` is not a text"),
    ("dependencies: []\nname: true\n", 2, "`name` is not a text"),
    ("dependencies: []\nvariables: [a]\n", 2, "`variables` is not a map"),
    ("dependencies: []\nvariables:\n  A: [b]\n", 3, "the variable A"),
    ("dependencies: []\ndependencies: []\n", 2, "duplicate key"),
    ("dependencies: [a\n", 2, "no valid YAML"),
    ("a: \x07\n", None, "no valid YAML"),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG)
def test_errors_name_file_and_line(text: str, line: int | None, words: str) -> None:
    with pytest.raises(InvalidEnvironmentFile) as caught:
        parse_environment_yaml(text, filename="environment.yml")
    assert caught.value.line == line
    assert caught.value.message.startswith("environment.yml" + (f", line {line}: " if line else ": "))
    assert words in str(caught.value)


def test_the_written_form() -> None:
    spec = EnvironmentSpec(
        name="demo",
        prefix="/p",
        channels=("a", "b"),
        specs=(MatchSpec.parse("numpy=2.1=py_0"), MatchSpec.parse("x=1"), MatchSpec.parse("y >=1")),
        pip=("rich==13",),
        variables={"A": "1"},
    )
    assert environment_text(spec) == (
        "name: demo\nchannels:\n  - a\n  - b\ndependencies:\n  - numpy=2.1=py_0\n  - x=1\n  - y[version='>=1']\n"
        "  - pip:\n      - rich==13\nvariables:\n  A: '1'\nprefix: /p\n"
    )
    assert list(environment_document(spec)) == ["name", "channels", "dependencies", "variables", "prefix"]
    assert environment_text(EnvironmentSpec()) == "channels: []\ndependencies: []\n"


WORDS = st.text(alphabet="abyn01:#-'\"{}[]&*!|>%@~? .\té", min_size=1, max_size=8).filter(lambda word: word.strip())
SPECS = st.builds(
    EnvironmentSpec,
    name=st.none() | WORDS,
    prefix=st.none() | WORDS,
    channels=st.lists(WORDS.filter(lambda word: word != "nodefaults"), max_size=3).map(tuple),
    only_these_channels=st.booleans(),
    specs=st.lists(
        st.sampled_from(["a", "a=1", "a=1.2=b_0", "c::a >=1,<2", "a[build_number=3]"]).map(MatchSpec.parse), max_size=3
    ).map(tuple),
    pip=st.lists(WORDS, max_size=3).map(tuple),
    variables=st.dictionaries(WORDS, WORDS, max_size=3),
    platforms=st.lists(st.sampled_from(["linux-64", "win-64"]), max_size=2).map(tuple),
)


@given(SPECS)
def test_what_is_written_is_read(spec: EnvironmentSpec) -> None:
    assert parse_environment_yaml(environment_text(spec)) == spec


@given(st.text(max_size=40).map(lambda text: f"dependencies: {text}") | st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_environment_yaml(text, filename="x")
    except InvalidEnvironmentFile as error:
        assert error.message.startswith("x")


def test_the_examples() -> None:
    assert doctest.testmod(environment_yaml_module).failed == 0
