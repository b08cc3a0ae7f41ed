"""Packages of pip (and, with older Pythons, setuptools) as an interpreter brings them: from its bundled wheels, or else
from what is installed beside it, as on distributions that bundle none."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from kaa.pypi.interpreters.interpreter import Interpreter
from kaa.pypi.interpreters.staging import bundled_wheels
from kaa.pypi.wheel import PackagedWheel, package_wheel

WHEEL = b"Wheel-Version: 1.0\nGenerator: kaa\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
REWRITTEN = frozenset({"RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json"})
EARLIEST = (1980, 1, 2, 0, 0, 0)


def package_pip(
    interpreter: Interpreter, channel: Path, *, subdir: str, level: int | None = None
) -> list[PackagedWheel]:
    """Write packages of the pip that an interpreter has, and of what is bundled with it; none if it has none."""
    wheels = bundled_wheels(interpreter)
    if any(path.name.startswith("pip-") for path in wheels):
        return [package_wheel(path, channel, subdir=subdir, level=level) for path in wheels]
    information = find_installed_pip(interpreter)
    if information is None:
        return []
    with TemporaryDirectory(prefix="kaa-pip-") as temporary:
        wheel = wheel_of_installed(information, ("pip",), Path(temporary))
        return [package_wheel(wheel, channel, subdir=subdir, level=level)]


def find_installed_pip(interpreter: Interpreter) -> Path | None:
    """The `pip-*.dist-info` beside the pip that an interpreter imports."""
    if not interpreter.pip:
        return None
    return next(iter(sorted(Path(interpreter.pip).parent.glob("pip-*.dist-info"))), None)


def wheel_of_installed(information: Path, packages: tuple[str, ...], folder: Path) -> Path:
    """A wheel of an installed pure project: its `.dist-info` and these packages beside it, written into `folder`."""
    site = information.parent
    target = folder / f"{information.name.removesuffix('.dist-info')}-py3-none-any.whl"
    rows: list[str] = []
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in _iter_installed(site, information, packages):
            archive.writestr(zipfile.ZipInfo(name, EARLIEST), content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            rows.append(f'"{name}",sha256={digest},{len(content)}\n')
        record = f"{information.name}/RECORD"
        archive.writestr(zipfile.ZipInfo(record, EARLIEST), "".join([*rows, f"{record},,\n"]))
    return target


def _iter_installed(site: Path, information: Path, packages: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    for package in packages:
        for path in sorted((site / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path.relative_to(site).as_posix(), path.read_bytes()
    for path in sorted(information.rglob("*")):
        if path.is_file() and path.name not in REWRITTEN:
            yield path.relative_to(site).as_posix(), path.read_bytes()
    yield f"{information.name}/WHEEL", WHEEL
