"""Where the files of a wheel go in a package (PEP 427, 491): its root, and what its `.data` directory tells apart."""

from __future__ import annotations

import re

import msgspec
from packaging.utils import canonicalize_name

from kaa.archive.tar import Damaged
from kaa.models.pattern import Pattern
from kaa.pypi.interpreters.build_configuration import PLACEHOLDER

SCHEMES = frozenset({"purelib", "platlib", "scripts", "data", "headers"})
SITE_PACKAGES = "site-packages"
PYTHON_SCRIPTS = "python-scripts"
RESERVED = frozenset({"conda-meta", "info", SITE_PACKAGES, PYTHON_SCRIPTS})
"""Directories of an environment, or of a package, that mean something to those who install packages."""
MADE_BY_INSTALLERS = frozenset({"INSTALLER", "REQUESTED", "direct_url.json"})
"""The files of a `.dist-info` that tell of an installation, and not of the wheel."""
PYTHON = f"#!{PLACEHOLDER}/bin/python".encode()
_SHEBANG = re.compile(rb"\A#!(?:\S*/)?python(?:w|[0-9.]*)(?=\s)")
_PYTHONS_OWN = Pattern(r"(?i)pythonw?[0-9.]*(?:\.exe)?")


class WheelLayout(msgspec.Struct, frozen=True):
    """The directories of a package that a wheel of a project has its files in."""

    project: str
    site_packages: str = SITE_PACKAGES
    scripts: str = PYTHON_SCRIPTS
    include: str = "include"

    def place(self, name: str) -> str:
        """Where the file `name` of the wheel goes; raises Damaged."""
        folder, _, rest = name.partition("/")
        if not folder.endswith(".data") or not rest or not self._is_own_data(folder):
            return f"{self.site_packages}/{name}"
        scheme, _, below = rest.partition("/")
        if scheme not in SCHEMES or not below:
            raise Damaged("it has data for an unknown place", name)
        if scheme == "data":
            if below.partition("/")[0].lower() in RESERVED:
                raise Damaged("it has data where only the package manager writes", name)
            return below
        if scheme == "scripts":
            check_command(below, name)
            return f"{self.scripts}/{below}"
        return f"{self.include}/{self.project}/{below}" if scheme == "headers" else f"{self.site_packages}/{below}"

    def _is_own_data(self, folder: str) -> bool:
        return canonicalize_name(folder.removesuffix(".data").rpartition("-")[0]) == self.project


def check_command(command: str, member: str) -> None:
    """Raise Damaged for a program that would take the place of python itself."""
    if _PYTHONS_OWN.fullmatch(command):
        raise Damaged("it has a program with the name of python's own", member)


def with_own_python(content: bytes) -> bytes:
    """A script that is to be started by the python of its environment, which has the placeholder for its prefix."""
    return _SHEBANG.sub(PYTHON, content, count=1)
