from __future__ import annotations

import pytest
from packaging.utils import parse_wheel_filename

from kaa.pypi.tags import Build, builds_of

BUILDS = [
    ("py3-none-any", [Build("noarch", ">=3")]),
    ("py2.py3-none-any", [Build("noarch", ">=3")]),
    ("py38-none-any", [Build("noarch", ">=3.8")]),
    ("py38.py39-none-any", [Build("noarch", ">=3.8")]),
    ("cp311-none-any", [Build("noarch", "3.11.*")]),
    ("cp311.cp312-none-any", [Build("noarch", "3.11.*"), Build("noarch", "3.12.*")]),
    ("py3-none-win_amd64", [Build("win-64", ">=3")]),
    ("cp311-cp311-win_arm64", [Build("win-arm64", "3.11.*", (), "3.11")]),
    ("cp311-cp311-linux_x86_64", [Build("linux-64", "3.11.*", ("__linux",), "3.11")]),
    ("cp311-cp311-manylinux1_i686", [Build("linux-32", "3.11.*", ("__glibc >=2.5",), "3.11")]),
    ("cp311-cp311-manylinux2014_aarch64", [Build("linux-aarch64", "3.11.*", ("__glibc >=2.17",), "3.11")]),
    (
        "cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.manylinux_2_28_x86_64",
        [Build("linux-64", "3.12.*", ("__glibc >=2.17",), "3.12")],
    ),
    ("cp39-abi3-manylinux_2_28_x86_64", [Build("linux-64", ">=3.9", ("__glibc >=2.28",))]),
    ("cp37.cp39-abi3-macosx_11_0_arm64", [Build("osx-arm64", ">=3.7", ("__osx >=11.0",))]),
    ("cp313-cp313t-macosx_11_0_arm64", [Build("osx-arm64", "3.13.* *_cp313t", ("__osx >=11.0",), "3.13")]),
    (
        "cp311-cp311-macosx_10_9_universal2",
        [
            Build("osx-64", "3.11.*", ("__osx >=10.9",), "3.11"),
            Build("osx-arm64", "3.11.*", ("__osx >=10.9",), "3.11"),
        ],
    ),
    ("py3-none-manylinux_2_17_x86_64.musllinux_1_1_x86_64", [Build("linux-64", ">=3", ("__glibc >=2.17",))]),
]

NOTHING = [
    ("pp39-pypy39_pp73-manylinux_2_17_x86_64", "pp39"),
    ("py2-none-any", "Python 2"),
    ("cp27-cp27mu-manylinux1_x86_64", "Python 2"),
    ("cp311-cp311-musllinux_1_1_x86_64", "musllinux"),
    ("cp311-cp311-android_21_x86_64", "android"),
]


@pytest.mark.parametrize(("tag", "expected"), BUILDS, ids=[tag for tag, _ in BUILDS])
def test_what_tags_ask_for(tag: str, expected: list[Build]) -> None:
    assert builds_of(parse_wheel_filename(f"tool-1.0-{tag}.whl")[3])[0] == expected


@pytest.mark.parametrize(("tag", "word"), NOTHING, ids=[tag for tag, _ in NOTHING])
def test_tags_without_a_conda_platform(tag: str, word: str) -> None:
    builds, why = builds_of(parse_wheel_filename(f"tool-1.0-{tag}.whl")[3])
    assert builds == []
    assert word in " ".join(why)
