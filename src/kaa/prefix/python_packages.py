"""What pip and its like put into site-packages: distributions that no conda package owns."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from kaa.host.files import read_regular_file
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.prefix import Prefix

METADATA_LIMIT = 1 << 20
INFO = "-info"
"""In the path of every metadata directory: `.dist-info`, `.egg-info`."""


class PythonDistribution(msgspec.Struct, frozen=True):
    """An installed Python distribution, read from its metadata."""

    name: str
    """As the project spells it"""
    version: str
    metadata: str
    """The path of its `.dist-info` or `.egg-info`, below the environment"""
    installer: str = ""
    """`pip`, `uv`, `conda`; empty when it does not say"""
    editable_source: str | None = None
    """The directory of the project, when it is installed from there as it is"""

    @property
    def normalized_name(self) -> str:
        """The name in the spelling in which PyPI compares names (PEP 503)."""
        return re.sub(r"[-_.]+", "-", self.name).lower()


def find_distributions(prefix: Prefix, records: Sequence[PrefixRecord]) -> tuple[PythonDistribution, ...]:
    """The distributions of an environment that none of its `records` owns, by name."""
    owned = {path for record in records for path in record.files if INFO in path}
    owned |= {path.rpartition("/")[0] for path in owned}
    found: dict[str, PythonDistribution] = {}
    for site_packages in site_packages_directories(prefix, records):
        for child in sorted(_children(prefix.path / site_packages)):
            distribution = read_distribution(child, f"{site_packages}/{child.name}")
            if distribution is not None and distribution.metadata not in owned:
                found.setdefault(distribution.normalized_name, distribution)
    return tuple(found[name] for name in sorted(found))


def find_replaced(
    records: Sequence[PrefixRecord], distributions: Sequence[PythonDistribution]
) -> tuple[tuple[PrefixRecord, PythonDistribution], ...]:
    """The packages in whose place something else put another version of their project, each with that version."""
    by_name = {one.normalized_name: one for one in distributions}
    if not by_name:
        return ()
    found = []
    for record in records:
        projects = {name for path in record.files if INFO in path and (name := _project_of(path))}
        found += [(record, by_name[name]) for name in sorted(projects & by_name.keys())]
    return tuple(found)


def _project_of(path: str) -> str:
    """The normalized name of the project whose metadata directory a file is in; empty for other files."""
    folder = path.rpartition("/")[0].rpartition("/")[2]
    if not folder.endswith((".dist-info", ".egg-info")):
        return ""
    return re.sub(r"[-_.]+", "-", folder.partition("-")[0]).lower()


def site_packages_directories(prefix: Prefix, records: Sequence[PrefixRecord]) -> tuple[str, ...]:
    """The site-packages directories that an environment has, as posix paths below it."""
    python = next((record for record in records if record.name == "python"), None)
    wanted = [python.python_site_packages_path] if python is not None and python.python_site_packages_path else []
    wanted.append("Lib/site-packages")
    with contextlib.suppress(PermissionError):
        wanted += sorted(
            f"lib/{path.name}/site-packages"
            for path in _children(prefix.path / "lib")
            # `lib/python3.1` is a link to the real directory in many environments.
            if path.name.startswith("python") and not path.is_symlink()
        )
    return tuple(path for path in dict.fromkeys(wanted) if (prefix.path / path).is_dir())


def _children(directory: Path) -> list[Path]:
    """What is in a directory; nothing in one that is not there, or that somebody removes just now."""
    try:
        return list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def read_distribution(path: Path, relative: str) -> PythonDistribution | None:
    """The distribution whose metadata is at `path`, which is `relative` to its environment; None where it is none."""
    if path.name.endswith(".dist-info"):
        return _dist_info(path, relative)
    if path.name.endswith(".egg-info"):
        file = path / "PKG-INFO" if path.is_dir() else path
        return _from_metadata(file, path.name.removesuffix(".egg-info"), relative)
    if path.name.endswith(".egg-link"):
        return _egg_link(path, relative)
    return None


def _dist_info(path: Path, relative: str) -> PythonDistribution | None:
    found = _from_metadata(path / "METADATA", path.name.removesuffix(".dist-info"), relative)
    if found is None:
        return None
    installer = _read(path / "INSTALLER").strip()
    return PythonDistribution(found.name, found.version, relative, installer, _editable_source(path))


def _editable_source(path: Path) -> str | None:
    """The project directory that direct_url.json (PEP 610) names for an editable installation."""
    try:
        content = json.loads(_read(path / "direct_url.json") or "{}")
        if content["dir_info"]["editable"] is not True:
            return None
        return unquote(urlsplit(content["url"]).path)
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _egg_link(path: Path, relative: str) -> PythonDistribution | None:
    lines = _read(path).splitlines()
    if not lines:
        return None
    source = Path(lines[0].strip())
    for child in sorted(source.glob("*.egg-info")):
        found = _from_metadata(child / "PKG-INFO", path.stem, relative)
        if found is not None:
            return PythonDistribution(found.name, found.version, relative, "", str(source))
    return PythonDistribution(path.stem, "", relative, "", str(source))


def _from_metadata(file: Path, stem: str, relative: str) -> PythonDistribution | None:
    """Name and version from the headers of a metadata file, else from the name of its directory."""
    headers = dict(_headers(_read(file)))
    name, _, version = stem.partition("-")
    # An egg-info directory may be called name-version-pyX.Y.
    version = re.sub(r"-py\d[\d.]*$", "", version)
    name, version = headers.get("name", name), headers.get("version", version)
    return PythonDistribution(name, version, relative) if name and version else None


def _headers(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        if not line.strip():
            return
        key, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            yield key.strip().lower(), value.strip()


def _read(path: Path) -> str:
    try:
        return read_regular_file(path, METADATA_LIMIT).decode(errors="replace")
    except OSError:
        return ""
