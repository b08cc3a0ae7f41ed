"""Subdirs and what they say of a platform (CEP 26)."""

from __future__ import annotations

import platform

import pytest

from kaa.models.subdir import (
    KNOWN_SUBDIRS,
    is_known,
    is_well_formed,
    is_windows,
    machine,
    native_subdir,
    operating_system,
)


@pytest.mark.parametrize("subdir", KNOWN_SUBDIRS)
def test_known_subdirs_are_well_formed_and_fall_into_their_parts(subdir: str) -> None:
    assert is_known(subdir)
    assert is_well_formed(subdir)
    assert "-".join(filter(None, (operating_system(subdir), machine(subdir)))) == subdir
    assert is_windows(subdir) == (operating_system(subdir) == "win")


def test_subdirs_are_listed_once() -> None:
    assert len(set(KNOWN_SUBDIRS)) == len(KNOWN_SUBDIRS)


@pytest.mark.parametrize("text", ["", "label", "linux", "linux-", "linux_64", "Linux-64", "noarch\n", "../linux-64"])
def test_unknown_subdirs(text: str) -> None:
    assert not is_known(text)
    assert not is_well_formed(text)


def test_a_subdir_may_be_well_formed_and_unknown() -> None:
    assert is_well_formed("haiku-64")
    assert not is_known("haiku-64")
    assert not is_well_formed("x" * 40 + "-64")


@pytest.mark.parametrize(
    ("system", "machine", "subdir"),
    [
        ("Linux", "x86_64", "linux-64"),
        ("Linux", "i686", "linux-32"),
        ("Linux", "aarch64", "linux-aarch64"),
        ("Linux", "arm64", "linux-aarch64"),
        ("Linux", "armv7l", "linux-armv7l"),
        ("Linux", "ppc64le", "linux-ppc64le"),
        ("Linux", "s390x", "linux-s390x"),
        ("Linux", "riscv64", "linux-riscv64"),
        ("Linux", "loongarch64", "linux-loongarch64"),
        ("Darwin", "x86_64", "osx-64"),
        ("Darwin", "arm64", "osx-arm64"),
        ("Windows", "AMD64", "win-64"),
        ("Windows", "x86", "win-32"),
        ("Windows", "ARM64", "win-arm64"),
        ("FreeBSD", "amd64", "freebsd-64"),
        ("OS/390", "2964", "zos-z"),
        ("Emscripten", "wasm32", "emscripten-wasm32"),
    ],
)
def test_native_subdir(system: str, machine: str, subdir: str) -> None:
    assert native_subdir(system, machine) == subdir
    assert is_known(subdir)


def test_a_computer_that_is_not_known() -> None:
    assert native_subdir("Plan9", "MIPS") == "plan9-mips"
    assert native_subdir("Linux", "e2k") == "linux-e2k"


def test_this_computer_is_known() -> None:
    assert is_known(native_subdir(platform.system(), platform.machine()))
