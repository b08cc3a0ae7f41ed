"""Lock files: each format says back what was written into it, as far as it has words for it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from msgspec.structs import replace

from kaa.envfiles.conda_lock import HashMissing, conda_lock_text, parse_conda_lock
from kaa.envfiles.kaa_lock import NoIdentity, kaa_lock_text, parse_kaa_lock
from kaa.envfiles.lock import InvalidLock, Lock, LockedEnvironment, LockedPlatform
from kaa.envfiles.pixi_lock import Version, parse_pixi_lock, pixi_lock_text
from kaa.models.record import RepoDataRecord
from tests.envfiles.locks import locks


@given(locks())
def test_kaa_lock_keeps_everything(lock: Lock) -> None:
    text = kaa_lock_text(lock)
    assert parse_kaa_lock(text) == lock
    assert kaa_lock_text(parse_kaa_lock(text)) == text


@pytest.mark.parametrize("version", [6, 7])
@given(lock=locks())
def test_pixi_lock_keeps_what_is_installed(version: Version, lock: Lock) -> None:
    text = pixi_lock_text(lock, version=version)
    read = parse_pixi_lock(text)
    assert read == lock
    assert pixi_lock_text(read, version=version) == text


@given(locks())
def test_conda_lock_keeps_packages_addresses_and_hashes(lock: Lock) -> None:
    read = parse_conda_lock(conda_lock_text(lock))
    assert [platform.name for platform in read.platforms] == [platform.name for platform in lock.platforms]
    main, wanted = read.environment("default"), lock.environment("default")
    assert main is not None
    assert wanted is not None
    for platform in ("linux-64", "osx-arm64"):
        assert identities(main.conda[platform]) == identities(wanted.conda[platform])
        assert {one.url for one in main.pypi.get(platform, ())} == {one.url for one in wanted.pypi.get(platform, ())}


def identities(records: tuple[RepoDataRecord, ...]) -> set[tuple[Any, ...]]:
    return {
        (one.name, one.version, one.build, one.subdir, one.channel, one.url, one.md5, one.sha256, one.depends)
        for one in records
    }


def test_platforms_of_version_seven_are_more_than_subdirs() -> None:
    machine = LockedPlatform("gpu", "linux-64", ("__cuda=12", "__glibc=2.28"))
    record = RepoDataRecord(
        name="a", version="1", build="0", subdir="linux-64", channel="https://h/c", fn="a-1-0.conda",
        url="https://h/c/linux-64/a-1-0.conda", sha256="0" * 64,
    )  # fmt: skip
    lock = Lock((machine,), (LockedEnvironment(channels=("https://h/c",), conda={"gpu": (record,)}),))
    assert parse_pixi_lock(pixi_lock_text(lock, version=7)) == lock
    assert parse_kaa_lock(kaa_lock_text(lock)) == lock
    # Version 6 has no word for them.
    [environment] = parse_pixi_lock(pixi_lock_text(lock, version=6)).environments
    assert dict(environment.conda) == {"linux-64": (record,)}


def test_no_secrets_in_a_lock() -> None:
    record = RepoDataRecord(
        name="a", version="1", build="0", subdir="noarch", channel="https://u:secret@h/t/tk-secret/c", fn="a-1-0.conda",
        url="https://u:secret@h/t/tk-secret/c/noarch/a-1-0.conda", sha256="0" * 64,
    )  # fmt: skip
    environment = LockedEnvironment(channels=("https://u:secret@h/t/tk-secret/c",), conda={"linux-64": (record,)})
    text = kaa_lock_text(Lock((LockedPlatform("linux-64", "linux-64"),), (environment,)))
    assert "secret" not in text


def test_what_cannot_be_recognised_is_not_locked() -> None:
    record = RepoDataRecord(name="a", version="1", build="0", url="https://h/c/noarch/a-1-0.conda")
    lock = Lock((LockedPlatform("noarch", "noarch"),), (LockedEnvironment(conda={"noarch": (record,)}),))
    with pytest.raises(NoIdentity, match="a-1-0"):
        kaa_lock_text(lock)
    with pytest.raises(HashMissing, match="a-1-0"):
        conda_lock_text(replace(lock))


PIXI = """version: 6
environments:
  default:
    channels:
    - url: https://h/c/
    packages:
      linux-64:
      - conda: https://h/c/linux-64/a-1.10-h0_3.conda
packages:
- conda: https://h/c/linux-64/a-1.10-h0_3.conda
  sha256: {}
""".format("0" * 64)

CONDA = """version: 1
metadata:
  content_hash: {linux-64: abc}
  channels: [{url: conda-forge, used_env_vars: []}]
  platforms: [linux-64]
  sources: [environment.yml]
package:
- name: a
  version: 1.10
  manager: conda
  platform: linux-64
  dependencies: {python: '>=3'}
  url: https://h/c/linux-64/a-1.10-h0_3.conda
  hash: {md5: 00000000000000000000000000000000}
  category: main
  optional: false
"""


def test_versions_that_look_like_numbers_stay_texts() -> None:
    for lock in (parse_pixi_lock(PIXI), parse_conda_lock(CONDA)):
        [record] = lock.environments[0].conda["linux-64"]
        assert (record.version, record.build) == ("1.10", "h0_3")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 6", "version: 3", "'3' is none of the versions"),
        ("version: 6", "version: x", "is none of the versions"),
        ("- conda: https://h/c/linux-64/a-1.10-h0_3.conda\n  sha", "- conda_source: a\n  sha", "cannot be installed"),
        ("      - conda: https://h", "      - conda: https://other", "is not among the packages"),
        ("a-1.10-h0_3.conda", "a.conda", "name-version-build"),
        ("environments:", "environment:", "environments"),
        ("packages:\n-", "packages:\n  x:\n  -", "packages"),
    ],
)
def test_broken_pixi_locks(old: str, new: str, said: str) -> None:
    assert old in PIXI
    with pytest.raises(InvalidLock) as caught:
        parse_pixi_lock(PIXI.replace(old, new), filename="pixi.lock")
    assert caught.value.message.startswith("pixi.lock")
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("version: 1\n", "version: 2\n", "version"),
        ("manager: conda", "manager: npm", "manager"),
        ("name: a\n", "name: b\n", "its address is that of a-1.10-h0_3"),
        ("platform: linux-64", "platform: win-64", "not among metadata.platforms"),
        ("  url: https://h/c/linux-64/a-1.10-h0_3.conda\n", "", "url"),
        ("package:", "packages:", "package"),
    ],
)
def test_broken_conda_locks(old: str, new: str, said: str) -> None:
    assert old in CONDA
    with pytest.raises(InvalidLock) as caught:
        parse_conda_lock(CONDA.replace(old, new), filename="conda-lock.yml")
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"kaa_lock": 1', '"kaa_lock": 2', "version 2"),
        ('"kaa_lock": 1', '"kaa_lock": "x"', "kaa_lock"),
        ('0000000000000000"', '1111111111111111"', "it holds"),
        ('"noarch/a-1-0 000000000000"\n', '"noarch/b-1-0 000000000000"\n', "is not among the packages"),
        ('"channels"', '"chanels"', "chanels"),
    ],
)
def test_broken_kaa_locks(old: str, new: str, said: str) -> None:
    record = RepoDataRecord(
        name="a", version="1", build="0", subdir="noarch", fn="a-1-0.conda", url="https://h/c/noarch/a-1-0.conda",
        channel="https://h/c", sha256="0" * 64,
    )  # fmt: skip
    environment = LockedEnvironment(channels=("https://h/c",), conda={"linux-64": (record,)})
    text = kaa_lock_text(Lock((LockedPlatform("linux-64", "linux-64"),), (environment,)))
    changed = text.replace(old, new)
    if "1111" in new:
        changed = text.replace('"sha256":"0', '"sha256":"1')
    assert changed != text
    with pytest.raises(InvalidLock) as caught:
        parse_kaa_lock(changed, filename="kaa.lock")
    assert said in caught.value.message
