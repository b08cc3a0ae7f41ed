"""What the compatibility tags of a wheel (PEP 425, 600) ask of a conda environment: platform, Python, C library."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.tags import Tag

LINUX_MACHINES = {
    "x86_64": "64",
    "i686": "32",
    "aarch64": "aarch64",
    "armv7l": "armv7l",
    "armv6l": "armv6l",
    "ppc64le": "ppc64le",
    "ppc64": "ppc64",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
MAC_SUBDIRS = {
    "x86_64": ("osx-64",),
    "arm64": ("osx-arm64",),
    "universal2": ("osx-64", "osx-arm64"),
    "intel": ("osx-64",),
}
WINDOWS_SUBDIRS = {"win32": "win-32", "win_amd64": "win-64", "win_arm64": "win-arm64"}
OLD_MANYLINUX = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}

_MANYLINUX = re.compile(r"(manylinux(?:1|2010|2014)|manylinux_([0-9]+)_([0-9]+))_(\w+)")
_MAC = re.compile(r"macosx_([0-9]+)_([0-9]+)_(\w+)")
_CPYTHON = re.compile(r"cp([23])([0-9]*)(t?)")
_GENERIC = re.compile(r"py([23])([0-9]*)")


@dataclass(frozen=True, slots=True, order=True)
class Build:
    """One package that a wheel becomes."""

    subdir: str
    """`noarch` when any platform will do."""
    python: str
    """The spec of the python it needs, without a name: `>=3.8`, `3.11.*`, `3.13.* *_cp313t`."""
    platform_depends: tuple[str, ...] = ()
    """What it asks of the system's libraries: `__glibc >=2.17`."""
    minor: str = ""
    """`3.11` when its files are for that Python alone, and belong into that Python's directories."""


@dataclass(frozen=True, slots=True)
class _Python:
    spec: str
    minor: str = ""
    rank: int = 0
    """Which of a wheel's tags says most: the generic one of `py2.py3`, the exact one of `cp311`."""


def builds_of(tags: Iterable[Tag]) -> tuple[list[Build], list[str]]:
    """The packages that a wheel with these tags becomes, one for each subdir, and why other tags were left aside."""
    platforms: dict[str, set[tuple[str, ...]]] = {}
    pythons: dict[str, list[_Python]] = {}
    left_aside: list[str] = []
    for tag in sorted(tags, key=str):
        python = _python_of(tag)
        if isinstance(python, str):
            left_aside.append(python)
            continue
        found = _platforms_of(tag.platform)
        if not found:
            left_aside.append(f"no conda platform goes with {tag.platform}")
        for subdir, depends in found:
            platforms.setdefault(subdir, set()).add(depends)
            pythons.setdefault(subdir, []).append(python)
    builds = []
    for subdir, choices in platforms.items():
        # Any one of the tags is enough: the least of what they ask for.
        depends = min(choices, key=_demand)
        builds += [Build(subdir, python.spec, depends, python.minor) for python in _least_demanding(pythons[subdir])]
    return sorted(set(builds)), left_aside


def _python_of(tag: Tag) -> _Python | str:
    """What a tag asks of Python, or why it cannot be had."""
    if exact := _CPYTHON.fullmatch(tag.interpreter):
        major, minor, free_threaded = exact[1], exact[2], exact[3] or ("t" if tag.abi.endswith("t") else "")
        if major == "2":
            return "it is for Python 2"
        if not minor:
            return _Python(">=3")
        version = f"{major}.{minor}"
        if tag.abi == "abi3":
            return _Python(f">={version}", rank=1)
        if free_threaded:
            return _Python(f"{version}.* *_cp{major}{minor}t", version, rank=2)
        return _Python(f"{version}.*", version if tag.abi != "none" or tag.platform != "any" else "", rank=2)
    if generic := _GENERIC.fullmatch(tag.interpreter):
        if tag.abi not in ("none", "abi3"):
            return f"no Python goes with {tag.abi}"
        if generic[1] == "2":
            return "it is for Python 2"
        return _Python(f">=3.{generic[2]}" if generic[2] else ">=3")
    return f"it is for {tag.interpreter}, and conda packages are for CPython"


def _least_demanding(pythons: list[_Python]) -> list[_Python]:
    """Of tags that differ in Python alone, the generic one; several exact ones stay several."""
    generic = sorted((python for python in set(pythons) if python.spec.startswith(">=")), key=_least_version)
    return generic[:1] or sorted(set(pythons), key=lambda python: python.spec)


def _least_version(python: _Python) -> tuple[int, ...]:
    return tuple(int(part) for part in python.spec.removeprefix(">=").split("."))


def _platforms_of(platform: str) -> list[tuple[str, tuple[str, ...]]]:
    """The subdirs for a platform tag, each with what it asks of the system."""
    if platform == "any":
        return [("noarch", ())]
    if platform in WINDOWS_SUBDIRS:
        return [(WINDOWS_SUBDIRS[platform], ())]
    if platform.startswith("linux_") and platform.removeprefix("linux_") in LINUX_MACHINES:
        return [(f"linux-{LINUX_MACHINES[platform.removeprefix('linux_')]}", ("__linux",))]
    if (linux := _MANYLINUX.fullmatch(platform)) and linux[4] in LINUX_MACHINES:
        version = OLD_MANYLINUX.get(linux[1]) or (int(linux[2]), int(linux[3]))
        return [(f"linux-{LINUX_MACHINES[linux[4]]}", (f"__glibc >={version[0]}.{version[1]}",))]
    if (mac := _MAC.fullmatch(platform)) and mac[3] in MAC_SUBDIRS:
        return [(subdir, (f"__osx >={mac[1]}.{mac[2]}",)) for subdir in MAC_SUBDIRS[mac[3]]]
    return []


def _demand(depends: tuple[str, ...]) -> tuple[int, ...]:
    numbers = re.findall(r"[0-9]+", " ".join(depends))
    return tuple(int(number) for number in numbers)
