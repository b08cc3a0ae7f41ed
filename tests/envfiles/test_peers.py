"""pixi.lock files between py-rattler and kaa: each reads what the other wrote, and means the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from kaa.envfiles.lock import Lock
from kaa.envfiles.pixi_lock import Version, parse_pixi_lock, pixi_lock_text
from kaa.models.channel import url_to_path
from tests.envfiles.locks import locks

pytestmark = pytest.mark.peers
rattler_lock: Any = pytest.importorskip("rattler.lock")


def as_rattler_reads(path: Path) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """By environment and platform, what rattler takes from a lock."""
    file = rattler_lock.LockFile.from_path(path)
    found: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for name, environment in file.environments():
        for platform, packages in environment.packages_by_platform().items():
            found[name, str(platform)] = sorted(map(package_of_rattler, packages), key=repr)
    return found


def package_of_rattler(package: Any) -> tuple[Any, ...]:
    sha256 = package.hashes.sha256.hex() if package.hashes and package.hashes.sha256 else None
    if isinstance(package, rattler_lock.PypiLockedPackage):
        return (package.name, str(package.version), package.location, sha256)
    record = package.package_record
    return (
        record.name.normalized, str(record.version), str(record.build), record.build_number, record.subdir,
        noarch_of(record),
        package.location, sha256, tuple(record.depends), tuple(record.constrains), record.size, record.license,
    )  # fmt: skip


def noarch_of(record: Any) -> str | None:
    if record.noarch.python:
        return "python"
    return "generic" if record.noarch.generic else None


def as_kaa_means(lock: Lock) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    found: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for environment in lock.environments:
        for platform in lock.platforms:
            conda = [
                (
                    one.name, one.version, one.build, one.build_number, one.subdir, one.noarch,
                    url_to_path(one.url) if one.url.startswith("file:") else one.url, one.sha256,
                    one.depends, one.constrains, one.size, one.license,
                )
                for one in environment.conda.get(platform.name, ())
            ]  # fmt: skip
            pypi = [(one.name, one.version, one.url, one.sha256) for one in environment.pypi.get(platform.name, ())]
            found[environment.name, platform.name] = sorted([*conda, *pypi], key=repr)
    return found


@pytest.mark.parametrize("version", [6, 7])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lock=locks())
def test_rattler_reads_what_kaa_writes_and_the_reverse(tmp_path: Path, version: Version, lock: Lock) -> None:
    path = tmp_path / "pixi.lock"
    path.write_text(pixi_lock_text(lock, version=version))
    wanted = {key: packages for key, packages in as_kaa_means(lock).items() if packages}
    assert {key: packages for key, packages in as_rattler_reads(path).items() if packages} == wanted
    # As rattler writes it.
    rattler_lock.LockFile.from_path(path).to_path(path)
    read = parse_pixi_lock(path.read_text())
    assert {key: packages for key, packages in as_kaa_means(read).items() if packages} == wanted
