"""Text files of specs and explicit lists (CEP 23)."""

from __future__ import annotations

import doctest

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.envfiles import text_specs as text_specs_module
from kaa.envfiles.spec import InvalidEnvironmentFile
from kaa.envfiles.text_specs import (
    ExplicitEntry,
    TextSpecs,
    explicit_text,
    header,
    parse_text_specs,
    specs_text,
)
from kaa.models.match_spec import MatchSpec

MD5 = "0123456789abcdef" * 2
SHA256 = "0123456789abcdef" * 4
URL = "https://host/channel/noarch/six-1.0-0.conda"


SPECS: list[tuple[str, list[str]]] = [
    ("", []),
    ("# only a comment\n\n   \n", []),
    ("numpy\n", ["numpy"]),
    ("numpy", ["numpy"]),
    ("  numpy >=2  \r\n\r\nscipy\r\n", ["numpy >=2", "scipy"]),
    ("numpy  # because\n", ["numpy"]),
    ("\ufeffnumpy\n", ["numpy"]),
    ("conda-forge::numpy=2.1\nnumpy[version='>=2']\n", ["conda-forge::numpy=2.1", "numpy >=2"]),
    ("numpy=1.26.4=py312_0\n", ["numpy=1.26.4=py312_0"]),
]


@pytest.mark.parametrize(("text", "expected"), SPECS)
def test_specs(text: str, expected: list[str]) -> None:
    found = parse_text_specs(text)
    assert found == TextSpecs(specs=tuple(MatchSpec.parse(spec) for spec in expected))
    assert not found.explicit


ENTRIES: list[tuple[str, list[ExplicitEntry]]] = [
    ("", []),
    (URL, [ExplicitEntry(URL)]),
    (f"{URL}#{MD5}", [ExplicitEntry(URL, md5=MD5)]),
    (f"{URL}#md5:{MD5}", [ExplicitEntry(URL, md5=MD5)]),
    (f"{URL}#{MD5.upper()}", [ExplicitEntry(URL, md5=MD5)]),
    (f"{URL}#{SHA256}", [ExplicitEntry(URL, sha256=SHA256)]),
    (f"{URL}#sha256:{SHA256}", [ExplicitEntry(URL, sha256=SHA256)]),
    (f"{URL}#{MD5}  # mine", [ExplicitEntry(URL, md5=MD5)]),
    ("# pip something==1.0\n./local/six-1.0-0.conda", [ExplicitEntry("./local/six-1.0-0.conda")]),
    ("~/six-1.0-0.tar.bz2", [ExplicitEntry("/home/me/six-1.0-0.tar.bz2")]),
]


@pytest.mark.parametrize(("text", "expected"), ENTRIES)
@pytest.mark.parametrize("template", ["@EXPLICIT\n{}\n", "{}\n@EXPLICIT\n", "# x\n\n  @EXPLICIT  \r\n{}"])
def test_explicit_lists(template: str, text: str, expected: list[ExplicitEntry]) -> None:
    found = parse_text_specs(template.format(text), expand=lambda location: location.replace("~", "/home/me"))
    assert found == TextSpecs(entries=tuple(expected), explicit=True)


@pytest.mark.parametrize(
    ("line", "platform"),
    [("# platform: linux-64", "linux-64"), ("#platform:win-64", "win-64"), ("# platforms: x", None), ("#", None)],
)
def test_the_platform(line: str, platform: str | None) -> None:
    assert parse_text_specs(f"# a\n{line}\n@EXPLICIT\n").platform == platform


WRONG = [
    ("numpy\n\nscipy >>1\n", 3, "scipy", "^"),
    ("@explicit\nhttps://host/a-1-0.conda\n", 1, "@explicit", "@EXPLICIT exactly"),
    (f"@EXPLICIT\n{URL}\n{URL}#12345\n", 3, "12345", "SHA-256"),
    (f"@EXPLICIT\n{URL}#{MD5}0\n", 2, "no hash", "32"),
    (f"@EXPLICIT\n#x\n{URL}#sha256:{MD5}\n", 3, "no hash", "64"),
    (f"@EXPLICIT\n{URL}#\n", 2, "no hash", "32"),
    ("=1.0\n", 1, "", ""),
    ("@EXPLICIT\nhttps://host/chan/linux-64/..%2fx-1-0.conda\n", 2, "cannot stand", "path of a package file"),
]


@pytest.mark.parametrize(("text", "line", "words", "more"), WRONG)
def test_errors_name_file_and_line(text: str, line: int, words: str, more: str) -> None:
    with pytest.raises(InvalidEnvironmentFile) as caught:
        parse_text_specs(text, filename="specs.txt")
    assert caught.value.line == line
    assert caught.value.message.startswith(f"specs.txt, line {line}: ")
    assert words in caught.value.message
    assert more in str(caught.value)


def test_a_hash_without_a_package() -> None:
    # A line that begins with # is a comment; a hash can only follow what the expansion leaves empty.
    with pytest.raises(InvalidEnvironmentFile, match="without a package"):
        parse_text_specs(f"@EXPLICIT\n$NOTHING#{MD5}\n", expand=lambda text: "")


LOCATIONS = st.from_regex(
    r"(https://host/|/|\./|\.\./)[a-z0-9./%+~=!_-]{0,20}/tool-1-0\.(conda|tar\.bz2)", fullmatch=True
)
HASHES = st.sampled_from([(None, None), (MD5, None), (None, SHA256)])


@given(st.lists(st.tuples(LOCATIONS, HASHES), max_size=4))
def test_what_is_written_is_read(entries: list[tuple[str, tuple[str | None, str | None]]]) -> None:
    wanted = tuple(ExplicitEntry(location, md5, sha256) for location, (md5, sha256) in entries)
    text = explicit_text(wanted, platform="linux-64", created_by="kaa 1")
    assert parse_text_specs(text) == TextSpecs(entries=wanted, explicit=True, platform="linux-64")


@given(st.lists(st.sampled_from(["numpy", "numpy >=2,<3", "c::x=1", "a=1=b", "a[build_number='>3']"]), max_size=4))
def test_written_specs_are_read(texts: list[str]) -> None:
    specs = tuple(MatchSpec.parse(text) for text in texts)
    assert parse_text_specs(specs_text(specs)).specs == specs


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_line(text: str) -> None:
    try:
        parse_text_specs(text, filename="x")
    except InvalidEnvironmentFile as error:
        assert error.line is not None
        assert 1 <= error.line <= len(text.splitlines())


def test_the_header_is_made_of_comments() -> None:
    lines = header("linux-64", "kaa 1").splitlines()
    assert len(lines) == 4
    assert all(line.startswith("# ") for line in lines)
    assert lines[1] == "# $ kaa create --name <env> --file <this file>"


def test_the_examples() -> None:
    assert doctest.testmod(text_specs_module).failed == 0
