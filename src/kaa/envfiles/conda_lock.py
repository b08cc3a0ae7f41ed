"""`conda-lock.yml`, version 1 (CEP 37).

Its packages belong to categories: `main` is the environment `default` here, and every other category an environment of
that name, which holds what `main` holds, too. A package says its address, its hashes and what it depends on; all else
is read from the channel or the package.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal
from urllib.parse import unquote

import msgspec

from kaa.envfiles.lock import (
    DEFAULT_ENVIRONMENT,
    InvalidLock,
    Lock,
    LockedDistribution,
    LockedEnvironment,
    LockedPlatform,
)
from kaa.envfiles.yaml_text import parse_yaml, scalar
from kaa.errors import KaaError
from kaa.models.artifact import parse_file_name
from kaa.models.channel import split_package_url
from kaa.models.invalid_text import InvalidText
from kaa.models.record import RepoDataRecord

MAIN = "main"


class _Hash(msgspec.Struct):
    md5: str | None = None
    sha256: str | None = None


class _Package(msgspec.Struct, kw_only=True):
    name: str
    version: str
    manager: Literal["conda", "pip"]
    platform: str
    url: str
    hash: _Hash
    dependencies: dict[str, str] = {}
    category: str = MAIN


class _Channel(msgspec.Struct):
    url: str


class _Metadata(msgspec.Struct):
    platforms: list[str]
    channels: list[_Channel] = []


class _Document(msgspec.Struct):
    version: int
    metadata: _Metadata
    package: list[_Package]


class HashMissing(KaaError):
    """A package cannot be written into a conda-lock.yml, because its MD5 is not known."""

    def __init__(self, package: str) -> None:
        self.package = package
        super().__init__(
            f"conda-lock.yml needs the MD5 of every conda package, and that of {package} is not known",
            hints=("write another format, for instance pixi-lock or kaa-lock",),
        )


def parse_conda_lock(text: str, *, filename: str = "") -> Lock:
    """The lock that a file holds; raises InvalidLock."""
    content = parse_yaml(text, filename)
    version = content.get("version") if isinstance(content, dict) else None
    if version != "1":
        raise InvalidLock(filename, "version", f"this is no conda-lock.yml of version 1, but of {version!r}")
    try:
        document = msgspec.convert(content, _Document, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidLock(filename, "", str(error)) from error
    platforms = tuple(LockedPlatform(name, name) for name in document.metadata.platforms)
    channels = tuple(channel.url for channel in document.metadata.channels)
    categories = dict.fromkeys([MAIN, *(package.category for package in document.package)])
    reader = _Reader(filename, document.metadata.platforms)
    environments = [
        reader.environment(category, channels, [one for one in document.package if one.category in (MAIN, category)])
        for category in categories
    ]
    return Lock(platforms, tuple(environments))


class _Reader:
    def __init__(self, filename: str, platforms: Sequence[str]) -> None:
        self._filename = filename
        self._platforms = platforms

    def environment(self, category: str, channels: tuple[str, ...], packages: Sequence[_Package]) -> LockedEnvironment:
        conda: dict[str, tuple[RepoDataRecord, ...]] = dict.fromkeys(self._platforms, ())
        pypi: dict[str, tuple[LockedDistribution, ...]] = {}
        for package in packages:
            where = f"package {package.name} for {package.platform}"
            if package.platform not in conda:
                raise InvalidLock(self._filename, where, "its platform is not among metadata.platforms")
            if package.manager == "conda":
                conda[package.platform] += (self._record(package, where),)
            else:
                pypi[package.platform] = (*pypi.get(package.platform, ()), _distribution(package))
        name = DEFAULT_ENVIRONMENT if category == MAIN else category
        return LockedEnvironment(name=name, channels=channels, conda=conda, pypi=pypi)

    def _record(self, package: _Package, where: str) -> RepoDataRecord:
        try:
            channel, subdir, file_name = split_package_url(package.url)
            artifact = parse_file_name(unquote(file_name))
        except (InvalidText, KaaError, ValueError) as error:
            raise InvalidLock(self._filename, where, str(error)) from error
        if (artifact.name, artifact.version) != (package.name, package.version):
            raise InvalidLock(self._filename, where, f"its address is that of {artifact.dist}")
        return RepoDataRecord(
            name=artifact.name,
            version=artifact.version,
            build=artifact.build,
            subdir=subdir,
            channel=channel,
            fn=str(artifact),
            url=package.url,
            md5=package.hash.md5,
            sha256=package.hash.sha256,
            depends=tuple(_spec(name, constraint) for name, constraint in package.dependencies.items()),
        )


def _spec(name: str, constraint: str) -> str:
    return name if constraint in ("", "*") else f"{name} {constraint}"


def _distribution(package: _Package) -> LockedDistribution:
    return LockedDistribution(
        name=package.name,
        version=package.version,
        url=package.url,
        sha256=package.hash.sha256,
        requires_dist=tuple(f"{name} {text}".strip() for name, text in package.dependencies.items()),
    )


def conda_lock_text(lock: Lock, *, sources: Iterable[str] = ()) -> str:
    """The lock as a conda-lock.yml; raises HashMissing.

    What only other environments than `default` hold gets their names as its category.
    """
    packages = list(_package_lines(lock))
    return "\n".join([*_metadata_lines(lock, sources), "package:" if packages else "package: []", *packages]) + "\n"


def _metadata_lines(lock: Lock, sources: Iterable[str]) -> Iterator[str]:
    channels = dict.fromkeys(channel for environment in lock.environments for channel in environment.channels)
    yield "version: 1"
    yield "metadata:"
    yield "  content_hash:"
    for platform in lock.platforms:
        yield f"    {scalar(platform.name)}: {_content_hash(lock, platform)}"
    yield "  channels:" if channels else "  channels: []"
    for channel in channels:
        yield f"  - url: {scalar(channel)}"
        yield "    used_env_vars: []"
    yield "  platforms:"
    yield from (f"  - {scalar(platform.name)}" for platform in lock.platforms)
    names = list(sources)
    yield "  sources:" if names else "  sources: []"
    yield from (f"  - {scalar(name)}" for name in names)


def _content_hash(lock: Lock, platform: LockedPlatform) -> str:
    """A hash of what was asked for, so that it differs when that changes; the same on every machine."""
    asked = [[one.name, list(one.channels), list(one.requests)] for one in lock.environments]
    content = [platform.name, platform.subdir, asked]
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()


def _package_lines(lock: Lock) -> Iterator[str]:
    conda: list[tuple[str, str, str, Iterator[str]]] = []
    pypi: list[tuple[str, str, str, Iterator[str]]] = []
    main = lock.environment(DEFAULT_ENVIRONMENT)
    for environment in lock.environments:
        category = MAIN if environment.name == DEFAULT_ENVIRONMENT else environment.name
        for platform in lock.platforms:
            held = _held(main, platform.name) if main is not None and category != MAIN else frozenset()
            for record in environment.conda.get(platform.name, ()):
                if record.url not in held:
                    lines = _conda_lines(record, platform.name, category)
                    conda.append((record.name, platform.name, category, lines))
            for one in environment.pypi.get(platform.name, ()):
                if one.url not in held:
                    pypi.append((one.name, platform.name, category, _pypi_lines(one, platform.name, category)))
    for *_, lines in (*sorted(conda, key=_place), *sorted(pypi, key=_place)):
        yield from lines


def _place(item: tuple[str, str, str, Iterator[str]]) -> tuple[str, str, str]:
    return item[:3]


def _held(environment: LockedEnvironment, platform: str) -> frozenset[str]:
    conda = (record.url for record in environment.conda.get(platform, ()))
    return frozenset([*conda, *(one.url for one in environment.pypi.get(platform, ()))])


def _conda_lines(record: RepoDataRecord, platform: str, category: str) -> Iterator[str]:
    if not record.md5:
        raise HashMissing(record.dist)
    yield from _common_lines(record.name, record.version, "conda", platform, _constraints(record.depends))
    yield f"  url: {scalar(record.url)}"
    yield "  hash:"
    yield f"    md5: {scalar(record.md5)}"
    if record.sha256:
        yield f"    sha256: {scalar(record.sha256)}"
    yield f"  category: {scalar(category)}"
    yield "  optional: false" if category == MAIN else "  optional: true"


def _pypi_lines(one: LockedDistribution, platform: str, category: str) -> Iterator[str]:
    yield from _common_lines(one.name, one.version, "pip", platform, _constraints(one.requires_dist))
    yield f"  url: {scalar(one.url)}"
    yield f"  hash: {{sha256: {scalar(one.sha256)}}}" if one.sha256 else "  hash: {}"
    yield f"  category: {scalar(category)}"
    yield "  optional: false" if category == MAIN else "  optional: true"


def _common_lines(
    name: str, version: str, manager: str, platform: str, dependencies: Mapping[str, str]
) -> Iterator[str]:
    yield f"- name: {scalar(name)}"
    yield f"  version: {scalar(version)}"
    yield f"  manager: {manager}"
    yield f"  platform: {scalar(platform)}"
    yield "  dependencies:" if dependencies else "  dependencies: {}"
    yield from (f"    {scalar(name)}: {scalar(text)}" for name, text in dependencies.items())


def _constraints(texts: Iterable[str]) -> dict[str, str]:
    """Name → the rest of a dependency; several about one name are joined."""
    found: dict[str, list[str]] = {}
    for text in texts:
        name, _, rest = text.partition(" ")
        found.setdefault(name, []).append(rest.strip())
    return {name: ",".join(filter(None, rests)) for name, rests in found.items()}
