"""Detection on this machine, and the parsers of what other machines say."""

from __future__ import annotations

import doctest
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kaa.host import virtual_packages as detection
from kaa.host.virtual_packages import (
    X86_64_LEVELS,
    apple_generation,
    ask_driver,
    cuda_packages,
    detect,
    kernel_version,
    power_generation,
    three_numbers,
    x86_64_level,
)
from kaa.models.virtual_package import VirtualPackage

DRIVER = """
#include <string.h>
#include <stdlib.h>
int cuInit(unsigned flags) { return getenv("FAIL_INIT") ? 100 : 0; }
int cuDriverGetVersion(int *version) { *version = 12080; return 0; }
int cuDeviceGetCount(int *count) { if (getenv("FAIL_COUNT")) return 3; *count = getenv("NO_DEVICE") ? 0 : 3; return 0; }
int cuDeviceGet(int *device, int position) { if (position == 1) return 101; *device = position; return 0; }
int cuDeviceGetAttribute(int *value, int which, int device) {
    *value = which == 75 ? (device ? 7 : 9) : which == 76 ? (device ? 5 : 0) : -1;
    return 0;
}
int cuDeviceGetName(char *name, int length, int device) {
    strncpy(name, device ? "NVIDIA GeForce GTX 1650 Ti" : "NVIDIA H100", length);
    return 0;
}
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler on this machine")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(DRIVER)
    library = folder / "libcuda.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "driver.c"], check=True)
    return str(library)


def shown(packages: list[VirtualPackage]) -> list[str]:
    return [str(package) for package in packages]


def test_asking_a_driver(driver: str) -> None:
    assert shown(ask_driver(["/no/such/library.so", driver])) == [
        "__cuda=12.8=0",
        "__cuda_arch=7.5=GeForceGTX1650Ti",
    ]


@pytest.mark.parametrize(
    ("variable", "expected"),
    [("FAIL_INIT", []), ("FAIL_COUNT", ["__cuda=12.8=0"]), ("NO_DEVICE", ["__cuda=12.8=0"])],
)
def test_drivers_with_less_to_say(driver: str, variable: str, expected: list[str]) -> None:
    assert shown(ask_driver([driver], {**os.environ, variable: "1"})) == expected


def test_no_driver(tmp_path: Path) -> None:
    broken = tmp_path / "libcuda.so.1"
    broken.write_bytes(b"no library")
    assert ask_driver([str(broken)]) == []
    assert ask_driver([]) == []


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([], []),
        (["0"], []),
        (["driver too old"], []),
        (["9020"], ["__cuda=9.2=0"]),
        (["11080", "8 0 NVIDIA A100-SXM4-80GB"], ["__cuda=11.8=0", "__cuda_arch=8.0=A100SXM480GB"]),
        (["13000", "12 0 x", "10 3 y"], ["__cuda=13.0=0", "__cuda_arch=10.3=y"]),
        (["13000", "10 0 NVIDIA", "garbage"], ["__cuda=13.0=0", "__cuda_arch=10.0=0"]),
        (["13000", f"9 0 {'x' * 100}"], ["__cuda=13.0=0", f"__cuda_arch=9.0={'x' * 64}"]),
    ],
)
def test_answers_of_drivers(answer: list[str], expected: list[str]) -> None:
    assert shown(list(cuda_packages(answer))) == expected


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("6.1.0-18-amd64", "6.1.0"),
        ("3.10.0-1160.el7.x86_64", "3.10.0"),
        ("5.15.153.1-microsoft-standard-WSL2", "5.15.153.1"),
        ("4.4", "4.4"),
        ("6.9-rc1", "6.9"),
        ("unknown", None),
    ],
)
def test_kernel_versions(release: str, expected: str | None) -> None:
    assert kernel_version(release) == expected


def test_windows_versions() -> None:
    assert three_numbers("10.0.22631") == "10.0.22631"
    assert three_numbers("10") is None


@pytest.mark.parametrize("count", range(len(X86_64_LEVELS) + 1))
def test_x86_64_levels(count: int) -> None:
    flags = [flag for _, needed in X86_64_LEVELS[len(X86_64_LEVELS) - count :] for flag in needed.split()]
    assert x86_64_level(["sse2", *flags]) == ("x86_64" if not count else f"x86_64_v{count + 1}")


def test_a_level_needs_those_below_it() -> None:
    best = X86_64_LEVELS[0][1].split()
    assert x86_64_level(best) == "x86_64"


@pytest.mark.parametrize(("brand", "expected"), [("Apple M1", "m1"), ("Apple M4 Max", "m4"), ("Intel(R) Core", None)])
def test_apple_generations(brand: str, expected: str | None) -> None:
    assert apple_generation(brand) == expected


def test_power_generations() -> None:
    assert power_generation("cpu\t\t: POWER8E (raw), altivec supported") == "power8le"
    assert power_generation("") is None


@pytest.mark.skipif(sys.platform != "linux", reason="what is compared with is Linux's")
def test_this_machine() -> None:
    found = {package.name: package for package in detect()}
    assert platform.release().startswith(found["__linux"].version)
    assert found["__unix"] == VirtualPackage("__unix", "0")
    library, version = platform.libc_ver()
    if library == "glibc":
        assert found["__glibc"].version == ".".join(version.split(".")[:2])
    else:
        assert "__glibc" not in found
    if platform.machine() == "x86_64":
        assert found["__archspec"].build.startswith("x86_64")


@pytest.mark.peers
@pytest.mark.skipif(sys.platform != "linux", reason="what is compared with is Linux's")
def test_this_machine_as_py_rattler_sees_it() -> None:
    rattler = pytest.importorskip("rattler")
    theirs = {
        package.name.normalized: str(package.version)
        for package in (one.into_generic() for one in rattler.VirtualPackage.detect())
    }
    ours = {package.name: package.version for package in detect()}
    assert ours.keys() == theirs.keys()
    for name in ("__glibc", "__unix", "__archspec"):
        assert ours.get(name) == theirs.get(name)


def test_examples() -> None:
    assert doctest.testmod(detection).failed == 0
