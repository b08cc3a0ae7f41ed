"""Other programs of this field read what kaa wrote."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from kaa.transaction.plan import Remove
from tests.channels import ChannelBuilder, File, Package, Symlink
from tests.transaction.world import SITE, World, python_package

pytestmark = pytest.mark.peers

PLACE = "/opt/place_of_the_builder_" + "x" * 200
PACKAGES = (
    python_package(),
    Package(
        "tool",
        files={
            "bin/tool": File(f"#!{PLACE}/bin/sh\necho {PLACE}\n".encode(), mode=0o755, placeholder=PLACE),
            "lib/libtool.so.1": File(b"\x7fELF" + f"{PLACE}/lib\0rest".encode(), placeholder=PLACE, binary=True),
            "lib/libtool.so": Symlink("libtool.so.1"),
            "share/both": "tool",
        },
        index_extra={"license": "MIT", "track_features": "one two"},
    ),
    Package("other", depends=["tool"], files={"share/both": "other", "etc/other": "x"}),
    Package(
        "library",
        noarch="python",
        depends=["python >=3.8"],
        files={"site-packages/library/__init__.py": "VALUE = 1\n", "python-scripts/script": "#!/bin/sh\n"},
        entry_points=["library = library:main"],
    ),
)


@pytest.fixture
def filled(world: World) -> World:
    world.perform(world.plan(*PACKAGES, requested_specs={"tool": "tool >=1"}, command="kaa create -p demo tool"))
    return world


def test_rattler_reads_every_record(filled: World) -> None:
    rattler = pytest.importorskip("rattler")
    for package in PACKAGES:
        path = filled.prefix / "conda-meta" / f"{package.dist}.json"
        ours = filled.record(package.name)
        theirs = rattler.PrefixRecord.from_path(path)
        assert theirs.name.normalized == package.name
        assert str(theirs.version) == package.version
        assert [str(file) for file in theirs.files] == list(ours.files)
        assert len(theirs.paths_data.paths) == len(ours.paths_data.paths)
        assert list(theirs.requested_specs) == list(ours.requested_specs)
        assert str(theirs.extracted_package_dir) == ours.extracted_package_dir
        assert theirs.channel == f"https://channel.example/demo/{package.subdir}"


def test_rattler_restores_what_kaa_set_aside(filled: World) -> None:
    rattler = pytest.importorskip("rattler")
    assert (filled.prefix / "share/both").read_text() == "other"
    records = [
        rattler.PrefixRecord.from_path(filled.prefix / "conda-meta" / f"{package.dist}.json")
        for package in PACKAGES
        if package.name != "other"
    ]
    asyncio.run(rattler.install(records, target_prefix=filled.prefix, cache_dir=filled.cache, show_progress=False))
    assert (filled.prefix / "share/both").read_text() == "tool"
    assert "share/both" in filled.record("tool").files


def test_kaa_restores_what_rattler_set_aside(world: World) -> None:
    rattler = pytest.importorskip("rattler")
    channel = ChannelBuilder(world.folder / "channel").add(PACKAGES[1], PACKAGES[2]).write()

    async def create() -> None:
        subdirs = [rattler.Subdir("linux-64"), rattler.Subdir("noarch")]
        records = await rattler.solve([rattler.Channel(channel.url)], ["other"], platforms=subdirs)
        cache = world.folder / "cache"
        await rattler.install(records, target_prefix=world.prefix, cache_dir=cache, show_progress=False)

    asyncio.run(create())
    assert world.text("share/both") == "other"
    transaction = world.plan(PACKAGES[1])
    assert [type(one) for one in transaction.operations] == [Remove]
    world.perform(transaction)
    assert world.text("share/both") == "tool"
    assert not (world.prefix / "__clobbers__").exists()
    world.install()
    assert not (world.prefix / "share").exists()


def test_conda_pack_packs_the_environment(filled: World, tmp_path: Path) -> None:
    conda_pack = pytest.importorskip("conda_pack")
    target = tmp_path / "demo.tar"
    conda_pack.pack(prefix=str(filled.prefix), output=str(target), format="tar", compress_level=0)
    unpacked = tmp_path / "unpacked"
    with tarfile.open(target) as archive:
        names = set(archive.getnames())
        archive.extractall(unpacked, filter="fully_trusted")
    assert {"bin/tool", f"{SITE}/library/__init__.py", "bin/library", "lib/libtool.so", "share/both"} <= names
    assert (unpacked / "share/both").read_text() == "other"
    script = unpacked / "bin/conda-unpack"
    subprocess.run([sys.executable, script], check=True)
    assert (unpacked / "bin/tool").read_text() == f"#!{unpacked}/bin/sh\necho {unpacked}\n"
    meta = json.loads((unpacked / "conda-meta" / "tool-1.0-0.json").read_text())
    assert meta["name"] == "tool"
