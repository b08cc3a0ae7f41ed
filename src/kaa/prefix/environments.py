"""Environments by name, and the registry of all environments, `~/.conda/environments.txt` (CEP 32).

A name stands for a directory right below one of the environments directories; `base` (and `root`) for the root prefix.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from kaa.errors import KaaError
from kaa.host.files import is_writable, read_regular_file, remove_unfinished, write_atomic
from kaa.prefix.interruption import SET_ASIDE, aside_of, is_set_aside

RESERVED = ("base", "root")
FORBIDDEN = "/ :#\\"
SKIPPED = "placehold_pl"
"""Builders make environments with paths full of this; they are not worth registering."""


class InvalidEnvironmentName(KaaError, ValueError):
    """A name that no environment can have."""

    conda_name = "CondaValueError"

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        super().__init__(
            f"{name!r} cannot be the name of an environment: {reason}",
            hints=("choose a name without '/', ':', '#' and spaces", "give a path with --prefix instead"),
        )


class EnvironmentNotFound(KaaError):
    """No environment has that name."""

    conda_name = "EnvironmentNameNotFound"

    def __init__(self, name: str, searched: tuple[Path, ...]) -> None:
        self.name = self.environment_name = name
        self.searched = [str(path) for path in searched]
        known = {child.name for directory in searched for child in _environments_in(directory)}
        near = importlib.import_module("difflib").get_close_matches(name, sorted(known))
        super().__init__(
            f"there is no environment called {name!r} in {', '.join(self.searched) or 'any directory'}",
            hints=(
                *([f"did you mean {' or '.join(near)}?"] if near else ()),
                f"create it with `kaa create --name {name}`",
                "list the environments with `kaa env list`",
            ),
        )


class NoWritableDirectory(KaaError):
    """No environments directory can be written to."""

    conda_name = "NoWritableEnvsDirError"

    def __init__(self, directories: tuple[Path, ...]) -> None:
        self.directories = [str(path) for path in directories]
        super().__init__(
            f"no environment can be made in {', '.join(self.directories) or 'any directory'}: no write permission",
            hints=("give a path with --prefix", "name a directory of your own in envs_dirs"),
        )


class EnvironmentDirectories:
    """Where environments are looked for by name: the root prefix, and the environments directories in order."""

    __slots__ = ("directories", "root_prefix")

    def __init__(self, root_prefix: Path, directories: tuple[Path, ...]) -> None:
        self.root_prefix = root_prefix
        self.directories = directories

    def find(self, name: str) -> Path | None:
        """The existing environment (or other directory) of that name; one that is set aside just now counts."""
        if name in RESERVED:
            return self.root_prefix
        for directory in self.directories:
            path = directory / name
            if path.is_dir() or os.path.lexists(aside_of(str(path))):
                return path
        return None

    def get(self, name: str) -> Path:
        """The existing environment of that name; raises EnvironmentNotFound or InvalidEnvironmentName."""
        check_environment_name(name, reserved_allowed=True)
        found = self.find(name)
        if found is None:
            raise EnvironmentNotFound(name, self.directories)
        return found

    def place(self, name: str) -> Path:
        """Where the environment of that name is, or else is to be made: the first directory that can be written to."""
        check_environment_name(name, reserved_allowed=True)
        found = self.find(name)
        if found is not None:
            return found
        for directory in self.directories:
            if is_writable(directory):
                return directory / name
        raise NoWritableDirectory(self.directories)

    def name_of(self, path: Path) -> str:
        """The name of an environment, `base` for the root prefix; the path itself where it has no name."""
        if path == self.root_prefix:
            return "base"
        return path.name if path.parent in self.directories and self.find(path.name) == path else str(path)

    def list(self, registered: Iterable[Path] = ()) -> tuple[Path, ...]:
        """All known environments: the root prefix, those in the environments directories, and the registered ones."""
        found: dict[Path, None] = {}
        if _is_environment(self.root_prefix):
            found[self.root_prefix] = None
        for directory in self.directories:
            found.update(dict.fromkeys(_environments_in(directory)))
        for path in sorted(set(registered)):
            if _is_environment(path):
                found[path] = None
        return tuple(found)


def _environments_in(directory: Path) -> list[Path]:
    try:
        children = sorted(directory.iterdir())
    except OSError:
        return []
    return [child for child in children if not is_set_aside(child.name) and _is_environment(child)]


def _is_environment(path: Path) -> bool:
    # Unlike Path.is_file this answers for every path, were it as long as it likes.
    return os.path.isfile(path / "conda-meta" / "history")  # noqa: PTH113


def absolute_location(path: Path, directory: Path) -> Path:
    """The place of an environment as it is recorded: absolute, without `.` and `..`, links as they are written.

    A relative path counts from `directory`. Files of packages and records hold this path, so it must not depend on
    anything but the environment itself.
    """
    return Path(os.path.abspath(directory / path))  # noqa: PTH100 (Path.resolve would follow links)


def check_environment_name(name: str, *, reserved_allowed: bool = False) -> None:
    """Raise InvalidEnvironmentName unless an environment can be called that."""
    if not name:
        raise InvalidEnvironmentName(name, "it is empty")
    for character in name:
        if character in FORBIDDEN or ord(character) < 0x20:
            raise InvalidEnvironmentName(name, f"it holds {character!r}")
    if name in (".", "..") or name.startswith("~"):
        raise InvalidEnvironmentName(name, "it stands for another directory")
    if name in RESERVED and not reserved_allowed:
        raise InvalidEnvironmentName(name, "that name belongs to the root prefix")


def registry_file(home: Path) -> Path:
    """The file in which a user's environments are registered."""
    return home / ".conda" / "environments.txt"


def read_registry(registry: Path) -> tuple[Path, ...]:
    """The paths that a registry lists, in its order; a missing or unreadable one lists none."""
    try:
        lines = read_regular_file(registry).decode(errors="surrogateescape").splitlines()
    except OSError:
        return ()
    return tuple(dict.fromkeys(Path(line.strip()) for line in lines if line.strip()))


def register(registry: Path, prefix: Path) -> bool:
    """Add an environment to the registry, once; False when that was not possible, which harms nothing."""
    if SKIPPED in str(prefix):
        return True
    return _rewrite(registry, lambda paths: paths if prefix in paths else (*paths, prefix))


def unregister(registry: Path, prefix: Path) -> bool:
    """Take an environment that went out of the registry, and others that are gone; False when that was not possible.

    One that is there stays: it was made since, and entered already.
    """
    if not registry.exists():
        return True

    def is_kept(path: Path) -> bool:
        return has_environment(path) if path == prefix else _is_there(path)

    return _rewrite(registry, lambda paths: tuple(filter(is_kept, paths)))


def has_environment(path: Path) -> bool:
    """Whether an environment is at a path, and is not one that is being removed there."""
    return _is_environment(path) and not os.path.lexists(path / SET_ASIDE)


def _is_there(path: Path) -> bool:
    """Whether an environment is at `path`, or may be: a disk that is not mounted now says nothing."""
    try:
        (path / "conda-meta" / "history").stat()
        return True
    except (FileNotFoundError, NotADirectoryError):
        # An empty directory may be where the disk is mounted.
        with contextlib.suppress(OSError):
            return not any(path.parent.iterdir())
        return True
    except OSError:
        return True


def _rewrite(registry: Path, change: Callable[[tuple[Path, ...]], tuple[Path, ...]]) -> bool:
    # Loaded for a change alone: most commands only look.
    file_lock = importlib.import_module("kaa.host.locks").file_lock
    try:
        registry.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(registry.with_name(".environments.lock"), timeout=10):
            paths = read_registry(registry)
            changed = change(paths)
            if changed != paths or not registry.exists():
                remove_unfinished(registry)
                write_atomic(registry, b"".join(os.fsencode(path) + b"\n" for path in changed), sync=True)
    except (OSError, KaaError):
        return False
    return True
