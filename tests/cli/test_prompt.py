"""Asking: the default is what an empty line and a closed input mean."""

from __future__ import annotations

import subprocess
import sys

import pytest

from kaa.cli.prompt import confirm
from kaa.config.options import Config

ASK = """
import sys
from kaa.cli.prompt import Declined, confirm
from kaa.config.options import Config
try:
    confirm(Config(), "Go on", default={default})
except Declined as error:
    print("|declined", error.exit_code, error.conda_name, error.message)
else:
    print("|agreed")
"""

ANSWERS = [
    ("\n", True, "agreed"),
    ("", True, "agreed"),
    ("\n", False, "declined"),
    ("", False, "declined"),
    ("y\n", False, "agreed"),
    ("YES\n", False, "agreed"),
    ("n\n", True, "declined"),
    (" No \n", True, "declined"),
    ("n", True, "declined"),
    ("perhaps\ny\n", False, "agreed"),
    ("perhaps\nno\n", True, "declined"),
    ("perhaps\n", True, "agreed"),
]


@pytest.mark.parametrize(("answer", "default", "expected"), ANSWERS)
def test_answers(answer: str, default: bool, expected: str) -> None:
    code = ASK.format(default=default)
    done = subprocess.run([sys.executable, "-c", code], input=answer, capture_output=True, text=True, check=True)
    asked, _, outcome = done.stdout.partition("|")
    assert outcome.startswith(expected)
    assert asked.startswith("Go on ([y]/n)? " if default else "Go on (y/[n])? ")
    assert ("Please answer y or n, not 'perhaps'" in asked) == answer.startswith("perhaps")
    if expected == "declined":
        assert outcome == "declined 0 CondaSystemExit Exiting.\n"


@pytest.mark.parametrize("name", ["always_yes", "json"])
def test_nobody_is_asked(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    confirm(Config({name: True}), default=False)
    assert capsys.readouterr().out == ""
