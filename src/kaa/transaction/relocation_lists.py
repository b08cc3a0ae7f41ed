"""The lists in a new environment that hold hashes of its files, brought up to date after files were rewritten.

The RECORD of each distribution of pip, those of the files that generations keep, and the records of packages.
"""

# ruff: noqa: PTH104
from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from kaa.prefix.generations import (
    BrokenGeneration,
    encode_generation,
    generation_file,
    generation_numbers,
    read_generation,
)
from kaa.prefix.kept_distributions import KEPT
from kaa.prefix.prefix import Prefix
from kaa.prefix.prefix_record_file import encode_record
from kaa.transaction.relocation import moved_link
from kaa.transaction.relocation_plan import Distribution, RelocationPlan
from kaa.transaction.relocation_records import moved_prefix_record, moved_record_lines

Write: TypeAlias = Callable[[str, bytes, int], None]
"""Write a file (path below the environment, content, mode) in place of what is there."""


class Change(msgspec.Struct, frozen=True):
    """A file whose content is another one in the new environment."""

    before: str
    """The SHA-256 in the source, in hexadecimal."""
    now: bytes
    """The SHA-256 now, as it is."""
    size: int
    is_known: bool
    """Whether the source had the file as its package's record says."""


class Made(msgspec.Struct):
    """What was made of a plan so far; paths are those below the source."""

    staging: Path
    can_link: bool
    changed: dict[str, Change] = {}
    copied: dict[str, str] = {}
    """The SHA-256 of what was read, where a file was copied."""
    gone: set[str] = set()
    """Bytecode that was left out, and could not be compiled again."""
    kept: dict[str, str] = {}
    """The new names of directories of kept files, by the old ones; paths below the environment with a slash."""

    def place(self, path: str) -> str:
        """Where a path of the source is below the new environment."""
        for old, new in self.kept.items():
            if path.startswith(old):
                return new + path[len(old) :]
        return path


def write_lists(plan: RelocationPlan, made: Made, write: Write) -> None:
    """The RECORDs of distributions, and the generations, with the hashes of the files as they are now."""
    for distribution in plan.found.distributions:
        _write_list(plan, made, distribution, write)
    _rename_kept(plan, made, write)


def _write_list(plan: RelocationPlan, made: Made, distribution: Distribution, write: Write) -> None:
    root = distribution.root
    changed = {
        path[len(root) :]: (one.now, one.size)
        for path, one in made.changed.items()
        if path.startswith(root) and path[len(root) :] in distribution.files
    }
    path = f"{root}{distribution.metadata}/RECORD"
    file = made.staging / path
    if not changed or not file.is_file():
        return
    data = file.read_bytes()
    old = [os.fsdecode(one) for one in (*plan.change.old, plan.change.new)]
    text = moved_record_lines(data.decode(errors="surrogateescape"), distribution.metadata, old, changed)
    content = text.encode(errors="surrogateescape")
    if content != data:
        write(path, content, file.stat().st_mode)
        before = hashlib.sha256((plan.source / path).read_bytes()).hexdigest()
        made.changed[path] = Change(before, hashlib.sha256(content).digest(), len(content), is_known=False)
        made.copied.pop(path, None)


def _rename_kept(plan: RelocationPlan, made: Made, write: Write) -> None:
    """Give kept files whose RECORD changed the key that the new one has, and tell it to the generations."""
    keys: dict[str, str] = {}
    for distribution in plan.found.distributions:
        change = made.changed.get(f"{distribution.root}{distribution.metadata}/RECORD")
        if distribution.key and change is not None:
            key = f"{distribution.key.rpartition('-')[0]}-{change.now.hex()[:12]}"
            keys[distribution.key] = key
            os.rename(made.staging / KEPT / distribution.key, made.staging / KEPT / key)
            made.kept[f"{KEPT}/{distribution.key}/"] = f"{KEPT}/{key}/"
    for number in generation_numbers(plan.source):
        try:
            generation = read_generation(made.staging, number)
        except BrokenGeneration:
            # It is carried as it is.
            continue
        distributions = tuple(
            msgspec.structs.replace(
                one,
                key=keys.get(one.key, one.key),
                editable_source=_moved_path(plan, one.editable_source) if one.editable_source else None,
            )
            for one in generation.distributions
        )
        if distributions != generation.distributions:
            file = generation_file(made.staging, number)
            path = file.relative_to(made.staging).as_posix()
            content = encode_generation(msgspec.structs.replace(generation, distributions=distributions))
            write(path, content, file.stat().st_mode)
            made.copied[path] = hashlib.sha256(content).hexdigest()


def _moved_path(plan: RelocationPlan, path: str) -> str:
    return os.fsdecode(moved_link(os.fsencode(path), plan.change))


def write_records(plan: RelocationPlan, made: Made, write: Write) -> None:
    """The records of the packages; those in which nothing changes are the same to the byte."""
    source = Prefix(plan.source)
    hashes = {path: (one.before, one.now.hex()) for path, one in made.changed.items() if one.is_known}
    for record in plan.records:
        file = source.record_file(record)
        data = file.read_bytes()
        moved = moved_prefix_record(record, hashes, made.gone, copied=not made.can_link)
        content = data if moved == record else encode_record(moved, data)
        write(f"conda-meta/{file.name}", content, file.stat().st_mode)
