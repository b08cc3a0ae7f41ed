"""condarc files: reading with lines and flags, and changes that keep every comment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.config.condarc import CondarcFile, InvalidConfigFile, parse_condarc, read_condarc

FILE = """\
# my own settings
channels:   #!top
  # the fast one
  - bioconda   #!bottom
  - conda-forge  # x
  # - off

# about proxies
proxy_servers:
  http: http://x:80   # p
  # none
  https: http://y:80
always_yes: yes  # hm
plugins: {a: 1, b: [1, 2]}
other: [a, b]   # flow

# the end
"""


def test_reading() -> None:
    entries = parse_condarc(FILE)
    assert list(entries) == ["channels", "proxy_servers", "always_yes", "plugins", "other"]
    channels = entries["channels"]
    assert (channels.value, channels.line, channels.flag) == (["bioconda", "conda-forge"], 2, "top")
    assert channels.item_flags == {0: "bottom"}
    assert entries["proxy_servers"].value == {"http": "http://x:80", "https": "http://y:80"}
    assert (entries["always_yes"].value, entries["always_yes"].line) == ("yes", 13)
    assert entries["plugins"].value == {"a": 1, "b": [1, 2]}


def edit(*steps: Callable[[CondarcFile], object]) -> str:
    file = CondarcFile(FILE, "x")
    for step in steps:
        step(file)
    return file.text


def changed(text: str) -> list[str]:
    """The lines that went (-) and came (+)."""
    old, new = FILE.splitlines(), text.splitlines()
    return [f"-{line}" for line in old if line not in new] + [f"+{line}" for line in new if line not in old]


EDITS: list[tuple[Callable[[CondarcFile], object], list[str]]] = [
    (lambda file: file.insert("channels", "new", first=True), ["+  - new"]),
    (lambda file: file.insert("channels", "new", first=False), ["+  - new"]),
    (lambda file: file.insert("channels", "a: b", first=False), ["+  - 'a: b'"]),
    (lambda file: file.insert("fresh", "a", first=True), ["+fresh:", "+  - a"]),
    (lambda file: file.remove_item("channels", "bioconda"), ["-  - bioconda   #!bottom"]),
    (lambda file: file.set("always_yes", True), ["-always_yes: yes  # hm", "+always_yes: true  # hm"]),
    (lambda file: file.set("ssl_verify", "/etc/ca.pem"), ["+ssl_verify: /etc/ca.pem"]),
    (
        lambda file: file.set("proxy_servers.http", "http://z:1"),
        ["-  http: http://x:80   # p", "+  http: http://z:1  # p"],
    ),
    (lambda file: file.set("proxy_servers.ftp", "http://z:1"), ["+  ftp: http://z:1"]),
    (lambda file: file.set("custom_channels.a.b", "http://z:1"), ["+custom_channels:", "+  a.b: http://z:1"]),
    (lambda file: file.remove_item("proxy_servers", "https"), ["-  https: http://y:80"]),
    (lambda file: file.remove_key("proxy_servers.https"), ["-  https: http://y:80"]),
    (lambda file: file.remove_key("always_yes"), ["-always_yes: yes  # hm"]),
    (lambda file: file.remove_key("plugins"), ["-plugins: {a: 1, b: [1, 2]}"]),
]


@pytest.mark.parametrize(("step", "difference"), EDITS)
def test_only_the_lines_in_question_change(step: Callable[[CondarcFile], object], difference: list[str]) -> None:
    assert changed(edit(step)) == difference


def test_moving_an_item() -> None:
    file = CondarcFile(FILE, "x")
    assert file.insert("channels", "conda-forge", first=True)
    assert file.get("channels") == ["conda-forge", "bioconda"]
    assert not file.insert("channels", "third", first=False)
    assert file.get("channels") == ["conda-forge", "bioconda", "third"]


def test_the_order_of_places() -> None:
    text = edit(
        lambda file: file.insert("channels", "first", first=True),
        lambda file: file.insert("channels", "last", first=False),
    )
    lines = [line.strip().split("#")[0].strip() for line in text.splitlines()[1:8]]
    assert lines == ["channels:", "", "- first", "- bioconda", "- conda-forge", "- last", ""]


def test_the_last_item_leaves_an_empty_list() -> None:
    file = CondarcFile("channels:\n  - a\n# b\nquiet: true\n", "x")
    file.remove_item("channels", "a")
    assert file.text == "channels: []\n# b\nquiet: true\n"
    file.insert("channels", "c", first=True)
    assert file.text == "channels:\n  - c\n# b\nquiet: true\n"


def test_a_file_of_comments_stays() -> None:
    file = CondarcFile("# nothing yet\n", "x")
    file.set("quiet", True)
    assert file.text == "# nothing yet\nquiet: true\n"
    file.remove_key("quiet")
    assert file.text == "# nothing yet\n"


def test_an_empty_file() -> None:
    file = CondarcFile("", "x")
    assert file.values == {}
    file.insert("channels", "a", first=True)
    assert file.text == "channels:\n  - a\n"


@pytest.mark.parametrize(
    "step",
    [
        lambda file: file.remove_item("channels", "absent"),
        lambda file: file.remove_item("absent", "a"),
        lambda file: file.remove_item("proxy_servers", "absent"),
        lambda file: file.remove_key("absent"),
        lambda file: file.remove_key("proxy_servers.absent"),
        lambda file: file.get("absent"),
        lambda file: file.get("always_yes.a"),
        lambda file: file.get("proxy_servers.absent"),
    ],
)
def test_what_is_not_there(step: Callable[[CondarcFile], object]) -> None:
    file = CondarcFile(FILE, "x")
    with pytest.raises(KeyError):
        step(file)
    assert file.text == FILE


def test_an_item_for_what_is_no_list() -> None:
    with pytest.raises(InvalidConfigFile, match="x, line 13: always_yes is not a list"):
        CondarcFile(FILE, "x").insert("always_yes", "a", first=True)


BROKEN = [
    ("a: b: c\n", 1, "is no valid YAML: mapping values are not allowed here"),
    ("a: b\n\nc: [1\n", 4, "is no valid YAML"),
    ("a: 1\na: 2\n", 2, "found duplicate key"),
    ("- a\n- b\n", 1, "does not hold `key: value` lines"),
    ("just text\n", 1, "does not hold `key: value` lines"),
    ("a: !!python/name:os.system\nb: @\n", 2, "is no valid YAML"),
    ("a: \x07\n", None, "is no valid YAML"),
    ("a: 2026-13-01\n", None, "month must be in 1..12"),
    ("channels:\n ? - a: &b c\n", 2, "a list or a mapping stands in the place of a key"),
    ("a:  #!top\n 4048-\n  -rge#!top\n 2023-'e\n\n", None, "is no valid YAML: it is put down in a way"),
    ("a: &x {b: c}\n*x : d\n", 2, "a list or a mapping stands in the place of a key"),
]


def test_keys_of_a_mapping_that_is_merged_in() -> None:
    """They are read, on no line of their own, and are not changed in the wrong place."""
    text = "<<: &more {quiet: true}\nchannels: [a]\n"
    assert {key: entry.value for key, entry in parse_condarc(text).items()} == {"channels": ["a"], "quiet": True}
    file = CondarcFile(text, "x")
    file.set("channels", ["b"])
    assert "quiet: true" in file.text
    with pytest.raises(InvalidConfigFile, match="change it there by hand"):
        file.set("quiet", False)


@pytest.mark.parametrize(("text", "line", "reason"), BROKEN)
def test_broken_files_name_file_and_line(tmp_path: Path, text: str, line: int | None, reason: str) -> None:
    path = tmp_path / ".condarc"
    path.write_text(text)
    with pytest.raises(InvalidConfigFile) as caught:
        read_condarc(path)
    assert caught.value.line == line
    assert reason in caught.value.message
    assert caught.value.message.startswith(f"{path}, line {line}: " if line else f"{path}: ")
    assert caught.value.hints


def test_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / ".condarc"
    with pytest.raises(InvalidConfigFile, match="cannot be read: No such file"):
        read_condarc(path)
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(InvalidConfigFile, match="is not UTF-8 text"):
        read_condarc(path)
    path.write_bytes(b"\xef\xbb\xbfquiet: true\n")
    assert read_condarc(path)["quiet"].value is True


VALUES = st.text(alphabet="ab:#-'\"{}[]&*!|>%@~? \n\té", max_size=8)
KEYS = st.sampled_from(["channels", "proxy_servers", "always_yes", "plugins", "other", "new"])
STEPS = st.lists(
    st.tuples(st.sampled_from(["set", "set inside", "first", "last", "remove", "remove key"]), KEYS, VALUES), max_size=5
)


@given(STEPS)
def test_a_change_changes_what_it_names_and_loses_no_other_comment(steps: list[tuple[str, str, str]]) -> None:
    file = CondarcFile(FILE, "x")
    model = file.values
    for verb, key, value in steps:
        old = model.get(key)
        if verb == "set":
            file.set(key, value)
            model[key] = value
        elif verb == "set inside" and (old is None or isinstance(old, dict)):
            file.set(f"{key}.inner", value)
            model[key] = {**(old or {}), "inner": value}
        elif verb in ("first", "last") and (old is None or isinstance(old, list)):
            file.insert(key, value, first=verb == "first")
            others = [item for item in old or [] if item != value]
            model[key] = [value, *others] if verb == "first" else [*others, value]
        elif verb == "remove" and isinstance(old, list) and old:
            file.remove_item(key, old[0])
            model[key] = [item for item in old if item != old[0]]
        elif verb == "remove key" and key in model:
            file.remove_key(key)
            del model[key]
        assert file.values == model
    touched = {key for _, key, _ in steps}
    for key, comment in {"channels": "# the fast one", "proxy_servers": "# none", "other": "# flow"}.items():
        assert key in touched or comment in file.text
    for comment in ("# my own settings", "# about proxies", "# the end"):
        assert comment in file.text
