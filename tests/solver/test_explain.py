"""What a person reads when there is no solution."""

from __future__ import annotations

from typing import Any

import pytest

from kaa.models.version import Version
from kaa.solver.failures import Unsolvable
from kaa.solver.folding import fold, listed
from kaa.solver.request import SolveRequest
from kaa.solver.solve import solve
from tests.solver.conda_forge import MACHINE, needs_records, where
from tests.solver.packages import OTHER, ask, package, packages, source, specs

PYTHONS = "python 3.13.1\npython 3.12.7\npython 3.11.9\npython 3.10.2\npython 3.9.1\n"
BUILDS = {"2.1": (310, 311, 312, 313), "2.0": (39, 310, 311, 312), "1.26": (39, 310, 311, 312)}
NUMPYS = "".join(
    f"numpy {version} py{python}_0: python {str(python)[0]}.{str(python)[1:]}.*\n"
    for version, pythons in BUILDS.items()
    for python in pythons
)
INSTALLED = tuple(packages("python 3.10.2\nnumpy 1.26 py310_0: python 3.10.*"))


def text_of(records: Any, *wanted: str, **jobs: Any) -> str:
    with pytest.raises(Unsolvable) as caught:
        ask(source(*([records] if isinstance(records, str) else records)), *wanted, **jobs)
    return "\n" + str(caught.value) + "\n"


TABLE: list[tuple[str, Any, list[str], dict[str, Any], str]] = [
    (
        "builds for other pythons",
        PYTHONS + NUMPYS,
        ["numpy 1.26", "python 3.13.*"],
        {},
        """
numpy==1.26 and python=3.13 cannot be installed together.
numpy==1.26 was asked for
└─ numpy 1.26 needs python 3.9.1 to 3.12.7, but python=3.13 was asked for
  try: ask for another version of numpy or python
""",
    ),
    (
        "a dependency of a dependency",
        PYTHONS + "app 1: web >=2\nweb 2.1: core <5\nweb 2.0: core <5\ncore 6\ncore 4\nplugin 3: core >=6",
        ["app", "plugin"],
        {},
        """
app and plugin cannot be installed together.
app was asked for
└─ app 1 needs web >=2
   └─ every web needs core <5
plugin was asked for
└─ plugin 3 needs core >=6, but every web needs core 4
""",
    ),
    (
        "only all three together",
        "a 1: x <3\nb 1: x >1\nc 1: x !=2\nx 1\nx 2\nx 3",
        ["a", "b", "c"],
        {},
        """
a, b and c cannot be installed together.
a was asked for
└─ a 1 needs x <3
b was asked for
└─ b 1 needs x >1
c was asked for
└─ c 1 needs x !=2, but a 1 needs x 1 to 2 and b 1 needs x 2 to 3
""",
    ),
    (
        "a name that nobody offers",
        "tool 2: gone >=1\ntool 1: gone",
        ["tool"],
        {},
        """
tool cannot be installed.
tool was asked for
└─ every tool needs gone >=1, but no channel offers it
  try: add a channel that has gone
""",
    ),
    (
        "a version that nobody offers",
        "tool 2: lib >=5\ntool 1: lib >=4\nlib 1\nlib 3",
        ["tool"],
        {},
        """
tool cannot be installed.
tool was asked for
└─ every tool needs lib >=4 or >=5, but the channels offer 1 to 3
""",
    ),
    (
        "a missing virtual package",
        "gpu 2: __cuda >=12\ngpu 1: __cuda",
        ["gpu"],
        {},
        """
gpu cannot be installed.
gpu was asked for
└─ every gpu needs __cuda >=12, but this machine has no __cuda
  try: set CONDA_OVERRIDE_CUDA to solve for a machine that has __cuda
""",
    ),
    (
        "another virtual package",
        "new 2: __glibc >=2.38",
        ["new"],
        {},
        """
new cannot be installed.
new was asked for
└─ new 2 needs __glibc >=2.38, but this machine has __glibc 2.35
  try: set CONDA_OVERRIDE_GLIBC to solve for another machine
""",
    ),
    (
        "a virtual package that was asked for",
        "a 1",
        ["a", "__glibc >=3"],
        {},
        """
__glibc>=3 cannot be installed.
__glibc>=3 was asked for, but this machine has __glibc 2.35
  try: ask for another version of __glibc
  try: set CONDA_OVERRIDE_GLIBC to solve for another machine
""",
    ),
    (
        "a pin",
        PYTHONS + NUMPYS,
        ["numpy >=2"],
        {"pins": ["numpy <2"]},
        """
numpy>=2 cannot be installed while this pin holds: numpy<2.
  try: lift the pin numpy<2: remove it from conda-meta/pinned or from pinned_packages
  try: ask for another version of numpy
""",
    ),
    (
        "a pin on a dependency",
        PYTHONS + NUMPYS + "pandas 3: numpy >=2",
        ["pandas"],
        {"pins": ["numpy 1.*"]},
        """
pandas cannot be installed while this pin holds: numpy=1.
pandas was asked for
└─ pandas 3 needs numpy >=2, but there is the pin numpy=1
  try: lift the pin numpy=1: remove it from conda-meta/pinned or from pinned_packages
""",
    ),
    (
        "an earlier request",
        PYTHONS + NUMPYS,
        ["python 3.13.*"],
        {"installed": INSTALLED, "history": ["numpy 1.26.*"]},
        """
python=3.13 cannot be installed together with what was asked for earlier: numpy=1.26.
numpy=1.26 was asked for earlier
└─ numpy 1.26 needs python 3.9.1 to 3.12.7, but python=3.13 was asked for
  try: name numpy in the request as well, to lift the earlier numpy=1.26
  try: ask for another version of python
""",
    ),
    (
        "frozen packages",
        PYTHONS + NUMPYS + "pandas 3: numpy >=2",
        ["pandas"],
        {"installed": INSTALLED, "freeze_installed": True},
        """
pandas cannot be installed while these installed packages stay as they are: numpy==1.26=py310_0.
pandas was asked for
└─ pandas 3 needs numpy >=2, but numpy==1.26=py310_0 is installed and stays as it is
  try: let installed packages change: leave out --freeze-installed
""",
    ),
    (
        "a package to be removed",
        "a 1: b\nb 1",
        ["a"],
        {"remove": ["b"], "installed": tuple(packages("b 1"))},
        """
a cannot be installed.
a was asked for
└─ a 1 needs b, but b is to be removed
""",
    ),
    (
        "an unreadable dependency",
        "tool 2: lib >>1\nlib 1",
        ["tool"],
        {},
        """
tool cannot be installed.
tool was asked for
└─ tool 2 needs 'lib >>1', which cannot be read
""",
    ),
    (
        "strict channel priority",
        ["tool 1: lib >=2", package("lib 1"), package("lib 2", channel=OTHER)],
        ["tool"],
        {},
        """
tool cannot be installed.
tool was asked for
└─ tool 1 needs lib >=2, but the first channel that has lib offers 1 (strict channel priority)
  try: ask for other::lib, or use flexible channel priority
""",
    ),
    (
        "a constraint",
        "libx 2: / tool >=3\nlibx 1\napp 1: libx >=2\ntool 2\ntool 3",
        ["app", "tool 2.*"],
        {},
        """
app and tool=2 cannot be installed together.
app was asked for
└─ app 1 needs libx >=2
   └─ libx 2 goes only with tool >=3, but tool=2 was asked for
  try: ask for another version of tool
""",
    ),
    (
        "two requests for one package",
        "a 1\na 2",
        ["a 1", "a 2"],
        {},
        """
a==1 and a==2 cannot be installed together.
  try: ask for another version of a
""",
    ),
    (
        "a condition",
        "a 1: b[when='c']\nc 1",
        ["a", "c"],
        {},
        """
a and c cannot be installed together.
a was asked for
└─ a 1 needs b[when='c'], but no channel offers it
  try: add a channel that has b
""",
    ),
    (
        "an extra",
        [package("a 1", extra_depends={"x": ("b >=2",)}), "b 1"],
        ["a[extras=[x]]"],
        {},
        """
a[extras=[x]] cannot be installed.
a[extras=[x]] was asked for
└─ a 1 needs b >=2, but the channels offer 1
""",
    ),
    (
        "a way down",
        "app 1: fw\nfw 3: eng 3.*\nfw 2: eng 2.*\neng 3.0: rt >=3\neng 2.0: rt >=2,<3\n"
        "rt 3\nrt 2\nrt 1\nold 1: rt <1.5; fw >=2",
        ["app", "old"],
        {},
        """
old cannot be installed.
old was asked for
├─ old 1 needs rt <1.5
└─ old 1 needs fw >=2
   └─ every fw needs eng 2.0 to 3.0
      └─ every eng needs rt 2 to 3, but old 1 needs rt 1
""",
    ),
]


@pytest.mark.parametrize(
    ("records", "wanted", "jobs", "text"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_an_explanation(records: Any, wanted: list[str], jobs: dict[str, Any], text: str) -> None:
    assert text_of(records, *wanted, **jobs) == text


REAL = [
    (
        ["numpy 1.26.*", "python 3.14.*"],
        """
numpy=1.26 and python=3.14 cannot be installed together.
numpy=1.26 was asked for
└─ numpy 1.26.0 to 1.26.4 needs python 3.9.18 to 3.12.13, but python=3.14 was asked for
  try: ask for another version of numpy or python
""",
    ),
    (
        ["libcurl >=8.21", "pyqtwebengine"],
        """
libcurl>=8.21 and pyqtwebengine cannot be installed together.
libcurl>=8.21 was asked for
└─ libcurl 8.21.0 needs krb5 >=1.22.2,<1.23.0a0
pyqtwebengine was asked for
├─ pyqtwebengine 5.15.9 needs qt-webengine >=5.15.8,<5.16.0a0
│  └─ qt-webengine 5.15.8 needs harfbuzz >=8.3.0,<9.0a0
└─ pyqtwebengine 5.15.9 needs qt-main >=5.15.8,<5.16.0a0
   ├─ qt-main 5.15.15 needs harfbuzz >=13.2.0, but qt-webengine 5.15.8 needs harfbuzz 8.3.0 to 8.5.0
   └─ qt-main needs krb5 1.20.1 to 1.21.3, but libcurl 8.21.0 needs krb5 1.22.2
  try: ask for another version of libcurl
""",
    ),
    (
        ["python 3.12.*", "vtk-io-ffmpeg 9.3.*"],
        """
python=3.12 and vtk-io-ffmpeg=9.3 cannot be installed together.
vtk-io-ffmpeg=9.3 was asked for
├─ vtk-io-ffmpeg 9.3.1 needs ffmpeg >=7.1.0,<8.0a0
│  └─ ffmpeg 7.1.0 to 7.1.1 needs librsvg >=2.58.4,<3.0a0
│     └─ librsvg 2.58.4 to 2.62.3 needs gdk-pixbuf 2.42.12 to 2.44.7
│        ├─ gdk-pixbuf 2.42.12 needs libtiff >=4.6.0,<4.7.0a0
│        └─ gdk-pixbuf 2.42.12 to 2.44.7 needs libglib 2.84.2 to 2.88.3
│           └─ libglib 2.84.2 to 2.88.3 needs pcre2 10.45 to 10.47
└─ vtk-io-ffmpeg 9.3.0 to 9.3.1 needs vtk-base 9.3.0 to 9.3.1
   ├─ vtk-base 9.3.1 needs qt6-main >=6.8.2,<6.9.0a0
   │  └─ qt6-main 6.8.2 to 6.8.3 needs pcre2 >=10.44,<10.45.0a0, but libglib 2.84.2 to 2.88.3 needs pcre2 10.45 to 10.47
   ├─ vtk-base 9.3.1 needs libtiff >=4.7.0,<4.8.0a0, but gdk-pixbuf 2.42.12 needs libtiff 4.6.0
   └─ vtk-base 9.3.0 to 9.3.1 needs python >=3.11,<3.12.0a0, but python=3.12 was asked for
  try: ask for another version of python or vtk-io-ffmpeg
""",
    ),
    (
        ["gazebo <11.15.1", "clang-20 20.1.*"],
        """
gazebo<11.15.1 and clang-20=20.1 cannot be installed together.
gazebo<11.15.1 was asked for
└─ gazebo 11.12.0 to 11.14.0 needs assimp 5.2.5 to 5.3.1
   └─ assimp 5.2.5 to 5.3.1 needs libzlib 1.2.13
clang-20=20.1 was asked for
└─ every clang-20 needs libllvm20 20.1.2 to 20.1.8
   └─ libllvm20 20.1.2 to 20.1.8 needs libzlib >=1.3.1,<2.0a0, but assimp 5.2.5 to 5.3.1 needs libzlib 1.2.13
  try: ask for another version of gazebo or clang-20
""",
    ),
]


@needs_records
@pytest.mark.parametrize(("wanted", "text"), REAL, ids=[", ".join(wanted) for wanted, _ in REAL])
def test_an_explanation_of_real_packages(wanted: list[str], text: str) -> None:
    with pytest.raises(Unsolvable) as caught:
        solve(SolveRequest(install=specs(*wanted), virtual_packages=MACHINE), where())
    assert "\n" + str(caught.value) + "\n" == text


def test_an_error_has_its_facts_for_machines() -> None:
    with pytest.raises(Unsolvable) as caught:
        ask(source(PYTHONS + NUMPYS), "numpy >=2", "python 3.10.*", pins=["numpy <2"])
    assert caught.value.requests == ["numpy>=2"]
    assert caught.value.pins == ["numpy<2"]
    assert set(caught.value.fields()) == {"requests", "pins", "causes", "repairs"}


def test_only_what_contradicts_each_other_is_named() -> None:
    world = "a 1: x 1\nb 1: x 2\nc 1: x 1\nd 1\nx 1\nx 2"
    with pytest.raises(Unsolvable) as caught:
        ask(source(world), "d", "c", "a", "b")
    assert len(caught.value.requests) == 2
    assert "b" in caught.value.requests


def test_a_long_explanation_is_cut() -> None:
    many = "".join(f"a {n}: b{n}\nb{n} 1: x <{n}\n" for n in range(1, 60)) + "x 100"
    text = text_of(many, "a")
    assert "lines more" in text
    assert len(text.splitlines()) < 50


@pytest.mark.parametrize(
    ("chosen", "text"),
    [
        ("9 8 7 6 5 4 3 2 1", "1 to 9"),
        ("9", "9"),
        ("9 8 2 1", "1 to 2, 8 to 9"),
        ("9 7 5", "5, 7, 9"),
        ("9 7 5 3 1", "1 to 9 (5 of 9 versions)"),
    ],
)
def test_versions_are_folded(chosen: str, text: str) -> None:
    everything = [Version(str(number)) for number in range(9, 0, -1)]
    assert fold([Version(one) for one in chosen.split()], everything) == text


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (["a"], "a"),
        (["a", "b"], "a and b"),
        (["a", "b", "c"], "a, b and c"),
        (list("abcdefgh"), "a, b, c, d, e and 3 more"),
    ],
)
def test_lists_read_as_sentences(texts: list[str], sentence: str) -> None:
    assert listed(texts) == sentence
