"""Make packages of wheels: pure ones become `noarch: python`, others are for their platform and Python (PEP 427, 491).

A wheel for one Python (`cp311`) has its files in that Python's directories. One for a platform but any Python (`abi3`,
`py3-none-…`) becomes a `noarch: python` package in the platform's subdir (CEP 20). `kaa.pypi.requirements` tells
how dependencies are rendered, and when a wheel becomes more than one package.
"""

from __future__ import annotations

import base64
import calendar
import csv
import hashlib
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from kaa.archive.tar import Damaged
from kaa.archive.write import Source, SourceBytes, SourceFile
from kaa.errors import KaaError
from kaa.models.entry_point import InvalidEntryPoint, parse_entry_point
from kaa.models.match_spec import MatchSpec
from kaa.models.package_info import IndexJson, LinkJson, NoArchLink
from kaa.models.subdir import is_windows
from kaa.pypi.built_package import BuiltPackage, digest_of
from kaa.pypi.interpreters.build_configuration import PLACEHOLDER
from kaa.pypi.pep440 import conda_name, conda_version
from kaa.pypi.requirements import (
    Dependencies,
    PlatformMatters,
    PythonRange,
    Requirements,
    conditional_dependencies,
    parse_requirements,
    plain_dependencies,
    python_ranges_of,
    python_spec,
)
from kaa.pypi.tags import Build, builds_of
from kaa.pypi.unpacked_wheel import Wheel, read_wheel
from kaa.pypi.wheel_file import BadWheel, is_script_of_data
from kaa.pypi.wheel_layout import MADE_BY_INSTALLERS, WheelLayout, check_command, with_own_python

INSTALLER = b"conda\n"
"""Which tool manages these files: pip then leaves them alone, and other tools take them for a conda package's."""
_LICENSE_FILE = re.compile(r"(?i)(licen[cs]e|copying|notice)[^/]*")


class NoPackage(KaaError):
    """A sound wheel of which nothing can be made for what was asked."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"no package can be made of {path.name}: {reason}")


@dataclass(frozen=True, slots=True)
class PackagedWheel:
    """The packages made of one wheel, and what they could not take over from it."""

    wheel: Path
    paths: tuple[Path, ...]
    notes: tuple[str, ...]


def package_wheel(
    wheel: Path,
    channel: Path,
    *,
    subdir: str,
    v3: bool = False,
    python: str | None = None,
    level: int | None = None,
) -> PackagedWheel:
    """Write the packages that a wheel becomes into the folder of a channel (which is not indexed).

    `subdir` is the platform for which a pure wheel is made if its dependencies differ between platforms. With `python`
    (`3.12`) packages are for that Python alone. Raises BadWheel, NoPackage, NotConvertible.
    """
    with TemporaryDirectory(prefix="kaa-wheel-") as temporary:
        found = read_wheel(wheel, Path(temporary))
        requirements = parse_requirements(
            found.project,
            found.metadata.get("requires_dist", []),
            found.metadata.get("requires_python", ""),
            found.metadata.get("provides_extra", []),
        )
        notes: dict[str, None] = {}
        paths = []
        for build in _builds(found, python):
            for part in python_ranges_of(requirements, build.python, split=not v3):
                try:
                    package, dependencies = _package(found, requirements, build, part, subdir, v3=v3)
                except InvalidEntryPoint as error:
                    raise BadWheel(wheel, error.reason, error.entry_point) from error
                except Damaged as error:
                    raise BadWheel(wheel, error.reason, error.member) from error
                notes |= dict.fromkeys(dependencies.notes)
                paths.append(package.write(channel, level=level))
    return PackagedWheel(wheel, tuple(paths), tuple(notes))


def _builds(wheel: Wheel, python: str | None) -> list[Build]:
    builds, left_aside = builds_of(wheel.tags)
    if not builds:
        raise NoPackage(wheel.path, "; ".join(dict.fromkeys(left_aside)))
    if python is None:
        return builds
    wanted = [_narrowed(build, python) for build in builds]
    chosen = [build for build in wanted if build is not None]
    if not chosen:
        raise NoPackage(wheel.path, f"it is not for Python {python}")
    return chosen


def _narrowed(build: Build, python: str) -> Build | None:
    """The build for one minor version of Python, if it is for that."""
    if build.minor:
        return build if build.minor == python else None
    wanted = tuple(int(part) for part in python.split("."))
    if build.python.startswith(">="):
        least = tuple(int(part) for part in build.python[2:].split("."))
        return Build(build.subdir, f"{python}.*", build.platform_depends) if wanted >= least else None
    return build if build.python.split(".*")[0] == python else None


def _package(
    wheel: Wheel, requirements: Requirements, build: Build, part: PythonRange, subdir: str, *, v3: bool
) -> tuple[BuiltPackage, Dependencies]:
    target = None if build.subdir == "noarch" else build.subdir
    try:
        dependencies = _dependencies(requirements, build, part, target, v3=v3)
    except PlatformMatters:
        target = subdir
        dependencies = _dependencies(requirements, build, part, target, v3=v3)
        dependencies.notes.append(
            f"its dependencies differ between platforms: the package is for {subdir}; make it on, or with "
            "--platform for, every other one"
        )
    depends = [f"python {dependencies.python}", *build.platform_depends]
    if dependencies.uses_v3:
        depends = [MatchSpec.parse(text).bracket_text() for text in depends]
    contents = _Contents(wheel, build, target or "noarch")
    contents.collect()
    everything = (*depends, *dependencies.depends)
    groups = {extra: tuple(group) for extra, group in dependencies.extra_depends.items()}
    digest = digest_of(contents.files, build.subdir, *everything, str(sorted(groups.items())), *wheel.scripts)
    index = IndexJson(
        name=conda_name(wheel.project),
        version=conda_version(str(wheel.version)),
        build=f"py{build.minor.replace('.', '')}h{digest}_{wheel.build_number}",
        build_number=wheel.build_number,
        depends=everything,
        extra_depends=groups,
        schema_version=3 if dependencies.uses_v3 else 1,
        subdir=target or "noarch",
        noarch="python" if contents.is_noarch else None,
        license=_license_of(wheel),
        timestamp=calendar.timegm((*wheel.newest, 0, 0, 0)) * 1000,
        purls=(f"pkg:pypi/{wheel.project}@{wheel.version}",),
    )
    link = LinkJson(noarch=NoArchLink(type="python", entry_points=wheel.scripts)) if contents.is_noarch else None
    package = BuiltPackage(
        index,
        contents.files,
        frozenset(contents.placeholders),
        link,
        about=_about(wheel),
        info_files=_license_files(wheel),
    )
    return package, dependencies


def _dependencies(
    requirements: Requirements, build: Build, part: PythonRange, target: str | None, *, v3: bool
) -> Dependencies:
    python = python_spec(requirements, build.python, part)
    if v3:
        return conditional_dependencies(requirements, python, build.python, target)
    return plain_dependencies(requirements, python, part, target)


# -- files ------------------------------------------------------------------------------------------------------------


class _Contents:
    """The files of a wheel where a conda package has them."""

    def __init__(self, wheel: Wheel, build: Build, subdir: str) -> None:
        self.wheel = wheel
        self.files: dict[str, Source] = {}
        self.placeholders: set[str] = set()
        # Programs for entry points on Windows are the client's to make: it knows the launcher.
        self.is_noarch = not build.minor or is_windows(subdir)
        threads = "t" if build.python.endswith("t") else ""
        self.directory_name = f"python{build.minor}{threads}"
        own = self.directory_name
        self.layout = (
            WheelLayout(wheel.project)
            if self.is_noarch
            else WheelLayout(wheel.project, f"lib/{own}/site-packages", "bin", f"include/{own}")
        )
        self.site_packages = self.layout.site_packages
        self._recorded: list[tuple[str, str, str]] = []

    def collect(self) -> None:
        """Find the place of every file, and add what an installer adds."""
        information = self.wheel.dist_info
        made = {f"{information}/{name}" for name in MADE_BY_INSTALLERS}
        for name, executable in sorted(self.wheel.files.items()):
            if name not in made:
                self._add(name, executable=executable)
        self._add_programs()
        self._put(f"{self.site_packages}/{information}/INSTALLER", SourceBytes(INSTALLER), INSTALLER)
        record = f"{self.site_packages}/{information}/RECORD"
        self._recorded.append((record, "", ""))
        self.files[record] = SourceBytes(self._record())

    def _add(self, name: str, *, executable: bool) -> None:
        path = self.layout.place(name)
        source = self.wheel.folder / name
        content = source.read_bytes()
        script = is_script_of_data(name)
        mode = 0o755 if executable or script else 0o644
        changed = with_own_python(content) if script else content
        if changed != content:
            self.placeholders.add(path)
            self._put(path, SourceBytes(changed, mode), None)
        else:
            self._put(path, SourceFile(source, mode), content)

    def _put(self, path: str, source: Source, content: bytes | None) -> None:
        """Take a file in; without content RECORD has no hash for it, because it will change."""
        if path in self.files:
            raise Damaged("two files of it have one place", path)
        self.files[path] = source
        if content is None:
            self._recorded.append((path, "", ""))
        else:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            self._recorded.append((path, f"sha256={digest}", str(len(content))))

    def _add_programs(self) -> None:
        """The programs of entry points: written here for one Python, else by the client that links the package."""
        for text in self.wheel.scripts:
            entry_point = parse_entry_point(text, self.wheel.path.name)
            check_command(entry_point.command, text)
            if self.is_noarch:
                self._recorded.append((f"{self.layout.scripts}/{entry_point.command}", "", ""))
                continue
            path = f"{self.layout.scripts}/{entry_point.command}"
            program = f"#!{PLACEHOLDER}/bin/{self.directory_name}\n{entry_point.program}"
            self.placeholders.add(path)
            self._put(path, SourceBytes(program.encode(), 0o755), None)

    def _record(self) -> bytes:
        """RECORD as it has to be once installed: paths are relative to site-packages."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        prefix = f"{self.site_packages}/"
        for path, digest, size in sorted(self._recorded):
            if path.startswith(prefix):
                relative = path.removeprefix(prefix)
            else:
                relative = "../../../" + re.sub(r"\Apython-scripts/", "bin/", path)
            writer.writerow((relative, digest, size))
        return text.getvalue().encode()


# -- what is told about it --------------------------------------------------------------------------------------------


def _license_of(wheel: Wheel) -> str | None:
    text = wheel.metadata.get("license_expression") or wheel.metadata.get("license") or ""
    if text and "\n" not in text and len(text) <= 100:
        return text
    classified = [line.rpartition(" :: ")[2] for line in wheel.metadata.get("classifiers", []) if "License ::" in line]
    return " AND ".join(classified) or None


def _about(wheel: Wheel) -> dict[str, object]:
    metadata = wheel.metadata
    urls = {label.lower(): url for label, url in metadata.get("project_urls", {}).items()}
    about = {
        "summary": metadata.get("summary"),
        "license": _license_of(wheel),
        "home": metadata.get("home_page") or _first(urls, ("homepage", "home")),
        "dev_url": _first(urls, ("source", "repository", "source code", "code", "github")),
        "doc_url": _first(urls, ("documentation", "docs")),
    }
    return {key: value for key, value in about.items() if value}


def _first(urls: dict[str, str], labels: Iterable[str]) -> str | None:
    return next((urls[label] for label in labels if label in urls), None)


def _license_files(wheel: Wheel) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name in sorted(wheel.files):
        if name.startswith(f"{wheel.dist_info}/") and _LICENSE_FILE.fullmatch(name.rpartition("/")[2]):
            relative = name.removeprefix(f"{wheel.dist_info}/").removeprefix("licenses/")
            found[f"licenses/{relative}"] = (wheel.folder / name).read_bytes()
    return found
