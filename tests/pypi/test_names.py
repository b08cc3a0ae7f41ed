from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kaa.models.artifact import InvalidPackageName, check_package_name
from kaa.pypi.names import DOTTED, FOREIGN, OTHER_NAMES, UNDERSCORED, ProjectNames
from kaa.pypi.project_files import normalize_project

NAMES = ProjectNames()
KNOWN = [*OTHER_NAMES.items(), *((normalize_project(name), name) for name in (*DOTTED, *UNDERSCORED))]


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("Torch", "pytorch"),
        ("numpy", "numpy"),
        ("ruamel.yaml", "ruamel.yaml"),
        ("ruamel_yaml", "ruamel.yaml"),
        ("typing-extensions", "typing_extensions"),
        ("Jinja2", "jinja2"),
        # The name of the conda package of another project, and of something that is no Python project.
        ("pytorch", "pytorch-pypi"),
        ("openssl", "openssl-pypi"),
    ],
)
def test_conda_names(project: str, name: str) -> None:
    assert NAMES.conda_name(project) == name
    assert NAMES.project(name) == normalize_project(project)


@pytest.mark.parametrize(("project", "name"), KNOWN)
def test_the_table_is_sound(project: str, name: str) -> None:
    check_package_name(name)
    assert normalize_project(project) == project != name
    assert NAMES.conda_name(project) == name
    assert NAMES.project(name) == project
    assert NAMES.project(project) is None


def test_no_name_is_in_the_table_twice() -> None:
    assert len({project for project, _ in KNOWN}) == len({name for _, name in KNOWN}) == len(KNOWN)
    assert not FOREIGN & {name for _, name in KNOWN}


@pytest.mark.parametrize("name", ["python", "python_abi", "__glibc", "_libgcc_mutex", "libzlib", "torch", "a.b", "x_y"])
def test_names_that_are_no_projects(name: str) -> None:
    assert NAMES.project(name) is None


@given(st.from_regex(r"[a-z0-9]{1,8}([-_.][a-z0-9]{1,8}){0,2}", fullmatch=True) | st.sampled_from(sorted(FOREIGN)))
def test_a_name_leads_back_to_its_project(project: str) -> None:
    assert NAMES.project(NAMES.conda_name(project)) == normalize_project(project)


def test_names_that_somebody_adds_count_first() -> None:
    names = ProjectNames({"My_Tool": "their-tool", "torch": "torch-cpu"})
    assert names.conda_name("my-tool") == "their-tool"
    assert names.project("my-tool") is None
    assert (names.conda_name("torch"), names.project("torch-cpu")) == ("torch-cpu", "torch")
    assert names.project("pytorch") == "pytorch"


def test_a_name_that_conda_cannot_have() -> None:
    with pytest.raises(InvalidPackageName):
        NAMES.conda_name("a" * 70)
    assert NAMES.find_conda_name("a" * 70) is None
    assert NAMES.find_conda_name("no name") is None
