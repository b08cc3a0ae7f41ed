"""The main job on real packages: an environment of Python and PyPI's projects, used, changed, undone, locked, remade.

Run by `make demo`. Everything is made below build/demo; nothing outside it changes. Python comes from this machine's
interpreters, packages from the index that pip or uv is configured for; what was fetched is kept, so that a second run
works without a network.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

BUILD = Path(__file__).resolve().parent.parent / "build" / "demo"
ROOT, HOME, LOCK = BUILD / "root", BUILD / "home", BUILD / "kaa.lock"
KAA = [sys.executable, "-m", "kaa"]
FROM_PYPI = ["-c", "pypi"]
SETTINGS_OF_INDEXES = (".config/pip", ".pip", ".config/uv", ".netrc")
"""Where in a home directory it stands which package index is used, and with what password."""

ENVIRON = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("CONDA", "KAA", "PYTHON", "VIRTUAL_ENV", "XDG_"))
} | {"KAA_ROOT_PREFIX": str(ROOT), "HOME": str(HOME)}

steps: list[tuple[str, float]] = []


def step(title: str, command: Sequence[str], *, environ: dict[str, str] | None = None) -> None:
    """Run a command, show it and what it prints, and remember how long it took."""
    shown = " ".join(command).replace(" ".join(KAA), "kaa").replace(str(BUILD), "build/demo")
    print(f"\n== {title}\n$ {shown if len(shown) < 300 else shown[:297] + '...'}", flush=True)
    start = time.perf_counter()
    done = subprocess.run(command, env=environ or ENVIRON)
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        sys.exit(f"demo: this step failed with exit code {done.returncode}: {shown}")
    steps.append((title, seconds))


def make_home() -> None:
    """A home directory of its own, with the user's settings of package indexes."""
    HOME.mkdir(parents=True, exist_ok=True)
    for name in SETTINGS_OF_INDEXES:
        theirs, ours = Path.home() / name, HOME / name
        if theirs.exists() and not ours.is_symlink():
            ours.parent.mkdir(parents=True, exist_ok=True)
            ours.symlink_to(theirs)


def make_environments() -> None:
    for folder in (ROOT / "envs", ROOT / "conda-meta"):
        shutil.rmtree(folder, ignore_errors=True)
    wanted = ["python", "numpy", "pandas", "sympy"]
    step("Create from PyPI, with this machine's Python", [*KAA, "create", "-y", "-n", "demo", *FROM_PYPI, *wanted])
    step("Create another, cache warm", [*KAA, "create", "-y", "-q", "-n", "warm", *FROM_PYPI, *wanted])


def use_environment() -> None:
    program = (
        "import sys, numpy, pandas, sympy;"
        "print('prefix', sys.prefix);"
        "print(pandas.DataFrame({'x': numpy.arange(3), 'y': numpy.arange(3) ** 2}).sum().to_dict());"
        "print(sympy.integrate(sympy.Symbol('x') ** 2))"
    )
    step("Run inside", [*KAA, "run", "-n", "demo", "python", "-c", program])
    inside = 'kaa activate demo && echo "$CONDA_DEFAULT_ENV: $(command -v python)" && kaa deactivate'
    if bash := shutil.which("bash"):
        hook = f'eval "$({" ".join(KAA)} shell hook bash)"; {inside}'
        step("Activate in bash", [bash, "--norc", "-ec", hook])
    step("List", [*KAA, "list", "-n", "demo"])


def change_and_go_back() -> None:
    step("Add a package", [*KAA, "install", "-y", "-n", "demo", "tabulate"])
    step("Use its command", [*KAA, "run", "-n", "demo", "tabulate", "--help"])
    step("Undo that", [*KAA, "undo", "-y", "-n", "demo"])
    step("Every file against its hash", [*KAA, "verify", "-n", "demo"])


def lock_and_remake() -> None:
    LOCK.unlink(missing_ok=True)
    step("Lock it", [*KAA, "export", "-n", "demo", "--format", "kaa-lock", "--file", str(LOCK)])
    step(
        "Make it again from the lock, offline", [*KAA, "create", "-y", "-n", "again", "--offline", "--file", str(LOCK)]
    )
    step("Run in that", [*KAA, "run", "-n", "again", "python", "-c", "import pandas; print(pandas.__version__)"])
    step("Remove an environment", [*KAA, "env", "remove", "-y", "-n", "warm"])


def main() -> None:
    make_home()
    make_environments()
    use_environment()
    change_and_go_back()
    lock_and_remake()
    print("\n== What it took")
    for title, seconds in steps:
        print(f"{seconds:8.2f} s  {title}")
    print("\nTry it: KAA_ROOT_PREFIX=build/demo/root .venv/bin/kaa run -n demo python")


if __name__ == "__main__":
    main()
