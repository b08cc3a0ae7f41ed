"""`conda-meta/history`: what was asked for and what changed, in conda's format (CEP 32).

    ==> 2026-03-01 12:00:00 <==
    # cmd: /opt/kaa/bin/kaa create --name demo zlib
    +conda-forge/linux-64::zlib-1.3.1-hb9d3cd8_2
    # update specs: ['zlib']

Files that conda wrote over the years are read: specs separated by commas (before 4.5), revisions that list the whole
environment without `+` and `-` (before 4.4), lines of any other kind.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from kaa.host.files import read_regular_file
from kaa.models.match_spec_syntax import name_of
from kaa.models.pattern import Pattern
from kaa.models.prefix_record import PrefixRecord
from kaa.prefix.prefix import Prefix

_HEADER = Pattern(r"==>\s*(.+?)\s*<==")
_COMMAND = Pattern(r"#\s*cmd:\s*(.*)")
_VERSION = Pattern(r"#\s*(\w+) version:\s*(\S+)")
_SPECS = Pattern(r"#\s*(\w+)\s+specs:\s*(.*)")
_CONTINUES = Pattern(r"\s*[0-9<>=!~|*]")

INSTALLING = ("update", "install", "create")
REMOVING = ("remove", "uninstall")


class SpecsLine(msgspec.Struct, frozen=True):
    """One line `# <action> specs: …`."""

    action: str
    specs: tuple[str, ...]


class Revision(msgspec.Struct, frozen=True):
    """One change of an environment."""

    date: str
    """`YYYY-MM-DD HH:MM:SS`, as written"""
    command: str = ""
    program: str = ""
    """Who wrote it, as in `conda 4.8.3`; empty when it does not say."""
    unlinked: tuple[str, ...] = ()
    """`channel/subdir::name-version-build` of what went"""
    linked: tuple[str, ...] = ()
    listed: tuple[str, ...] = ()
    """All packages afterwards, in revisions that do not say what changed."""
    specs: tuple[SpecsLine, ...] = ()


class History(msgspec.Struct, frozen=True):
    """All changes of an environment, oldest first."""

    revisions: tuple[Revision, ...] = msgspec.field(default=())

    def requested_specs(self, installed: Iterable[str] | None = None) -> dict[str, str]:
        """Package name → the latest spec that the user asked for it with; names not `installed` are left out."""
        specs: dict[str, str] = {}
        for revision in self.revisions:
            for line in revision.specs:
                for spec in line.specs:
                    _apply(specs, line.action, spec)
        if installed is not None:
            names = frozenset(installed)
            specs = {name: spec for name, spec in specs.items() if name in names}
        return specs

    def state(self, revision: int) -> frozenset[str]:
        """The dist strings that were installed after a revision (counted from 0)."""
        state: set[str] = set()
        for change in self.revisions[: revision + 1]:
            if change.listed:
                state = set(change.listed)
            state.difference_update(change.unlinked)
            state.update(change.linked)
        return frozenset(state)


def _apply(specs: dict[str, str], action: str, spec: str) -> None:
    try:
        name = name_of(spec)
    except ValueError:
        return
    if action in REMOVING:
        specs.pop(name, None)
    elif action in INSTALLING or action == "neutered":
        specs[name] = spec


def parse_history(text: str) -> History:
    """The revisions in the text of a history file; lines that mean nothing to kaa are passed over."""
    blocks: list[tuple[str, list[str]]] = []
    for line in text.split("\n"):
        line = line.strip()
        match = _HEADER.fullmatch(line)
        if match is not None:
            blocks.append((match[1], []))
        elif line and blocks:
            blocks[-1][1].append(line)
    return History(tuple(_revision(date, lines) for date, lines in blocks))


def _revision(date: str, lines: Sequence[str]) -> Revision:
    command = program = ""
    specs: list[SpecsLine] = []
    for line in lines:
        if match := _COMMAND.fullmatch(line):
            command = match[1]
        elif match := _VERSION.fullmatch(line):
            program = f"{match[1]} {match[2]}"
        elif match := _SPECS.fullmatch(line):
            specs.append(SpecsLine(match[1], parse_specs(match[2])))
    return Revision(
        date,
        command,
        program,
        unlinked=tuple(line[1:] for line in lines if line.startswith("-")),
        linked=tuple(line[1:] for line in lines if line.startswith("+")),
        listed=tuple(line for line in lines if line[0] not in "+-#"),
        specs=tuple(specs),
    )


def parse_specs(text: str) -> tuple[str, ...]:
    """The specs of a line: a Python list, or (conda before 4.5) text with commas between and within specs.

    >>> parse_specs("['python >=3.8', 'zlib']")
    ('python >=3.8', 'zlib')
    >>> parse_specs("param >=1.5.1,<2.0,jupyter")
    ('param >=1.5.1,<2.0', 'jupyter')
    """
    text = text.strip()
    if text.startswith("["):
        try:
            value = importlib.import_module("ast").literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return ()
        return tuple(str(spec) for spec in value) if isinstance(value, list) else ()
    found: list[str] = []
    for part in text.split(","):
        if found and _CONTINUES.match(part):
            found[-1] += f",{part}"
        elif part.strip():
            found.append(part.strip())
    return tuple(found)


def format_revision(revision: Revision) -> str:
    """The lines of a revision; what would break the format (newlines) becomes a space."""
    lines = [f"==> {revision.date} <=="]
    if revision.command:
        lines.append(f"# cmd: {' '.join(revision.command.split())}")
    if revision.program:
        program, _, version = revision.program.partition(" ")
        lines.append(f"# {program} version: {version}")
    lines += [f"-{dist}" for dist in revision.unlinked]
    lines += [f"+{dist}" for dist in revision.linked]
    lines += [f"# {line.action} specs: {list(line.specs)!r}" for line in revision.specs]
    return "\n".join(lines) + "\n"


def new_revision(
    date: str,
    command: str,
    *,
    program: str = "",
    unlinked: Sequence[str] = (),
    linked: Sequence[str] = (),
    update_specs: Mapping[str, str] | None = None,
    remove_specs: Sequence[str] = (),
    neutered_specs: Mapping[str, str] | None = None,
) -> Revision:
    """A revision as conda would write it."""
    specs = []
    if update_specs:
        specs.append(SpecsLine("update", tuple(update_specs.values())))
    if remove_specs:
        specs.append(SpecsLine("remove", tuple(remove_specs)))
    if neutered_specs:
        specs.append(SpecsLine("neutered", tuple(neutered_specs.values())))
    return Revision(
        date,
        command,
        program,
        unlinked=tuple(sorted(unlinked)),
        linked=tuple(sorted(linked)),
        specs=tuple(specs),
    )


def read_history(prefix: Prefix) -> History:
    """The history of an environment; a missing file is an empty one."""
    try:
        data = read_regular_file(prefix.history_file)
    except FileNotFoundError:
        return History()
    return parse_history(data.decode(errors="replace"))


def requested_specs(prefix: Prefix, records: Sequence[PrefixRecord] | None = None) -> dict[str, str]:
    """Package name → what the user asked for, of the installed packages (`records`, where they are known already).

    The history decides where it says something of a package; else the package's record does (rattler and pixi keep
    requests there only).
    """
    return requests_of(read_history(prefix), prefix.records() if records is None else records)


def requests_of(history: History, records: Sequence[PrefixRecord]) -> dict[str, str]:
    """`requested_specs`, of what was read already."""
    specs = history.requested_specs(record.name for record in records)
    if not any(revision.specs for revision in history.revisions):
        specs |= {record.name: spec for record in records for spec in recorded_specs(record)[-1:]}
    return specs


def recorded_specs(record: PrefixRecord) -> tuple[str, ...]:
    """The specs for which a package is recorded to have been asked for, by the new key or the old one."""
    if record.requested_specs:
        return record.requested_specs
    return (record.requested_spec,) if record.requested_spec not in (None, "", "None") else ()


def append_revision(prefix: Prefix, revision: Revision) -> None:
    """Add a revision to the history of an environment."""
    with prefix.history_file.open("a+b") as stream:
        text = format_revision(revision).encode(errors="surrogateescape")
        end = stream.seek(0, 2)
        if end:
            stream.seek(end - 1)
            # A line that somebody left open would swallow the header.
            text = text if stream.read(1) == b"\n" else b"\n" + text
        stream.write(text)
