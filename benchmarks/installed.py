"""kaa as users have it: installed from this checkout into an environment that holds nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
FOLDER = CHECKOUT / "build" / "bench"


def installed_kaa() -> Path:
    """The `kaa` program of an environment with the present state of this checkout, its bytecode compiled."""
    home = FOLDER / "venv"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
    known = home / "dependencies-installed"
    words = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    again = ["--no-deps", "--force-reinstall"] if known.exists() else []
    subprocess.run([*words, *again, CHECKOUT], check=True)
    known.touch()
    return home / "bin" / "kaa"


def clean_environ(home: Path) -> Mapping[str, str]:
    """Variables for measured programs: nothing of kaa, conda or Python is set."""
    foreign = ("KAA_", "CONDA_", "MAMBA_", "PYTHON")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    return {**kept, "HOME": str(home), "KAA_ROOT_PREFIX": str(home / "kaa")}


if __name__ == "__main__":
    sys.stdout.write(f"{installed_kaa()}\n")
