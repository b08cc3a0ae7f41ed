"""Environment files as they are found: each is read, or refused with the line and the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from kaa.api.environment_files import read_environment_file
from kaa.api.session import open_session
from kaa.envfiles.environment_yaml import environment_text, parse_environment_yaml
from kaa.envfiles.spec import InvalidEnvironmentFile
from kaa.models.match_spec import MatchSpec

READ: list[tuple[str, bytes, list[str], list[str]]] = [
    # what is odd about it, the file, its specs, its pip section
    ("lists at the margin", b"dependencies:\n- a\n- b=1\n", ["a", "b=1"], []),
    ("lists far in", b"dependencies:\n        - a\n        - b=1\n", ["a", "b=1"], []),
    ("the pip section at the margin of its list", b"dependencies:\n- a\n- pip:\n  - rich\n", ["a"], ["rich"]),
    ("the pip section further in", b"dependencies:\n  - a\n  - pip:\n          - rich\n", ["a"], ["rich"]),
    ("spaces at the ends of lines", b"dependencies:   \n  - a   \n  - b=1  \n", ["a", "b=1"], []),
    ("blank lines and comments", b"\n# x\n\ndependencies:\n\n  # y\n  - a # z\n\n\n", ["a"], []),
    ("no end of line", b"dependencies:\n  - a", ["a"], []),
    ("a start and an end of document", b"---\ndependencies:\n  - a\n...\n", ["a"], []),
    ("nothing behind dependencies", b"name: x\ndependencies:\n", [], []),
    ("null for everything", b"name: null\nchannels: null\ndependencies: ~\nvariables:\nprefix:\n", [], []),
    ("an empty pip section", b"dependencies:\n  - a\n  - pip:\n", ["a"], []),
    ("unknown keys", b"dependencies: [a]\nmy_tool: {x: [1]}\nversion: 2\n", ["a"], []),
    (
        "relative files of pip",
        b"dependencies:\n  - pip:\n    - -r ../req.txt\n    - -e .\n",
        [],
        ["-r ../req.txt", "-e ."],
    ),
    ("ends of lines of Windows", b"name: x\r\ndependencies:\r\n  - a\r\n  - pip:\r\n    - rich\r\n", ["a"], ["rich"]),
    ("a byte order mark", b"\xef\xbb\xbfdependencies:\n  - a\n", ["a"], []),
    ("anchors", b"x: &them [a, b]\ndependencies: *them\n", ["a", "b"], []),
    ("anchors of single specs", b"dependencies:\n  - &one a\n  - b\n  - *one\n", ["a", "b", "a"], []),
    ("merged maps", b"x: &x {A: '1'}\nvariables: {<<: *x, B: '2'}\ndependencies: [a]\n", ["a"], []),
    ("duplicated names", b"dependencies:\n  - a\n  - a\n  - a>=1\n", ["a", "a", "a >=1"], []),
    ("quotes of both kinds", b"dependencies: ['a', \"b=1\", 'c >=1,<2']\n", ["a", "b=1", "c >=1,<2"], []),
    ("letters from everywhere", "# für\ndependencies: [a]\nvariables: {X: 日本}\n".encode(), ["a"], []),
    ("channels in specs", b"dependencies: ['conda-forge::a', 'b[version=\">=1\"]']\n", ["conda-forge::a", "b >=1"], []),
    ("spaces within specs", b"dependencies:\n  - a >= 1 , < 2\n  - b = 1\n", ["a >=1,<2", "b=1"], []),
    ("folded texts", b"dependencies:\n  - >-\n    a\n  - |-\n    b\n", ["a", "b"], []),
    ("a selector", b"dependencies:\n  - a  # [linux]\n  - b  # [win]\n", ["a"], []),
    ("a comment that is no selector", b"dependencies:\n  - a  # [see the wiki]\n", ["a"], []),
]

REFUSED: list[tuple[str, bytes, int | None, str]] = [
    # what is odd about it, the file, the line, words of the reason
    ("empty", b"", None, "`key: value`"),
    ("comments alone", b"# nothing\n", None, "`key: value`"),
    ("a bare list", b"- a\n- b\n", None, "`key: value`"),
    ("a bare word", b"python\n", None, "`key: value`"),
    ("no dependencies", b"name: x\n", None, "no `dependencies:`"),
    ("tabs", b"dependencies:\n\t- a\n", 2, "cannot start any token"),
    ("a list for a key", b"? [a, {b: c}]\n: 1\n", 1, "in the place of a key"),
    ("what is merged in", b"name: x\n<<: {channels: 3}\ndependencies: [a]\n", 1, "channels"),
    ("indentation that changes", b"dependencies:\n  - a\n - b\n", 3, "no valid YAML"),
    ("a missing space", b"dependencies:\n  -a\n  -b\n", 1, "not a list"),
    ("a number", b"dependencies:\n  - a\n  - 3.10\n", 3, "not a spec"),
    ("a number in a list of pip", b"dependencies:\n  - pip:\n    - 3\n", 2, "not a list of texts"),
    ("true in place of a name", b"dependencies:\n  - true\n", 2, "not a spec"),
    ("nothing in the list", b"dependencies:\n  - a\n  -\n", 3, "not a spec"),
    ("lists in lists", b"dependencies:\n  - [a, b]\n", 2, "not a spec"),
    ("another installer", b"dependencies:\n  - a\n  - npm:\n    - left-pad\n", 3, "nothing here installs 'npm'"),
    ("a colon in place of =", b"dependencies:\n  - numpy: 1.26\n", 2, "nothing here installs 'numpy'"),
    ("a map in place of a list", b"dependencies:\n  a: 1\n", 1, "not a list"),
    ("pip as a text", b"dependencies:\n  - pip: rich\n", 2, "`pip` is not a list"),
    ("a key twice", b"dependencies: [a]\nname: x\ndependencies: [b]\n", 3, "duplicate key"),
    ("a spec that is none", b"dependencies:\n  - a\n  - b ==\n", 3, "b =="),
    ("an unknown anchor", b"dependencies:\n  - *them\n", 2, "alias"),
    ("a bracket that stays open", b"dependencies: [a,\n  b\nname: x\n", 3, "no valid YAML"),
    ("a merge that went wrong", b"<<<<<<< HEAD\ndependencies: [a]\n=======\ndependencies: [b]\n", 2, "no valid YAML"),
    ("Latin-1", "# für\ndependencies: [a] # für\n".encode("latin-1"), 1, "not UTF-8"),
    ("UTF-16", "dependencies: [a]\n".encode("utf-16"), 1, "not UTF-8"),
    ("an archive", b"PK\x03\x04\x80\x81\n\xff", 1, "not UTF-8"),
    ("a zero byte", b"dependencies:\n  - a\x00\n", None, "no valid YAML"),
    ("channels as a text", b"channels: conda-forge\ndependencies: [a]\n", 1, "`channels` is not a list"),
    ("half a selector", b"dependencies:\n  - a\n  - b  # [linux and]\n", 3, "a name is missing"),
    ("an object of Python", b"dependencies:\n  - !!python/name:os.system a\n", 2, "is not a spec"),
]


@pytest.mark.parametrize(("content", "specs", "pip"), [case[1:] for case in READ], ids=[case[0] for case in READ])
def test_read(tmp_path: Path, content: bytes, specs: list[str], pip: list[str]) -> None:
    (tmp_path / "environment.yml").write_bytes(content)
    with open_session(root_prefix=tmp_path / "root", environ={"HOME": str(tmp_path)}) as session:
        read = read_environment_file(session, str(tmp_path / "environment.yml"), "linux-64")
    assert read.spec.specs == tuple(map(MatchSpec.parse, specs))
    assert list(read.spec.pip) == pip
    # What is written of it says the same.
    again = parse_environment_yaml(environment_text(read.spec))
    assert (again.specs, again.pip, again.variables) == (read.spec.specs, read.spec.pip, read.spec.variables)


@pytest.mark.parametrize(
    ("content", "line", "words"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_refused(tmp_path: Path, content: bytes, line: int | None, words: str) -> None:
    path = tmp_path / "environment.yml"
    path.write_bytes(content)
    with (
        open_session(root_prefix=tmp_path / "root", environ={"HOME": str(tmp_path)}) as session,
        pytest.raises(InvalidEnvironmentFile) as caught,
    ):
        read_environment_file(session, str(path), "linux-64")
    assert (caught.value.line, caught.value.filename) == (line, str(path))
    assert words in caught.value.message
