"""Selectors at the ends of lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.envfiles.environment_yaml import parse_environment_yaml
from kaa.envfiles.selectors import holds, names_of, select_lines
from kaa.envfiles.spec import InvalidEnvironmentFile


@pytest.mark.parametrize(
    ("expression", "subdirs"),
    [
        ("linux", {"linux-64", "linux-aarch64"}),
        ("linux64", {"linux-64"}),
        ("unix", {"linux-64", "linux-aarch64", "osx-64", "osx-arm64"}),
        ("osx64", {"osx-64"}),
        ("arm64", {"osx-arm64", "linux-aarch64"}),
        ("osx and arm64", {"osx-arm64"}),
        ("win or osx", {"win-64", "osx-64", "osx-arm64"}),
        ("not win", {"linux-64", "linux-aarch64", "osx-64", "osx-arm64"}),
        ("not (win or osx)", {"linux-64", "linux-aarch64"}),
        ("x86_64 and not osx or osx and arm64", {"linux-64", "win-64", "osx-arm64"}),
        ("linux and (aarch64)", {"linux-aarch64"}),
    ],
)
def test_expressions(expression: str, subdirs: set[str]) -> None:
    every = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64")
    assert {subdir for subdir in every if holds(expression, subdir)} == subdirs


@pytest.mark.parametrize("expression", ["", "py37", "linux and", "(linux", "linux)", "linux win", "np>1", "and", "not"])
def test_what_is_no_selector(expression: str) -> None:
    with pytest.raises(InvalidEnvironmentFile) as caught:
        holds(expression, "linux-64", "environment.yml", 7)
    assert "environment.yml, line 7" in caught.value.message


def test_lines_keep_their_numbers_and_other_comments_stay() -> None:
    text = "# [win] a comment of its own\n- a  # [win]\n- b  # why b\n- 'c # [win]'\n- d # [linux]\r\n"
    assert select_lines(text, "linux-64") == ("# [win] a comment of its own\n\n- b  # why b\n- 'c # [win]'\n- d\n")


@pytest.mark.parametrize("comment", ["[optional]", "[see issue 12]", "[py3k]", "[]", "[1.2, 2.0]"])
def test_brackets_of_other_comments(comment: str) -> None:
    text = f"dependencies:\n  - a  # {comment}\n"
    assert select_lines(text, "win-64") == text


def test_a_selector_with_what_is_no_name() -> None:
    with pytest.raises(InvalidEnvironmentFile) as caught:
        select_lines("- a\n- b  # [linux and py37]\n", "win-64", "environment.yml")
    assert (caught.value.line, "'py37'" in caught.value.message) == (2, True)


def test_in_an_environment_file() -> None:
    text = "channels: [c]\ndependencies:\n  - a\n  - b  # [osx]\n  - pip:  # [linux]\n    - wheel  # [linux]\n"
    on_linux, on_mac = (parse_environment_yaml(text, subdir=subdir) for subdir in ("linux-64", "osx-arm64"))
    assert ([str(spec) for spec in on_linux.specs], on_linux.pip) == (["a"], ("wheel",))
    assert ([str(spec) for spec in on_mac.specs], on_mac.pip) == (["a", "b"], ())


NAMES = st.sampled_from(sorted(names_of("linux-64") | names_of("osx-arm64") | names_of("win-64")))
EXPRESSIONS = st.recursive(
    NAMES.map(lambda name: (name, name)),
    lambda inner: st.one_of(
        inner.map(lambda one: (f"not ({one[0]})", f"(not ({one[1]}))")),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda parts: (
                f"({parts[0][0]}) {parts[1]} ({parts[2][0]})",
                f"(({parts[0][1]}) {parts[1]} ({parts[2][1]}))",
            )
        ),
    ),
    max_leaves=6,
)


@given(EXPRESSIONS, st.sampled_from(["linux-64", "osx-arm64", "win-64"]))
def test_expressions_mean_what_python_says(expression: tuple[str, str], subdir: str) -> None:
    true = names_of(subdir)
    text = expression[1]
    known = {
        name.replace("-", "_"): name in true
        for name in names_of("linux-64") | names_of("osx-arm64") | names_of("win-64")
    }
    for name in sorted(known, key=len, reverse=True):
        text = text.replace(name.replace("_", "-"), name) if "-" in name else text
    assert holds(expression[0], subdir) == eval(text.replace("-", "_"), {}, known)
