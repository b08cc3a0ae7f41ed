"""Environments of 25 and of 100 wheels beside uv: resolve with all metadata cached, and create with caches warm.

Both read the user's index once, before anything is measured, and work offline then, each on its own cache of the same
wheels. kaa's environments hold a Python of their own (some 2,500 files, twice as many with bytecode), and bytecode,
unless it is told not to; uv links to the interpreter, and compiles only when asked, and then every time. What uv takes
to make the empty virtual environment is not counted.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.measure import Figure, in_turn, run_program, show
from kaa.config.pip_configuration import read_pip_configuration

CUT_OFF = "2026-10-01T00:00:00Z"
FEW = ("numpy", "pandas", "scipy", "matplotlib", "scikit-learn", "requests", "sqlalchemy")
MANY = (*FEW, "seaborn", "jupyter-server", "black", "fastapi", "uvicorn[standard]")
"""As they were on that day, 25 and 100 wheels."""
PYTHON = ".".join(map(str, sys.version_info[:3]))


class Bench(msgspec.Struct):
    """Where both install to, and how they reach the index."""

    root: Path
    environ: dict[str, str]

    @property
    def kaa_prefix(self) -> Path:
        return self.root / "by-kaa"

    @property
    def uv_prefix(self) -> Path:
        return self.root / "by-uv"

    def kaa(self, projects: Sequence[str], *words: str, bytecode: bool = True) -> Figure:
        """`kaa create`, as a whole process."""
        command = [*(sys.executable, "-m", "kaa", "create", "--yes", "--quiet", "--override-channels"), "-c", "pypi"]
        command += [*("--prefix", str(self.kaa_prefix), "--exclude-newer", CUT_OFF), *words]
        return run_program(
            [*command, f"python={PYTHON}", *projects],
            prepare=lambda: shutil.rmtree(self.kaa_prefix, ignore_errors=True),
            environ=self.environ | {"KAA_COMPILE_BYTECODE": str(bytecode)},
        )

    def uv_install(self, projects: Sequence[str], *words: str) -> Figure:
        """`uv pip install` into a new virtual environment."""
        command = [str(self.uv), "pip", "install", "--quiet", "--no-build", "--exclude-newer", CUT_OFF, *words]
        return run_program(
            [*command, "--python", str(self.uv_prefix / "bin" / "python"), *projects],
            prepare=self._make_venv,
            environ=self.environ,
        )

    def uv_compile(self, projects: Sequence[str], *words: str) -> Figure:
        """`uv pip compile`."""
        wanted = self.root / "wanted.txt"
        wanted.write_text("\n".join(projects))
        command = [str(self.uv), "pip", "compile", "--quiet", "--no-build", "--exclude-newer", CUT_OFF, *words]
        return run_program([*command, "--python", sys.executable, str(wanted)], environ=self.environ)

    @property
    def uv(self) -> Path:
        return self.root / "tools" / "bin" / "uv"

    def _make_venv(self) -> None:
        shutil.rmtree(self.uv_prefix, ignore_errors=True)
        command = [str(self.uv), "venv", "--quiet", "--python", sys.executable, str(self.uv_prefix)]
        subprocess.run(command, env=self.environ, check=True)


def open_bench(root: Path) -> Bench | None:
    """Everything in place; None where there is no index, or no uv on it."""
    told = read_pip_configuration(os.environ, str(root))
    venv.create(root / "tools", with_pip=True)
    done = subprocess.run([root / "tools" / "bin" / "pip", "install", "--quiet", "uv"], capture_output=True)
    if done.returncode or not told.main:
        return None
    kept = {
        key: value
        for key, value in os.environ.items()
        if key.lower().endswith("_proxy") or key in ("PATH", "PYTHONPATH")
    }
    kept |= {"SSL_CERT_FILE": told.certificates, "PIP_CERT": told.certificates} if told.certificates else {}
    return Bench(
        root,
        kept
        | {
            "HOME": str(root),
            "KAA_ROOT_PREFIX": str(root / "kaa"),
            "UV_CACHE_DIR": str(root / "uv"),
            "UV_NO_CONFIG": "1",
            "UV_DEFAULT_INDEX": told.main,
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_INDEX_URL": told.main,
        },
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bench = open_bench(Path(folder))
        if bench is None:
            print("\npypi: skipped, no uv can be installed here")
            return
        for projects in (FEW, MANY):
            compare(bench, projects)


def compare(bench: Bench, projects: Sequence[str]) -> None:
    """Fill both caches, and measure."""
    bench.uv_install(projects)
    bench.kaa(projects)
    wheels = len(list((bench.kaa_prefix / "conda-meta").glob("*.json"))) - 1
    files = sum(len(names) for _, _, names in os.walk(bench.kaa_prefix))
    theirs = sum(len(names) for _, _, names in os.walk(bench.uv_prefix))
    medians = in_turn(
        {
            "kaa create --dry-run": lambda: bench.kaa(projects, "--offline", "--dry-run"),
            "uv pip compile": lambda: bench.uv_compile(projects, "--offline"),
        }
    )
    show(f"Resolve {wheels} wheels, metadata cached", medians)
    medians = in_turn(
        {
            "kaa, with bytecode": lambda: bench.kaa(projects, "--offline"),
            "kaa, no bytecode": lambda: bench.kaa(projects, "--offline", bytecode=False),
            "uv, no bytecode": lambda: bench.uv_install(projects, "--offline"),
        },
        rounds=5,
    )
    # A quarter of a minute each time, for it keeps none.
    compiling = {"uv": lambda: bench.uv_install(projects, "--offline", "--compile-bytecode")}
    medians["uv, with bytecode"] = in_turn(compiling, rounds=1, warm_up=0)["uv"]
    show(f"Create an environment of {wheels} wheels", medians, note=f"kaa links {files:,} files, uv {theirs:,}.")
