"""What pip put into an environment, made equal to a lock, or to the pip section of a file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from kaa.api.pip_section import PipFailed, requirements_file, run_pip
from kaa.api.recording import note_found, note_pip
from kaa.api.session import Session
from kaa.envfiles.lock import LockedDistribution
from kaa.events import Note
from kaa.prefix.distribution_metadata import needed_names, normalize_name, origin_of
from kaa.prefix.distribution_removal import remove_listed_files
from kaa.prefix.prefix import Prefix
from kaa.prefix.python_packages import PythonDistribution, find_distributions

_NAMED = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:$|[\[<>=!~;@\s(])")
_INCLUDED = re.compile(r"(?:-r|--requirement)(?:\s+|=|\s*)(\S.*)")


def sync_distributions(
    session: Session,
    prefix: Path,
    wanted: Sequence[LockedDistribution],
    folder: Path,
    *,
    ours: Sequence[str] = (),
    command: str = "",
    since: int | None = None,
) -> None:
    """Let the environment's own pip install and remove until it has put there what a lock names, and nothing else.

    `ours` are the projects that the lock has as packages: pip may have installed these before. A lock that names
    nothing from PyPI has no say in that. Relative addresses start at `folder`.
    """
    if not wanted and not ours:
        return
    present = {one.normalized_name: one for one in _distributions(prefix)}
    missing = [one for one in wanted if not _is_there(prefix, one, present.get(normalize_name(one.name)))]
    lines = [requirement_line(one, folder) for one in missing]
    extra = sorted(set(present) - {normalize_name(name) for name in (*ours, *(one.name for one in wanted))})
    if not lines and not extra:
        return
    out_of_reach = [one.url for one in missing if session.config.offline and _is_remote(one.url)]
    if out_of_reach:
        raise PipFailed(prefix, lines, f"offline, and these would have to be fetched: {', '.join(out_of_reach)}")
    # Whatever others left here is not what pip does now.
    note_found(session, prefix)
    try:
        if extra:
            remove_distributions(session, prefix, extra, folder)
        if lines:
            session.reporter(Note(f"pip installs {', '.join(f'{one.name} {one.version}' for one in missing)}"))
            with requirements_file(lines, folder) as file:
                run_pip(session, prefix, ["install", "--no-deps", "--no-input", "-r", file], lines, folder)
    finally:
        note_pip(session, prefix, command=command, since=since)


def remove_distributions(session: Session, prefix: Path, names: Sequence[str], folder: Path) -> None:
    """Let pip remove distributions, or where there is none do it; recording that is for the caller."""
    environment = Prefix(prefix)
    if not has_pip(environment):
        session.reporter(Note(f"removing {', '.join(names)}, which pip installed"))
        remove_listed_files(environment, names)
        return
    session.reporter(Note(f"pip removes {', '.join(names)}"))
    run_pip(session, prefix, ["uninstall", "--yes", *names], names, folder)


def has_pip(environment: Prefix) -> bool:
    """Whether pip is in an environment, as a package or as a distribution of its own."""
    records = environment.records()
    every = find_distributions(environment, records)
    return any(record.name == "pip" for record in records) or any(one.normalized_name == "pip" for one in every)


def requirement_line(one: LockedDistribution, folder: Path) -> str:
    """A distribution of a lock as pip's requirements have it: by address, with its hash."""
    if "://" not in one.url:
        return str(folder / one.url)
    return f"{one.name} @ {one.url}" + (f"#sha256={one.sha256}" if one.sha256 and "#" not in one.url else "")


def _is_remote(url: str) -> bool:
    return "://" in url and not url.startswith("file:")


def _is_there(prefix: Path, wanted: LockedDistribution, present: PythonDistribution | None) -> bool:
    """Whether what is installed is what the lock means, as far as the installation tells."""
    if present is None or (wanted.version and present.version != wanted.version):
        return False
    origin = origin_of(Prefix(prefix), present)
    return origin is None or not (origin.sha256 and wanted.sha256) or origin.sha256 == wanted.sha256


def _distributions(prefix: Path) -> tuple[PythonDistribution, ...]:
    environment = Prefix(prefix)
    return find_distributions(environment, environment.records())


def prune_section(
    session: Session,
    prefix: Path,
    requirements: Sequence[str],
    folder: Path,
    *,
    command: str = "",
    since: int | None = None,
) -> None:
    """Let pip remove what the pip section of a file neither names nor needs.

    What was installed from an address or a directory stays if the section has lines that name no package.
    """
    gone = superfluous(prefix, requirements, folder)
    if gone:
        note_found(session, prefix)
        try:
            remove_distributions(session, prefix, gone, folder)
        finally:
            note_pip(session, prefix, command=command, since=since)


def superfluous(prefix: Path, requirements: Sequence[str], folder: Path) -> list[str]:
    """The distributions that requirements neither name nor need, by name."""
    environment = Prefix(prefix)
    present = {one.normalized_name: one for one in _distributions(prefix)}
    lines = list(_lines(requirements, folder))
    wanted = {name for line in lines if (name := _name_of(line))}
    if any(_name_of(line) is None and _installs(line) for line in lines):
        wanted |= {name for name, one in present.items() if one.editable_source or origin_of(environment, one)}
    waiting = [name for name in wanted if name in present]
    while waiting:
        needed = needed_names(environment, present[waiting.pop()]) - wanted
        wanted |= needed
        waiting += [name for name in needed if name in present]
    return sorted(set(present) - wanted)


def _lines(requirements: Iterable[str], folder: Path, depth: int = 0) -> Iterator[str]:
    """The lines of requirements, with those of the files that they name."""
    for text in requirements:
        line = re.sub(r"(?:^|\s)#.*", "", text).strip()
        included = _INCLUDED.fullmatch(line)
        if included is None:
            if line:
                yield line
        elif depth < 10 and "://" not in included[1]:
            path = folder / included[1].strip("\"' ")
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                yield line
            else:
                yield from _lines(text.splitlines(), path.parent, depth + 1)
        else:
            yield line


def _installs(line: str) -> bool:
    """Whether a line without a package name makes pip install something."""
    return not line.startswith("-") or line.startswith(("-e", "--editable", "-r", "--requirement"))


def _name_of(line: str) -> str | None:
    """The normalized name of the package that a line asks for; None for options, paths and bare addresses."""
    match = _NAMED.match(line)
    if match is None or "/" in line.partition("@")[0].partition(";")[0] or line.startswith("."):
        return None
    return normalize_name(match[1])
