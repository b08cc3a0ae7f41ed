"""Wheels that no honest tool would write: their files, what they tell of themselves, the bytes of their zips."""

from __future__ import annotations

import base64
import hashlib
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import Any

from tests.channels import Package, Symlink
from tests.hostile.archives import BAD
from tests.hostile.world import Case, Cases, Make, Refused, World
from tests.pypi_index import Wheel, record_line

NAME = "tool-1.0-py3-none-any.whl"
CENTRAL, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"
INFORMATION = "tool-1.0.dist-info"
X = record_line("x", b"x")


def wheel(**fields: Any) -> Callable[[], bytes]:
    """A wheel of the project `tool`, with these fields of `tests.pypi_index.Wheel`."""

    def build() -> bytes:
        with warnings.catch_warnings(action="ignore"):
            # Two members of one name: zipfile warns, and writes them.
            return Wheel("tool", **fields).to_bytes()

    return build


def member(path: str, content: bytes | Symlink = b"x") -> Callable[[], bytes]:
    """A wheel with one more member, which RECORD lists."""
    data = content if isinstance(content, bytes) else content.target.encode()
    return wheel(unlisted={path: content}, record_lines={path: record_line(path, data)})


def scripts(name: str, target: str = "tool:main", group: str = "console_scripts") -> Callable[[], bytes]:
    """A wheel with one entry point."""
    return wheel(entry_points={group: {name: target}})


def bytes_at(signature: bytes, offset: int, content: bytes, *, number: int = 0) -> Callable[[], bytes]:
    """A wheel with some bytes behind the n-th such signature of its zip replaced."""

    def build() -> bytes:
        whole = bytearray(wheel()())
        at = -1
        for _ in range(number + 1):
            at = whole.index(signature, at + 1)
        whole[at + offset : at + offset + len(content)] = content
        return bytes(whole)

    return build


def changed(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    """A wheel whose bytes are changed."""
    return lambda: change(wheel()())


def overlapping(whole: bytes) -> bytes:
    """Two members of the zip are the same bytes."""
    first = whole.index(CENTRAL)
    second = whole.index(CENTRAL, first + 1)
    return whole[: second + 42] + whole[first + 42 : first + 46] + whole[second + 46 :]


def bomb(size: int, told: int) -> Callable[[], bytes]:
    """A wheel with a file of zeros that unpacks to `size` bytes, of which the zip tells another number."""

    def build() -> bytes:
        pressed = zlib.compressobj(9, wbits=-15)
        packed = b"".join(pressed.compress(bytes(1 << 20)) for _ in range(size >> 20)) + pressed.flush()
        digest = base64.urlsafe_b64encode(hashlib.sha256(bytes(told)).digest()).rstrip(b"=").decode()
        line = f"zeros,sha256={digest},{told}"
        whole = wheel(unlisted={"zeros": packed}, record_lines={"zeros": line}, compression=zipfile.ZIP_STORED)()
        for signature, at in ((LOCAL, 8), (CENTRAL, 10)):
            place = _nth_with_name(whole, signature, b"zeros")
            method, sizes = struct.pack("<H", 8), struct.pack("<2L", len(packed), told)
            whole = whole[: place + at] + method + whole[place + at + 2 :]
            whole = whole[: place + at + 10] + sizes + whole[place + at + 18 :]
        return whole

    return build


def _nth_with_name(whole: bytes, signature: bytes, name: bytes) -> int:
    length = 30 if signature == LOCAL else 46
    at = whole.index(signature)
    while not whole[at + length :].startswith(name):
        at = whole.index(signature, at + 1)
    return at


WHEELS: Mapping[str, tuple[Callable[[], bytes], str]] = {
    # Where files would go
    "a wheel with a path with `..`": (member("../x"), "leads elsewhere"),
    "a wheel with a path with `..` further in": (member("a/../../x"), "leads elsewhere"),
    "a wheel with a path with `.`": (member("./x"), "leads elsewhere"),
    "a wheel with an absolute path": (member("/tmp/x"), "leads elsewhere"),
    "a wheel with a drive letter": (member("C:/x"), "leads elsewhere"),
    "a wheel with backslashes": (member("..\\x"), "leads elsewhere"),
    "a wheel with an empty part of a path": (member("a//x"), "leads elsewhere"),
    "a wheel with a name that steers the terminal": (member("a\x1b[2J"), "control characters"),
    "a wheel with a link": (member("link", Symlink("tool.py")), "no file"),
    "a wheel with a link out of it": (member("link", Symlink("../../../../canary/victim")), "no file"),
    "a wheel with one name twice": (wheel(unlisted={"tool.py": b"x"}), "two files of one name"),
    "a wheel with a file in place of a directory": (member("tool.py/x"), "which is a file|one name"),
    "a wheel with data for conda-meta": (wheel(data={"data/conda-meta/history": "x"}), "only the package manager"),
    "a wheel with data for CONDA-META": (wheel(data={"data/CONDA-META/history": "x"}), "only the package manager"),
    "a wheel with data for the package's info": (
        wheel(data={"data/info/index.json": "{}"}),
        "only the package manager",
    ),
    "a wheel with data in the place of modules": (
        wheel(data={"data/site-packages/os.py": "x"}),
        "only the package manager",
    ),
    "a wheel with data for an unknown place": (wheel(data={"secrets/x": "x"}), "unknown place"),
    "a wheel with two files for one place": (wheel(data={"purelib/tool.py": "x"}), "one place"),
    "a wheel with a script named python": (wheel(data={"scripts/python": "#!/bin/sh\n"}), "python's own"),
    # Entry points
    "a wheel with an entry point that leads out": (scripts("../../x"), "not a simple file name"),
    "a wheel with an absolute entry point": (scripts("/tmp/x"), "not a simple file name"),
    "a wheel with an entry point that runs more": (scripts("x", "tool:main;import os"), "not module:function"),
    "a wheel with an entry point that calls": (scripts("x", "os:system('id')"), "not module:function"),
    "a wheel with an entry point named python": (scripts("python3"), "python's own"),
    "a wheel with a gui entry point named python": (scripts("pythonw", group="gui_scripts"), "python's own"),
    "a wheel with entry points that cannot be read": (
        wheel(dist_info={"entry_points.txt": "[console_scripts\n"}),
        "entry points cannot be read",
    ),
    # What it tells of itself
    "a wheel without RECORD": (wheel(dist_info={"RECORD": None}), "no RECORD"),
    "a wheel whose RECORD leaves a file out": (wheel(record_lines={"tool.py": None}), "does not name a file"),
    "a wheel whose RECORD names what is not there": (wheel(record_lines={"ghost.py": X}), "not there|name a file"),
    "a wheel whose RECORD tells another hash": (
        wheel(record_lines={"tool.py": record_line("tool.py", b"other content")}),
        "another size|not the one",
    ),
    "a wheel whose RECORD tells another hash of equal size": (
        wheel(files={"tool.py": b"abc"}, record_lines={"tool.py": record_line("tool.py", b"xyz")}),
        "not the one that its RECORD tells of",
    ),
    "a wheel whose RECORD tells no hash": (wheel(record_lines={"tool.py": "tool.py,,"}), "no strong hash"),
    "a wheel whose RECORD tells a weak hash": (
        wheel(record_lines={"tool.py": "tool.py,md5=rL0Y20zC-Fzt72VPzMSk2A,3"}),
        "no strong hash",
    ),
    "a wheel whose RECORD names a file twice": (
        wheel(record_lines={"again": record_line("tool.py", b"x")}),
        "names a file twice",
    ),
    "a wheel whose RECORD is not text": (wheel(dist_info={"RECORD": b"\xff\xfe\n"}), "RECORD cannot be read"),
    "a wheel without METADATA": (wheel(dist_info={"METADATA": None}), "no METADATA"),
    "a wheel with the METADATA of another project": (
        wheel(dist_info={"METADATA": "Metadata-Version: 2.1\nName: other\nVersion: 1.0\n\n"}),
        "METADATA is that of something else",
    ),
    "a wheel with the METADATA of another version": (
        wheel(dist_info={"METADATA": "Metadata-Version: 2.1\nName: tool\nVersion: 1.1\n\n"}),
        "METADATA is that of something else",
    ),
    "a wheel of another project": (lambda: Wheel("other").to_bytes(), "that of something else"),
    "a wheel with two .dist-info directories": (member("other-1.0.dist-info/METADATA"), "2 directories"),
    "a wheel of a format to come": (wheel(dist_info={"WHEEL": "Wheel-Version: 2.0\n"}), "version 2.0"),
    # Its zip
    "a wheel that is no zip": (lambda: b"hello", "no zip file"),
    "an empty wheel": (lambda: b"", "no zip file"),
    "a wheel that was cut": (changed(lambda whole: whole[: len(whole) // 2]), "no zip file|damaged"),
    "a wheel with something before it": (changed(lambda whole: b"#!/bin/sh\n" + whole), "not where it should be"),
    "a wheel with something behind it": (changed(lambda whole: whole + b"more"), "something follows its end"),
    "a wheel whose members overlap": (changed(overlapping), "overlap"),
    "a wheel with an encrypted member": (bytes_at(CENTRAL, 8, b"\1\0"), "encrypted"),
    "a wheel with an unknown compression": (bytes_at(CENTRAL, 10, b"\x0e\0"), "unknown way"),
    "a wheel with two names for one member": (bytes_at(LOCAL, 30, b"evil"), "two things of one file"),
    "a wheel with damaged data": (bytes_at(LOCAL, 40, b"\xff\xff\xff\xff"), "damaged"),
    "a wheel that tells a size of four gigabytes": (bytes_at(CENTRAL, 24, b"\xf0\xff\xff\xff"), "would unpack to"),
    "a wheel whose directory is longer than told": (bytes_at(END, 10, b"\1\0"), "a part of|longer than it says"),
    "a wheel that unpacks to gigabytes": (bomb(1 << 20, 3 << 30), "would unpack to|tells"),
    "a wheel that unpacks to more than it tells": (bomb(64 << 20, 1 << 10), "size is wrong"),
}
"""What each is made of, and what is said of it; all are offered as the wheel `tool-1.0-py3-none-any.whl`."""


def packaged(build: Callable[[], bytes]) -> Make:
    """A wheel that the user was sent, to be made a package."""

    def make(world: World) -> list[str]:
        (world.home / NAME).write_bytes(build())
        (world.home / "made").mkdir()
        return ["package", "wheel", f"./{NAME}", "--channel", "./made"]

    return make


def offered(build: Callable[[], bytes]) -> Make:
    """A wheel in a folder that is a channel, to be installed into an environment that has python."""

    def make(world: World) -> list[str]:
        world.make_environment(Package("python", "3.11.9", "h_0_cpython", subdir="linux-64"))
        folder = world.served / "wheels"
        folder.mkdir()
        (folder / NAME).write_bytes(build())
        return ["install", "-y", "-n", "env", *world.channel, "-c", f"pypi+file://{folder}", "tool"]

    return make


CASES: Cases = {
    **{name: Case(packaged(build), Refused(BAD, (pattern,))) for name, (build, pattern) in WHEELS.items()},
    **{
        f"{name}, of a folder that is a channel": Case(
            offered(build), Refused(f"{BAD}|UnsatisfiableError", (f"{pattern}|gives unusable metadata of it",))
        )
        for name, (build, pattern) in WHEELS.items()
    },
}
