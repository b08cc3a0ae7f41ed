from __future__ import annotations

import pytest

from kaa.api.pypi_specs import read_extras, read_project
from kaa.errors import KaaError
from kaa.models.match_spec import MatchSpec
from kaa.pypi.names import ProjectNames

NAMES = ProjectNames({"mine": "their-mine"})

PROJECTS = [
    ("numpy", "numpy"),
    ("Torch", "pytorch"),
    ("pytorch", "pytorch"),
    ("pypi::pytorch", "pypi::pytorch-pypi"),
    ("pypi::torch", "pypi::pytorch"),
    ("ruamel_yaml", "ruamel.yaml"),
    ("mine", "their-mine"),
    ("python=3.11", "python=3.11"),
    ("Python>=3.11", "python>=3.11"),
    # Ranges as pip reads them.
    ("torch~=2.1", "pytorch>=2.1,2.*"),
    ("torch ~= 2.1.3, !=2.1.5", "pytorch>=2.1.3,2.1.*,!=2.1.5"),
    ("torch===2.1.0", "pytorch==2.1.0"),
    ("torch!=1.*", "pytorch!=1.*"),
    ("torch (>=1,<2)", "pytorch>=1,<2a0"),
    ("torch==2.1.*", "pytorch 2.1.*"),
    ("torch>=2.0rc1", "pytorch>=2.0rc1"),
    ("torch==2.1.0+cpu", "pytorch==2.1.0+cpu"),
    # And as conda reads them.
    ("torch=2.1", "pytorch=2.1"),
    ("torch 2.1.*", "pytorch 2.1.*"),
    ("torch==2.1=cp311*", "pytorch==2.1=cp311*"),
    ("torch>=1|<0.5", "pytorch>=1|<0.5"),
    ("torch[version='>=2',build=cp311*]", "pytorch[version='>=2',build=cp311*]"),
    # Extras.
    ("requests[socks]", "requests[extras=[socks]]"),
    ("requests[socks, use_chardet] >= 2", "requests[version='>=2',extras=[socks,use-chardet]]"),
    ("pypi::requests[socks]~=2.1", "pypi::requests[version='>=2.1,2.*',extras=[socks]]"),
    ("pypi+./wheels::requests[socks]", "pypi+./wheels::requests[extras=[socks]]"),
    ("requests[]", "requests"),
]


@pytest.mark.parametrize(("text", "expected"), PROJECTS)
def test_specs_of_projects(text: str, expected: str) -> None:
    assert str(read_project(text, NAMES)) == str(MatchSpec.parse(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("requests[socks]", "requests[extras=[socks]]"),
        ("requests[socks,security]=2.1", "requests[version='=2.1',extras=[security,socks]]"),
        ("conda-forge::requests[socks] 2.*", "conda-forge::requests[version='2.*',extras=[socks]]"),
    ],
)
def test_extras_of_any_package(text: str, expected: str) -> None:
    assert str(read_extras(text)) == str(MatchSpec.parse(expected))


@pytest.mark.parametrize(
    "text", ["requests", "requests[version='>=2']", "requests[extras=[socks]]", "requests[]", "*[a]"]
)
def test_texts_without_extras(text: str) -> None:
    assert read_extras(text) is None


@pytest.mark.parametrize("text", ["torch>=", "torch[a", "torch==1==2==3", "torch~=x", "a" * 70, "torch[build=]"])
def test_what_is_no_spec_is_refused(text: str) -> None:
    with pytest.raises(KaaError):
        read_project(text, NAMES)
