from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from kaa.models.artifact import LONGEST_BUILD, check_build
from kaa.models.version_spec import VersionSpec
from kaa.pypi.project_files import ProjectFile, ProjectPage
from kaa.pypi.python_specs import PythonSpecs
from kaa.pypi.wheel_records import Admitted, WheelOffer, WheelRecords, build_string, is_prerelease
from kaa.pypi.wheel_tags import WheelTags, WheelTarget

LINUX = WheelTarget("linux-64", glibc=(2, 28))
CHANNEL = "pypi+https://host/simple"


def offer(*files: str | ProjectFile, admitted: Admitted | None = None, target: WheelTarget = LINUX) -> WheelOffer:
    made = tuple(
        ProjectFile(each, f"https://host/files/{each}", "0" * 64) if isinstance(each, str) else each for each in files
    )
    return WheelRecords(WheelTags(target)).offer(
        ProjectPage("demo", "https://host/simple", made), "demo", CHANNEL, admitted or Admitted()
    )


def names(found: WheelOffer) -> list[str]:
    return sorted(record.fn for record in found.records)


def test_a_record_of_a_wheel() -> None:
    file = ProjectFile(
        "Demo-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        "https://host/files/demo.whl",
        "a" * 64,
        requires_python=">=3.9",
        upload_time=1_700_000_000_000,
        size=12,
    )
    [record] = offer(file).records
    assert (record.name, record.version, record.subdir, record.noarch) == ("demo", "1.0", "linux-64", None)
    assert record.build == "cp311_cp311_manylinux_2_17_x86_64.manylinux2014_x86_64_0"
    assert record.depends == ("python >=3.11,<3.12.0a0", "__glibc >=2.17")
    assert (record.sha256, record.size, record.md5) == ("a" * 64, 12, None)
    assert record.timestamp == record.indexed_timestamp == 1_700_000_000_000
    assert (record.fn, record.url, record.channel) == (file.file_name, file.url, CHANNEL)
    assert record.purls == ("pkg:pypi/demo@1.0",)


@pytest.mark.parametrize(
    ("file_name", "requires_python", "depends", "subdir", "noarch"),
    [
        ("demo-1-py3-none-any.whl", "", ("python >=3",), "noarch", "python"),
        ("demo-1-py2.py3-none-any.whl", ">=2.7,!=3.0.*", ("python >=3,!=3.0.*",), "noarch", "python"),
        ("demo-1-py3-none-any.whl", ">=3.8,<3.13", ("python >=3.8,<3.13a0",), "noarch", "python"),
        ("demo-1-py3-none-any.whl", ">=3.6.*", ("python >=3",), "noarch", "python"),
        ("demo-1-cp39-abi3-manylinux2014_x86_64.whl", "", ("python >=3.9", "__glibc >=2.17"), "linux-64", "python"),
        ("demo-1-cp39-abi3-manylinux1_x86_64.whl", ">=3.10", ("python >=3.10", "__glibc >=2.5"), "linux-64", "python"),
        ("demo-1-py3-none-linux_x86_64.whl", "", ("python >=3", "__linux"), "linux-64", "python"),
        ("demo-1-cp311-none-any.whl", "", ("python >=3.11,<3.12.0a0",), "noarch", "python"),
        (
            "demo-1-cp39-cp39-linux_x86_64.whl",
            "!=3.9.7",
            ("python >=3.9,<3.10.0a0,!=3.9.7", "__linux"),
            "linux-64",
            None,
        ),
    ],
)  # fmt: skip
def test_what_wheels_ask_of_python(
    file_name: str, requires_python: str, depends: tuple[str, ...], subdir: str, noarch: str | None
) -> None:
    [record] = offer(ProjectFile(file_name, "https://host/x", requires_python=requires_python)).records
    assert (record.depends, record.subdir, record.noarch) == (depends, subdir, noarch)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # Of wheels of one version for the same Python the best one alone.
        (
            ["demo-1-cp311-cp311-manylinux2014_x86_64.whl", "demo-1-cp311-cp311-manylinux_2_28_x86_64.whl",
             "demo-1-cp311-cp311-manylinux_2_34_x86_64.whl", "demo-1-cp311-cp311-musllinux_1_1_x86_64.whl"],
            ["demo-1-cp311-cp311-manylinux_2_28_x86_64.whl"],
        ),
        # What asks for a newer system than the target is there where nothing else is: the solver says what is missing.
        (
            ["demo-1-cp311-cp311-manylinux_2_34_x86_64.whl", "demo-1-cp311-cp311-manylinux_2_31_x86_64.whl"],
            ["demo-1-cp311-cp311-manylinux_2_31_x86_64.whl"],
        ),
        (["demo-1-1-py3-none-any.whl", "demo-1-2-py3-none-any.whl"], ["demo-1-2-py3-none-any.whl"]),
        (["demo-1-cp311-cp311-win_amd64.whl", "demo-1-cp313-cp313t-manylinux2014_x86_64.whl"], []),
        (
            ["demo-1-py3-none-any.whl", "demo-1-cp311-cp311-linux_x86_64.whl"],
            ["demo-1-cp311-cp311-linux_x86_64.whl", "demo-1-py3-none-any.whl"],
        ),
        (["demo-1.0.x-py3-none-any.whl"], []),
    ],
)  # fmt: skip
def test_which_wheels_are_candidates(files: list[str], expected: list[str]) -> None:
    assert names(offer(*files)) == expected


def test_the_more_exact_of_two_wheels_has_the_higher_build_number() -> None:
    files = ["py3-none-any", "py3-none-linux_x86_64", "cp39-abi3-linux_x86_64", "cp311-cp311-linux_x86_64"]
    records = offer(*(f"demo-1-{tags}.whl" for tags in files)).records
    numbers = {record.fn.removeprefix("demo-1-").removesuffix(".whl"): record.build_number for record in records}
    assert sorted(numbers, key=lambda tags: numbers[tags]) == files


PRE = ["demo-1-py3-none-any.whl", "demo-2rc1-py3-none-any.whl", "demo-2.dev3-py3-none-any.whl"]


@pytest.mark.parametrize(
    ("files", "admitted", "versions", "left_out"),
    [
        (PRE, Admitted(), ["1"], {"2rc1": "prerelease", "2.dev3": "prerelease"}),
        (PRE, Admitted(prereleases=True), ["1", "2.dev3", "2rc1"], {}),
        (PRE[1:], Admitted(), ["2.dev3", "2rc1"], {}),
        (["demo-1-py3-none-any.whl", "demo-1.tar.gz"], Admitted(), ["1"], {}),
        (["demo-1.tar.gz", "demo-2.zip"], Admitted(), [], {"1": "source", "2": "source"}),
        (["demo-1-py3-none-win32.whl", "demo-1.tar.gz"], Admitted(), [], {"1": "source"}),
        (["demo-1.0.post1-py3-none-any.whl", "demo-1!1-py3-none-any.whl"], Admitted(), ["1!1", "1.0.post1"], {}),
        (["demo-1+Local_x-py3-none-any.whl"], Admitted(), ["1+local.x"], {}),
    ],
)
def test_versions_that_are_left_out(
    files: list[str], admitted: Admitted, versions: list[str], left_out: dict[str, str]
) -> None:
    found = offer(*files, admitted=admitted)
    assert sorted({record.version for record in found.records}) == versions
    assert found.left_out == left_out


def test_yanked_versions_are_for_those_who_want_them() -> None:
    yanked = ProjectFile("demo-2-py3-none-any.whl", "https://host/y", yanked="broken")
    plain = "demo-1-py3-none-any.whl"
    assert names(offer(plain, yanked)) == [plain]
    assert offer(plain, yanked).left_out == {"2": "yanked"}
    assert names(offer(plain, yanked, admitted=Admitted(yanked=frozenset({"2"})))) == [plain, yanked.file_name]
    assert names(offer(yanked)) == []


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1.0", False), ("1.0a1", True), ("1.0rc2", True), ("1.0.dev3", True), ("1.0.post1", False), ("1.0+rc1", False),
     ("1.0.post1.dev2", True), ("1!2b1", True)],
)  # fmt: skip
def test_prereleases(version: str, expected: bool) -> None:
    assert is_prerelease(version) == expected == Version(version).is_prerelease


@given(
    st.lists(
        st.tuples(*[st.from_regex(r"[a-z0-9_.~!-]{1,30}", fullmatch=True)] * 3, st.text("0ab~!_.1", max_size=30)),
        max_size=6,
    )
)
def test_build_strings_are_sound_and_differ(wheels: list[tuple[str, str, str, str]]) -> None:
    taken: list[str] = []
    for *tags, build_tag in wheels:
        build = build_string((tags[0], tags[1], tags[2]), build_tag, taken)
        check_build(build)
        assert len(build) <= LONGEST_BUILD
        taken.append(build)
    assert len(set(taken)) == len(taken)


minors = st.integers(4, 15)
python_clauses = st.builds(
    "{}3.{}{}".format, st.sampled_from([">=", "<", "!=", "==", "<=", ">", "~="]), minors, st.sampled_from(["", ".3"])
).filter(lambda text: not text.startswith("~=") or text.count(".") == 2) | st.builds("!=3.{}.*".format, minors)


@settings(deadline=None)
@given(
    st.tuples(minors, st.booleans()),
    st.lists(python_clauses, max_size=3),
    st.builds("3.{}.{}".format, minors, st.integers(0, 5)),
)
def test_pythons_that_are_admitted(tag: tuple[int, bool], clauses: list[str], python: str) -> None:
    first, is_exact = tag
    requires = ",".join(clauses)
    found = PythonSpecs().clauses(((3, first), (3, first + 1) if is_exact else None), requires)
    version = Version(python)
    expected = SpecifierSet(requires).contains(version) and (
        version.minor == first if is_exact else version.minor >= first
    )
    assert (found is not None and VersionSpec(found).matches(python)) == expected
