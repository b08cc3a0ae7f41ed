"""What is fuzzed: everything that reads bytes or text from elsewhere, with sound inputs to begin from.

A target takes bytes, and a directory of its own to work in. Whatever it is given, it gives a value or raises a KaaError
(or an exception that the reader promises by name); nothing else, and it comes to an end.
"""

from __future__ import annotations

import bz2
import contextlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import zstandard

from kaa.archive.extract import extract
from kaa.archive.read import open_package, read_info, zstd_stream
from kaa.archive.tar import Damaged, TarReader
from kaa.config.condarc import parse_condarc
from kaa.envfiles.environment_yaml import parse_environment_yaml
from kaa.envfiles.text_specs import parse_text_specs
from kaa.errors import KaaError
from kaa.host.files import remove_tree
from kaa.index.index import open_index
from kaa.index.shard_writer import read_shard_index, unpack_shard
from kaa.models.channel import ChannelConfig
from kaa.models.match_spec import MatchSpec
from kaa.models.record import RepoDataRecord
from kaa.models.repodata import decode_shard_record, parse_repodata
from kaa.models.version import Version
from kaa.models.version_spec import VersionSpec
from kaa.net.client import HttpClient
from kaa.package_cache.extracted_package import ExtractedPackage, read_record
from kaa.package_cache.roots import read_root
from kaa.package_cache.validate import find_damage
from kaa.prefix.distribution_files import read_distributions
from kaa.prefix.generations import GENERATIONS, read_generation
from kaa.prefix.history import parse_history
from kaa.prefix.interruption import RELOCATION
from kaa.prefix.pins import read_pinned
from kaa.prefix.prefix import Prefix
from kaa.prefix.prefix import read_record as read_prefix_record
from kaa.prefix.prefix_record_file import encode_record
from kaa.prefix.state import find_frozen_marker, read_variables
from kaa.shell.prefix_state import read_prefix_state
from kaa.transaction.relocation_marker import read_marker
from kaa.transaction.undoing import parse_journal
from tests.archive.builders import Entry, conda, long_name, pax, tar, tar_bz2
from tests.channels import Package

Read = Callable[[bytes, Path], object]
LIMIT = 16 << 20
"""What archives may unpack to here."""


@dataclass(frozen=True)
class Target:
    """One reader, and inputs that it takes."""

    read: Read
    seeds: tuple[bytes, ...]
    promised: tuple[type[Exception], ...] = ()
    """What it may raise beside KaaError."""


def run(target: Target, data: bytes, directory: Path) -> bool:
    """Whether the target took the data; raises what it should not have raised."""
    expected: tuple[type[Exception], ...] = (KaaError, *target.promised)
    try:
        target.read(data, directory)
    except expected as error:
        assert str(error)
        return False
    return True


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# Archives


def unpack(data: bytes, directory: Path) -> None:
    """Unpack; a package that is refused leaves nothing behind, and none leaves anything beside its directory."""
    target = directory / "unpacked" / "tool"
    target.parent.mkdir(exist_ok=True)
    try:
        extract(io.BytesIO(data), target, limit=LIMIT)
    finally:
        beside = sorted(path.name for path in target.parent.iterdir())
        assert beside in ([], ["tool"]), beside
        remove_tree(target)


def list_tar(data: bytes, directory: Path) -> None:
    del directory
    reader = TarReader(io.BytesIO(data), LIMIT)
    for member in reader:
        for _ in reader.iter_content():
            pass
        assert member.size >= 0


def unpack_zstd(data: bytes, directory: Path) -> None:
    del directory
    stream = zstd_stream(io.BytesIO(data))
    size = 0
    while (block := stream.read(1 << 16)) and size < LIMIT:
        size += len(block)


def information(data: bytes, directory: Path) -> object:
    del directory
    with open_package(io.BytesIO(data), limit=LIMIT) as package:
        assert package.extension in (".conda", ".tar.bz2")
    return read_info(io.BytesIO(data), limit=LIMIT)


# Channels


def repodata(data: bytes, directory: Path) -> None:
    """A channel in a folder, opened and asked for every record."""
    folder = directory / "channel" / "linux-64"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "repodata.json").write_bytes(data)
    channels = ChannelConfig().resolve((directory / "channel").as_uri(), "/")
    cache = directory / "cache"
    cache.mkdir(exist_ok=True)
    with HttpClient() as client:
        index = open_index(channels, ["linux-64"], cache_directory=cache, client=client)
        for name in sorted(index.names())[:50]:
            for record in index.records(name):
                msgspec.json.encode(record)


def shard(data: bytes, directory: Path) -> None:
    del directory
    found = unpack_shard(data, "shard")
    for section in found.sections():
        for name, packed in section.records.items():
            with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError):
                decode_shard_record(packed, "https://host/c", "linux-64", name, "https://host/c/linux-64/x")


def shard_index(data: bytes, directory: Path) -> None:
    path = directory / "index.zst"
    path.write_bytes(data)
    list(read_shard_index(path, "index", "https://host/c/linux-64", "linux-64").digests())


# Environments and caches


def environment(directory: Path) -> Path:
    prefix = directory / "environment"
    (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
    return prefix


def prefix_record(data: bytes, directory: Path) -> None:
    path = environment(directory) / "conda-meta" / "tool-1.0-0.json"
    path.write_bytes(data)
    encode_record(read_prefix_record(path), data)


def generation(data: bytes, directory: Path) -> None:
    path = environment(directory) / GENERATIONS / "1.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    read_generation(environment(directory), 1)


def state(data: bytes, directory: Path) -> None:
    prefix = environment(directory)
    (prefix / "conda-meta" / "state").write_bytes(data)
    read_prefix_state(str(prefix), script_extensions=(".sh",))
    read_variables(Prefix(prefix))


def frozen(data: bytes, directory: Path) -> None:
    prefix = environment(directory)
    (prefix / "conda-meta" / "frozen").write_bytes(data)
    marker = find_frozen_marker(Prefix(prefix))
    assert marker is not None


def pinned(data: bytes, directory: Path) -> None:
    prefix = environment(directory)
    (prefix / "conda-meta" / "pinned").write_bytes(data)
    read_pinned(Prefix(prefix))


def relocation(data: bytes, directory: Path) -> None:
    prefix = environment(directory)
    (prefix / RELOCATION).write_bytes(data)
    read_marker(prefix)


def distribution(name: str) -> Read:
    def read(data: bytes, directory: Path) -> None:
        prefix = environment(directory)
        folder = prefix / "lib" / "python3.12" / "site-packages" / "tool-1.0.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "METADATA").write_text("Name: tool\nVersion: 1.0\n")
        (folder / name).write_bytes(data)
        for paths in read_distributions(Prefix(prefix), [], set()).values():
            assert all(not path.startswith("/") and ".." not in path.split("/") for path in paths), paths

    return read


def package_info(name: str) -> Read:
    def read(data: bytes, directory: Path) -> None:
        folder = directory / "package"
        (folder / "info").mkdir(parents=True, exist_ok=True)
        (folder / "info" / "index.json").write_bytes(b"{}")
        (folder / "info" / "files").write_bytes(b"")
        (folder / "info" / name).write_bytes(data)
        record = read_record(folder) or RECORD
        package = ExtractedPackage(folder, record, None, directory)
        try:
            find_damage(package)
            package.paths()
            package.link()
        finally:
            (folder / "info" / name).unlink()

    return read


def cached_root(data: bytes, directory: Path) -> None:
    path = directory / "root.json"
    path.write_bytes(data)
    read_root(path)


# Text


def condarc(data: bytes, directory: Path) -> None:
    del directory
    parse_condarc(text_of(data))


def texts(*words: str) -> tuple[bytes, ...]:
    return tuple(word.encode() for word in words)


TOOL = Package("tool", depends=["lib >=1,<2"], files={"bin/tool": b"#!/opt/p/x\n", "share/a": b"a" * 300})
CONTENT = TOOL.to_bytes()
MEMBERS = (
    pax({"path": "lib/" + "x" * 120, "mtime": "1.5"}),
    Entry("short", b"content"),
    long_name("lib/" + "y" * 120),
    Entry("short", b"more"),
    Entry("bin/tool", b"#!/bin/sh\n", mode=0o755),
    Entry("bin/l", type=b"2", link="tool"),
    Entry("bin/h", type=b"1", link="bin/tool"),
    Entry("d/", type=b"5"),
    pax({"comment": "for all"}, kind=b"g"),
)
INFO = {name.removeprefix("info/"): data for name, data in TOOL.info().items()}
RECORD_FIELDS = {**TOOL.record(CONTENT), "license": "MIT", "noarch": "generic", "timestamp": 1_700_000_000_000}
RECORD = msgspec.convert(RECORD_FIELDS, RepoDataRecord)
REPODATA = json.dumps(
    {
        "info": {"subdir": "linux-64", "base_url": "../x", "channel_relations": {"base": "../y"}},
        "packages": {"old-1.0-0.tar.bz2": {**RECORD_FIELDS, "name": "old"}},
        "packages.conda": {"tool-1.0-0.conda": RECORD_FIELDS},
        "removed": ["gone-1-0.conda"],
        "repodata_version": 1,
        "v3": {"conda": {"new-1-0": {**RECORD_FIELDS, "name": "new", "flags": ["a:b"], "extra_depends": {"x": ["y"]}}}},
    }
).encode()
SHARD = {
    "packages": {},
    "packages.conda": {"tool-1.0-0.conda": {**RECORD_FIELDS, "sha256": bytes(32), "md5": bytes(16)}},
    "removed": ["tool-0-0.conda"],
}
SHARD_INDEX = {
    "version": 1,
    "info": {
        "subdir": "linux-64",
        "base_url": "./",
        "shards_base_url": "./shards/",
        "created_at": "2026-01-01T00:00:00Z",
    },
    "shards": {"tool": bytes(range(32))},
}
GENERATION = {
    "number": 1,
    "time": "2026-01-01T00:00:00Z",
    "user": "me",
    "packages": [RECORD_FIELDS],
    "requested_specs": {"tool": "tool >=1"},
    "distributions": [{"name": "e", "version": "1", "metadata": "lib/e-1.dist-info", "key": "e-1-000000000000"}],
    "variables": {"A": "b"},
    "pins": "lib <2",
}
PREFIX_RECORD = {
    **RECORD_FIELDS,
    "channel": "https://host/c/linux-64",
    "url": "https://host/c/linux-64/tool-1.0-0.conda",
    "files": ["bin/tool"],
    "link": {"source": "/pkgs/tool", "type": 1},
    "paths_data": {"paths_version": 1, "paths": [{"_path": "bin/tool", "path_type": "hardlink", "size_in_bytes": 3}]},
    "requested_specs": ["tool >=1"],
}
JOURNAL = b"""["made", ["/x"], 7]
["create", ["bin/tool"]]
-["move", [["a", "conda-meta/.kaa-staging/removed/0"]]]
["replace", [["a", null], ["b", "c"]]]
["append", "conda-meta/history", 12]
["script", 1]
["commit", ["lib"]]
"""
HISTORY = b"""==> 2026-03-01 12:00:00 <==
# cmd: kaa create -n x tool
# conda version: 4.8.3
+c/linux-64::tool-1.0-0
-c/linux-64::old-1.0-0
# update specs: ['tool >=1', "lib"]
# remove specs: ['old']
"""
ENVIRONMENT = b"""name: demo
channels: [conda-forge, nodefaults]
dependencies:
  - python >=3.11,<4
  - &a numpy=1.26
  - sel(linux): tool
  - pip: [rich, "-r x.txt"]
variables: {A: b, C: 1}
platforms: [linux-64]
"""
CONDARC = b"""channels:
  - conda-forge  #!top
  - 'other'
ssl_verify: false  #!final
proxy_servers: {http: "http://p:1"}
remote_read_timeout_secs: 1.5
"""
SPECS = texts(
    "numpy >=1.20,<2|==3.*",
    "conda-forge/linux-64::numpy[version='>=1,!=1.5',build=py*,when=\"python >=3\",extras=[a,b]]",
    "python=3.12.*=*_cpython",
    "tool[build='^py(3[0-9]+)_[a-c]?$', license=MIT, sha256=" + "0" * 64 + "]",
    "https://host/c/linux-64/tool-1.0-0.conda#" + "0" * 32,
)

TARGETS: dict[str, Target] = {
    "archive .conda": Target(unpack, (CONTENT, conda(*MEMBERS))),
    "archive .tar.bz2": Target(unpack, (tar_bz2(*MEMBERS), bz2.compress(b"") * 3)),
    "archive, its tar": Target(
        lambda data, directory: unpack(conda(pkg=zstandard.ZstdCompressor(level=1).compress(data)), directory),
        (tar(*MEMBERS),),
    ),
    "archive, its info": Target(information, (CONTENT, tar_bz2())),
    "tar": Target(list_tar, (tar(*MEMBERS),), (Damaged,)),
    "zstd": Target(unpack_zstd, (zstandard.ZstdCompressor().compress(b"x" * 9999),), (Damaged,)),
    "paths.json": Target(package_info("paths.json"), (INFO["paths.json"],)),
    "link.json": Target(
        package_info("link.json"), (b'{"noarch": {"type": "python", "entry_points": ["t = tool:main"]}}',)
    ),
    "has_prefix": Target(package_info("has_prefix"), (b'"/opt/a b" text "bin/x"\n/opt/x binary lib/y\nz\n',)),
    "repodata_record.json": Target(package_info("repodata_record.json"), (json.dumps(RECORD_FIELDS).encode(),)),
    "repodata": Target(repodata, (REPODATA,)),
    "repodata, split": Target(lambda data, directory: parse_repodata(data), (REPODATA,)),
    "shard": Target(shard, (zstandard.ZstdCompressor().compress(msgspec.msgpack.encode(SHARD)),)),
    "shard, unpacked": Target(
        lambda data, directory: shard(zstandard.ZstdCompressor(level=1).compress(data), directory),
        (msgspec.msgpack.encode(SHARD),),
    ),
    "shard index": Target(
        lambda data, directory: shard_index(zstandard.ZstdCompressor(level=1).compress(data), directory),
        (msgspec.msgpack.encode(SHARD_INDEX),),
    ),
    "prefix record": Target(prefix_record, (json.dumps(PREFIX_RECORD).encode(),)),
    "generation": Target(generation, (json.dumps(GENERATION).encode(),)),
    "journal": Target(lambda data, directory: parse_journal(data, directory / "journal"), (JOURNAL,)),
    "note of a rename": Target(
        relocation, (b'{"id": "x", "kind": "rename", "source": "/a", "target": "/b", "made": ["/c"], "version": 1}',)
    ),
    "history": Target(lambda data, directory: parse_history(text_of(data)), (HISTORY,)),
    "variables": Target(state, (b'{"env_vars": {"A": "b", "C": 1, "D": null}, "version": 1}',)),
    "frozen marker": Target(frozen, (b'{"message": "no"}', b"")),
    "pins": Target(pinned, (b"numpy >=1\n# comment\npython 3.12.* # and more\n",)),
    "note of needs": Target(
        cached_root, (b'{"prefix": "/x", "host": "h", "time": "t", "inode": 3, "packages": [["a-1-0", "00"]]}',)
    ),
    "RECORD": Target(
        distribution("RECORD"), (b'tool/a.py,sha256=x,3\n"a,b",,\n../../../bin/t,,\ntool-1.0.dist-info/RECORD,,\n',)
    ),
    "METADATA": Target(distribution("METADATA"), (b"Metadata-Version: 2.1\nName: tool\nVersion: 1.0\n\nText\n",)),
    "direct_url.json": Target(
        distribution("direct_url.json"), (b'{"url": "file:///src", "dir_info": {"editable": true}}',)
    ),
    "match spec": Target(lambda data, directory: MatchSpec.parse(text_of(data)), SPECS),
    "match spec, lenient": Target(lambda data, directory: str(MatchSpec.parse(text_of(data), lenient=True)), SPECS),
    "version": Target(
        lambda data, directory: Version(text_of(data)),
        texts("1!2.0.1rc3.post4.dev5+local.7_8", "1.0", "2024a", "0.0_-"),
    ),
    "version spec": Target(
        lambda data, directory: VersionSpec(text_of(data)),
        texts(">=1.0,<2|!=1.5.*", "~=1.4.2", "^1\\.[0-9]+$", "(1|2),>=0", "=1.2.*", "*"),
    ),
    "environment.yml": Target(
        lambda data, directory: parse_environment_yaml(text_of(data), filename="e.yml", subdir="linux-64"),
        (ENVIRONMENT,),
    ),
    "list of specs": Target(
        lambda data, directory: parse_text_specs(text_of(data), filename="list.txt"),
        (b"numpy >=1 # c\npython\n", b"@EXPLICIT\n# platform: linux-64\nhttps://h/c/linux-64/a-1-0.conda#" + b"0" * 32),
    ),
    "condarc": Target(condarc, (CONDARC, b"a: [1, {b: *c}]\nc: &c 2024-01-01\n")),
}
