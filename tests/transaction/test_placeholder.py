from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.transaction.placeholder import PrefixTooLong, replace_binary, replace_text, replaced

PLACE = b"/ph/aaaaaaaa"
LONG = b"/" + b"p" * 130


@pytest.mark.parametrize(
    ("data", "prefix", "expected"),
    [
        (b"x" + PLACE + b"/lib:" + PLACE + b"/x\0tail", b"/n", b"x/n/lib:/n/x" + b"\0" * 21 + b"tail"),
        # The end of the file ends a string: conda leaves such a file alone, rattler patches it.
        (PLACE + b"/lib", b"/n", b"/n/lib" + b"\0" * 10),
        (PLACE + b"\0" + PLACE + b"/b\0", b"/nn", b"/nn" + b"\0" * 10 + b"/nn/b" + b"\0" * 10),
        (b"no place\0", b"/n", b"no place\0"),
        (b"", b"/n", b""),
        (PLACE + b"suffix/lib\0", b"/n", b"/nsuffix/lib" + b"\0" * 11),
    ],
)
def test_binary_vectors(data: bytes, prefix: bytes, expected: bytes) -> None:
    assert replace_binary(data, PLACE, prefix) == expected
    assert len(expected) == len(data)


def test_a_longer_prefix_does_not_fit_into_a_binary() -> None:
    with pytest.raises(ValueError, match="13 bytes do not fit into 12"):
        replace_binary(PLACE + b"\0", PLACE, b"/" + b"n" * 12)
    error = PrefixTooLong("lib/a.so", "/ph/ä", "/prefix/é")
    assert (error.placeholder_length, error.prefix_length) == (6, 10)


def test_windows_binaries_have_no_place_to_patch() -> None:
    assert replaced(PLACE + b"\0", PLACE, b"C:\\n", "win-64", binary=True) == PLACE + b"\0"


@pytest.mark.parametrize(
    ("data", "prefix", "subdir", "expected"),
    [
        (b"a=" + PLACE + b"\nb=" + PLACE, b"/n", "linux-64", b"a=/n\nb=/n"),
        (b"a=" + PLACE + b"/b", b"C:\\my env", "win-64", b"a=C:/my env/b"),
        (b"#!" + PLACE + b"/bin/sh\n", b"C:\\n", "win-64", b"#!C:/n/bin/sh\n"),
        # First lines that need no change of form are only replaced in.
        (b"#!" + PLACE + b"/bin/perl  -w\nx", b"/n", "linux-64", b"#!/n/bin/perl  -w\nx"),
        (b"#! /usr/bin/env python\n" + PLACE, b"/n", "linux-64", b"#! /usr/bin/env python\n/n"),
        (b"#!/usr/bin/env python\n" + PLACE, LONG, "linux-64", b"#!/usr/bin/env python\n" + LONG),
        # Interpreters other than python are looked up.
        (b"#!" + PLACE + b"/bin/perl\n", b"/my env", "linux-64", b"#!/usr/bin/env perl\n"),
        (b"#!" + PLACE + b"/bin/perl", b"/my env", "linux-64", b"#!/usr/bin/env perl"),
        (b"#! " + PLACE + b"/bin/perl\r\nx", LONG, "linux-64", b"#!/usr/bin/env perl\r\nx"),
        # conda writes `env perl -w`, which no Linux understands.
        (b"#!" + PLACE + b"/bin/perl -w\n", LONG, "linux-64", b"#!/usr/bin/env -S perl -w\n"),
        # Python is started by its path, so that it is this environment's whether it is activated or not.
        (
            b"#!" + PLACE + b"/bin/python3.11 -E\nx=" + PLACE,
            b"/my env",
            "linux-64",
            b"#!/bin/sh\n'''exec' \"/my env/bin/python3.11\" -E \"$0\" \"$@\" #'''\nx=/my env",
        ),
        (
            b"#!" + PLACE + b"/bin/python\n'''Doc'''\nfrom __future__ import annotations\n",
            b"/my env",
            "linux-64",
            b"#!/usr/bin/env python\n'''Doc'''\nfrom __future__ import annotations\n",
        ),
        # A space that was there before is the builder's business.
        (b"#!/bin/sh " + PLACE + b"\n", b"/my env", "linux-64", b"#!/bin/sh /my env\n"),
    ],
)
def test_text_vectors(data: bytes, prefix: bytes, subdir: str, expected: bytes) -> None:
    assert replace_text(data, PLACE, prefix, subdir) == expected
    assert replaced(data, PLACE, prefix, subdir, binary=False) == expected


@pytest.mark.parametrize(("subdir", "limit"), [("linux-64", 127), ("osx-arm64", 512), ("linux-aarch64", 127)])
def test_the_limit_counts_the_mark_and_not_the_newline(subdir: str, limit: int) -> None:
    def line(length: int) -> bytes:
        prefix = b"/" + b"p" * (length - len(b"#!/") - len(b"/bin/perl"))
        return replace_text(b"#!" + PLACE + b"/bin/perl\n", PLACE, prefix, subdir)

    assert len(line(limit)) == limit + 1
    assert line(limit + 1) == b"#!/usr/bin/env perl\n"


@pytest.mark.skipif(os.name == "nt", reason="unix scripts")
@pytest.mark.parametrize("options", [b"", b" -E", b" -E -s"])
def test_a_rewritten_script_runs(tmp_path: Path, options: bytes) -> None:
    prefix = tmp_path / ("long " * 30).strip()
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python3").symlink_to(sys.executable)
    script = tmp_path / "script"
    body = b"import sys\nprint(sys.argv[1:], '" + PLACE + b"')\n"
    script.write_bytes(
        replace_text(b"#!" + PLACE + b"/bin/python3" + options + b"\n" + body, PLACE, os.fsencode(prefix), "linux-64")
    )
    script.chmod(0o755)
    done = subprocess.run([script, "a b", "c"], capture_output=True, text=True)
    assert done.stdout == f"['a b', 'c'] {prefix}\n", done.stderr


PIECES = st.lists(st.sampled_from([PLACE, b"\0", b"/lib", b"\n", b"#!", b"/ph", b"/ph/aaaa", b" ", b"x", b"\xff"]))


@given(PIECES, st.binary(min_size=1, max_size=12).filter(lambda prefix: b"\0" not in prefix))
def test_binary_keeps_every_offset(pieces: list[bytes], prefix: bytes) -> None:
    data = b"".join(pieces)
    result = replace_binary(data, PLACE, prefix)
    assert len(result) == len(data)
    strings = data.split(b"\0")
    start = 0
    for string in strings:
        # Each string stands where it stood, replaced, and is followed by nothing but NUL.
        expected = string.replace(PLACE, prefix)
        assert result[start : start + len(string)] == expected.ljust(len(string), b"\0")
        start += len(string) + 1


@given(PIECES, st.sampled_from(["linux-64", "osx-64", "win-64"]), st.booleans())
def test_the_same_prefix_changes_nothing(pieces: list[bytes], subdir: str, binary: bool) -> None:
    data = b"".join(pieces)
    assert replaced(data, PLACE, PLACE, subdir, binary=binary) == data


@given(PIECES, st.sampled_from([b"/n", b"/my/env", b"C:\\env"]))
def test_text_is_replaced_everywhere(pieces: list[bytes], prefix: bytes) -> None:
    data = b"".join(pieces)
    assert replace_text(data, PLACE, prefix, "win-64") == data.replace(PLACE, prefix.replace(b"\\", b"/"))
    assert replace_text(data, PLACE, prefix, "linux-64") == data.replace(PLACE, prefix)
