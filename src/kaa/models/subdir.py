"""Subdirs: the platforms that packages are built for, and what their names say (CEP 26).

>>> native_subdir("Linux", "x86_64")
'linux-64'
>>> operating_system("osx-arm64"), machine("osx-arm64")
('osx', 'arm64')
"""

from __future__ import annotations

import re

from kaa.models.pattern import Pattern

NOARCH = "noarch"

KNOWN_SUBDIRS = (
    "noarch",
    "emscripten-wasm32",
    "emscripten-wasm64",
    "freebsd-32",
    "freebsd-64",
    "freebsd-arm64",
    "linux-32",
    "linux-64",
    "linux-aarch64",
    "linux-armv6l",
    "linux-armv7l",
    "linux-loongarch64",
    "linux-ppc",
    "linux-ppc64",
    "linux-ppc64le",
    "linux-riscv32",
    "linux-riscv64",
    "linux-s390x",
    "osx-64",
    "osx-arm64",
    "wasi-wasm32",
    "win-32",
    "win-64",
    "win-arm64",
    "zos-z",
)
"""The subdirs that a channel may have, in the order in which they are shown."""

_KNOWN = frozenset(KNOWN_SUBDIRS)
_SUBDIR = Pattern(r"noarch|[a-z0-9]+-[a-z0-9]+", re.ASCII)
LONGEST_SUBDIR = 32

_SYSTEMS = {
    "linux": "linux",
    "darwin": "osx",
    "windows": "win",
    "freebsd": "freebsd",
    "emscripten": "emscripten",
    "wasi": "wasi",
    "os/390": "zos",
}
_INTEL = {
    "x86_64": "64",
    "amd64": "64",
    "x64": "64",
    "i386": "32",
    "i486": "32",
    "i586": "32",
    "i686": "32",
    "x86": "32",
}
_MACHINES = {
    "linux": {"arm64": "aarch64", "ppc64el": "ppc64le", "armv8l": "armv7l", "powerpc": "ppc", **_INTEL},
    "osx": {"aarch64": "arm64", **_INTEL},
    "win": {"aarch64": "arm64", **_INTEL},
    "freebsd": {"aarch64": "arm64", **_INTEL},
}


def is_known(text: str) -> bool:
    """Whether this is the name of a subdir that channels have; others are parts of a channel's path."""
    return text in _KNOWN


def is_well_formed(text: str) -> bool:
    """Whether a subdir could have this name."""
    return len(text) <= LONGEST_SUBDIR and _SUBDIR.fullmatch(text) is not None


def operating_system(subdir: str) -> str:
    """The first part: "linux", "osx", "win", …; "noarch" for noarch."""
    return subdir.partition("-")[0]


def machine(subdir: str) -> str:
    """The second part: "64", "aarch64", "arm64", …; empty for noarch."""
    return subdir.partition("-")[2]


def is_windows(subdir: str) -> bool:
    """Whether packages of this subdir are for Windows."""
    return subdir.startswith("win-")


def native_subdir(system: str, machine: str) -> str:
    """The subdir of a computer, from the names that `platform.system()` and `platform.machine()` give.

    A name that is not known is passed on in lower case: the result is then not a known subdir, but says what was found.
    """
    first = _SYSTEMS.get(system.lower(), system.lower())
    found = machine.lower()
    if first == "zos":
        return "zos-z"
    return f"{first}-{_MACHINES.get(first, {}).get(found, found)}"
