from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.markers import Marker
from packaging.version import Version

from kaa.models.match_spec import MatchSpec
from kaa.models.record import PackageRecord
from kaa.pypi.metadata import Metadata
from kaa.pypi.names import ProjectNames
from kaa.pypi.wheel_needs import WheelNeeds
from kaa.solver.candidates import CandidateNeeds, UnusableCandidate

ANY = ((3, 0), None)
ONE = ((3, 11), (3, 12))


def needs(
    *requires: str,
    python: str = ">=3.8",
    exact: bool = False,
    odd: Mapping[str, tuple[str, ...]] | None = None,
    extras: tuple[str, ...] = (),
) -> CandidateNeeds:
    known = odd or {}
    reader = WheelNeeds("linux-64", ProjectNames(), lambda name: known.get(name, ()))
    told = ">=3.11,<3.12.0a0" if exact else python
    return reader.needs(
        Metadata("Demo", "1.0", tuple(requires), python), "demo", "1.0", ONE if exact else ANY, told, extras
    )


@pytest.mark.parametrize(
    ("requires", "expected"),
    [
        ("lib", "lib"),
        ("Torch>=2", "pytorch >=2"),
        ("lib (>=1,<2)", "lib >=1,<2a0"),
        ("lib>=1 ; sys_platform == 'linux'", "lib >=1"),
        ("lib; sys_platform == 'win32'", ""),
        ("lib; platform_machine == 'aarch64'", ""),
        ("lib; implementation_name == 'cpython'", "lib"),
        ("lib; python_version >= '3.6'", "lib"),
        ("lib; python_version < '3.8'", ""),
        ("lib; python_version < '4.0'", "lib"),
        ("lib; python_version < '3.11'", 'lib[when="python<3.11a0"]'),
        ("lib~=2.2; python_full_version >= '3.11.4'", "lib[version='>=2.2,2.*',when=\"python>=3.11.4\"]"),
        ("lib[b,A_x]>=1", "lib[version='>=1',extras=[a-x,b]]"),
        ("lib; platform_release >= '5'", "lib"),
        ("lib; extra == 'more'", ""),
        # Names that only conda has are those of other projects.
        ("openssl", "openssl-pypi"),
    ],
)
def test_requirements(requires: str, expected: str) -> None:
    assert needs(requires).depends == ((expected,) if expected else ())


def test_a_wheel_for_one_python_has_no_conditions_on_it() -> None:
    found = needs("a; python_version < '3.11'", "b; python_version >= '3.11'", "c; python_version=='3.11'", exact=True)
    assert found.depends == ("b", "c")


def test_extras() -> None:
    found = needs(
        "base",
        "a; extra == 'one'",
        "b; extra == 'two' and python_version < '3.10'",
        "demo[one,two]; extra == 'all'",
        "demo[all]; extra == 'ring'",
        "demo[ring,odd]; extra == 'odd'",
        "w; extra == 'one' and sys_platform == 'win32'",
    )
    assert found.depends == ("base",)
    assert found.extra_depends == {
        "one": ("a",),
        "two": ('b[when="python<3.10a0"]',),
        "all": ("a", 'b[when="python<3.10a0"]'),
        "ring": ("a", 'b[when="python<3.10a0"]'),
        "odd": ("a", 'b[when="python<3.10a0"]'),
    }


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (Metadata("Demo", "1.0", ("lib @ https://host/lib.whl",)), "an address of its own"),
        (Metadata("Demo", "1.0", ("lib >=1.0.x",)), "cannot be read"),
        (Metadata("Demo", "1.0", ("??",)), "cannot be read"),
        (Metadata("Demo", "1.0", ("lib; nonsense == 'x'",)), "cannot be read"),
        (Metadata("Other", "1.0"), "is of Other 1.0"),
        (Metadata("Demo", "1.1"), "is of Demo 1.1"),
        (Metadata("Demo", "1.0", (), "<3.9"), "another Python"),
    ],
)
def test_metadata_that_makes_a_wheel_unusable(metadata: Metadata, reason: str) -> None:
    with pytest.raises(UnusableCandidate, match=reason):
        WheelNeeds("linux-64", ProjectNames()).needs(metadata, "demo", "1.0", ONE, ">=3.11,<3.12.0a0")


def test_what_cannot_be_read_of_an_extra_is_no_obstacle() -> None:
    assert needs("lib >=1.0.x; extra == 'more'", "ok; extra == 'more'").extra_depends == {"more": ("ok",)}


def test_what_the_metadata_says_more_of_python_is_added() -> None:
    reader = WheelNeeds("linux-64", ProjectNames())
    found = reader.needs(Metadata("demo", "1.0", (), ">=3.10"), "demo", "1.0", ANY, ">=3")
    assert found.depends == ("python >=3.10",)


def test_ranges_agree_with_pep_440_on_what_is_on_offer() -> None:
    odd = {"pytorch": ("2.1.0+cpu", "2.2.0.post1")}
    found = needs("torch==2.1.0", "torch>2.2.0", "torch>=2.1; extra=='x'", "torch==2.1.0; extra=='y'", odd=odd)
    assert found.depends == ("pytorch ==2.1.0|==2.1.0+cpu", "pytorch >2.2.0,!=2.2.0.post1")
    assert found.extra_depends == {"x": ("pytorch >=2.1",), "y": ("pytorch ==2.1.0",)}
    assert needs("torch>=2.1.0", odd=odd).depends == ("pytorch >=2.1.0|==2.1.0+cpu",)
    asked = needs("torch==2.1.0; extra=='y'", odd=odd, extras=("y",))
    assert asked.extra_depends == {"y": ("pytorch ==2.1.0|==2.1.0+cpu",)}


VALUES = {
    "python_version": ["3.8", "3.9", "3.10", "3.11", "3.12"],
    "python_full_version": ["3.9.4", "3.11.0", "3.11.7", "3.12"],
    "sys_platform": ["linux", "win32", "darwin"],
    "platform_system": ["Linux", "Windows"],
    "platform_machine": ["x86_64", "arm64"],
    "os_name": ["posix", "nt"],
    "implementation_name": ["cpython", "pypy"],
}


@st.composite
def markers(draw: st.DrawFn) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        variable = draw(st.sampled_from(sorted(VALUES)))
        operator = draw(
            st.sampled_from(["==", "!=", "<", ">=", ">", "<="] if variable.startswith("python") else ["==", "!="])
        )
        parts.append(f"{variable} {operator} '{draw(st.sampled_from(VALUES[variable]))}'")
    glue = draw(st.sampled_from([" and ", " or "]))
    text = glue.join(parts)
    return f"({text}) and extra == 'x'" if draw(st.booleans()) else text


@settings(deadline=None)
@given(markers(), st.sampled_from(["3.8.0", "3.9.4", "3.9.5", "3.11.0", "3.11.7", "3.12.1"]), st.booleans())
def test_markers_say_what_they_say_to_packaging(text: str, python: str, exact: bool) -> None:
    if exact and not python.startswith("3.11"):
        python = "3.11.0"
    found = needs(f"lib; {text}", exact=exact)
    texts = found.extra_depends.get("x", ()) + found.depends if "extra" in text else found.depends
    record = PackageRecord(name="python", version=python, build="0")

    def holds(spec: MatchSpec) -> bool:
        return spec.when is None or spec.when.holds(lambda leaf: leaf.matches(record))

    release = Version(python)
    expected = Marker(text).evaluate(
        {
            "python_version": f"{release.major}.{release.minor}",
            "python_full_version": python,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "platform_machine": "x86_64",
            "os_name": "posix",
            "implementation_name": "cpython",
            "extra": "x",
        }
    )
    assert any(holds(MatchSpec.parse(one, lenient=True)) for one in texts) == expected
