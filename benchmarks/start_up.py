"""What a user waits for before anything happens: `kaa --version`, and the text that activates an environment."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import in_turn, run_program, show


def main() -> None:
    kaa = str(Path(sys.executable).parent / "kaa")
    with tempfile.TemporaryDirectory() as folder:
        meta = Path(folder, "envs", "demo", "conda-meta")
        meta.mkdir(parents=True)
        (meta / "history").touch()
        environ = {**os.environ, "KAA_ROOT_PREFIX": folder, "HOME": folder}
        medians = in_turn(
            {
                "kaa --version": lambda: run_program([kaa, "--version"], environ=environ),
                "kaa shell activate bash demo": lambda: run_program(
                    [kaa, "shell", "activate", "bash", "demo"], environ=environ
                ),
                "python -c pass": lambda: run_program([sys.executable, "-c", "pass"]),
                "python -c 'import rattler'": lambda: run_program([sys.executable, "-c", "import rattler"]),
            },
            rounds=15,
        )
    show("Start-up", medians)
