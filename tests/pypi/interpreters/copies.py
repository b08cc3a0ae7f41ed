"""Copies of the interpreter that the tests run on, which can be changed and taken away."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from kaa.pypi.interpreters.build_configuration import SHARED_PREFIXES
from kaa.pypi.interpreters.interpreter import Interpreter, ask_interpreter

OWN = ask_interpreter(Path(sys.executable))


def copied_interpreter(folder: Path, original: Interpreter = OWN) -> Path:
    """A copy of an interpreter that has a prefix of its own; of one that shares it, the interpreter itself."""
    if original.prefix in SHARED_PREFIXES:
        return Path(original.executable)
    name = Path(original.executable).name
    for part in ("bin", "lib", "include"):
        (folder / part).mkdir(parents=True)
    shutil.copy2(original.executable, folder / "bin" / name)
    for path in Path(original.prefix).glob("lib/libpython*"):
        shutil.copy2(path, folder / "lib", follow_symlinks=False)
    ignore = shutil.ignore_patterns("test", "tests", "__pycache__", "site-packages", "*.a", "*.o")
    shutil.copytree(original.stdlib, folder / "lib" / Path(original.stdlib).name, ignore=ignore)
    shutil.copytree(original.include, folder / "include" / Path(original.include).name)
    return folder / "bin" / name
