"""Packages as their builders really made them, in environments of their platforms; skips where they are not here."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from kaa.api.environments import plan_explicit
from kaa.api.execution import execute
from kaa.api.explicit import fetch_explicit
from kaa.api.session import open_session
from kaa.archive.read import BadArchive
from kaa.envfiles.text_specs import ExplicitEntry

SHARED = os.environ.get("KAA_SHARED_DATA")
PACKAGES = (Path(SHARED) if SHARED else Path(__file__).parents[3] / "shared" / "data") / "real-packages"
pytestmark = pytest.mark.skipif(not PACKAGES.is_dir(), reason="the real packages are not here")

SOUND = {
    "linux-64/ripgrep-completions-14.1.1-hb0f4dca_1.conda": "share/fish/vendor_completions.d/rg.fish",
    "linux-64/onednn-cpu-omp-3.6.1-omp_hd7a96ef_1.conda": None,
    "win-64/zlib-1.2.11-h62dcd97_3.conda": "Library/bin/zlib.dll",
    "win-64/zlib-1.2.11-h62dcd97_3.tar.bz2": "Library/bin/zlib.dll",
}
DAMAGED = [
    "linux-64/zlib-1.2.11-h7b6447c_3.conda",
    "linux-64/zlib-1.2.11-h7b6447c_3.tar.bz2",
    "osx-64/zlib-1.2.11-h1de35cc_3.conda",
    "osx-64/zlib-1.2.11-h1de35cc_3.tar.bz2",
]


def install(tmp_path: Path, package: str) -> Path:
    """An environment of the package's platform with that one package, installed by its path."""
    prefix = tmp_path / "prefix"
    environ = {"HOME": str(tmp_path)}
    subdir = package.partition("/")[0]
    with open_session(root_prefix=tmp_path / "root", environ=environ, subdir=subdir) as session:
        records = fetch_explicit(session, [ExplicitEntry(str(PACKAGES / package))])
        execute(session, plan_explicit(session, prefix, records))
    return prefix


def record_of(prefix: Path) -> dict[str, object]:
    [path] = [path for path in (prefix / "conda-meta").glob("*.json") if path.name != "state"]
    document: dict[str, object] = json.loads(path.read_text())
    return document


@pytest.mark.parametrize(("package", "file"), SOUND.items(), ids=SOUND)
def test_installed_files_have_the_hashes_of_the_package(package: str, file: str | None, tmp_path: Path) -> None:
    prefix = install(tmp_path, package)
    record = record_of(prefix)
    file_name = package.partition("/")[2]
    assert f"{record['name']}-{record['version']}-{record['build']}" == re.sub(r"\.conda$|\.tar\.bz2$", "", file_name)
    assert record["sha256"] == hashlib.sha256((PACKAGES / package).read_bytes()).hexdigest()
    paths_data = record["paths_data"]
    assert isinstance(paths_data, dict)
    for entry in paths_data["paths"]:
        installed = prefix / entry["_path"]
        assert hashlib.sha256(installed.read_bytes()).hexdigest() == entry.get("sha256_in_prefix", entry["sha256"])
    assert record["files"] == [entry["_path"] for entry in paths_data["paths"]]
    if file is not None:
        assert file in record["files"]
        source = Path(record["link"]["source"])  # type: ignore[index]
        assert (prefix / file).samefile(source / file), "not linked from the cache"


@pytest.mark.peers
@pytest.mark.parametrize("package", SOUND)
def test_peers_read_the_result(package: str, tmp_path: Path) -> None:
    rattler = pytest.importorskip("rattler")
    conda_pack = pytest.importorskip("conda_pack")
    prefix = install(tmp_path, package)
    [path] = list((prefix / "conda-meta").glob("*.json"))
    theirs = rattler.PrefixRecord.from_path(path)
    ours = record_of(prefix)
    assert (theirs.name.normalized, str(theirs.version)) == (ours["name"], ours["version"])
    assert [str(file) for file in theirs.files] == ours["files"]
    environment = conda_pack.CondaEnv.from_prefix(str(prefix))
    files = ours["files"]
    assert isinstance(files, list)
    assert set(files) <= {file.target for file in environment.files}


@pytest.mark.parametrize("package", DAMAGED)
def test_a_link_without_a_target_is_named_and_nothing_is_left(package: str, tmp_path: Path) -> None:
    with pytest.raises(BadArchive) as failure:
        install(tmp_path, package)
    assert failure.value.member in ("lib/libz.so", "lib/libz.so.1", "lib/libz.dylib", "lib/libz.1.dylib")
    assert str(failure.value.member) in str(failure.value)
    assert not (tmp_path / "prefix").exists()
    assert [path.name for path in (tmp_path / "root" / "pkgs").iterdir() if path.name.startswith("zlib")] == []
