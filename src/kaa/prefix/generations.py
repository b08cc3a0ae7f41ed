"""Generations: `conda-meta/generations/<number>.json`, what an environment was after each change.

    conda-meta/generations/1.json      packages, requested specs, distributions of pip, variables, pins; who, when, how
    conda-meta/generations/files/…     the files of pip's distributions (`kaa.prefix.kept_distributions`)

A generation is written once and never changed. It holds no files of packages: those are in the package cache, where the
packages that a generation names are kept until it is pruned.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from kaa.errors import KaaError
from kaa.host.files import read_regular_file
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord

GENERATIONS = "conda-meta/generations"
FOUND = "found"
"""The cause of a generation that kaa found rather than made: something else had changed the environment."""
UNDO = "undo"
"""The cause of a generation that took the last change back."""


class BrokenGeneration(KaaError):
    """The file of a generation cannot be read."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, path: Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(
            f"{path}, a generation of its environment, cannot be used: {reason}",
            hints=("restore that file from a backup, or remove it: the environment cannot go back to it then",),
        )


class NoSuchGeneration(KaaError):
    """A generation was asked for that is not there."""

    def __init__(self, prefix: Path, number: int, known: Sequence[int]) -> None:
        self.prefix = str(prefix)
        self.number = number
        self.known = list(known)
        there = f"there are {known[0]} to {known[-1]}" if known else "there are none yet"
        super().__init__(
            f"{prefix} has no generation {number}; {there}",
            hints=(f"see them with `kaa history --prefix {prefix}`",),
        )


class InstalledDistribution(msgspec.Struct, frozen=True, omit_defaults=True):
    """A distribution that pip or its like installed."""

    name: str
    version: str
    metadata: str
    """The path of its `.dist-info` or `.egg-info`, below the environment"""
    installer: str = ""
    key: str = ""
    """Where its files are kept; empty for one that does not list its files."""
    editable_source: str | None = None

    @property
    def label(self) -> str:
        return f"{self.name} {self.version}".rstrip()


class StateFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an environment is besides its packages."""

    requested_specs: dict[str, str] = {}
    """Package name → what the user asked for"""
    distributions: tuple[InstalledDistribution, ...] = ()
    overwritten: dict[str, tuple[str, ...]] = {}
    """Names of packages whose place pip took → those of their files that were not there"""
    taken: tuple[str, ...] = ()
    """Single files of other packages in whose place files of distributions were"""
    variables: dict[str, str] = {}
    pins: str = ""
    """The text of `conda-meta/pinned`"""


class State(StateFacts, frozen=True, kw_only=True):
    """What an environment is, packages by name."""

    packages: tuple[RepoDataRecord, ...] = ()


class GenerationFacts(StateFacts, frozen=True, kw_only=True, omit_defaults=True):
    """When, by whom and why an environment became this."""

    number: int
    time: str
    """`2026-03-01T12:00:00Z`"""
    user: str = ""
    host: str = ""
    program: str = ""
    command: str = ""
    """Without credentials"""
    parent: int | None = None
    """The generation before the change"""
    restored: int | None = None
    """The generation that this one went back to"""
    cause: str = "change"
    """change, found, variables, pip, undo, rollback"""
    revision: int = -1
    """The last revision of `conda-meta/history` at that time, counted from 0"""


class PackageIdentity(msgspec.Struct, frozen=True):
    """By what packages are told apart."""

    name: str
    version: str
    build: str
    subdir: str = ""
    channel: str = ""
    url: str = ""
    sha256: str | None = None
    md5: str | None = None
    size: int | None = None

    @property
    def dist(self) -> str:
        """The dist string, `name-version-build` (CEP 26)."""
        return f"{self.name}-{self.version}-{self.build}"


class GenerationOutline(GenerationFacts, frozen=True, kw_only=True, omit_defaults=True):
    """A generation as lists need it: of the packages only by what they are told apart."""

    packages: tuple[PackageIdentity, ...] = ()


class Generation(GenerationFacts, frozen=True, kw_only=True, omit_defaults=True):
    """A generation with the whole records of its packages, by name."""

    packages: tuple[RepoDataRecord, ...] = ()


class _Packages(msgspec.Struct):
    packages: tuple[PackageIdentity, ...] = ()


Shape = TypeVar("Shape", Generation, GenerationOutline, _Packages)


@functools.cache
def _decoder(shape: type[Shape]) -> msgspec.json.Decoder[Shape]:
    return msgspec.json.Decoder(shape)


def generation_file(prefix: Path, number: int) -> Path:
    """Where a generation is written."""
    return prefix / GENERATIONS / f"{number}.json"


def generation_numbers(prefix: Path) -> tuple[int, ...]:
    """The numbers of the generations of an environment, in order; nothing is read."""
    try:
        names = os.listdir(prefix / GENERATIONS)  # noqa: PTH208 - names are all that is wanted
    except (FileNotFoundError, NotADirectoryError):
        return ()
    stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    return tuple(sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal() and stem[0] != "0"))


def read_generation(prefix: Path, number: int) -> Generation:
    """One generation; raises NoSuchGeneration, BrokenGeneration."""
    return _read(prefix, number, Generation)


def read_outline(prefix: Path, number: int) -> GenerationOutline:
    """One generation without the records of its packages; raises NoSuchGeneration, BrokenGeneration."""
    return _read(prefix, number, GenerationOutline)


def read_generations(prefix: Path) -> tuple[Generation, ...]:
    """All generations of an environment, oldest first; raises BrokenGeneration."""
    return tuple(read_generation(prefix, number) for number in generation_numbers(prefix))


def read_outlines(prefix: Path) -> tuple[GenerationOutline, ...]:
    """All generations without the records of their packages, oldest first; raises BrokenGeneration."""
    return tuple(read_outline(prefix, number) for number in generation_numbers(prefix))


def latest_generation(prefix: Path) -> Generation | None:
    """The latest generation; None where there is none. Raises BrokenGeneration."""
    numbers = generation_numbers(prefix)
    return read_generation(prefix, numbers[-1]) if numbers else None


def packages_of_generations(prefix: Path) -> frozenset[tuple[str, str]]:
    """What the generations of an environment need: (dist string, sha256, else md5, else address).

    Raises BrokenGeneration when one of them cannot be read: nobody knows what it needs then.
    """
    return frozenset(
        (package.dist, package.sha256 or package.md5 or package.url)
        for number in generation_numbers(prefix)
        for package in _read(prefix, number, _Packages).packages
    )


def _read(prefix: Path, number: int, shape: type[Shape]) -> Shape:
    path = generation_file(prefix, number)
    decoder: msgspec.json.Decoder[Shape] = _decoder(shape)
    try:
        generation = decoder.decode(read_regular_file(path))
    except FileNotFoundError:
        raise NoSuchGeneration(prefix, number, generation_numbers(prefix)) from None
    except OSError as error:
        raise BrokenGeneration(path, error.strerror or str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BrokenGeneration(path, f"it holds no generation ({error})") from error
    if isinstance(generation, GenerationFacts) and generation.number != number:
        raise BrokenGeneration(path, f"it says that it is generation {generation.number}")
    return generation


def encode_generation(generation: Generation) -> bytes:
    """The text of a generation: one line per package."""
    packages = [msgspec.json.encode(_without_files(record)) for record in generation.packages]
    rest = msgspec.json.encode(msgspec.structs.replace(generation, packages=()))
    if not packages:
        return rest + b"\n"
    return b'%s,"packages":[\n%s\n]}\n' % (rest[:-1], b",\n".join(packages))


def _without_files(record: RepoDataRecord) -> RepoDataRecord:
    """The record of a package as channels have it: what an installed one adds is not kept."""
    if not isinstance(record, PrefixRecord):
        return record
    return msgspec.convert(record, RepoDataRecord, from_attributes=True)


def generation_before(
    generation: GenerationFacts, known: Mapping[int, GenerationFacts]
) -> tuple[GenerationFacts | None, int | None]:
    """The state that taking back a generation leads to, and its number (which may have been pruned).

    Going back twice goes two changes back: what was undone already is passed over.
    """
    number: int | None
    while generation.cause == UNDO and generation.restored is not None:
        number = generation.restored
        if number not in known or number >= generation.number:
            return None, number
        generation = known[number]
    number = generation.parent
    return (known.get(number), number) if number is not None else (None, None)
