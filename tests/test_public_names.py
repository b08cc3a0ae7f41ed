"""The public names of `kaa`: each can be had, none costs anything before it is used, and each is documented."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import kaa

REFERENCE = Path(__file__).parent.parent / "docs" / "reference" / "python.md"


@pytest.mark.parametrize("name", kaa.__all__)
def test_every_public_name_can_be_had_and_is_documented(name: str) -> None:
    assert getattr(kaa, name) is not None
    assert f"`{name}" in REFERENCE.read_text()


def test_other_names_cannot() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        kaa.no_such_name  # noqa: B018


@pytest.mark.parametrize(
    ("program", "heavy"),
    [
        ("import kaa", ["typing", "re", "msgspec", "importlib.metadata"]),
        ("from kaa.cli.main import main; main(['--version'])", ["argparse", "json", "msgspec", "ssl", "typing", "re"]),
    ],
)
def test_start_up_loads_nothing_heavy(program: str, heavy: list[str]) -> None:
    check = f"{program}\nimport sys\nprint([name for name in {heavy!r} if name in sys.modules])"
    # -S: what the machine's own site files load does not count.
    path = f"import sys; sys.path.insert(0, {str(Path(kaa.__file__).parent.parent)!r})\n"
    done = subprocess.run([sys.executable, "-S", "-c", path + check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
