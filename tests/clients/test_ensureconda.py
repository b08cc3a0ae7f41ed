"""ensureconda: finds kaa by the name conda and takes it for one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.house import House, Shared

pytestmark = [pytest.mark.slow, pytest.mark.clients]

ONLY_CONDA = ("--no-mamba", "--no-micromamba", "--no-install")


@pytest.fixture
def ensureconda(house: House, shared: Shared) -> Path:
    return shared.client("ensureconda") / "ensureconda"


def test_it_finds_conda_on_the_search_path(house: House, ensureconda: Path) -> None:
    assert house.ok(ensureconda, *ONLY_CONDA).stdout.strip() == str(house.root / "condabin" / "conda")


def test_it_takes_what_an_active_shell_names(house: House, ensureconda: Path) -> None:
    script = f". {house.root}/bin/activate && {ensureconda} {' '.join(ONLY_CONDA)}"
    assert house.shell(script).stdout.strip() in {f"{house.root}/{folder}/conda" for folder in ("bin", "condabin")}


def test_the_version_is_new_enough_or_it_says_so(house: House, ensureconda: Path) -> None:
    house.ok(ensureconda, *ONLY_CONDA, "--min-conda-version", "24.7.1")
    assert house.run(ensureconda, *ONLY_CONDA, "--min-conda-version", "99.1").returncode == 1
