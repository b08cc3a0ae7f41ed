"""The quick reader against the real one: it may decline a text, but never read it differently."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kaa.config.condarc import Entry, InvalidConfigFile, _parse_whole, parse_condarc
from kaa.config.plain_yaml import parse_plain

COMMON = """\
# my settings
channels:  #!top
  - conda-forge
  - bioconda   # for work
# next
channel_priority: strict
ssl_verify: true
remote_connect_timeout_secs: 9.15
fetch_threads: 5
env_prompt: '({name}) '
proxy_servers:
    http: http://proxy.example:8080
    https: "http://proxy.example:8081"
pinned_packages:
- python 3.11.*
- numpy>=1.20,<2   #!bottom
envs_dirs:
  - ~/envs
  - $HOME/more
show_channel_urls: null
exclude_newer: 7d
exclude_newer_package:
  openssl: false
  numpy: 30d
empty:
"""


def same(first: dict[str, Entry], second: dict[str, Entry]) -> bool:
    return list(first) == list(second) and all(
        (a.value, type(a.value), a.line, a.flag, dict(a.item_flags))
        == (b.value, type(b.value), b.line, b.flag, dict(b.item_flags))
        for a, b in zip(first.values(), second.values(), strict=True)
    )


def test_common_files_need_no_library() -> None:
    assert parse_plain(COMMON) is not None
    assert same(parse_condarc(COMMON), _parse_whole(COMMON, "x"))


ODD = """
    conda-forge https://host/t/tk-1/a:8080 numpy>=1.20,<2 python_3.11.* ~ ~/x ./a ../b . .. .5 .inf 1 01 0x1 1.5 1e3
    1_000 2024-01-01 12:30:00 true True yes no on null Null nan .nan a#b a: a:b :a -a - ? ! & * [ ] { } [] {} [a] {a:1}
    7d 12h 2w 7x 07d 1d2 7D 0xd 'a' "b" 'it''s' "a\\n" | > %x @x `x` <<x = a,b é ${HOME}/x (x) <x !x a'b a"b --- ...
    """
WORDS = st.sampled_from(ODD.split())
SCALARS = st.lists(WORDS, min_size=1, max_size=3).map(" ".join) | st.text(
    alphabet="ab1:#-'\"[]{},.&*!|>%@~? \t", max_size=8
)
COMMENTS = st.sampled_from(["", "", " # c", "  #!final", " #!top", "#x", " #!bottom "])
KEYS = st.sampled_from(["channels", "a", "b.c", "d-e", "pkgs/main", "true", "null", "1", "'q'", "a b", "é"])
TAME = (
    "conda-forge https://host/t/tk-1/a:8080 numpy>=1.20,<2 python_3.11.* ~/x ./a 1 1.5 true null a:b a#b yes $HOME/x "
    "${HOME} (x) a[1] x{y} 'a' \"b\" 01 1e3 ~ a, b"
)
TAME_WORDS = st.sampled_from(TAME.split())
TAME_SCALARS = st.lists(TAME_WORDS, min_size=1, max_size=2).map(" ".join)
TAME_KEYS = ["channels", "a", "b.c", "d-e", "pkgs/main"]
BREAKS = st.sampled_from(["", "", "\n", "# comment\n", "   # indented\n", "  \n"])


@st.composite
def documents(draw: st.DrawFn) -> str:
    lines = []
    tame = draw(st.booleans())
    scalars = TAME_SCALARS if tame else SCALARS
    for key in draw(
        st.lists(st.sampled_from(TAME_KEYS), max_size=3, unique=True) if tame else st.lists(KEYS, max_size=4)
    ):
        lines.append(draw(BREAKS))
        kind = draw(st.sampled_from(["scalar", "list", "map", "nothing"]))
        if kind == "scalar":
            lines.append(f"{key}: {draw(scalars)}{draw(COMMENTS)}\n")
            continue
        lines.append(f"{key}:{draw(COMMENTS)}\n")
        indent = draw(st.sampled_from(["", "  ", "    "]))
        for _ in range(draw(st.integers(0, 3)) if kind != "nothing" else 0):
            lines.append(draw(BREAKS))
            name = draw(st.text(alphabet="abcdef", min_size=3, max_size=3) if tame else KEYS)
            head = "- " if kind == "list" else f"{name}: "
            lines.append(f"{indent}{head}{draw(scalars)}{draw(COMMENTS)}\n")
    return "".join(lines)


@given(documents() | st.text(max_size=30))
@example("a: b\n  c\n")
@example("a:\n  - b\n   - c\n")
@example("a:\n  - b\n  c\n")
@example("a: 'b' c\n")
@example("a: b\na: c\n")
@example("- a\n")
@example("a:\n\n\n  # x\n  - b\n")
@example("a: ~\n")
@example("a: yes\n")
@example("a:\n- b\n# c\n- d\nb: 1\n")
def test_never_different_from_the_real_reader(text: str) -> None:
    plain = parse_plain(text)
    if plain is None:
        return
    try:
        whole = _parse_whole(text, "x")
    except InvalidConfigFile as error:
        pytest.fail(f"the quick reader took {text!r}, which is {error}")
    assert same(parse_condarc(text), whole)
