"""Which wheels fit a target, and how well: compatibility tags (PEP 425, 600, 656) judged as installers do.

The version of Python is not known before the solve: a tag says which ones it is for. The C library or macOS of the
target is known from its virtual packages; a wheel that asks for a newer one says so in a dependency.

>>> tags = WheelTags(WheelTarget("linux-64", glibc=(2, 35)))
>>> fit = tags.fit("cp311", "cp311", "manylinux_2_17_x86_64.manylinux2014_x86_64")
>>> fit.pythons, fit.depends, fit.is_met
(((3, 11), (3, 12)), ('__glibc >=2.17',), True)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from msgspec.structs import replace

from kaa.models.pattern import Pattern
from kaa.models.subdir import operating_system
from kaa.models.virtual_package import VirtualPackage

Release = tuple[int, int]
"""A minor version of Python, or a version of glibc or macOS."""

_LINUX_MACHINES = {
    "linux-64": "x86_64",
    "linux-32": "i686",
    "linux-aarch64": "aarch64",
    "linux-armv7l": "armv7l",
    "linux-armv6l": "armv6l",
    "linux-ppc64le": "ppc64le",
    "linux-ppc64": "ppc64",
    "linux-s390x": "s390x",
    "linux-riscv64": "riscv64",
    "linux-loongarch64": "loongarch64",
}
_MAC_FORMATS = {
    "osx-64": ("x86_64", "intel", "fat64", "fat3", "universal2", "universal"),
    "osx-arm64": ("arm64", "universal2"),
}
"""The formats of programs that a Mac runs, the best first."""
_WINDOWS = {"win-64": "win_amd64", "win-32": "win32", "win-arm64": "win_arm64"}
_OLD_MANYLINUX = {"1": (2, 5), "2010": (2, 12), "2014": (2, 17)}

_MANYLINUX = Pattern(r"manylinux(?:(1|2010|2014)|_([0-9]{1,4})_([0-9]{1,4}))_(\w+)")
_MAC = Pattern(r"macosx_([0-9]{1,4})_([0-9]{1,4})_(\w+)")
_INTERPRETER = Pattern(r"(cp|py)3([0-9]{0,3})")
_NUMBERS = Pattern(r"([0-9]+)(?:\.([0-9]+))?")
_FIRST_BIG_SUR = (11, 0)
_LAST_WITH_M = 7
"""The last minor version of Python 3 whose ABI has an `m` in its name."""

EXACT, OF_ONE_PYTHON, STABLE, GENERIC, OF_ONE_PYTHON_PURE = 500, 400, 300, 200, 150
"""How much a wheel is preferred to others of its version: made for one ABI, for one Python, for the stable ABI, …"""


class WheelTarget(msgspec.Struct, frozen=True):
    """What wheels are chosen for."""

    subdir: str
    glibc: Release | None = None
    macos: Release | None = None


def target_of(subdir: str, packages: Iterable[VirtualPackage]) -> WheelTarget:
    """The target that has these virtual packages."""
    found = {package.name: _release(package.version) for package in packages}
    return WheelTarget(subdir, found.get("__glibc"), found.get("__osx"))


def _release(text: str) -> Release | None:
    match = _NUMBERS.match(text)
    return None if match is None else (int(match[1]), int(match[2] or 0))


class WheelFit(msgspec.Struct, frozen=True):
    """What the tags of a wheel ask for, where they fit the target at all."""

    pythons: tuple[Release, Release | None]
    """The first minor version of Python that it is for, and the first one that it is not for any more."""
    depends: tuple[str, ...]
    """What it asks of the system."""
    is_met: bool
    """Whether the target has that."""
    preference: int
    """Higher is better, of wheels for other Pythons."""
    rank: tuple[int, int, int]
    """Higher is better, of wheels for the same Pythons."""
    is_pure: bool

    @property
    def is_for_one(self) -> bool:
        """Whether it is for one minor version of Python alone."""
        return self.pythons[1] is not None


class _Platform(msgspec.Struct, frozen=True):
    depends: tuple[str, ...] = ()
    is_met: bool = True
    rank: tuple[int, int, int] = (0, 0, 0)
    is_any: bool = False


class _Python(msgspec.Struct, frozen=True):
    first: Release
    end: Release | None
    preference: int
    on_any: bool
    """Whether the platform tag `any` may stand beside it."""


_ANY = _Platform(is_any=True)


class WheelTags:
    """Judges wheels for one target; texts of tags are judged once, for thousands of files share them."""

    def __init__(self, target: WheelTarget) -> None:
        self.target = target
        self._fits: dict[tuple[str, str, str], WheelFit | None] = {}
        self._platforms: dict[str, _Platform | None] = {}

    def fit(self, python: str, abi: str, platform: str) -> WheelFit | None:
        """What a wheel with these three tags of its file name asks for; None for one of another platform or Python."""
        key = (python, abi, platform)
        try:
            return self._fits[key]
        except KeyError:
            found = self._fits[key] = self._judge(python, abi, platform)
            return found

    def _judge(self, python: str, abi: str, platform: str) -> WheelFit | None:
        platforms = [found for text in platform.split(".") if (found := self._platform(text)) is not None]
        if not platforms:
            return None
        fits = [
            _fit(judged, found)
            for judged in _pythons(python.split("."), abi.split("."))
            for found in platforms
            if judged.on_any or not found.is_any
        ]
        if not fits:
            return None
        best = max(fits, key=_breadth)
        alike = [fit for fit in fits if _breadth(fit)[0] == _breadth(best)[0]]
        met = [fit for fit in alike if fit.is_met]
        # Where the system is not enough for any, the one that asks for least tells what is missing.
        chosen = max(met, key=_rank) if met else min(alike, key=_rank)
        return replace(chosen, preference=best.preference, pythons=_span([fit.pythons for fit in alike]))

    def _platform(self, text: str) -> _Platform | None:
        try:
            return self._platforms[text]
        except KeyError:
            found = self._platforms[text] = self._judge_platform(text)
            return found

    def _judge_platform(self, text: str) -> _Platform | None:
        if text == "any":
            return _ANY
        target = self.target
        if text == _WINDOWS.get(target.subdir):
            return _Platform()
        machine = _LINUX_MACHINES.get(target.subdir)
        if machine is not None:
            return self._linux(text, machine)
        if operating_system(target.subdir) == "osx" and (match := _MAC.fullmatch(text)) is not None:
            return self._mac((int(match[1]), int(match[2])), match[3])
        return None

    def _linux(self, text: str, machine: str) -> _Platform | None:
        if text == f"linux_{machine}":
            # Made on such a machine, not for any: installers take it first.
            return _Platform(("__linux",), rank=(1 << 16, 0, 0))
        match = _MANYLINUX.fullmatch(text)
        if match is None or match[4] != machine:
            return None
        glibc = _OLD_MANYLINUX[match[1]] if match[1] else (int(match[2]), int(match[3]))
        has = self.target.glibc
        is_met = has is not None and has[0] == glibc[0] and glibc <= has
        return _Platform((f"__glibc >={glibc[0]}.{glibc[1]}",), is_met, (*glibc, 0))

    def _mac(self, version: Release, form: str) -> _Platform | None:
        formats = _MAC_FORMATS.get(self.target.subdir, ())
        if form not in formats:
            return None
        if version < _FIRST_BIG_SUR and self.target.subdir == "osx-arm64" and form != "universal2":
            return None
        has = self.target.macos
        if version < (10, 4) or (version >= _FIRST_BIG_SUR and version[1]):
            # Since macOS 11 installers ask for whole versions alone.
            return None
        is_met = has is not None and version <= (has if has < _FIRST_BIG_SUR else max(has, (10, 16)))
        rank = (*version, len(formats) - formats.index(form))
        return _Platform((f"__osx >={version[0]}.{version[1]}",), is_met, rank)


def _fit(python: _Python, platform: _Platform) -> WheelFit:
    preference = python.preference
    if platform.is_any:
        preference = OF_ONE_PYTHON_PURE if preference == OF_ONE_PYTHON else preference - GENERIC
    return WheelFit(
        (python.first, python.end), platform.depends, platform.is_met, preference, platform.rank, platform.is_any
    )


def _breadth(fit: WheelFit) -> tuple[bool, int]:
    """A tag for later Pythons too says more of what a wheel is for than one of many exact ones."""
    return not fit.is_for_one, fit.preference if fit.is_for_one else -fit.pythons[0][1]


def _rank(fit: WheelFit) -> tuple[int, int, int]:
    return fit.rank


def _span(pythons: Iterable[tuple[Release, Release | None]]) -> tuple[Release, Release | None]:
    """All Pythons that several tags are for: the generic tag if there is one, else from the first to the last."""
    spans = list(pythons)
    open_ones = [span for span in spans if span[1] is None]
    if open_ones:
        return min(open_ones)
    return min(first for first, _ in spans), max(end for _, end in spans if end is not None)


def _pythons(interpreters: list[str], abis: list[str]) -> Iterator[_Python]:
    for interpreter in interpreters:
        match = _INTERPRETER.fullmatch(interpreter)
        if match is None:
            continue
        digits = match[2]
        minor = int(digits or 0)
        exact = (3, minor), (3, minor + 1)
        for abi in abis:
            if match[1] == "py":
                if abi == "none":
                    yield _Python((3, minor), None, GENERIC + minor, True)
            elif not digits:
                continue
            elif abi == f"cp3{digits}" or (abi == f"cp3{digits}m" and minor <= _LAST_WITH_M):
                yield _Python(*exact, EXACT, False)
            elif abi == "abi3" and minor >= 2:
                yield _Python((3, minor), None, STABLE + minor, False)
            elif abi == "none":
                yield _Python(*exact, OF_ONE_PYTHON, True)
