"""What files hold when their environment has another path: tables, and properties of the rewriting."""

from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kaa.models.prefix_record import InstalledPath, Link, LinkType, PathsData, PrefixRecord
from kaa.transaction.placeholder import replaced
from kaa.transaction.relocation import (
    NoRoom,
    PathChange,
    mentions,
    moved_binary,
    moved_content,
    moved_head,
    moved_link,
    moved_text,
)
from kaa.transaction.relocation_records import moved_prefix_record, moved_record_lines
from tests.pypi.wheels import digest_text

PLACE = b"/ph/" + b"a" * 60
LONG = b"/" + b"p" * 130
WORD = re.compile(rb"[xyz]+(?=/)")
"""A word before a path would make it a part of another one."""
EXEC = b"#!/bin/sh\n'''exec' "
PIPS = b" \"$0\" \"$@\"\n' '''\n"
"""What pip writes in place of a first line that is too long stands around the program."""
FUTURE = b"\nfrom __future__ import annotations\n"

# No two of these paths hold one another, and no filling holds a path.
names = st.text("abcdefgh", min_size=1, max_size=12).map(str.encode)
prefixes = st.lists(st.one_of(names, st.just(b"my env")), min_size=1, max_size=3).map(
    lambda parts: b"/" + b"/".join(parts)
)
paths = st.tuples(prefixes, prefixes).filter(lambda two: two[0] not in two[1] and two[1] not in two[0])
fillings = st.text("xyz =:\n'\"\\", max_size=20).map(str.encode)
programs = st.sampled_from([b"python3.11", b"python", b"perl", b"sh"])
options = st.sampled_from([b"", b" -E", b" -w -x"])


@st.composite
def texts(draw: st.DrawFn, *, scripts: bool = True) -> bytes:
    """A text file of a package, with its placeholder."""
    body = b"".join(draw(st.lists(st.one_of(fillings, st.just(PLACE + b":"), st.just(PLACE + b"/lib:")), max_size=8)))
    if not (scripts and draw(st.booleans())):
        return body
    lead = draw(st.sampled_from([b"#!", b"#! "]))
    return lead + PLACE + b"/bin/" + draw(programs) + draw(options) + b"\n" + body


binaries = st.lists(
    st.one_of(fillings, st.just(PLACE + b":"), st.just(PLACE + b"/lib:"), st.just(b"\0"), st.just(b"\0\0\0")),
    max_size=12,
).map(b"".join)


def change(old: bytes, new: bytes) -> PathChange:
    return PathChange((old,), new)


@given(texts(), paths)
def test_text_of_packages_is_what_linking_makes_of_it(data: bytes, two: tuple[bytes, bytes]) -> None:
    old, new = two
    installed = replaced(data, PLACE, old, "linux-64", binary=False)
    digest = hashlib.sha256(data).hexdigest()
    moved = moved_content(installed, change(old, new), placeholder=PLACE, binary=False, sha256=digest)
    assert moved == (replaced(data, PLACE, new, "linux-64", binary=False), True)


@given(binaries, paths)
def test_programs_of_packages_are_what_linking_makes_of_them(data: bytes, two: tuple[bytes, bytes]) -> None:
    old, new = two
    assume(max(map(len, two)) <= len(PLACE))
    installed = replaced(data, PLACE, old, "linux-64", binary=True)
    digest = hashlib.sha256(data).hexdigest()
    moved = moved_content(installed, change(old, new), placeholder=PLACE, binary=True, sha256=digest)
    assert moved == (replaced(data, PLACE, new, "linux-64", binary=True), True)


@given(binaries, paths)
def test_programs_come_back_the_same(data: bytes, two: tuple[bytes, bytes]) -> None:
    """Also where the package's own file is not known: there is room as long as the placeholder was."""
    old, new = two
    assume(max(map(len, two)) <= len(PLACE))
    installed = replaced(WORD.sub(b"", data), PLACE, old, "linux-64", binary=True)
    moved = moved_binary(installed, change(old, new), room=len(PLACE))
    assert len(moved) == len(installed)
    assert old not in moved
    assert moved_binary(moved, change(new, old), room=len(PLACE)) == installed


@given(texts(scripts=False), paths, st.sampled_from([b"", b"#!{}/bin/python3\n", b"#!{}/bin/python -E\n"]))
def test_text_comes_back_the_same(data: bytes, two: tuple[bytes, bytes], head: bytes) -> None:
    old, new = two
    text = head.replace(b"{}", b"/first") + WORD.sub(b"", data).replace(PLACE, b"/first")
    at_old = moved_text(text, change(b"/first", old))
    moved = moved_text(at_old, change(old, new))
    assert not mentions(moved, change(old, new))
    assert moved_text(moved, change(new, old)) == at_old


@given(st.binary(max_size=200), paths)
def test_what_does_not_name_the_path_stays(data: bytes, two: tuple[bytes, bytes]) -> None:
    assume(two[0] not in data)
    assert moved_text(data, change(*two)) == moved_binary(data, change(*two)) == data
    assert not mentions(data, change(*two))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A whole path, and nothing but a whole path.
        (b"a=/env", b"a=/new"),
        (b"/env/lib:/env/bin", b"/new/lib:/new/bin"),
        (b"-L/env/lib -I/env/include -isystem/env/x", b"-L/new/lib -I/new/include -isystem/new/x"),
        (b"#!/usr/bin/env python\n/environment /env-2 /env.old /env_x /other/env ../env ~/env", None),
        (b"Look at /env. (/env)", b"Look at /new. (/new)"),
        (b'"/env"', b'"/new"'),
        (b"a\\n/env/x", b"a\\n/new/x"),
        ("/env\u00e9 \u00e9/env".encode(), None),
        (b"file:///env/src", b"file:///new/src"),
        (b"/env//lib", b"/new//lib"),
        # First lines.
        (b"#!/env/bin/python\n", b"#!/new/bin/python\n"),
        (b"#!  /env/bin/perl -w /env\n", b"#!  /new/bin/perl -w /new\n"),
        (b"#!/env/bin/python\r\nx", b"#!/new/bin/python\r\nx"),
        (b"#!/env/bin/python", b"#!/new/bin/python"),
        (EXEC + b"/env/bin/python" + PIPS, EXEC + b"/new/bin/python" + PIPS),
        (EXEC + b"'/env/bin/python'" + PIPS, EXEC + b"'/new/bin/python'" + PIPS),
        (EXEC + b"'/other/bin/python'" + PIPS, None),
        # What kaa had written because a path was too long or had a space is a plain line again.
        (b"#!/bin/sh\n'''exec' \"/env/bin/python\" -E \"$0\" \"$@\" #'''\nx", b"#!/new/bin/python -E\nx"),
        (b"", None),
    ],
)
def test_text(text: bytes, expected: bytes | None) -> None:
    assert moved_text(text, change(b"/env", b"/new")) == (text if expected is None else expected)


@pytest.mark.parametrize(
    ("text", "new", "expected"),
    [
        (b"#!/env/bin/python -E\n", b"/my env", b"#!/bin/sh\n'''exec' \"/my env/bin/python\" -E \"$0\" \"$@\" #'''\n"),
        (b"#!/env/bin/perl -w\n", LONG, b"#!/usr/bin/env -S perl -w\n"),
        (b"#!/env/bin/python" + FUTURE, LONG, b"#!/usr/bin/env python" + FUTURE),
        (EXEC + b"/env/bin/python" + PIPS, b"/my env", EXEC + b'"/my env/bin/python"' + PIPS),
        (b'{"url": "file:///env/src"}', b"/my env", b'{"url": "file:///my%20env/src"}'),
    ],
)
def test_text_for_difficult_paths(text: bytes, new: bytes, expected: bytes) -> None:
    assert moved_text(text, change(b"/env", new)) == expected


def test_text_from_difficult_paths() -> None:
    one = PathChange(("/my env/\u00e9".encode(),), b"/new")
    assert moved_text(b"file:///my%20env/%C3%A9/src", one) == b"file:///new/src"
    assert moved_text(b'["/my env/\\u00e9/bin/python"]', one) == b'["/new/bin/python"]'
    assert moved_text("#!/my env/\u00e9/bin/perl -w\n".encode(), one) == b"#!/new/bin/perl -w\n"


def test_several_spellings_and_a_path_that_holds_the_old_one() -> None:
    one = PathChange((b"/link/env", b"/real/env"), b"/real/env2")
    assert moved_text(b"/link/env/a /real/env/b /real/env2/c", one) == b"/real/env2/a /real/env2/b /real/env2/c"


def test_only_the_first_line_of_what_users_wrote() -> None:
    one = change(b"/env", b"/new")
    assert moved_head(b"#!/env/bin/python\n# see /env/x\n", one) == b"#!/new/bin/python\n# see /env/x\n"
    assert moved_head(b"# see /env/x\n", one) == b"# see /env/x\n"


@pytest.mark.parametrize(
    ("data", "new", "room", "expected"),
    [
        (b"a\0/env/lib:/env\0rest", b"/e", 0, b"a\0/e/lib:/e\0\0\0\0\0rest"),
        (b"/env/lib", b"/e", 0, b"/e/lib\0\0"),
        (b"/env/lib\0\0\0rest", b"/newer", 6, b"/newer/lib\0rest"),
        (b"/env/lib\0\0", b"/newer", 6, b"/newer/lib"),
        # A file that changed so that the room is not there any more.
        (b"/env/lib\0\0rest", b"/newer", 6, None),
        (b"/env/lib\0\0\0rest", b"/newer", 5, None),
        (b"/env/lib\0rest", b"/newer", 0, None),
        (b"/usr/bin/env\0rest", b"/newer", 0, b"/usr/bin/env\0rest"),
    ],
)
def test_programs(data: bytes, new: bytes, room: int, expected: bytes | None) -> None:
    if expected is None:
        with pytest.raises(NoRoom):
            moved_binary(data, change(b"/env", new), room=room)
    else:
        assert moved_binary(data, change(b"/env", new), room=room) == expected


def test_windows_paths_have_forward_slashes_and_no_first_lines() -> None:
    installed = replaced(b"a=" + PLACE + b"/b", PLACE, b"C:\\old", "win-64", binary=False)
    one = PathChange((b"C:\\old",), b"C:\\new", "win-64")
    digest = hashlib.sha256(b"a=" + PLACE + b"/b").hexdigest()
    assert moved_content(installed, one, placeholder=PLACE, binary=False, sha256=digest) == (b"a=C:/new/b", True)
    assert moved_content(b"\0x", one, placeholder=PLACE, binary=True, sha256=hashlib.sha256(b"\0x").hexdigest())[1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [(b"/env/lib", b"/new/lib"), (b"/env", b"/new"), (b"/environment", b"/environment"), (b"../lib", b"../lib")],
)
def test_links(text: bytes, expected: bytes) -> None:
    assert moved_link(text, change(b"/env", b"/new")) == expected


# -- records ----------------------------------------------------------------------------------------------------------


def record(*entries: InstalledPath) -> PrefixRecord:
    return PrefixRecord(
        name="tool",
        version="1.0",
        build="0",
        build_number=0,
        channel="",
        fn="",
        url="",
        files=tuple(entry.path for entry in entries),
        paths_data=PathsData(paths=entries),
        link=Link(source="/pkgs/tool-1.0-0"),
    )


def test_records_of_packages() -> None:
    sound = InstalledPath(path="bin/a", sha256="0", sha256_in_prefix="1", prefix_placeholder="/p")
    damaged = InstalledPath(path="bin/b", sha256="0", sha256_in_prefix="1", prefix_placeholder="/p")
    generated = InstalledPath(path="bin/c", path_type="unix_python_entry_point", sha256="1", sha256_in_prefix="1")
    unknown = InstalledPath(path="bin/d", path_type="unix_python_entry_point")
    bytecode = InstalledPath(path="e.pyc", path_type="pyc_file")
    before = record(sound, damaged, generated, unknown, bytecode)
    hashes = {"bin/a": ("1", "2"), "bin/b": ("x", "y"), "bin/c": ("1", "3"), "bin/d": ("1", "2")}
    after = moved_prefix_record(before, hashes, {"e.pyc"}, copied=False)
    assert after.files == ("bin/a", "bin/b", "bin/c", "bin/d")
    assert [(entry.sha256, entry.sha256_in_prefix) for entry in after.paths_data.paths] == [
        ("0", "2"),
        ("0", "1"),
        ("3", "3"),
        (None, None),
    ]
    assert moved_prefix_record(before, {}, (), copied=False) == before
    copied = moved_prefix_record(before, {}, (), copied=True)
    assert copied.link == Link(source="/pkgs/tool-1.0-0", type=LinkType.COPY)


def test_records_of_distributions() -> None:
    new = b"#!/new/bin/python\n"
    text = (
        "tool.py,sha256=abc,10\n"
        "../../../bin/tool,sha256=old,99\r\n"
        '"odd,name.py",sha256=old,3\n'
        "/env/share/x,md5=old,\n"
        "tool-1.0.dist-info/RECORD,,\n"
        "__pycache__/tool.cpython-311.pyc,,\n"
        "a line that is none\n"
    )
    one = (hashlib.sha256(new).digest(), len(new))
    site = "lib/python3.11/site-packages"
    changed = dict.fromkeys(("bin/tool", f"{site}/odd,name.py", "share/x", f"{site}/tool-1.0.dist-info/RECORD"), one)
    digest = digest_text(new)
    assert moved_record_lines(text, f"{site}/tool-1.0.dist-info", ["/env"], changed) == (
        "tool.py,sha256=abc,10\n"
        f"../../../bin/tool,{digest},{len(new)}\r\n"
        f'"odd,name.py",{digest},{len(new)}\n'
        f"/env/share/x,{digest},\n"
        "tool-1.0.dist-info/RECORD,,\n"
        "__pycache__/tool.cpython-311.pyc,,\n"
        "a line that is none\n"
    )
