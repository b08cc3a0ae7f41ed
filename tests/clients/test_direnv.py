"""direnv with `layout anaconda`: entering a directory makes an environment and activates it."""

from __future__ import annotations

import shutil

import pytest

from tests.clients.house import House

pytestmark = [
    pytest.mark.slow,
    pytest.mark.clients,
    pytest.mark.skipif(shutil.which("direnv") is None, reason="direnv is not installed on this machine"),
]

REPORT = "echo $CONDA_DEFAULT_ENV $CONDA_SHLVL $(command -v python); greet"


def entered(house: House) -> list[str]:
    house.ok("direnv", "allow", ".")
    return house.ok("direnv", "exec", ".", "sh", "-c", REPORT).stdout.splitlines()


def test_layout_anaconda_makes_and_enters_an_environment_by_name(house: House) -> None:
    house.write(
        "environment.yml", f"name: fromfile\nchannels: [{house.channel_url}]\ndependencies: [python, greetings]\n"
    )
    house.write(".envrc", "layout anaconda\n")
    prefix = house.environment("fromfile")
    for _ in range(2):
        assert entered(house) == [f"fromfile 1 {prefix}/bin/python", "good day"]


def test_layout_anaconda_enters_an_environment_that_is_there(house: House) -> None:
    house.ok("conda", "create", "--yes", "--name", "there", "python", "greetings")
    house.write(".envrc", "layout anaconda there\n")
    assert entered(house) == [f"there 1 {house.environment('there')}/bin/python", "good day"]


def test_layout_anaconda_makes_one_in_the_directory(house: House) -> None:
    house.write("environment.yml", f"channels: [{house.channel_url}]\ndependencies: [python, greetings]\n")
    house.write(".envrc", "layout anaconda ./env\n")
    assert entered(house) == [f"{house.work}/env 1 {house.work}/env/bin/python", "good day"]
