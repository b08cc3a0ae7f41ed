"""The reference pages are current, and leave nothing out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from kaa.cli.reference import commands_page, options_page
from kaa.cli.table import COMMANDS
from kaa.config.options import OPTIONS

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_written_pages_are_current() -> None:
    done = subprocess.run(
        [sys.executable, str(DOCS / "generate_reference.py"), "--check"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_option_is_in_the_reference() -> None:
    page = options_page()
    for name, option in OPTIONS.items():
        assert (f"`{name}`" if option.inert else f"### {name}\n") in page


def test_every_command_and_flag_is_in_the_reference() -> None:
    page = commands_page()
    for command in COMMANDS:
        assert f"## kaa {command.name}\n" in page
        for alias in command.aliases:
            assert f"`kaa {alias}`" in page
    for heading in ("### kaa env create", "#### kaa env config vars", "##### kaa env config vars set"):
        assert heading in page
    assert "- `-n`, `--name` `NAME`: the environment of that name." in page
    assert "==SUPPRESS==" not in page
