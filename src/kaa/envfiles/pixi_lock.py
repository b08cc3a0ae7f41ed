"""`pixi.lock`, versions 6 and 7.

Packages stand once, by address; what the address tells (name, version, build, subdir, channel) is left out there unless
it differs. Version 7 adds platforms that are not plain subdirs, with what their machines are taken to have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from kaa.envfiles.lock import InvalidLock, Lock, LockedDistribution, LockedEnvironment, LockedPlatform
from kaa.envfiles.yaml_text import parse_yaml, scalar
from kaa.errors import KaaError
from kaa.models.artifact import parse_file_name
from kaa.models.channel import path_to_url, split_package_url
from kaa.models.record import RepoDataRecord

Version: TypeAlias = Literal[6, 7]
READABLE = ("6", "7")

_FIELDS = (
    "sha256", "md5", "depends", "constrains", "extra_depends", "flags", "track_features", "features", "license",
    "license_family", "purls", "size", "timestamp", "python_site_packages_path",
)  # fmt: skip
"""What is written of a record, in this order, when it has it."""
_DERIVED = ("name", "version", "build", "build_number", "subdir", "noarch", "channel")
"""What the address tells; written before the others where it differs."""


class _Address(msgspec.Struct):
    url: str


class _Platform(msgspec.Struct, rename="kebab"):
    name: str
    subdir: str = ""
    virtual_packages: list[str] = []


class _Environment(msgspec.Struct):
    channels: list[_Address | str] = []
    indexes: list[str] = []
    packages: dict[str, list[dict[str, str]]] = {}


class _Document(msgspec.Struct):
    version: int
    environments: dict[str, _Environment]
    packages: list[dict[str, Any]]
    platforms: list[_Platform | str] = []


class _Distribution(msgspec.Struct):
    pypi: str
    name: str
    version: str = ""
    sha256: str | None = None
    requires_dist: list[str] = []
    requires_python: str | None = None


def parse_pixi_lock(text: str, *, filename: str = "") -> Lock:
    """The lock that a file holds; raises InvalidLock."""
    content = parse_yaml(text, filename)
    version = content.get("version") if isinstance(content, dict) else None
    if version not in READABLE:
        raise InvalidLock(
            filename,
            "version",
            f"{version!r} is none of the versions of pixi.lock that can be read ({', '.join(READABLE)})",
            hints=("have pixi write it anew",),
        )
    try:
        document = msgspec.convert(content, _Document, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidLock(filename, "", str(error)) from error
    return _Reader(filename, document).lock()


class _Reader:
    def __init__(self, filename: str, document: _Document) -> None:
        self._filename = filename
        self._document = document
        self._conda: dict[str, RepoDataRecord] = {}
        self._pypi: dict[str, LockedDistribution] = {}

    def lock(self) -> Lock:
        for number, package in enumerate(self._document.packages):
            self._read(package, f"packages[{number}]")
        environments = tuple(self._environment(name, one) for name, one in self._document.environments.items())
        return Lock(self._platforms(environments), environments)

    def _error(self, where: str, reason: str) -> InvalidLock:
        return InvalidLock(self._filename, where, reason)

    def _platforms(self, environments: Sequence[LockedEnvironment]) -> tuple[LockedPlatform, ...]:
        given = [
            _Platform(platform) if isinstance(platform, str) else platform for platform in self._document.platforms
        ]
        # Version 6 names them in the environments alone.
        known = {platform.name for platform in given}
        named = dict.fromkeys(name for one in environments for name in (*one.conda, *one.pypi))
        given += [_Platform(name) for name in named if name not in known]
        return tuple(LockedPlatform(one.name, one.subdir or one.name, tuple(one.virtual_packages)) for one in given)

    def _read(self, package: Mapping[str, Any], where: str) -> None:
        try:
            if "conda" in package:
                record = self._record(package, where)
                self._conda[str(package["conda"])] = record
            elif "pypi" in package:
                found = msgspec.convert(dict(package), _Distribution, strict=False)
                self._pypi[found.pypi] = LockedDistribution(
                    name=found.name,
                    version=found.version,
                    url=found.pypi,
                    sha256=found.sha256,
                    requires_dist=tuple(found.requires_dist),
                    requires_python=found.requires_python,
                )
            else:
                kinds = ", ".join(key for key in list(package)[:1]) or "nothing"
                raise self._error(where, f"packages of this kind ({kinds}) cannot be installed from a lock")
        except msgspec.ValidationError as error:
            raise self._error(where, str(error)) from error

    def _record(self, package: Mapping[str, Any], where: str) -> RepoDataRecord:
        location = _address(str(package["conda"]))
        known = {key: value for key, value in package.items() if key in (*_FIELDS, *_DERIVED)}
        return msgspec.convert({**self._derived(location, where), **known}, RepoDataRecord, strict=False)

    def _derived(self, location: str, where: str) -> dict[str, Any]:
        try:
            return _told_by_address(location)
        except (KaaError, ValueError) as error:
            raise self._error(where, str(error)) from error

    def _environment(self, name: str, one: _Environment) -> LockedEnvironment:
        conda: dict[str, tuple[RepoDataRecord, ...]] = {}
        pypi: dict[str, tuple[LockedDistribution, ...]] = {}
        for platform, references in one.packages.items():
            where = f"environments.{name}.packages.{platform}"
            records, distributions = [], []
            for reference in references:
                if (location := reference.get("conda")) is not None:
                    records.append(self._found(self._conda, location, where))
                elif (location := reference.get("pypi")) is not None:
                    distributions.append(self._found(self._pypi, location, where))
                else:
                    raise self._error(where, f"{dict(reference)} is no package that a lock can install")
            conda[platform] = tuple(_completed(record) for record in records)
            if distributions:
                pypi[platform] = tuple(distributions)
        channels = tuple(channel if isinstance(channel, str) else channel.url for channel in one.channels)
        channels = tuple(channel.rstrip("/") for channel in channels)
        return LockedEnvironment(name=name, channels=channels, conda=conda, pypi=pypi, indexes=tuple(one.indexes))

    def _found(self, packages: Mapping[str, Any], location: str, where: str) -> Any:
        if location not in packages:
            raise self._error(where, f"{location} is not among the packages")
        return packages[location]


def _address(location: str) -> str:
    """An absolute path as an address; relative ones, which start at the lock, are for whoever knows where that is."""
    return path_to_url(location, "/", "/") if location.startswith("/") else location


def _told_by_address(url: str) -> dict[str, Any]:
    """What an address tells of a package."""
    channel, subdir, file_name = split_package_url(url)
    artifact = parse_file_name(unquote(file_name))
    return {
        "name": artifact.name,
        "version": artifact.version,
        "build": artifact.build,
        "build_number": _number_of(artifact.build),
        "subdir": subdir,
        "channel": channel,
        "fn": str(artifact),
        "url": url,
    }


def _number_of(build: str) -> int:
    """The build number that a build string ends with, as builders write them."""
    match = re.search(r"(?:^|_)(\d+)$", build)
    return int(match[1]) if match else 0


def _completed(record: RepoDataRecord) -> RepoDataRecord:
    """A record with the kind of noarch that goes without saying, and its channel without a slash at the end."""
    noarch = record.noarch or _noarch_of(record)
    return replace(record, noarch=noarch, channel=record.channel.rstrip("/"))


def _noarch_of(record: RepoDataRecord) -> str | None:
    """The kind of noarch that is left out: what the build string says, by the rule of the programs that write these."""
    if record.subdir != "noarch":
        return None
    return "python" if "py" in record.build else "generic"


# -- writing ----------------------------------------------------------------------------------------------------------


def pixi_lock_text(lock: Lock, *, version: Version = 6) -> str:
    """The lock as a pixi.lock of that version.

    Version 6 has no word for platforms that are not subdirs: there, their packages stand under the subdir's name.
    """
    lines = [f"version: {version}"]
    if version >= 7:
        lines += ["platforms:", *(line for platform in lock.platforms for line in _platform_lines(platform))]
    lines.append("environments:")
    for environment in lock.environments:
        lines += _environment_lines(environment, lock.platforms, version)
    conda = {record.url: record for one in lock.environments for found in one.conda.values() for record in found}
    pypi = {one.url: one for environment in lock.environments for found in environment.pypi.values() for one in found}
    lines.append("packages:" if conda or pypi else "packages: []")
    for url in sorted(conda):
        lines += _record_lines(conda[url])
    for url in sorted(pypi):
        lines += _distribution_lines(pypi[url])
    return "\n".join(lines) + "\n"


def _platform_lines(platform: LockedPlatform) -> Iterator[str]:
    yield f"- name: {scalar(platform.name)}"
    if platform.subdir != platform.name:
        yield f"  subdir: {scalar(platform.subdir)}"
    if platform.virtual_packages:
        yield "  virtual-packages:"
        yield from (f"  - {scalar(text)}" for text in platform.virtual_packages)


def _environment_lines(
    environment: LockedEnvironment, platforms: Sequence[LockedPlatform], version: Version
) -> Iterator[str]:
    yield f"  {scalar(environment.name)}:"
    yield "    channels:" if environment.channels else "    channels: []"
    yield from (f"    - url: {scalar(channel.rstrip('/') + '/')}" for channel in environment.channels)
    if environment.indexes:
        yield "    indexes:"
        yield from (f"    - {scalar(index)}" for index in environment.indexes)
    named = [one for one in platforms if one.name in environment.conda or one.name in environment.pypi]
    yield "    packages:" if named else "    packages: {}"
    for platform in named:
        name = platform.name if version >= 7 else platform.subdir
        urls = sorted(record.url for record in environment.conda.get(platform.name, ()))
        wheels = sorted(one.url for one in environment.pypi.get(platform.name, ()))
        yield f"      {scalar(name)}:" if urls or wheels else f"      {scalar(name)}: []"
        yield from (f"      - conda: {scalar(url)}" for url in urls)
        yield from (f"      - pypi: {scalar(url)}" for url in wheels)


def _record_lines(record: RepoDataRecord) -> Iterator[str]:
    yield f"- conda: {scalar(record.url)}"
    told = _told_by_address(record.url)
    told["noarch"] = _noarch_of(record)
    told["channel"] = told["channel"].rstrip("/")
    if not record.url.startswith(("https:", "http:")) or "%" in record.url:
        # Other readers take the one for a path, which tells them little, and do not resolve the signs in the other.
        told = {"channel": told["channel"]}
    fields = msgspec.to_builtins(record)
    for key in _DERIVED:
        value = fields.get(key, 0 if key == "build_number" else None)
        if value is not None and value != told.get(key):
            yield f"  {key}: {scalar(str(value))}" if isinstance(value, str) else f"  {key}: {value}"
    for key in _FIELDS:
        yield from _field_lines(key, fields.get(key))


def _field_lines(key: str, value: object) -> Iterator[str]:
    """A field of a record; empty ones are left out, but an empty list of purls says something."""
    if key == "track_features" and isinstance(value, str):
        value = value.split()
    if isinstance(value, str) and value:
        yield f"  {key}: {scalar(value)}"
    elif isinstance(value, int):
        yield f"  {key}: {value}"
    elif isinstance(value, dict) and value:
        yield f"  {key}:"
        for name, texts in value.items():
            yield f"    {scalar(name)}:" if texts else f"    {scalar(name)}: []"
            yield from (f"    - {scalar(text)}" for text in texts)
    elif isinstance(value, list | tuple) and (value or key == "purls"):
        yield from _list_lines(key, value)


def _list_lines(key: str, values: Iterable[str]) -> Iterator[str]:
    texts = list(values)
    yield f"  {key}:" if texts else f"  {key}: []"
    yield from (f"  - {scalar(text)}" for text in texts)


def _distribution_lines(one: LockedDistribution) -> Iterator[str]:
    yield f"- pypi: {scalar(one.url)}"
    yield f"  name: {scalar(one.name)}"
    yield f"  version: {scalar(one.version)}"
    if one.sha256:
        yield f"  sha256: {scalar(one.sha256)}"
    if one.requires_dist:
        yield from _list_lines("requires_dist", one.requires_dist)
    if one.requires_python:
        yield f"  requires_python: {scalar(one.requires_python)}"
