"""A planned transaction, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from kaa.cli.output import size_text, table
from kaa.cli.records import ChannelNames, full_json, link_json, list_json
from kaa.models.prefix_record import PrefixRecord
from kaa.models.record import RepoDataRecord
from kaa.models.version import InvalidVersion, Version
from kaa.pypi.interpreters.addresses import interpreter_of, is_interpreter
from kaa.transaction.plan import Change, Install, Operation, Reinstall, Remove, Transaction

VERBS = ("install", "update", "downgrade", "change", "reinstall", "remove")
"""What can happen to a package, in the order in which it is shown."""


def verb_of(operation: Operation) -> str:
    """What an operation does to the package, as a user would say it."""
    match operation:
        case Install():
            return "install"
        case Remove():
            return "remove"
        case Reinstall():
            return "reinstall"
        case Change(old, new):
            try:
                before, after = Version(old.version), Version(new.version)
            except InvalidVersion:
                return "change"
            return "update" if before < after else "downgrade" if before > after else "change"


def plan_lines(transaction: Transaction, missing: Sequence[RepoDataRecord], names: ChannelNames) -> list[str]:
    """The plan as text: one line per package, and what it comes to."""
    fetched = {record.dist for record in missing}
    rows = []
    for operation in transaction.operations:
        verb = verb_of(operation)
        record: RepoDataRecord | PrefixRecord
        match operation:
            case Install(new):
                record, version, build = new, new.version, new.build
            case Change(old, new):
                record = new
                version = f"{old.version} -> {new.version}" if old.version != new.version else new.version
                build = f"{old.build} -> {new.build}" if old.version == new.version else new.build
            case Reinstall(_, new):
                record, version, build = new, new.version, new.build
            case Remove(old):
                record, version, build = old, old.version, old.build
        size = size_text(record.size) if record.dist in fetched and record.size else ""
        note = size if record.dist in fetched else "" if verb == "remove" else "cached"
        if record.dist in fetched and is_interpreter(record):
            note = f"made of {interpreter_of(record)}"
        rows.append((verb, record.name, version, build, names.of(record), note))
    rows.sort(key=lambda row: (VERBS.index(row[0]), row[1]))
    lines = [f"Environment: {transaction.prefix}{'' if transaction.current else ' (new or empty)'}", ""]
    if rows:
        lines += [*table(rows, indent="  "), ""]
    return [*lines, summary(transaction, missing)]


def summary(transaction: Transaction, missing: Sequence[RepoDataRecord]) -> str:
    """`3 to install, 1 to update; 12.3 MB to download`."""
    counts = Counter(verb_of(operation) for operation in transaction.operations)
    parts = [f"{counts[verb]} to {verb}" for verb in VERBS if counts[verb]]
    if not parts:
        return "No packages to install."
    missing = [record for record in missing if not is_interpreter(record)]
    noun = "packages" if sum(counts.values()) > 1 else "package"
    return f"{noun.capitalize()}: {', '.join(parts)}; {_download(missing)}."


def _download(missing: Sequence[RepoDataRecord]) -> str:
    """How much has to be fetched; indexes of Python packages need not tell the sizes of their files."""
    if not missing:
        return "nothing to download"
    untold = sum(record.size is None for record in missing)
    if untold == len(missing):
        return f"{untold} to download, of sizes that are not told"
    size = size_text(sum(record.size or 0 for record in missing))
    return f"{size} to download" + (f", and {untold} of sizes that are not told" if untold else "")


def actions_json(transaction: Transaction, missing: Sequence[RepoDataRecord], names: ChannelNames) -> dict[str, object]:
    """The `actions` of a transaction."""
    actions: dict[str, object] = {
        "FETCH": [full_json(record) for record in missing],
        "PREFIX": str(transaction.prefix),
    }
    if transaction.to_unlink:
        actions["UNLINK"] = [list_json(record, names) for record in transaction.to_unlink]
    if transaction.to_link:
        actions["LINK"] = [link_json(record, names) for record in transaction.to_link]
    return actions


def result_json(
    transaction: Transaction, missing: Sequence[RepoDataRecord], names: ChannelNames, *, dry_run: bool
) -> dict[str, object]:
    """What a command that changes an environment prints with --json."""
    document: dict[str, object] = {
        "success": True,
        "actions": actions_json(transaction, missing, names),
        "prefix": str(transaction.prefix),
    }
    if dry_run:
        document["dry_run"] = True
    return document
