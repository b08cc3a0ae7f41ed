"""What a person reads when there is no solution."""

# ruff: noqa: E501 (texts as they are shown)

from __future__ import annotations

from typing import Any

import pytest

from kaa.models.version import Version
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.folding import fold, listed
from kaa.solver.request import SolveOptions, SolveRequest
from kaa.solver.solve import solve
from tests.solver.conda_forge import MACHINE, needs_records, where
from tests.solver.packages import LINUX, OTHER, ask, package, packages, source, specs
from tests.solver.repairs import check_repairs

PYTHONS = "python 3.13.1\npython 3.12.7\npython 3.11.9\npython 3.10.2\npython 3.9.1\n"
BUILDS = {"2.1": (310, 311, 312, 313), "2.0": (39, 310, 311, 312), "1.26": (39, 310, 311, 312)}
NUMPYS = "".join(
    f"numpy {version} py{python}_0: python {str(python)[0]}.{str(python)[1:]}.*\n"
    for version, pythons in BUILDS.items()
    for python in pythons
)
INSTALLED = tuple(packages("python 3.10.2\nnumpy 1.26 py310_0: python 3.10.*"))


def failure_of(records: Any, *wanted: str, **jobs: Any) -> tuple[Unsolvable | PackagesNotFound, SolveRequest]:
    """What is raised, with repairs, and for which request."""
    for key in ("remove", "update", "history", "pins"):
        if key in jobs:
            jobs[key] = specs(*jobs[key])
    options = SolveOptions(**{key: jobs.pop(key) for key in ("channel_priority", "cutoffs") if key in jobs})
    request = SolveRequest(install=specs(*wanted), options=options, **{"virtual_packages": LINUX, **jobs})
    where = source(*([records] if isinstance(records, str) else records))
    with pytest.raises((Unsolvable, PackagesNotFound)) as caught:
        solve(request, where, repair_seconds=60)
    error = caught.value
    assert isinstance(error, Unsolvable | PackagesNotFound)
    check_repairs(error, request, where)
    return error, request


def text_of(records: Any, *wanted: str, **jobs: Any) -> str:
    return f"\n{failure_of(records, *wanted, **jobs)[0]}\n"


TABLE: list[tuple[str, Any, list[str], dict[str, Any], str]] = [
    (
        "builds for other pythons",
        PYTHONS + NUMPYS,
        ["numpy 1.26", "python 3.13.*"],
        {},
        """
numpy==1.26 and python=3.13 cannot be installed together.
numpy==1.26 needs python 3.9.1 to 3.12.7, but python=3.13 was asked for
  try: ask for numpy=2.1 instead of numpy==1.26 (gives numpy 2.1 and python 3.13.1)
  try: ask for python=3.12 instead of python=3.13 (gives numpy 1.26 and python 3.12.7)
""",
    ),
    (
        "a dependency of a dependency",
        PYTHONS + "app 1: web >=2\nweb 2.1: core <5\nweb 2.0: core <5\ncore 6\ncore 4\nplugin 3: core >=6",
        ["app", "plugin"],
        {},
        """
app and plugin cannot be installed together.
app needs web >=2, which needs core <5
plugin needs core >=6, but every web needs core 4
  try: leave out app (gives plugin 3)
  try: leave out plugin (gives app 1)
""",
    ),
    (
        "only all three together",
        "a 1: x <3\nb 1: x >1\nc 1: x !=2\nx 1\nx 2\nx 3",
        ["a", "b", "c"],
        {},
        """
a, b and c cannot be installed together.
a needs x <3
b needs x >1
c needs x !=2, but a 1 needs x 1 to 2 and b 1 needs x 2 to 3
  try: leave out a (gives b 1 and c 1)
  try: leave out b (gives a 1 and c 1)
  try: leave out c (gives a 1 and b 1)
""",
    ),
    (
        "a name that nobody offers",
        "tool 2: gone >=1\ntool 1: gone",
        ["tool"],
        {},
        """
tool cannot be installed.
tool needs gone >=1, but no channel offers it
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
tool needs lib >=4 or >=5, but the channels offer 1 to 3
""",
    ),
    (
        "a missing virtual package",
        "gpu 2: __cuda >=12\ngpu 1: __cuda",
        ["gpu"],
        {},
        """
gpu cannot be installed.
gpu needs __cuda >=12, but this machine has no __cuda
  try: solve for a machine that has it: --virtual-package __cuda=12
""",
    ),
    (
        "another virtual package",
        "new 2: __glibc >=2.38",
        ["new"],
        {},
        """
new cannot be installed.
new needs __glibc >=2.38, but this machine has __glibc 2.35
  try: solve for a machine that has it: --virtual-package __glibc=2.38
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
  try: leave out __glibc>=3 (gives a 1)
  try: solve for a machine that has it: --virtual-package __glibc=3
""",
    ),
    (
        "a pin",
        PYTHONS + NUMPYS,
        ["numpy >=2"],
        {"pins": ["numpy <2"]},
        """
numpy>=2 cannot be installed while this pin holds: numpy<2.
  try: ask for numpy=1.26 instead of numpy>=2 (gives numpy 1.26)
  try: lift the pin numpy<2 (gives numpy 2.1)
""",
    ),
    (
        "a pin on a dependency",
        PYTHONS + NUMPYS + "pandas 3: numpy >=2",
        ["pandas"],
        {"pins": ["numpy 1.*"]},
        """
pandas cannot be installed while this pin holds: numpy=1.
pandas needs numpy >=2, but there is the pin numpy=1
  try: lift the pin numpy=1 (gives pandas 3)
""",
    ),
    (
        "an earlier request",
        PYTHONS + NUMPYS,
        ["python 3.13.*"],
        {"installed": INSTALLED, "history": ["numpy 1.26.*"]},
        """
python=3.13 cannot be installed together with what was asked for earlier: numpy=1.26.
numpy=1.26 (asked for earlier) needs python 3.9.1 to 3.12.7, but python=3.13 was asked for
  try: let numpy change, which was asked for earlier as numpy=1.26 (gives python 3.13.1 and numpy 2.1; changes numpy 1.26 → 2.1 and python 3.10.2 → 3.13.1)
  try: ask for python=3.10 instead of python=3.13 (gives python 3.10.2; changes nothing that is installed)
""",
    ),
    (
        "frozen packages",
        PYTHONS + NUMPYS + "pandas 3: numpy >=2",
        ["pandas"],
        {"installed": INSTALLED, "freeze_installed": True},
        """
pandas cannot be installed while this installed package stays as it is: numpy 1.26.
pandas needs numpy >=2, but numpy 1.26 is installed and stays as it is
  try: let numpy change: ask for numpy=2.1 as well (gives pandas 3 and numpy 2.1; changes numpy 1.26 → 2.1)
  try: let installed packages change (gives pandas 3; changes numpy 1.26 → 2.1)
""",
    ),
    (
        "a package to be removed",
        "a 1: b\nb 1",
        ["a"],
        {"remove": ["b"], "installed": tuple(packages("b 1"))},
        """
a cannot be installed.
a needs b, but b is to be removed
""",
    ),
    (
        "an unreadable dependency",
        "tool 2: lib >>1\nlib 1",
        ["tool"],
        {},
        """
tool cannot be installed.
tool needs 'lib >>1', which cannot be read
""",
    ),
    (
        "strict channel priority",
        ["tool 1: lib >=2", package("lib 1"), package("lib 2", channel=OTHER)],
        ["tool"],
        {},
        """
tool cannot be installed.
tool needs lib >=2, but the first channel that has lib offers 1 (strict channel priority)
  try: take lib from other, a later channel (gives tool 1 and lib 2)
  try: let later channels offer what the first one lacks: flexible channel priority (gives tool 1)
""",
    ),
    (
        "a constraint",
        "libx 2: / tool >=3\nlibx 1\napp 1: libx >=2\ntool 2\ntool 3",
        ["app", "tool 2.*"],
        {},
        """
app and tool=2 cannot be installed together.
app needs libx >=2, which goes only with tool >=3, but tool=2 was asked for
  try: ask for tool=3 instead of tool=2 (gives app 1 and tool 3)
  try: leave out app (gives tool 2)
""",
    ),
    (
        "two requests for one package",
        "a 1\na 2",
        ["a 1", "a 2"],
        {},
        """
a==1 and a==2 cannot be installed together.
  try: ask for a=2 instead of a==1 (gives a 2)
  try: ask for a=1 instead of a==2 (gives a 1)
""",
    ),
    (
        "a condition",
        "a 1: b[when='c']\nc 1",
        ["a", "c"],
        {},
        """
a and c cannot be installed together.
a needs b[when='c'], but no channel offers it
  try: leave out a (gives c 1)
  try: leave out c (gives a 1)
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
a[extras=[x]] needs b >=2, but the channels offer 1
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
└─ old 1 needs fw >=2, which needs eng 2.0 to 3.0, which needs rt 2 to 3, but old 1 needs rt 1
  try: leave out old (gives app 1)
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
numpy=1.26 needs python 3.9.18 to 3.12.13, but python=3.14 was asked for
  try: ask for numpy=2.3 instead of numpy=1.26 (gives numpy 2.3.5 and python 3.14.6)
  try: ask for python=3.12 instead of python=3.14 (gives numpy 1.26.4 and python 3.12.13)
""",
    ),
    (
        ["libcurl >=8.21", "pyqtwebengine"],
        """
libcurl>=8.21 and pyqtwebengine cannot be installed together.
libcurl>=8.21 needs krb5 >=1.22.2,<1.23
pyqtwebengine was asked for
├─ pyqtwebengine 5.15.9 needs qt-webengine >=5.15.8,<5.16, which needs harfbuzz >=8.3.0,<9
└─ pyqtwebengine 5.15.9 needs qt-main >=5.15.8,<5.16
   ├─ qt-main 5.15.15 needs harfbuzz >=13.2.0, but qt-webengine 5.15.8 needs harfbuzz 8.3.0 to 8.5.0
   └─ qt-main needs krb5 1.20.1 to 1.21.3, but libcurl 8.21.0 needs krb5 1.22.2
  try: ask for libcurl=8.8 instead of libcurl>=8.21 (gives libcurl 8.8.0 and pyqtwebengine 5.15.9)
  try: leave out pyqtwebengine (gives libcurl 8.21.0)
""",
    ),
    (
        ["python 3.12.*", "vtk-io-ffmpeg 9.3.*"],
        """
python=3.12 and vtk-io-ffmpeg=9.3 cannot be installed together.
vtk-io-ffmpeg=9.3 was asked for
├─ vtk-io-ffmpeg 9.3.1 needs ffmpeg >=7.1.0,<8
│  └─ ffmpeg 7.1.0 to 7.1.1 needs librsvg >=2.58.4,<3, which needs gdk-pixbuf 2.42.12 to 2.44.7, and in the end libtiff >=4.6.0,<4.7 and pcre2 10.45 to 10.47
└─ vtk-io-ffmpeg 9.3.0 to 9.3.1 needs vtk-base 9.3.0 to 9.3.1
   ├─ vtk-base 9.3.1 needs qt6-main >=6.8.2,<6.9, and in the end pcre2 >=10.44,<10.45, but libglib 2.84.2 to 2.88.3 needs pcre2 10.45 to 10.47
   ├─ vtk-base 9.3.1 needs libtiff >=4.7.0,<4.8, but gdk-pixbuf 2.42.12 needs libtiff 4.6.0
   └─ vtk-base 9.3.0 to 9.3.1 needs python >=3.11,<3.12, but python=3.12 was asked for
  try: ask for vtk-io-ffmpeg=9.4 instead of vtk-io-ffmpeg=9.3 (gives python 3.12.13 and vtk-io-ffmpeg 9.4.2)
  try: ask for python=3.11 instead of python=3.12 (gives python 3.11.15 and vtk-io-ffmpeg 9.3.1)
""",
    ),
    (
        ["gazebo <11.15.1", "clang-20 20.1.*"],
        """
gazebo<11.15.1 and clang-20=20.1 cannot be installed together.
gazebo<11.15.1 needs assimp 5.2.5 to 5.3.1, which needs libzlib 1.2.13
clang-20=20.1 needs libllvm20 20.1.2 to 20.1.8
└─ libllvm20 20.1.2 to 20.1.8 needs libzlib >=1.3.1,<2, but assimp 5.2.5 to 5.3.1 needs libzlib 1.2.13
  try: ask for gazebo=11.15 instead of gazebo<11.15.1 (gives gazebo 11.15.1 and clang-20 20.1.8)
  try: leave out clang-20=20.1 (gives gazebo 11.14.0)
""",
    ),
]


@needs_records
@pytest.mark.parametrize(("wanted", "text"), REAL, ids=[", ".join(wanted) for wanted, _ in REAL])
def test_an_explanation_of_real_packages(wanted: list[str], text: str) -> None:
    with pytest.raises(Unsolvable) as caught:
        solve(SolveRequest(install=specs(*wanted), virtual_packages=MACHINE), where(), repair_seconds=60)
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


def test_a_long_explanation_is_short() -> None:
    many = "".join(f"a {n}: b{n}; c{n}\nb{n} 1: x <{n}; y\nc{n} 1: x >{n}; z\n" for n in range(1, 60))
    text = text_of(many + "x 100\ny 1\nz 1", "a")
    assert len(text.splitlines()) < 12
    assert "other versions of x, but the channels offer 100" in text


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
