"""For which of conda's platforms an interpreter is, and of which no packages are made."""

from __future__ import annotations

from pathlib import Path

from kaa.errors import KaaError
from kaa.pypi.interpreters.elf import ElfImage
from kaa.pypi.interpreters.interpreter import Interpreter

SUBDIRS = {
    (3, 32): "linux-32",
    (62, 64): "linux-64",
    (183, 64): "linux-aarch64",
    (40, 32): "linux-armv7l",
    (21, 64): "linux-ppc64le",
    (22, 64): "linux-s390x",
    (243, 64): "linux-riscv64",
}
"""Number and word size of a machine in ELF files → the subdir of conda."""


class CannotPackage(KaaError):
    """An interpreter of which no package can be made."""

    def __init__(self, interpreter: str, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.interpreter = interpreter
        self.reason = reason
        super().__init__(f"no package can be made of {interpreter}: {reason}", hints=hints)


def supported_subdir(answer: Interpreter) -> str:
    """The subdir for packages of an interpreter; raises CannotPackage."""
    if answer.implementation != "cpython":
        raise CannotPackage(answer.executable, f"it is {answer.implementation}, and packages need CPython")
    if answer.platform != "linux":
        raise CannotPackage(answer.executable, f"it is for {answer.platform}, and this is done on Linux only")
    image = ElfImage(Path(answer.executable).read_bytes(), answer.executable)
    if "musl" in (image.interpreter or ""):
        reason = "it uses musl, and conda's platforms for Linux mean the GNU C library"
        raise CannotPackage(answer.executable, reason)
    subdir = SUBDIRS.get((image.machine, image.bits))
    if subdir is None:
        raise CannotPackage(answer.executable, f"its machine (number {image.machine}) has no platform name in conda")
    return subdir
