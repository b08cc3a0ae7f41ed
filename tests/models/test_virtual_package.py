"""Virtual packages: what a target offers, detected, assumed or overridden."""

from __future__ import annotations

import doctest

import pytest

from kaa.models import virtual_package as virtual_package_module
from kaa.models.subdir import KNOWN_SUBDIRS
from kaa.models.virtual_package import InvalidOverride, VirtualPackage, virtual_packages

LINUX = (
    VirtualPackage("__archspec", "1", "x86_64_v3"),
    VirtualPackage("__cuda", "12.4"),
    VirtualPackage("__cuda_arch", "8.6", "A100"),
    VirtualPackage("__glibc", "2.36"),
    VirtualPackage("__linux", "6.1.0"),
    VirtualPackage("__unix", "0"),
)
MUSL = (VirtualPackage("__linux", "6.1.0"), VirtualPackage("__unix", "0"))
MACOS = (VirtualPackage("__archspec", "1", "m2"), VirtualPackage("__osx", "14.5"), VirtualPackage("__unix", "0"))
WINDOWS = (VirtualPackage("__win", "10.0.19045"),)

OFFERS = [
    # detected, host, target, offered
    (
        LINUX,
        "linux-64",
        "linux-64",
        "archspec=1=x86_64_v3 cuda=12.4=0 cuda_arch=8.6=A100 glibc=2.36=0 linux=6.1.0=0 unix=0=0",
    ),
    (
        LINUX,
        "linux-64",
        "linux-32",
        "archspec=0=x86 cuda=12.4=0 cuda_arch=8.6=A100 glibc=2.36=0 linux=6.1.0=0 unix=0=0",
    ),
    (LINUX, "linux-64", "linux-aarch64", "archspec=0=aarch64 glibc=2.17=0 linux=0=0 unix=0=0"),
    (LINUX, "linux-64", "osx-arm64", "archspec=0=aarch64 osx=11.0=0 unix=0=0"),
    (LINUX, "linux-64", "osx-64", "archspec=0=x86_64 osx=10.15=0 unix=0=0"),
    (LINUX, "linux-64", "win-64", "archspec=0=x86_64 win=0=0"),
    (LINUX, "linux-64", "freebsd-64", "archspec=0=x86_64 unix=0=0"),
    (LINUX, "linux-64", "emscripten-wasm32", "archspec=0=wasm32 unix=0=0"),
    (LINUX, "linux-64", "wasi-wasm32", "archspec=0=wasm32"),
    (LINUX, "linux-64", "zos-z", "archspec=0=z unix=0=0"),
    (LINUX, "linux-64", "noarch", ""),
    (MUSL, "linux-64", "linux-64", "archspec=0=x86_64 linux=6.1.0=0 unix=0=0"),
    ((), "linux-64", "linux-64", "archspec=0=x86_64 linux=0=0 unix=0=0"),
    (MACOS, "osx-arm64", "osx-arm64", "archspec=1=m2 osx=14.5=0 unix=0=0"),
    (MACOS, "osx-arm64", "osx-64", "archspec=0=x86_64 osx=14.5=0 unix=0=0"),
    (MACOS, "osx-arm64", "linux-64", "archspec=0=x86_64 glibc=2.17=0 linux=0=0 unix=0=0"),
    ((), "osx-arm64", "osx-arm64", "archspec=0=aarch64 osx=0=0 unix=0=0"),
    (WINDOWS, "win-64", "win-64", "archspec=0=x86_64 win=10.0.19045=0"),
    (WINDOWS, "win-64", "win-32", "archspec=0=x86 win=10.0.19045=0"),
    (WINDOWS, "win-64", "win-arm64", "archspec=0=aarch64 win=0=0"),
]


def shown(packages: tuple[VirtualPackage, ...]) -> str:
    return " ".join(str(package).removeprefix("__") for package in packages)


@pytest.mark.parametrize(("detected", "host", "target", "offered"), OFFERS)
def test_what_a_target_offers(detected: tuple[VirtualPackage, ...], host: str, target: str, offered: str) -> None:
    assert shown(virtual_packages(detected, target, {}, host_subdir=host)) == offered


OVERRIDDEN = [
    # target, environment (without CONDA_OVERRIDE_), configuration, offered
    (
        "linux-64",
        {"CUDA": "11.8"},
        {},
        "archspec=1=x86_64_v3 cuda=11.8=0 cuda_arch=8.6=A100 glibc=2.36=0 linux=6.1.0=0 unix=0=0",
    ),
    ("linux-64", {"CUDA": ""}, {}, "archspec=1=x86_64_v3 glibc=2.36=0 linux=6.1.0=0 unix=0=0"),
    ("linux-64", {"CUDA": "", "CUDA_ARCH": "9.0"}, {}, "archspec=1=x86_64_v3 glibc=2.36=0 linux=6.1.0=0 unix=0=0"),
    (
        "linux-64",
        {"CUDA_ARCH": "", "GLIBC": "2.17"},
        {},
        "archspec=1=x86_64_v3 cuda=12.4=0 glibc=2.17=0 linux=6.1.0=0 unix=0=0",
    ),
    ("osx-64", {"CUDA_ARCH": "9.0"}, {}, "archspec=0=x86_64 osx=10.15=0 unix=0=0"),
    ("win-64", {"CUDA": "12.0", "CUDA_ARCH": "9.0"}, {}, "archspec=0=x86_64 cuda=12.0=0 cuda_arch=9.0=0 win=0=0"),
    (
        "win-64",
        {"CUDA": "12.0", "CUDA_ARCH": "9.0=H100"},
        {},
        "archspec=0=x86_64 cuda=12.0=0 cuda_arch=9.0=H100 win=0=0",
    ),
    ("linux-aarch64", {"GLIBC": ""}, {}, "archspec=0=aarch64 linux=0=0 unix=0=0"),
    (
        "linux-aarch64",
        {"GLIBC": "2.28", "LINUX": "5.10.1.2"},
        {},
        "archspec=0=aarch64 glibc=2.28=0 linux=5.10.1.2=0 unix=0=0",
    ),
    ("linux-aarch64", {"LINUX": "", "ARCHSPEC": ""}, {}, "archspec=0=aarch64 glibc=2.17=0 linux=0=0 unix=0=0"),
    ("linux-aarch64", {"ARCHSPEC": "neoverse_n1"}, {}, "archspec=1=neoverse_n1 glibc=2.17=0 linux=0=0 unix=0=0"),
    ("linux-64", {"ARCHSPEC": "", "CUDA": ""}, {}, "archspec=0=x86_64 glibc=2.36=0 linux=6.1.0=0 unix=0=0"),
    (
        "osx-arm64",
        {"OSX": "13.2", "GLIBC": "2.28", "WIN": "11", "LINUX": "no version"},
        {},
        "archspec=0=aarch64 osx=13.2=0 unix=0=0",
    ),
    ("osx-arm64", {"OSX": ""}, {}, "archspec=0=aarch64 osx=11.0=0 unix=0=0"),
    ("win-64", {"WIN": "10.0.17763", "UNIX": "1"}, {}, "archspec=0=x86_64 win=10.0.17763=0"),
    ("osx-arm64", {}, {"osx": "13.0", "__archspec": "m1"}, "archspec=1=m1 osx=13.0=0 unix=0=0"),
    ("osx-arm64", {"OSX": "14.0"}, {"osx": "13.0"}, "archspec=0=aarch64 osx=14.0=0 unix=0=0"),
    ("linux-64", {}, {"cuda": "", "GLIBC": "2.30"}, "archspec=1=x86_64_v3 glibc=2.30=0 linux=6.1.0=0 unix=0=0"),
]


@pytest.mark.parametrize(("target", "environment", "configured", "offered"), OVERRIDDEN)
def test_overrides(target: str, environment: dict[str, str], configured: dict[str, str], offered: str) -> None:
    variables = {f"CONDA_OVERRIDE_{name}": value for name, value in environment.items()}
    assert shown(virtual_packages(LINUX, target, variables, configured, host_subdir="linux-64")) == offered


@pytest.mark.parametrize(
    ("name", "value", "target"),
    [
        ("CUDA", "newest", "linux-64"),
        ("CUDA_ARCH", "sm_86", "linux-64"),
        ("CUDA_ARCH", "8.6=", "linux-64"),
        ("CUDA_ARCH", "8.6=a b", "linux-64"),
        ("GLIBC", "2.x", "linux-64"),
        ("LINUX", "5", "linux-64"),
        ("LINUX", "5.15.0-91-generic", "linux-64"),
        ("OSX", "Sonoma", "osx-64"),
        ("WIN", "eleven", "win-64"),
        ("ARCHSPEC", "two words", "linux-64"),
    ],
)
def test_values_that_cannot_be(name: str, value: str, target: str) -> None:
    with pytest.raises(InvalidOverride, match=f"CONDA_OVERRIDE_{name} is "):
        virtual_packages(LINUX, target, {f"CONDA_OVERRIDE_{name}": value}, host_subdir="linux-64")
    with pytest.raises(InvalidOverride, match="override_virtual_packages: "):
        virtual_packages(LINUX, target, {}, {name.lower(): value}, host_subdir="linux-64")


GIVEN = [
    # given, environment, configuration, what is offered for linux-aarch64 on linux-64
    ({"__glibc": "2.28"}, {}, {}, "archspec=0=aarch64 glibc=2.28=0 linux=0=0 unix=0=0"),
    ({"glibc": "2.28=0"}, {}, {}, "archspec=0=aarch64 glibc=2.28=0 linux=0=0 unix=0=0"),
    ({"glibc": "2.28"}, {"GLIBC": "2.30"}, {"glibc": "2.31"}, "archspec=0=aarch64 glibc=2.28=0 linux=0=0 unix=0=0"),
    ({"__glibc": ""}, {"GLIBC": "2.30"}, {}, "archspec=0=aarch64 linux=0=0 unix=0=0"),
    ({"__cuda": "12.4"}, {}, {}, "archspec=0=aarch64 cuda=12.4=0 glibc=2.17=0 linux=0=0 unix=0=0"),
    ({"__cuda": ""}, {"CUDA": "12.4"}, {}, "archspec=0=aarch64 glibc=2.17=0 linux=0=0 unix=0=0"),
    (
        {"__cuda_arch": "9.0=H100"},
        {"CUDA": "12.4"},
        {},
        "archspec=0=aarch64 cuda=12.4=0 cuda_arch=9.0=H100 glibc=2.17=0 linux=0=0 unix=0=0",
    ),
    ({"__archspec": "1=neoverse_n1"}, {}, {}, "archspec=1=neoverse_n1 glibc=2.17=0 linux=0=0 unix=0=0"),
    ({"__archspec": "neoverse_n1"}, {}, {}, "archspec=1=neoverse_n1 glibc=2.17=0 linux=0=0 unix=0=0"),
    ({"__osx": "13.0"}, {}, {}, "archspec=0=aarch64 glibc=2.17=0 linux=0=0 unix=0=0"),
    ({"__amdgpu": "6.2"}, {}, {}, "amdgpu=6.2=0 archspec=0=aarch64 glibc=2.17=0 linux=0=0 unix=0=0"),
    ({}, {}, {"npu": "1.0=big"}, "archspec=0=aarch64 glibc=2.17=0 linux=0=0 npu=1.0=big unix=0=0"),
    ({"npu": ""}, {}, {"npu": "1.0"}, "archspec=0=aarch64 glibc=2.17=0 linux=0=0 unix=0=0"),
]


@pytest.mark.parametrize(("given", "environment", "configured", "offered"), GIVEN)
def test_what_is_given_for_one_solve_counts_most(
    given: dict[str, str], environment: dict[str, str], configured: dict[str, str], offered: str
) -> None:
    variables = {f"CONDA_OVERRIDE_{name}": value for name, value in environment.items()}
    packages = virtual_packages(LINUX, "linux-aarch64", variables, configured, given=given, host_subdir="linux-64")
    assert shown(packages) == offered


@pytest.mark.parametrize(
    ("name", "value"),
    [("__glibc", "new"), ("__unix", "1"), ("__npu", "a b"), ("__npu", "1=a b"), ("__npu", "1="), ("a/b", "1")],
)
def test_what_cannot_be_given(name: str, value: str) -> None:
    with pytest.raises(InvalidOverride, match=f"the virtual package __{name.removeprefix('__')} is "):
        virtual_packages(LINUX, "linux-64", {}, given={name: value}, host_subdir="linux-64")


@pytest.mark.parametrize("target", KNOWN_SUBDIRS)
@pytest.mark.parametrize("host", ["linux-64", "osx-arm64", "win-64"])
def test_laws_of_every_target(target: str, host: str) -> None:
    packages = virtual_packages(LINUX, target, {}, host_subdir=host)
    names = [package.name for package in packages]
    assert names == sorted(set(names))
    assert ("__archspec" in names) == (target != "noarch")
    for name, system in (("__linux", "linux"), ("__osx", "osx"), ("__win", "win")):
        assert (name in names) == (target.partition("-")[0] == system)
    assert not {"__unix", "__win"} <= set(names)


def test_the_record_of_a_virtual_package() -> None:
    record = VirtualPackage("__cuda_arch", "8.6", "A100").record()
    assert (record.name, record.version, record.build, record.channel, record.fn) == (
        "__cuda_arch",
        "8.6",
        "A100",
        "",
        "",
    )


def test_examples() -> None:
    assert doctest.testmod(virtual_package_module).failed == 0
