from __future__ import annotations

from itertools import product

import packaging.tags
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.tags import Tag

from kaa.models.virtual_package import virtual_packages
from kaa.pypi.wheel_tags import WheelTags, WheelTarget, target_of

GLIBC = (2, 28)
LINUX = [
    *("linux_x86_64", "manylinux1_x86_64", "manylinux2010_x86_64", "manylinux2014_x86_64"),
    *(f"manylinux_2_{minor}_x86_64" for minor in (5, 12, 17, 24, 28, 34)),
]
OTHERS = ["any", "musllinux_1_2_x86_64", "manylinux_2_17_aarch64", "win_amd64", "linux_i686", "manylinux2014_i686"]
MACS = [
    f"macosx_{version}_{form}"
    for version, form in product(
        ("10_9", "10_13", "10_16", "11_0", "11_1", "12_0", "14_0"), ("x86_64", "arm64", "universal2", "intel")
    )
]
PYTHONS = [(3, 7), (3, 9), (3, 11), (3, 13)]
INTERPRETERS = ["cp37", "cp39", "cp311", "cp313", "cp3", "py2", "py3", "py39", "py311", "pp311", "cp27"]
ABIS = ["none", "abi3", "cp37m", "cp39", "cp311", "cp313", "cp313t", "cp27mu", "pypy311_pp73"]


def linux_platforms(newest: tuple[int, int]) -> list[str]:
    """The platforms of a machine with a glibc, the best first, as PEP 600 orders them."""
    old = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}
    found = ["linux_x86_64"]
    for minor in range(newest[1], 4, -1):
        found.append(f"manylinux_2_{minor}_x86_64")
        if minor in old:
            found.append(f"{old[minor]}_x86_64")
    return found


def supported(python: tuple[int, int], platforms: list[str]) -> list[Tag]:
    """All tags that installers take for a Python on these platforms, the best first."""
    interpreter = f"cp{python[0]}{python[1]}"
    # An ABI of its own choosing depends on how the running Python was built.
    abis = [f"{interpreter}m" if python <= (3, 7) else interpreter]
    return [
        *packaging.tags.cpython_tags(python, abis=abis, platforms=platforms),
        *packaging.tags.compatible_tags(python, interpreter, platforms),
    ]


WORLDS = {
    "linux": (WheelTags(WheelTarget("linux-64", glibc=GLIBC)), linux_platforms(GLIBC)),
    "intel": (
        WheelTags(WheelTarget("osx-64", macos=(10, 15))),
        list(packaging.tags.mac_platforms((10, 15), "x86_64")),
    ),
    "newer intel": (
        WheelTags(WheelTarget("osx-64", macos=(12, 6))),
        list(packaging.tags.mac_platforms((12, 6), "x86_64")),
    ),
    "arm": (WheelTags(WheelTarget("osx-arm64", macos=(13, 3))), list(packaging.tags.mac_platforms((13, 3), "arm64"))),
    "windows": (WheelTags(WheelTarget("win-64")), ["win_amd64"]),
}
SUPPORTED = {
    (world, python): {tag: place for place, tag in enumerate(supported(python, platforms))}
    for world, (_, platforms) in WORLDS.items()
    for python in PYTHONS
}


def admits(tags: WheelTags, python: tuple[int, int], *texts: str) -> bool:
    fit = tags.fit(*texts)
    if fit is None or not fit.is_met:
        return False
    first, end = fit.pythons
    return first <= python and (end is None or python < end)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("world", WORLDS)
def test_the_tags_that_installers_take_are_taken(world: str, python: tuple[int, int]) -> None:
    tags, _ = WORLDS[world]
    for interpreter, abi, platform in product(INTERPRETERS, ABIS, [*LINUX, *OTHERS, *MACS]):
        expected = Tag(interpreter, abi, platform) in SUPPORTED[world, python]
        assert admits(tags, python, interpreter, abi, platform) == expected, (interpreter, abi, platform)


@pytest.mark.parametrize("world", WORLDS)
def test_the_better_of_two_tags_for_the_same_python_is_better_for_installers(world: str) -> None:
    tags, _ = WORLDS[world]
    order = SUPPORTED[world, (3, 11)]
    kinds = [("cp311", "cp311"), ("cp39", "abi3"), ("py3", "none")]
    for interpreter, abi in kinds:
        own = [tag for tag in order if (tag.interpreter, tag.abi) == (interpreter, abi) and tag.platform != "any"]
        ranks = [fit.rank for tag in own if (fit := tags.fit(interpreter, abi, tag.platform)) is not None]
        assert len(ranks) == len(own) > 0
        # The two names of one manylinux are one.
        assert ranks == sorted(ranks, reverse=True)


@pytest.mark.parametrize("python", [(3, 9), (3, 11), (3, 13)])
def test_wheels_for_different_pythons_are_preferred_as_installers_do(python: tuple[int, int]) -> None:
    tags, _ = WORLDS["linux"]
    order = SUPPORTED["linux", python]
    cases = [
        (f"cp3{python[1]}", f"cp3{python[1]}", "manylinux_2_17_x86_64"),
        (f"cp3{python[1]}", "abi3", "manylinux_2_17_x86_64"),
        ("cp37", "abi3", "manylinux_2_17_x86_64"),
        ("py3", "none", "manylinux_2_17_x86_64"),
        (f"cp3{python[1]}", "none", "any"),
        (f"py3{python[1]}", "none", "any"),
        ("py3", "none", "any"),
    ]
    preferences = []
    for case in sorted(cases, key=lambda case: order[Tag(*case)]):
        fit = tags.fit(*case)
        assert fit is not None
        preferences.append(fit.preference)
    assert sorted(preferences, reverse=True) == preferences
    assert len(set(preferences)) == len(preferences)


@settings(deadline=None)
@given(
    st.sampled_from(sorted(WORLDS)),
    st.sampled_from(PYTHONS),
    st.lists(st.sampled_from(INTERPRETERS), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(ABIS), min_size=1, max_size=2, unique=True),
    st.lists(st.sampled_from([*LINUX, *OTHERS, *MACS]), min_size=1, max_size=3, unique=True),
)
def test_compressed_tags_are_taken_where_one_of_them_is(
    world: str, python: tuple[int, int], interpreters: list[str], abis: list[str], platforms: list[str]
) -> None:
    tags, _ = WORLDS[world]
    taken = admits(tags, python, ".".join(interpreters), ".".join(abis), ".".join(platforms))
    one_of_them = any(Tag(*texts) in SUPPORTED[world, python] for texts in product(interpreters, abis, platforms))
    if taken != one_of_them:
        # Pythons between two exact ones; tags for any platform beside tags for one.
        exact = [name for name in interpreters if name.startswith("cp3") and name != "cp3"]
        assert len(exact) > 1 or "any" in platforms, (interpreters, abis, platforms)


@pytest.mark.parametrize(
    ("subdir", "texts", "pythons", "depends", "is_met"),
    [
        ("linux-64", ("cp311", "cp311", "manylinux_2_17_x86_64.manylinux2014_x86_64"), "3.11", "__glibc >=2.17", True),
        ("linux-64", ("cp311", "cp311", "manylinux_2_34_x86_64"), "3.11", "__glibc >=2.34", False),
        ("linux-64", ("cp39", "abi3", "manylinux_2_34_x86_64.manylinux_2_31_x86_64"), "3.9+", "__glibc >=2.31", False),
        ("linux-64", ("py2.py3", "none", "any"), "3.0+", "", True),
        ("linux-64", ("cp38.cp39", "none", "linux_x86_64"), "3.8-3.9", "__linux", True),
        ("osx-arm64", ("cp312", "cp312", "macosx_10_13_universal2"), "3.12", "__osx >=10.13", True),
        ("osx-64", ("cp312", "cp312", "macosx_14_0_x86_64"), "3.12", "__osx >=14.0", False),
        ("win-64", ("cp312", "cp312", "win_amd64"), "3.12", "", True),
    ],
)  # fmt: skip
def test_fits(subdir: str, texts: tuple[str, str, str], pythons: str, depends: str, is_met: bool) -> None:
    fit = WheelTags(WheelTarget(subdir, glibc=GLIBC, macos=(13, 3))).fit(*texts)
    assert fit is not None
    first, end = fit.pythons
    shown = "{}.{}".format(*first)
    if end is None:
        shown += "+"
    elif end[1] > first[1] + 1:
        shown += f"-{end[0]}.{end[1] - 1}"
    assert (shown, " ".join(fit.depends), fit.is_met) == (pythons, depends, is_met)


@pytest.mark.parametrize(
    "texts",
    [
        ("cp313", "cp313t", "manylinux_2_17_x86_64"),
        ("cp311", "cp311", "any"),
        ("cp311", "cp310", "manylinux_2_17_x86_64"),
        ("pp311", "pypy311_pp73", "manylinux_2_17_x86_64"),
        ("cp311", "cp311", "musllinux_1_2_x86_64"),
        ("py2", "none", "any"),
    ],
)
def test_wheels_for_others(texts: tuple[str, str, str]) -> None:
    assert WheelTags(WheelTarget("linux-64", glibc=GLIBC)).fit(*texts) is None


def test_the_target_is_that_of_the_virtual_packages() -> None:
    linux = target_of("linux-64", virtual_packages((), "linux-64", {"CONDA_OVERRIDE_GLIBC": "2.39"}, host_subdir="x"))
    assert linux == WheelTarget("linux-64", glibc=(2, 39))
    mac = target_of("osx-arm64", virtual_packages((), "osx-arm64", {"CONDA_OVERRIDE_OSX": "14.5.1"}, host_subdir="x"))
    assert mac == WheelTarget("osx-arm64", macos=(14, 5))
