"""The main job on real packages: a channel from this machine's Python and real wheels, an environment from it, used.

Run by `make demo`. Everything is made below build/demo; nothing outside it changes. Wheels come from the package index
that pip is configured for; they are kept, so a second run works without a network.
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
WHEELS, CHANNEL, ROOT = BUILD / "wheels", BUILD / "channel", BUILD / "root"
PROJECTS = ["numpy", "pandas", "sympy", "tabulate"]
KAA = [sys.executable, "-m", "kaa"]

ENVIRON = {
    key: value for key, value in os.environ.items() if not key.startswith(("CONDA", "KAA", "PYTHON", "VIRTUAL_ENV"))
} | {"KAA_ROOT_PREFIX": str(ROOT), "HOME": str(BUILD / "home")}

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


def fetch_wheels() -> None:
    """Download the wheels of `PROJECTS` and of what they need, unless they are all there."""
    if WHEELS.is_dir() and all(any(WHEELS.glob(f"{project}-*.whl")) for project in PROJECTS):
        print(f"wheels: {len(list(WHEELS.glob('*.whl')))} kept from an earlier run")
        return
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    step("Fetch real wheels", [*pip, "--only-binary=:all:", "--dest", str(WHEELS), *PROJECTS], environ=dict(os.environ))


def make_channel() -> None:
    shutil.rmtree(CHANNEL, ignore_errors=True)
    step("Package this machine's Python", [*KAA, "package", "python", "--channel", str(CHANNEL)])
    wheels = sorted(str(path) for path in WHEELS.glob("*.whl"))
    step("Package the wheels", [*KAA, "package", "wheel", *wheels, "--channel", str(CHANNEL)])
    step("Index the channel", [*KAA, "channel", "index", str(CHANNEL)])


def use_environment() -> None:
    shutil.rmtree(ROOT, ignore_errors=True)
    only = ["--override-channels", "-c", str(CHANNEL)]
    step("Create, cache cold", [*KAA, "create", "-y", "-n", "demo", *only, "python", "numpy", "pandas", "sympy"])
    step(
        "Create another, cache warm",
        [*KAA, "create", "-y", "-q", "-n", "warm", *only, "python", "numpy", "pandas", "sympy"],
    )
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
    step("Add a package", [*KAA, "install", "-y", "-n", "demo", *only, "tabulate"])
    step("Use its command", [*KAA, "run", "-n", "demo", "tabulate", "--help"])
    step("Remove it", [*KAA, "remove", "-y", "-n", "demo", "tabulate"])
    step("Remove an environment", [*KAA, "env", "remove", "-y", "-n", "warm"])


def main() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "home").mkdir(exist_ok=True)
    fetch_wheels()
    make_channel()
    use_environment()
    print("\n== What it took")
    for title, seconds in steps:
        print(f"{seconds:8.2f} s  {title}")
    print("\nTry it: KAA_ROOT_PREFIX=build/demo/root .venv/bin/kaa run -n demo python")


if __name__ == "__main__":
    main()
