"""Archives that no honest tool would write, as packages of a channel and as local files."""

from __future__ import annotations

import bz2
import functools
import io
import os
import struct
import zipfile
from collections.abc import Callable

import zstandard

from tests.archive.builders import Entry, conda, info_entries, long_name, pax, tar
from tests.hostile.runner import Outcome
from tests.hostile.world import Case, Cases, Harmless, Make, Refused, World

LINK, HARD, FOLDER = b"2", b"1", b"5"
BAD = "CondaVerificationError"
CREATE = ("create", "-y", "-n", "new")


def entries(*members: Entry, extension: str = ".conda") -> Make:
    """A package of the channel that holds these members."""

    def make(world: World) -> list[str]:
        world.offer_entries(*members, extension=extension)
        return [*CREATE, *world.channel, "tool"]

    return make


def victim(build: Callable[[str], tuple[Entry, ...]]) -> Make:
    """As `entries`, with members that aim at the canary; `build` gets its absolute path."""

    def make(world: World) -> list[str]:
        world.offer_entries(*build(str(world.canary)))
        return [*CREATE, *world.channel, "tool"]

    return make


def content(build: Callable[[], bytes], *, extension: str = ".conda", **record: object) -> Make:
    """A package of the channel with these bytes, whatever they are."""

    def make(world: World) -> list[str]:
        world.offer_bytes(build(), extension=extension, **record)
        return [*CREATE, *world.channel, "tool"]

    return make


def local(build: Callable[[], bytes], name: str = "tool-1.0-0.conda") -> Make:
    """A package file that the user was sent."""

    def make(world: World) -> list[str]:
        (world.home / name).write_bytes(build())
        return [*CREATE, f"./{name}"]

    return make


def refused(make: Make, *patterns: str) -> Case:
    return Case(make, Refused(BAD, patterns))


# Zips


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


METADATA = b'{"conda_pkg_format_version": 2}'


def parts(pkg: bytes | None = None, info: bytes | None = None) -> dict[str, bytes]:
    compress = zstandard.ZstdCompressor().compress
    return {
        "metadata.json": METADATA,
        "pkg-tool-1.0-0.tar.zst": compress(tar()) if pkg is None else pkg,
        "info-tool-1.0-0.tar.zst": compress(tar(*info_entries())) if info is None else info,
    }


def zip_with_lying_size() -> bytes:
    """A zip whose directory says that an entry is as large as the address space."""
    whole = bytearray(zip_of(parts()))
    at = whole.index(b"PK\x01\x02", whole.index(b"PK\x01\x02") + 1)
    whole[at + 20 : at + 28] = struct.pack("<II", 0xFFFFFFF0, 0xFFFFFFF0)
    return bytes(whole)


def zip_that_overlaps() -> bytes:
    """Two entries of the zip are the same bytes."""
    whole = bytearray(zip_of(parts()))
    first = whole.index(b"PK\x01\x02")
    second = whole.index(b"PK\x01\x02", first + 1)
    third = whole.index(b"PK\x01\x02", second + 1)
    whole[third + 42 : third + 46] = whole[second + 42 : second + 46]
    return bytes(whole)


# Bombs

RLE_BLOCK = 1 << 17
"""A block of zstd that repeats one byte may stand for this many."""


def zeros_in_zstd(size: int, byte: bytes = b"\0") -> bytes:
    """A zstd frame of one byte only, written by hand: four bytes for every 128 KiB."""
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\x38"
    count = size // RLE_BLOCK
    block = (RLE_BLOCK << 3 | 1 << 1).to_bytes(3, "little") + byte
    last = (RLE_BLOCK << 3 | 1 << 1 | 1).to_bytes(3, "little") + byte
    return frame + block * (count - 1) + last


def header_of_zeros(name: str, size: int) -> bytes:
    return Entry(name, b"", size=size).to_bytes()


def zstd_bomb() -> bytes:
    compressor = zstandard.ZstdCompressor().compress
    return compressor(header_of_zeros("zeros", 4 << 30)) + zeros_in_zstd(4 << 30) + compressor(bytes(1024))


def zstd_bomb_unannounced() -> bytes:
    """Two million members of no size, 1 GiB of headers, in 128 kB."""
    return zstandard.ZstdCompressor().compress(tar(*info_entries(), end=b"")) + zeros_in_zstd(4 << 30)


def repeated_member_bomb() -> bytes:
    """The same file again and again: little on the disk, but 4 GiB to be unpacked."""
    one = zstandard.ZstdCompressor().compress(Entry("a", bytes(8 << 20)).to_bytes())
    return one * 512


@functools.cache
def zeros_in_bzip2() -> bytes:
    return bz2.compress(bytes(32 << 20))


def bzip2_bomb() -> bytes:
    return bz2.compress(tar(*info_entries(), end=b"") + header_of_zeros("zeros", 4 << 30)) + zeros_in_bzip2() * 128


def name_bomb() -> bytes:
    """A name of a gigabyte, behind one of a legal size."""
    return zstandard.ZstdCompressor().compress(Entry("x", b"", type=b"L", size=1 << 30).to_bytes()) + zeros_in_zstd(
        1 << 30
    )


def endless_headers() -> bytes:
    """Pax headers, one behind the other, with no member after them."""
    one = pax({"comment": "x" * 900_000}).to_bytes()
    return zstandard.ZstdCompressor().compress(one) * 1300


def nothing_new(world: World, outcome: Outcome) -> None:
    """No environment, no package."""
    assert not world.environment("new").exists()


def plain_modes(world: World, outcome: Outcome) -> None:
    for path in ("bin/root", "bin/all"):
        assert (world.environment("new") / path).stat().st_mode & 0o7022 == 0, path


def empty_environment(world: World, outcome: Outcome) -> None:
    assert {path.name for path in world.environment("new").iterdir()} == {"conda-meta"}


def own_record(world: World, outcome: Outcome) -> None:
    text = (world.packages / "tool-1.0-0" / "info" / "repodata_record.json").read_text()
    assert "forged" not in text
    assert world.url in text


def links_inside(world: World, outcome: Outcome) -> None:
    root = str(world.environment("new"))
    for name in ("lib/l", "loop"):
        assert os.path.realpath(f"{root}/{name}").startswith(root)


def two_names(world: World, outcome: Outcome) -> None:
    assert (world.environment("new") / "share/b").read_text() == "one"


def as_it_is(world: World, outcome: Outcome) -> None:
    assert (world.environment("new") / "..\\..\\x").read_bytes() == b"x"


DEEP = "/".join(["d"] * 2000)
LISTED = b'{"paths_version": 1, "paths": [%s]}'


OTHER = b'{"name": "other", "version": "9", "build": "0", "build_number": 0, "depends": []}'
TRAVERSING = b'{"name": "../../x", "version": "1.0", "build": "0", "build_number": 0, "depends": []}'
WIDE_WINDOW = b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x01\x00\x00"


def huge(name: str) -> Entry:
    """A member that says that it has as many bytes as a header can say."""
    return Entry(name, b"", size=0o77777777777)


def metadata_bomb() -> bytes:
    return zip_of({**parts(), "metadata.json": bytes(64 << 20)}, zipfile.ZIP_DEFLATED)


def encrypted() -> bytes:
    whole = bytearray(zip_of(parts()))
    at = 0
    while (at := whole.find(b"PK\x01\x02", at + 1)) > 0:
        whole[at + 8] |= 1
    return bytes(whole)


def owned_by_user(world: World, outcome: Outcome) -> None:
    assert (world.environment("new") / "bin/root").stat().st_uid == os.getuid()


def packed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def listed(*paths: str, kind: str = "hardlink") -> dict[str, bytes]:
    """paths.json with these files."""
    items = ",".join(f'{{"_path": "{path}", "path_type": "{kind}"}}' for path in paths)
    return {"info/paths.json": LISTED % items.encode()}


def with_info(files: dict[str, bytes], *members: Entry) -> Make:
    """A package whose info/ holds these files as well, or instead."""
    return content(lambda: conda(*members, info=packed(tar(*info_entries(files)))))


def for_windows(*members: Entry) -> Make:
    """A package of a channel for Windows."""

    def make(world: World) -> list[str]:
        world.offer_entries(*members)
        (world.served / "linux-64").rename(world.served / "win-64")
        path = world.served / "win-64" / "repodata.json"
        path.write_text(path.read_text().replace("linux-64", "win-64"))
        path.with_name("repodata.json.zst").unlink()
        return [*CREATE, "--platform", "win-64", *world.channel, "tool"]

    return make


def linked_later(at: str) -> tuple[Entry, ...]:
    """A link to elsewhere, and a file that would be written through it."""
    return Entry("share/out", type=LINK, link=at), Entry("share/out/victim", b"spoilt")


CASES: Cases = {
    # Where members would go
    "a path with `..` in a .conda": refused(entries(Entry("../../x", b"x")), r"\.\./\.\./x", r"`\.\.`"),
    "a path with `..` in a .tar.bz2": refused(
        entries(Entry("../../x", b"x"), extension=".tar.bz2"), r"\.\./\.\./x", r"`\.\.`"
    ),
    "a path with `..` in the info part": refused(
        content(lambda: conda(info=packed(tar(*info_entries(), Entry("info/../../x", b"x"))))), r"info/\.\./\.\./x"
    ),
    "a path with `..` in a GNU long name": refused(entries(long_name("../" * 40 + "x"), Entry("x", b"x")), r"`\.\.`"),
    "a path with `..` in a pax header": refused(entries(pax({"path": "../x"}), Entry("x", b"x")), r"`\.\.`"),
    "a path with `..` in a global pax header": refused(
        entries(pax({"path": "../x"}, kind=b"g"), Entry("x", b"x")), r"`\.\.`"
    ),
    "an absolute path": refused(victim(lambda at: (pax({"path": f"{at}/x"}), Entry("x", b"x"))), "absolute path"),
    "an absolute directory": refused(
        victim(lambda at: (pax({"path": f"{at}/x/"}), Entry("x", type=FOLDER))), "absolute path"
    ),
    "a drive letter, for Windows": refused(for_windows(Entry("C:\\x", b"x")), "not possible on Windows"),
    "backslashes and `..`, for Windows": refused(for_windows(Entry("..\\..\\x", b"x")), "not possible on Windows"),
    "the name of a device, for Windows": refused(for_windows(Entry("lib/nul.txt", b"x")), "not possible on Windows"),
    "backslashes and `..`, for Linux": Case(
        with_info(listed("..\\\\..\\\\x"), Entry("..\\..\\x", b"x")),
        Refused(BAD, ("not one that a package may hold", "info/paths.json")),
    ),
    "a file in conda-meta": refused(entries(Entry("conda-meta/history", b"x")), "belongs to the environment"),
    "a file in CONDA-META": refused(entries(Entry("CONDA-META/history", b"x")), "belongs to the environment"),
    "its own record for the cache": Case(
        with_info({"info/repodata_record.json": b'{"name": "forged", "version": "1", "build": "0"}'}),
        Harmless("left out; kaa writes its own", own_record),
        changes="envs/new",
    ),
    "its own record, by another spelling": Case(
        with_info({"./info//repodata_record.json": b'{"name": "forged", "version": "1", "build": "0"}'}),
        Harmless("left out; kaa writes its own", own_record),
        changes="envs/new",
    ),
    # Links
    "a link that leaves": refused(entries(Entry("lib/l", type=LINK, link="../../x")), "out of the package"),
    "an absolute link": refused(victim(lambda at: (Entry("l", type=LINK, link=at),)), "out of the package"),
    "a link that leaves through another link": refused(
        entries(Entry("a", type=LINK, link="."), Entry("b", type=LINK, link="a/..")), "out of the package"
    ),
    "a link that leaves, then written through": refused(victim(linked_later), "out of the package"),
    "a link that stays, then written through": refused(
        entries(Entry("a", type=LINK, link="b"), Entry("a/x", b"x")), "goes through the symbolic link a"
    ),
    "a link in place of a directory": refused(
        entries(Entry("d/x", b"x"), Entry("d", type=LINK, link="e")), "there twice"
    ),
    "`info` as a link": refused(
        victim(lambda at: (Entry("info", type=LINK, link=at),)), "out of the package|there twice"
    ),
    "info/index.json as a link": Case(
        content(
            lambda: conda(info=packed(tar(Entry("info/index.json", type=LINK, link="../../../../../canary/victim"))))
        ),
        Refused(BAD, ("out of the package",)),
    ),
    "info/paths.json as a link": refused(
        content(
            lambda: conda(info=packed(tar(info_entries()[0], Entry("info/paths.json", type=LINK, link="/etc/passwd"))))
        ),
        "out of the package",
    ),
    "links that lead in a circle": Case(
        with_info(
            listed("loop", "pool", "lib/l", kind="softlink"),
            Entry("loop", type=LINK, link="pool"),
            Entry("pool", type=LINK, link="loop"),
            Entry("lib/l", type=LINK, link="../lib/../loop/.."),
        ),
        Harmless("links as they are", links_inside),
        changes="envs/new",
    ),
    "a hard link out": refused(entries(Entry("h", type=HARD, link="../../../../canary/victim")), "out of the package"),
    "an absolute hard link": refused(
        victim(lambda at: (pax({"linkpath": f"{at}/victim"}), Entry("h", type=HARD))), "out of the package"
    ),
    "a hard link to another package of the cache": refused(
        entries(Entry("h", type=HARD, link="../good-1.0-0/share/good")), "out of the package"
    ),
    "a hard link to an earlier file": Case(
        with_info(listed("share/a", "share/b"), Entry("share/a", b"one"), Entry("share/b", type=HARD, link="share/a")),
        Harmless("two names of one file", two_names),
        changes="envs/new",
    ),
    "a hard link to an earlier link": refused(
        entries(Entry("a/b/l", type=LINK, link="../x"), Entry("l", type=HARD, link="a/b/l")), "out of the package"
    ),
    # What is no file
    "a character device": refused(entries(Entry("d", type=b"3")), "character device"),
    "a block device": refused(entries(Entry("d", type=b"4")), "block device"),
    "a fifo": refused(entries(Entry("f", type=b"6")), "fifo"),
    "a socket": refused(entries(Entry("s", type=b"s")), "unknown type"),
    "a sparse file": refused(
        entries(pax({"GNU.sparse.major": "1", "GNU.sparse.realsize": str(1 << 60)}), Entry("s", b"x")), "sparse"
    ),
    "setuid, setgid and world-writable files": Case(
        with_info(
            listed("bin/root", "bin/all"),
            Entry("bin/root", b"#!/bin/sh\n", mode=0o6777),
            Entry("bin/all", b"x", mode=0o1777),
        ),
        Harmless("the bits are not set", plain_modes),
        changes="envs/new",
    ),
    "files of root": Case(
        with_info(listed("bin/root"), Entry("bin/root", b"x", owner=1)),
        Harmless("the user's own", owned_by_user),
        changes="envs/new",
    ),
    # Names
    "one name twice": refused(entries(Entry("a", b"one"), Entry("a", b"two")), "there twice"),
    "one name twice, spelt otherwise": refused(entries(Entry("d/a", b"one"), Entry("d//./a", b"two")), "there twice"),
    "a file of info again in the pkg part": refused(
        entries(Entry("info/index.json", b'{"name": "other"}')), "there twice"
    ),
    "names that differ in case": Case(
        with_info(listed("share/A", "share/a"), Entry("share/A", b"one"), Entry("share/a", b"two")),
        Harmless("two files where they can be two", lambda world, outcome: None),
        changes="envs/new",
    ),
    "a name with NUL": refused(entries(pax({"path": "a\0b"}), Entry("x", b"x")), "control characters"),
    "a name with a newline": refused(entries(Entry("a\nb", b"x")), "control characters"),
    "a name that steers the terminal": refused(entries(Entry("a\x1b[2J\x1b]0;x\x07b", b"x")), "control characters"),
    "a name that turns the text around": Case(
        with_info(listed("a\u202etxt.exe"), Entry("a\u202etxt.exe", b"x")),
        Harmless("shown escaped"),
        changes="envs/new",
    ),
    "a name that is not UTF-8": refused(entries(Entry(b"a\xff\xfe", b"x")), "not valid UTF-8"),
    "a name longer than a file system allows": refused(
        entries(long_name("n" * 300), Entry("n", b"x")), "too long|longer"
    ),
    "a path longer than 4096 bytes": refused(entries(long_name(DEEP + "/x"), Entry("n", b"x")), "deeper than 256"),
    "a link to a place longer than 4096 bytes": refused(
        entries(long_name("n" * 5000, kind=b"K"), Entry("l", type=LINK, link="n")), "too long"
    ),
    "an empty name": refused(entries(Entry("", b"x")), "its name is empty"),
    # Headers
    "a header with a negative size": refused(entries(Entry("x", b"", size=-1)), "negative"),
    "a header with a size beyond all disks": refused(entries(huge("x")), "more data|cut off"),
    "a pax header with a negative size": refused(entries(pax({"size": "-1"}), Entry("x", b"x")), "negative"),
    "a pax header with an absurd size": refused(
        entries(pax({"size": "9" * 19}), Entry("x", b"x")), "more data|cut off"
    ),
    "a pax header with a size that is no number": refused(
        entries(pax({"size": "0x10"}), Entry("x", b"x")), "not a number"
    ),
    "a pax header with a wrong length": refused(
        entries(Entry("p", b"99999 path=y\n", type=b"x"), Entry("x", b"x")), "extended header"
    ),
    "a header extension of a gigabyte": refused(
        content(lambda: zip_of(parts(pkg=name_bomb()))), "header extension of 1073741824 bytes"
    ),
    "a header with a wrong checksum": refused(
        content(lambda: conda(pkg=packed(tar(Entry("a", b"x")).replace(b"ustar", b"ustaX", 1)))), "checksum"
    ),
    "a time before time": Case(
        with_info(listed("a"), Entry("a", b"x", mtime=-(10**15))), Harmless("set to 1980"), changes="envs/new"
    ),
    # Bombs
    "4 GB of zeros in a .conda": refused(content(lambda: zip_of(parts(pkg=zstd_bomb()))), "more data"),
    "4 GB of zeros in 2 kB: zstd in deflate": refused(
        content(lambda: zip_of(parts(pkg=zstd_bomb()), zipfile.ZIP_DEFLATED)), "more data"
    ),
    "4 GB of zeros in the info part": refused(content(lambda: zip_of(parts(info=zstd_bomb()))), "more data"),
    "4 GB of zeros in a .tar.bz2": refused(content(bzip2_bomb, extension=".tar.bz2"), "more data"),
    "4 GB as one file again and again": refused(
        content(lambda: zip_of(parts(pkg=repeated_member_bomb()))), "more data"
    ),
    "a gigabyte of header extensions": refused(content(lambda: zip_of(parts(pkg=endless_headers()))), "more data"),
    "a zstd window of 2 GB": refused(content(lambda: zip_of(parts(pkg=WIDE_WINDOW))), "zstd data is damaged"),
    "a zip that says 4 GB of metadata.json": refused(content(metadata_bomb), "too large|damaged"),
    # Containers
    "a zip whose entry is larger than the file": refused(content(zip_with_lying_size), "zip|cut off"),
    "a zip whose entries are the same bytes": refused(content(zip_that_overlaps), "zip"),
    "a zip with names that leave": Case(
        content(lambda: zip_of({**parts(), "../../x": b"x", "/x": b"x", "info-../x.tar.zst": b"x"})),
        Harmless("only its two tars are read"),
        changes="envs/new",
    ),
    "a zip with two info parts": refused(
        content(lambda: zip_of({**parts(), "info-other-1-0.tar.zst": packed(tar(*info_entries()))})),
        "2 files named info",
    ),
    "an encrypted zip": refused(content(encrypted), "encrypted"),
    "a format from the future": refused(
        content(lambda: zip_of({**parts(), "metadata.json": b'{"conda_pkg_format_version": 99}'})), "version is 99"
    ),
    "metadata.json nested a million deep": refused(
        content(lambda: zip_of({**parts(), "metadata.json": b"[" * 1_000_000})), "metadata.json"
    ),
    "a web page": refused(content(lambda: b"<html>please log in</html>"), "neither"),
    "an archive that is cut off": refused(content(lambda: conda(Entry("a", os.urandom(9999)))[:-4000]), "zip"),
    "a tar that is cut off": refused(
        content(lambda: conda(pkg=packed(tar(Entry("a", b"x" * 999), end=b"")[:900]))), "cut off"
    ),
    "bytes behind the archive": Case(
        content(lambda: conda(Entry("a", b"x")) + b"x" * 1000), Harmless("not looked at"), changes="envs/new"
    ),
    "bytes behind the end of the tar": Case(
        content(lambda: conda(pkg=packed(tar(Entry("a", b"x")) + tar(Entry("../x", b"x"))))),
        Harmless("not looked at"),
        changes="envs/new",
    ),
    # Promises that it does not keep
    "a wrong sha256": Case(
        content(lambda: conda(Entry("a", b"x")), sha256="0" * 64), Refused("ChecksumMismatchError", ("sha256",))
    ),
    "a wrong md5, no sha256": Case(
        content(lambda: conda(Entry("a", b"x")), sha256=None, md5="0" * 32), Refused("ChecksumMismatchError", ("md5",))
    ),
    "a wrong size": Case(
        content(lambda: conda(Entry("a", b"x")), size=7), Refused("ChecksumMismatchError", ("size|bytes",))
    ),
    "a negative size in the record": Case(
        content(lambda: conda(Entry("a", b"x")), size=-1), Refused("ChecksumMismatchError", ("size|bytes",))
    ),
    "a local file with a path that leaves": refused(local(lambda: conda(Entry("../x", b"x"))), r"`\.\.`"),
    "a local file that is no archive": refused(local(lambda: b"PK\x03\x04" + bytes(100)), "zip"),
    "a local file with an index of another package": Case(
        local(lambda: conda(info=packed(tar(*info_entries({"info/index.json": OTHER}))))),
        Refused(BAD, ("other-9-0", "tool-1.0-0", "info/index.json")),
    ),
    "a local file whose index names a path": Case(
        local(lambda: conda(info=packed(tar(*info_entries({"info/index.json": TRAVERSING}))))),
        Refused(BAD, (r"\.\./\.\./x", "info/index.json")),
    ),
}
