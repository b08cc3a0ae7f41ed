"""The files of pip's distributions, kept for going back: `conda-meta/generations/files/<name>-<version>-<hash>/<path>`.

Each distinct distribution is kept once. Its RECORD says which files it has, and the hash of that file tells it from
others; the files are linked, not read. A file that is edited in place changes here, too, where it is a hard link:
before anything is put back, the hashes in the RECORD are compared (`kaa.prefix.kept_hashes`).
"""

# Paths are strings here: a distribution may have tens of thousands of them.
# ruff: noqa: PTH114, PTH115, PTH118, PTH208, PTH211
from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from kaa.host.files import LinkMethod, copy_file, probe_link_method, reflink
from kaa.models.pattern import Pattern
from kaa.prefix.distribution_files import files_of_distributions
from kaa.prefix.generations import GENERATIONS, InstalledDistribution
from kaa.prefix.python_packages import PythonDistribution
from kaa.prefix.recorded_files import inside_check

KEPT = f"{GENERATIONS}/files"
LISTS = ("RECORD", "installed-files.txt")
"""The files of a metadata directory that list the others, the usual one first."""

_UNSAFE = Pattern(r"[^A-Za-z0-9_.+!-]")
_KEY = Pattern(r"[A-Za-z0-9_.+!-]+-[0-9a-f]{12}")


def with_key(prefix: Path, found: PythonDistribution) -> InstalledDistribution:
    """A distribution, and under which key its files are kept: none for one that does not list them."""
    key = ""
    for name in LISTS:
        digest = hash_of_file(prefix / found.metadata / name)
        if digest:
            plain = _UNSAFE.sub("_", f"{found.name}-{found.version}")
            key = f"{'_' if plain.startswith('.') else ''}{plain}-{digest[:12]}"
            break
    return InstalledDistribution(found.name, found.version, found.metadata, found.installer, key, found.editable_source)


def hash_of_file(path: Path) -> str:
    """The SHA-256 of a plain file; empty where there is none."""
    try:
        # A pipe would be waited for.
        return hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(path.stat().st_mode) else ""
    except OSError:
        return ""


def is_key(key: str) -> bool:
    """Whether a text can be the name of a directory of kept files."""
    return _KEY.fullmatch(key) is not None and not key.startswith(".")


def kept_directory(prefix: Path, key: str) -> Path:
    """Where the files of a distribution are kept."""
    return prefix / KEPT / key


def kept_keys(prefix: Path) -> tuple[str, ...]:
    """The distributions of which files are kept."""
    try:
        return tuple(sorted(filter(is_key, os.listdir(prefix / KEPT))))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def present_files(prefix: Path, distribution: InstalledDistribution) -> tuple[str, ...]:
    """The files of a distribution that are there, as paths below the environment; never those of conda-meta."""
    named = PythonDistribution(distribution.name, distribution.version, distribution.metadata)
    listed = files_of_distributions(prefix, [named])[named]
    is_inside = inside_check(prefix)
    return tuple(
        path
        for path in sorted(listed)
        if not path.lower().startswith("conda-meta/")
        and is_inside(path.rpartition("/")[0])
        and _is_file_or_link(os.path.join(prefix, path))
    )


ASIDE = "__clobbers__/__unowned__/"
"""Where files lie that had lost their places to those of packages."""


def files_that_go(prefix: Path, distribution: InstalledDistribution) -> tuple[str, ...]:
    """All that goes with a distribution: its files, what else is in its metadata directory, and bytecode.

    Nothing for one that does not list its files: nobody knows which they are.
    """
    if not distribution.key:
        return ()
    found = set(present_files(prefix, distribution))
    for folder, _, names in os.walk(prefix / distribution.metadata):
        below = Path(folder).relative_to(prefix).as_posix()
        found.update(f"{below}/{name}" for name in names)
    modules: dict[str, set[str]] = {}
    for path in found:
        if path.endswith(".py"):
            folder, _, name = path.rpartition("/")
            modules.setdefault(folder, set()).add(name.removesuffix(".py"))
    for folder, stems in modules.items():
        cache = f"{folder}/__pycache__"
        try:
            names = os.listdir(prefix / cache)
        except (FileNotFoundError, NotADirectoryError):
            continue
        found.update(f"{cache}/{name}" for name in names if name.endswith(".pyc") and name.partition(".")[0] in stems)
    return tuple(sorted(found))


def files_aside(prefix: Path, key: str) -> tuple[str, ...]:
    """The files of a distribution that lost their places to those of packages, and lie aside; all are kept as well."""
    if not (prefix / ASIDE).is_dir():
        return ()
    return tuple(path for path, kept in iter_kept_files(prefix, key) if _is_equal(prefix / ASIDE / path, kept))


def files_in_place(prefix: Path, key: str) -> tuple[str, ...]:
    """The kept files of a distribution that are also where they belong, whoever that place belongs to now."""
    is_inside = inside_check(prefix)
    return tuple(
        path
        for path, kept in iter_kept_files(prefix, key)
        if is_inside(path.rpartition("/")[0]) and _is_equal(prefix / path, kept)
    )


def _is_equal(one: Path, other: Path) -> bool:
    if not _is_file_or_link(str(one)):
        return False
    if one.is_symlink() or other.is_symlink():
        return one.is_symlink() and other.is_symlink() and one.readlink() == other.readlink()
    return one.samefile(other) or (
        one.stat().st_size == other.stat().st_size and one.read_bytes() == other.read_bytes()
    )


def _is_file_or_link(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def _is_file(path: str) -> bool:
    return Path(path).is_file() and not Path(path).is_symlink()


def keep_files(prefix: Path, files: Sequence[str], target: Path) -> None:
    """Bring the files of a distribution into a new directory, by links where that is possible."""
    target.mkdir()
    root, made = f"{prefix}{os.sep}", {""}
    # With one of the files themselves: one that is made to try would be left beside them by a kill.
    first = next((root + path for path in files if _is_file(root + path)), None)
    method = probe_link_method(Path(first), target)[0] if first is not None else LinkMethod.COPY
    for path in files:
        folder = path.rpartition("/")[0]
        if folder not in made:
            os.makedirs(target / folder, exist_ok=True)  # noqa: PTH103 - as the other paths here
            made.add(folder)
        _bring(root + path, os.path.join(target, path), method)


def _bring(source: str, target: str, method: LinkMethod) -> None:
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
        return
    try:
        if method is LinkMethod.HARDLINK:
            os.link(source, target)
        elif method is LinkMethod.REFLINK:
            reflink(Path(source), Path(target))
        else:
            copy_file(Path(source), Path(target))
    except FileExistsError:
        raise
    except OSError:
        if method is LinkMethod.COPY:
            raise
        copy_file(Path(source), Path(target))


def iter_kept_files(prefix: Path, key: str) -> Iterator[tuple[str, Path]]:
    """(path below the environment, where it is kept) of every file of a distribution."""
    top = kept_directory(prefix, key)
    for folder, folders, names in os.walk(top):
        folders.sort()
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        for name in sorted([*names, *links]):
            path = Path(folder, name)
            yield path.relative_to(top).as_posix(), path


def keep_missing(
    prefix: Path,
    distributions: Iterable[InstalledDistribution],
    scratch: Path,
    place: Callable[[str, str], None],
) -> None:
    """Keep the files of distributions that are not kept yet: made below `scratch`, then put in their place at once.

    `place` is given both paths below the environment.
    """
    for number, one in enumerate(distributions):
        if one.key and not kept_directory(prefix, one.key).is_dir():
            made = scratch / f"kept-{number}"
            keep_files(prefix, present_files(prefix, one), made)
            place(made.relative_to(prefix).as_posix(), f"{KEPT}/{one.key}")
