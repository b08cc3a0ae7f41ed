"""Virtual packages: facts about the machine that packages may depend on (CEP 30, 46).

What is offered to a solve belongs to the *target* platform. Where the target is this machine, or one that this machine
runs as well (32-bit of its own family, Intel macOS under Rosetta), what was detected counts. For a foreign target kaa
assumes what most packages of today ask for at the least, and every assumption can be overridden:

    __glibc 2.17, __linux 0, __osx 11.0 (arm64) or 10.15 (others), __win 0, no __cuda, __archspec 0=<family>

CEP 30 asks for __osx 0 there; hardly any current package for macOS could be installed on that.

>>> [str(package) for package in virtual_packages((), "linux-aarch64", {}, host_subdir="osx-arm64")]
['__archspec=0=aarch64', '__glibc=2.17=0', '__linux=0=0', '__unix=0=0']
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from kaa.errors import KaaError
from kaa.models.pattern import Pattern
from kaa.models.record import RepoDataRecord

FOREIGN_GLIBC = "2.17"
FOREIGN_OSX = {"osx-arm64": "11.0"}
FOREIGN_OSX_OTHERS = "10.15"
UNKNOWN = "0"

UNIX_SYSTEMS = frozenset({"linux", "osx", "freebsd", "emscripten", "zos"})

FAMILIES = {"32": "x86", "64": "x86_64", "arm64": "aarch64"}
"""Machine part of a subdir → the family that __archspec names; all others name themselves (CEP 30, appendix A)."""

ALSO_RUNS = {
    "linux-64": frozenset({"linux-32"}),
    "win-64": frozenset({"win-32"}),
    "win-arm64": frozenset({"win-64", "win-32"}),
    "osx-arm64": frozenset({"osx-64"}),
    "osx-64": frozenset({"osx-32"}),
}
"""Host subdir → the other subdirs whose programs this machine runs by itself."""

OVERRIDES = ("archspec", "cuda", "cuda_arch", "glibc", "linux", "osx", "win")
_NUMBERS = Pattern(r"[0-9]+(\.[0-9]+)*")
_KERNEL = Pattern(r"[0-9]+\.[0-9]+(\.[0-9]+)?(\.[0-9]+)?")
_BUILD = Pattern(r"[A-Za-z0-9_.+]{1,64}")
_NAME = Pattern(r"[a-z0-9][a-z0-9_.-]*")
_VERSION = Pattern(r"[A-Za-z0-9_.+!]{1,64}")


class InvalidOverride(KaaError, ValueError):
    """The value that someone set for a virtual package cannot be one."""

    def __init__(self, source: str, value: str, expected: str) -> None:
        self.source = source
        self.value = value
        self.expected = expected
        super().__init__(
            f"{source} is {value!r}, which is not {expected}.",
            hints=(f"set {source} to {expected}, or remove it",),
        )


class VirtualPackage(msgspec.Struct, frozen=True, order=True):
    """A name with two leading underscores, a version and a build string."""

    name: str
    version: str
    build: str = "0"

    def record(self) -> RepoDataRecord:
        """This package as a record, for the solver; it lies in no channel."""
        return RepoDataRecord(name=self.name, version=self.version, build=self.build)

    def __str__(self) -> str:
        return f"{self.name}={self.version}={self.build}"


def virtual_packages(
    detected: Iterable[VirtualPackage],
    target_subdir: str,
    environment: Mapping[str, str],
    overrides: Mapping[str, str] | None = None,
    *,
    given: Mapping[str, str] | None = None,
    host_subdir: str,
) -> tuple[VirtualPackage, ...]:
    """What a solve for `target_subdir` may count on, sorted by name.

    `detected` was found on this machine, whose subdir is `host_subdir`. `environment` is searched for CONDA_OVERRIDE_*;
    `overrides` (`{"cuda": "12.4"}`, with or without underscores) come from the configuration and stand below it,
    `given` was given for this one solve and stands above it. An empty value hides __cuda, __cuda_arch and __glibc, and
    is no override for the others of this list; of names that are not in it, any version is taken as it is given.
    Raises InvalidOverride.
    """
    system, _, machine = target_subdir.partition("-")
    if not machine:
        return ()
    native = target_subdir == host_subdir or target_subdir in ALSO_RUNS.get(host_subdir, ())
    found = {package.name.removeprefix("__"): package for package in detected} if native else {}
    asked = _Overrides(environment, overrides or {}, given or {})
    family = FAMILIES.get(machine, machine)
    offered = [_archspec(found, asked, family, exact=target_subdir == host_subdir)]
    offered += _cuda(found, asked)
    if system == "linux":
        offered += _glibc(found, asked, native)
        offered.append(_system("linux", found, asked, UNKNOWN, _KERNEL, "a kernel version such as 5.15"))
    if system == "osx":
        assumed = UNKNOWN if native else FOREIGN_OSX.get(target_subdir, FOREIGN_OSX_OTHERS)
        offered.append(_system("osx", found, asked, assumed, _NUMBERS, "a macOS version such as 13.0"))
    if system == "win":
        offered.append(_system("win", found, asked, UNKNOWN, _NUMBERS, "a Windows version such as 10.0.19045"))
    if system in UNIX_SYSTEMS:
        offered.append(VirtualPackage("__unix", "0"))
    offered += _others(asked)
    return tuple(sorted(offered))


class _Overrides:
    """What was set by hand: what was given for this one time, below it the environment, below it the configuration."""

    def __init__(self, environment: Mapping[str, str], configured: Mapping[str, str], given: Mapping[str, str]) -> None:
        self._environment = environment
        self._configured = _by_short_name(configured)
        self._given = {name: _without_default_build(name, value) for name, value in _by_short_name(given).items()}

    def names(self) -> list[str]:
        """The names that were set, but for those that only the environment sets."""
        return sorted({*self._configured, *self._given})

    def find(self, name: str) -> tuple[str, str] | None:
        """The value for `name` and where it was set, in words for a message."""
        if name in self._given:
            return self._given[name], f"the virtual package __{name}"
        variable = f"CONDA_OVERRIDE_{name.upper()}"
        if variable in self._environment:
            return self._environment[variable].strip(), variable
        if name in self._configured:
            return self._configured[name], f"override_virtual_packages: {name}"
        return None

    def version(self, name: str, pattern: Pattern, expected: str) -> str | None:
        """The version set for `name` ("" where it is set to nothing), or None."""
        set_to = self.find(name)
        if set_to is None:
            return None
        value, source = set_to
        if value and not pattern.fullmatch(value):
            raise InvalidOverride(source, value, expected)
        return value


def _by_short_name(values: Mapping[str, str]) -> dict[str, str]:
    return {name.strip().removeprefix("__").lower(): str(value).strip() for name, value in values.items()}


def _without_default_build(name: str, value: str) -> str:
    """A value as the variables hold it: `1=zen3` of __archspec is its build, `2.28=0` is a version."""
    if name == "archspec":
        return value.rpartition("=")[2]
    return value if name == "cuda_arch" else value.removesuffix("=0")


def _others(asked: _Overrides) -> list[VirtualPackage]:
    """Virtual packages that kaa knows nothing of, as channels may ask for them."""
    found = []
    for name in asked.names():
        value, source = asked.find(name) or ("", "")
        if name in OVERRIDES or not value:
            continue
        version, equals, build = value.partition("=")
        if name == "unix" or not _NAME.fullmatch(name):
            raise InvalidOverride(source, value, "for a virtual package that can be set")
        if not _VERSION.fullmatch(version) or (equals and not _BUILD.fullmatch(build)):
            raise InvalidOverride(source, value, "a version, or a version and a build such as 1.0=0")
        found.append(VirtualPackage(f"__{name}", version, build or "0"))
    return found


def _archspec(found: Mapping[str, VirtualPackage], asked: _Overrides, family: str, *, exact: bool) -> VirtualPackage:
    build = asked.version("archspec", _BUILD, "the name of a microarchitecture such as x86_64_v3")
    if build:
        return VirtualPackage("__archspec", "1", build)
    if exact and build is None and "archspec" in found:
        return found["archspec"]
    return VirtualPackage("__archspec", "0", family)


def _cuda(found: Mapping[str, VirtualPackage], asked: _Overrides) -> list[VirtualPackage]:
    version = asked.version("cuda", _NUMBERS, "a CUDA version such as 12.4")
    cuda = found.get("cuda") if version is None else VirtualPackage("__cuda", version) if version else None
    if cuda is None:
        return []
    set_to = asked.find("cuda_arch")
    if set_to is None:
        return [cuda, found["cuda_arch"]] if "cuda_arch" in found else [cuda]
    value, source = set_to
    if not value:
        return [cuda]
    capability, equals, model = value.partition("=")
    if not re.fullmatch(r"[0-9]+\.[0-9]+", capability) or (equals and not _BUILD.fullmatch(model)):
        raise InvalidOverride(source, value, "a compute capability such as 8.6 or 8.6=A100")
    return [cuda, VirtualPackage("__cuda_arch", capability, model or "0")]


def _glibc(found: Mapping[str, VirtualPackage], asked: _Overrides, native: bool) -> list[VirtualPackage]:
    version = asked.version("glibc", _NUMBERS, "a version of the GNU C library such as 2.28")
    if version is not None:
        return [VirtualPackage("__glibc", version)] if version else []
    if native:
        return [found["glibc"]] if "glibc" in found else []
    return [VirtualPackage("__glibc", FOREIGN_GLIBC)]


def _system(
    name: str,
    found: Mapping[str, VirtualPackage],
    asked: _Overrides,
    assumed: str,
    pattern: Pattern,
    expected: str,
) -> VirtualPackage:
    version = asked.version(name, pattern, expected)
    if version:
        return VirtualPackage(f"__{name}", version)
    return found.get(name) or VirtualPackage(f"__{name}", assumed)
