"""Channels that lie: repodata, shards, notices of servers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
import zstandard

from tests.channels import Package, read_shard_index, write_shard_index
from tests.hostile.archives import zeros_in_zstd
from tests.hostile.runner import Outcome
from tests.hostile.world import Case, Cases, Harmless, Make, Refused, World

CREATE = ("create", "-y", "-n", "new")
SHA = "0" * 64
STEER = "\x1b[2J\x1b]0;pwned\x07\x9b31m\u202e"
"""Clear the screen, rename the window, go red, and turn the text around."""


def record(**fields: Any) -> dict[str, Any]:
    return {
        "name": "tool",
        "version": "1.0",
        "build": "0",
        "build_number": 0,
        "depends": [],
        "subdir": "linux-64",
        "md5": "0" * 32,
        "sha256": SHA,
        "size": 100,
        **fields,
    }


def document(records: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"info": {"subdir": "linux-64"}, "packages": {}, "packages.conda": records, "repodata_version": 1, **more}


def offered(file_name: str = "tool-1.0-0.conda", *, wanted: str = "tool", **fields: Any) -> Make:
    """A channel whose only record says this."""

    def make(world: World) -> list[str]:
        world.offer_document(document({file_name: record(**fields)}))
        return [*CREATE, *world.channel, wanted]

    return make


def raw(build: Callable[[], bytes | str], words: tuple[str, ...] = (*CREATE, "tool")) -> Make:
    """A channel whose repodata is this text."""

    def make(world: World) -> list[str]:
        world.offer_document(build())
        return [*words, *world.channel]

    return make


def with_info(info: dict[str, Any], **more: Any) -> Make:
    """A channel with a package `tool`, and with this in the `info` of its repodata."""

    def make(world: World) -> list[str]:
        channel = world.offer(Package("tool", files={"share/a": "a"}))
        text = json.dumps({**channel.repodata["linux-64"], "info": {"subdir": "linux-64", **info}, **more})
        world.offer_document(text.replace("CANARY", str(world.canary)).replace("SERVED", str(world.served)))
        return [*CREATE, *world.channel, "tool"]

    return make


def shards(change: Callable[[World, dict[str, Any]], None]) -> Make:
    """A channel in shards whose shard index was changed."""

    def make(world: World) -> list[str]:
        world.offer(Package("tool", files={"share/a": "a"}), Package("other", files={"share/b": "b"})).write_shards()
        folder = world.served / "linux-64"
        for name in ("repodata.json", "repodata.json.zst"):
            (folder / name).unlink()
        index = read_shard_index(folder)
        change(world, index)
        write_shard_index(folder, index)
        return [*CREATE, *world.channel, "tool"]

    return make


def shard_of(content: bytes) -> Callable[[World, dict[str, Any]], None]:
    """The shard of `tool` is this, and the index says so."""

    def change(world: World, index: dict[str, Any]) -> None:
        digest = hashlib.sha256(content)
        (world.served / "linux-64" / "shards" / f"{digest.hexdigest()}.msgpack.zst").write_bytes(content)
        index["shards"]["tool"] = digest.digest()

    return change


def another_shard(world: World, index: dict[str, Any]) -> None:
    """The bytes behind the hash of a shard are others."""
    digest = index["shards"]["tool"].hex()
    path = world.served / "linux-64" / "shards" / f"{digest}.msgpack.zst"
    path.write_bytes(packed({"packages.conda": {"tool-1.0-0.conda": record()}}))


def packed(value: object) -> bytes:
    return zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(value))


def set_info(**info: Any) -> Callable[[World, dict[str, Any]], None]:
    def change(world: World, index: dict[str, Any]) -> None:
        for key, value in info.items():
            index["info"][key] = value.replace("SERVED", str(world.served)) if isinstance(value, str) else value

    return change


def relations(**references: str) -> Make:
    """A channel that says that others belong to it."""
    make = with_info({"channel_relations": references})
    return lambda world: [*make(world), "--follow-channel-relations"]


def slow_expression(world: World) -> list[str]:
    """A package that wants another by an expression that takes careless engines for ever."""
    builds = ["a" * 60 + "b", *("a" * n + "_0" for n in range(20, 60))]
    needs = Package("tool", depends=["other[build='^(a+)+$']"])
    world.offer(needs, *(Package("other", build=build) for build in builds))
    return [*CREATE, *world.channel, "tool"]


def circle(world: World) -> list[str]:
    """Two packages that need each other."""
    world.offer(Package("tool", depends=["other"]), Package("other", depends=["tool"]))
    return [*CREATE, *world.channel, "tool"]


def bomb(world: World) -> list[str]:
    """Repodata of spaces: little to fetch, and more than fits into memory."""
    world.offer_document("{}")
    (world.served / "linux-64" / "repodata.json.zst").write_bytes(zeros_in_zstd(8 << 30, b" "))
    (world.served / "linux-64" / "repodata.json").unlink()
    return [*CREATE, *world.channel, "tool"]


def own_address(world: World) -> list[str]:
    """A record that names a file of this machine as the place of its package."""
    channel = world.offer(Package("tool", files={"share/a": "a"}))
    (world.canary / "tool-1.0-0.conda").write_bytes((world.served / "linux-64" / "tool-1.0-0.conda").read_bytes())
    address = (world.canary / "tool-1.0-0.conda").as_uri()
    found = channel.repodata["linux-64"]["packages.conda"]["tool-1.0-0.conda"]
    world.offer_document(document({"tool-1.0-0.conda": {**found, "url": address, "fn": "../x", "channel": "file:///"}}))
    return [*CREATE, *world.channel, "tool"]


def from_the_channel(world: World, outcome: Outcome) -> None:
    record = json.loads((world.environment("new") / "conda-meta" / "tool-1.0-0.json").read_text())
    assert record["url"] == f"{world.url}/linux-64/tool-1.0-0.conda"
    assert record["fn"] == "tool-1.0-0.conda"


NOT_FOUND = "PackagesNotFoundError"
DEEP = 200_000

CASES: Cases = {
    # File names
    "a file name with `..`": Case(offered("../../../canary/victim-1.0-0.conda"), Refused(NOT_FOUND, ("tool",))),
    "an absolute file name": Case(offered("/etc/tool-1.0-0.conda"), Refused(NOT_FOUND, ("tool",))),
    "a file name with a backslash": Case(offered("..\\tool-1.0-0.conda"), Refused(NOT_FOUND, ("tool",))),
    "a file name with a newline": Case(offered("tool-1.0-0\n.conda"), Refused(NOT_FOUND, ("tool",))),
    "a file name that steers the terminal": Case(offered(f"tool-1.0-{STEER}.conda"), Refused(NOT_FOUND, ("tool",))),
    "a file name of another package": Case(offered("other-9-0.conda"), Refused(NOT_FOUND, ("tool",))),
    "a file name that is no archive": Case(offered("tool-1.0-0.exe"), Refused(NOT_FOUND, ("tool",))),
    "an empty file name": Case(offered(""), Refused(NOT_FOUND, ("tool",))),
    # Names, versions, builds
    **{
        f"a record with the {field} {shown}": Case(offered(**{field: value}), Refused(NOT_FOUND, ("tool",)))
        for field, shown, value in (
            ("name", "`../../x`", "../../x"),
            ("name", "of another package", "python"),
            ("name", "with NUL", "to\0ol"),
            ("version", "`1/../../x`", "1/../../x"),
            ("version", "with a newline", "1.0\n"),
            ("version", "that steers the terminal", f"1.0{STEER}"),
            ("build", "`../0`", "../0"),
            ("build", "with NUL", "0\0"),
        )
    },
    "a record with names of its own": Case(
        offered("../x-1.0-0.conda", wanted="../x", name="../x"),
        Refused("InvalidMatchSpec", (r"\.\./x",), way_out=False),
    ),
    "a record with a sha256 that is a path": Case(
        offered(sha256="../../../x", md5=None), Refused("error", ("sha256|hash|name",))
    ),
    "a record with wrong types": Case(
        offered(name=["tool"], version=1, depends={"a": 1}), Refused(NOT_FOUND, ("tool",))
    ),
    "a record with numbers beyond measure": Case(
        offered(build_number=10**400, timestamp=-(10**300), size=10**100), Refused(NOT_FOUND, ("tool",))
    ),
    "a record with a build number of 10,000 digits": Case(
        raw(
            lambda: json.dumps(document({"tool-1.0-0.conda": record(build_number=0)})).replace(
                '"build_number": 0', '"build_number": ' + "9" * 10_000
            )
        ),
        Refused(NOT_FOUND, ("tool",)),
    ),
    "a version of 10,000 parts": Case(
        offered(f"tool-{'1.' * 10_000}1-0.conda", version="1." * 10_000 + "1"), Refused(NOT_FOUND, ("tool",))
    ),
    "a version with a number of 100,000 digits": Case(
        offered("tool-" + "9" * 100_000 + "-0.conda", version="9" * 100_000), Refused(NOT_FOUND, ("tool",))
    ),
    # Dependencies
    "a package that needs itself": Case(
        offered(depends=["tool >1"]), Refused("UnsatisfiableError", ("tool >1",), way_out=False)
    ),
    "dependencies in a circle": Case(
        circle,
        Harmless("both are installed"),
        changes="envs/new",
    ),
    "a dependency that is no spec": Case(
        offered(depends=["../x", "", "[[[", "a\0b", STEER]),
        Refused("UnsatisfiableError", ("cannot be read",), way_out=False),
    ),
    "a dependency with a regular expression without end": Case(
        slow_expression, Refused("UnsatisfiableError", ("other",), way_out=False)
    ),
    "a dependency of a megabyte": Case(
        offered(depends=["other " + ">=1," * 250_000 + ">=1"]),
        Refused("UnsatisfiableError", ("characters more",), way_out=False),
    ),
    "a condition nested 10,000 deep": Case(
        offered(depends=['other[when="' + "(" * 10_000 + "a" + ")" * 10_000 + '"]']),
        Refused("UnsatisfiableError", ("characters more",), way_out=False),
    ),
    # The document
    "a subdir that lies": Case(with_info({"subdir": "win-64"}), Refused("error", ("win-64", "linux-64"))),
    "a document that is a list": Case(raw(lambda: "[]"), Refused("error", ("cannot be read",))),
    "a document with wrong types": Case(
        raw(lambda: '{"packages": [1], "info": 7}'), Refused("error", ("cannot be read",))
    ),
    "a document of a web page": Case(raw(lambda: "<html>log in</html>"), Refused("error", ("web page",))),
    "a document nested without end": Case(
        raw(lambda: '{"packages": ' + "[" * DEEP), Refused("error", ("cannot be read",))
    ),
    "a record nested without end": Case(
        raw(lambda: '{"packages.conda": {"tool-1.0-0.conda": {"name": "tool", "x": ' + "[" * DEEP + "]" * DEEP + "}}}"),
        Refused("error", ("cannot be read|tool",)),
    ),
    "a document that is not UTF-8": Case(
        raw(lambda: b'{"packages.conda": {"tool-1.0-0.conda": {"name": "\xff\xfe"}}}'), Refused(NOT_FOUND, ("tool",))
    ),
    "a document with half of a character": Case(
        raw(lambda: '{"packages.conda": {"tool-1.0-0.conda": {"name": "\\ud800"}}}'),
        Refused("error", ("cannot be read",)),
    ),
    "one record twice": Case(
        raw(
            lambda: (
                f'{{"packages.conda": {{"tool-1.0-0.conda": {json.dumps(record())}, '
                f'"tool-1.0-0.conda": {json.dumps(record(sha256="f" * 64))}}}}}'
            )
        ),
        Refused("CondaHTTPError", ("404",)),
    ),
    "4 GB of spaces in a document of 400 kB": Case(bomb, Refused("error", ("unpacks to more|cannot be read|cut off",))),
    # Where files are to come from
    "a base_url to files of this machine": Case(
        with_info({"base_url": "file://SERVED/linux-64"}), Refused("error", ("base_url", "files of this machine"))
    ),
    "a base_url to files of this machine, spelt otherwise": Case(
        with_info({"base_url": " FILE:///SERVED/linux-64"}), Refused("error", ("base_url", "no address"))
    ),
    "a base_url with a scheme that nobody knows": Case(
        with_info({"base_url": "gopher://x/y"}), Refused("CondaHTTPError", ("gopher",))
    ),
    "a base_url with credentials": Case(
        with_info({"base_url": "http://me:secret@127.0.0.1:9/x"}), Refused("CondaHTTPError", ("127.0.0.1",))
    ),
    "a base_url that climbs": Case(
        with_info({"base_url": "../../../../../../etc"}), Refused("CondaHTTPError", ("404",))
    ),
    "a record with an address of its own": Case(
        own_address,
        Harmless("the address is kaa's: below the channel", from_the_channel),
        changes="envs/new",
    ),
    "a relation to files of this machine": Case(
        relations(base="file:///etc"), Refused("ChannelError", ("file:///etc", "relative path"))
    ),
    "a relation to another host": Case(
        relations(overrides="http://evil.invalid/x"), Refused("ChannelError", ("evil.invalid", "relative path"))
    ),
    "a relation that climbs": Case(
        relations(base="../../../../../../../x"), Refused("ChannelError", ("leads out of the server",))
    ),
    "a relation to itself": Case(relations(base="../served"), Refused("ChannelError", ("is the channel itself",))),
    "a relation with a newline and an escape": Case(
        relations(base=f"../a\n{STEER}"), Refused("ChannelError", (r"\\x1b",))
    ),
    # Shards
    "a shard with other bytes than its hash": Case(shards(another_shard), Refused("error", ("its sha256 is",))),
    "a shard that is no msgpack": Case(
        shards(shard_of(zstandard.ZstdCompressor().compress(b"\xc1" * 100))), Refused("error", ("cannot be read",))
    ),
    "a shard nested without end": Case(
        shards(shard_of(zstandard.ZstdCompressor().compress(b"\x81\xa8packages" + b"\x91" * 1_000_000))),
        Refused("error", ("cannot be read",)),
    ),
    "a shard of 4 GB of zeros": Case(
        shards(shard_of(zeros_in_zstd(4 << 30))), Refused("error", ("unpacks to more|cannot be read",))
    ),
    "a shard with the records of another name": Case(
        shards(
            shard_of(
                packed(
                    {
                        "packages": {},
                        "packages.conda": {"other-1.0-0.conda": record(name="other", sha256=bytes(32), md5=bytes(16))},
                        "removed": [],
                    }
                )
            )
        ),
        Refused(NOT_FOUND, ("tool",)),
    ),
    "a shard with a file name with `..`": Case(
        shards(
            shard_of(
                packed(
                    {
                        "packages": {},
                        "packages.conda": {"../../tool-1.0-0.conda": record(sha256=bytes(32), md5=bytes(16))},
                        "removed": [],
                    }
                )
            )
        ),
        Refused(NOT_FOUND, ("tool",)),
    ),
    "a shard index with a path for a name": Case(
        shards(lambda world, index: index["shards"].update({"../../x": bytes(32)})),
        Harmless("never asked for"),
        changes="envs/new",
    ),
    "a shard index with hashes that are none": Case(
        shards(lambda world, index: index["shards"].update({"tool": b"../../../x"})),
        Refused("error", ("lists no sha256 for tool",)),
    ),
    "shards in files of this machine": Case(
        shards(set_info(shards_base_url="file://SERVED/linux-64/shards/")), Refused("error", ("shards_base_url",))
    ),
    "packages of shards in files of this machine": Case(
        shards(set_info(base_url="file://SERVED/linux-64/")), Refused("error", ("base_url",))
    ),
    "a shard index with wrong types": Case(
        shards(lambda world, index: index.update({"shards": 7})), Refused("error", ("cannot be read",))
    ),
    "a shard index for another subdir": Case(shards(set_info(subdir="win-64")), Refused("error", ("win-64",))),
}
