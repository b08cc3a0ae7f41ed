"""`kaa history`: the generations of an environment."""

from __future__ import annotations

import argparse
import calendar
import shlex
import time
from collections.abc import Iterator

from kaa.api.generations import EnvironmentHistory, HistoryEntry, read_environment_history
from kaa.api.pruning import PrunePlan, plan_pruning, prune_generations
from kaa.api.session import Session
from kaa.cli.arguments import add_output, add_prompts, add_target
from kaa.cli.configuring import ArgumentsMissing, existing_target
from kaa.cli.differing import differences_json, summary
from kaa.cli.output import print_json, size_text, table
from kaa.cli.progress import clean
from kaa.cli.prompt import DryRunEnds, confirm
from kaa.prefix.generations import FOUND, UNDO

HELP = """Show the generations of an environment: what it was after each change, who made it, and how.

    kaa history -n demo
    kaa history -n demo --prune --keep 5

`kaa diff` shows what changed between two of them, `kaa undo` takes the last change back, and `kaa rollback NUMBER`
goes back to any of them. -v shows whole command lines.

With --prune old generations go (all but the latest ten, unless --keep or --older-than say which), and the files of
pip's distributions that were kept for them. Their packages are then no longer kept in the cache by `kaa clean`."""

COMMAND_WIDTH = 50


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_target(parser)
    group = parser.add_argument_group("dropping old generations")
    group.add_argument("--prune", action="store_true", help="drop old generations; the latest one always stays")
    group.add_argument("--keep", type=count, metavar="COUNT", help="with --prune: keep so many of the latest")
    group.add_argument("--older-than", metavar="AGE", help="with --prune: drop only those older than this, as in 30d")
    add_prompts(parser)
    add_output(parser)


def count(text: str) -> int:
    """A number of generations to keep."""
    if text.isascii() and text.isdecimal() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of generations; it takes 1 or more")


def run(arguments: argparse.Namespace, session: Session) -> int:
    if not arguments.prune and (arguments.keep or arguments.older_than):
        raise ArgumentsMissing("--keep and --older-than say what --prune drops", hints=("add --prune",))
    prefix = existing_target(arguments, session.config, session.environ)
    if arguments.prune:
        return drop(session, plan_pruning(session, prefix, keep=arguments.keep, older_than=arguments.older_than))
    history = read_environment_history(session, prefix)
    if session.config.json:
        print_json(history_json(history))
    else:
        name = session.environments.name_of(history.prefix)
        print("\n".join(clean(line) for line in history_lines(history, name, verbose=session.config.verbosity > 0)))
    return 0


# -- for people -------------------------------------------------------------------------------------------------------


def history_lines(history: EnvironmentHistory, name: str, *, verbose: bool) -> Iterator[str]:
    """The generations, latest last, and what changed since."""
    number = len(history.entries)
    yield f"{name}: {number} generation{'s' if number != 1 else ''}"
    for earlier in history.earlier:
        one = earlier.revision
        yield f"     {one.date}  +{len(one.linked)} -{len(one.unlinked)}  (of conda's history; nothing goes back to it)"
    yield from table((entry_row(entry, verbose=verbose) for entry in history.entries), indent="  ")
    for problem in history.broken:
        yield f"  {problem}"
    if not history.entries:
        yield "  Nothing is recorded yet; the next change begins it."
    elif history.since.is_empty:
        yield f"The environment is generation {history.entries[-1].generation.number}."
    else:
        where = shlex.quote(str(history.prefix))
        yield f"Since then something else than kaa changed: {summary(history.since)}"
        yield f"  see it with `kaa diff --prefix {where}`; `kaa undo --prefix {where}` takes it back"


def entry_row(entry: HistoryEntry, *, verbose: bool) -> tuple[str, ...]:
    """Number, when, who, what, and how."""
    one = entry.generation
    who = f"{one.user}@{one.host}" if one.host else one.user
    return f"{one.number:>3}", local_time(one.time), who, what_happened(entry), shortened(one.command, verbose=verbose)


def what_happened(entry: HistoryEntry) -> str:
    """What a generation brought."""
    one = entry.generation
    what = summary(entry.changes) or "the same"
    if one.cause == FOUND:
        return f"found: {what}"
    if one.restored is not None:
        return f"{'undone' if one.cause == UNDO else 'rolled back'} to {one.restored}: {what}"
    return what


def local_time(text: str) -> str:
    """A time in UTC as the clock of this machine shows it; what is none stays as it is."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(calendar.timegm(time.strptime(text, ISO))))
    except ValueError:
        return text


ISO = "%Y-%m-%dT%H:%M:%SZ"


def shortened(command: str, *, verbose: bool) -> str:
    """A command line without the directory of the program, cut to a width."""
    program, _, rest = command.partition(" ")
    text = f"{program.replace(chr(92), '/').rpartition('/')[2]} {rest}".strip()
    return text if verbose or len(text) <= COMMAND_WIDTH else f"{text[: COMMAND_WIDTH - 1]}…"


# -- dropping ---------------------------------------------------------------------------------------------------------


def drop(session: Session, plan: PrunePlan) -> int:
    """Show what goes, ask, and drop it."""
    config = session.config
    if not config.json:
        print("\n".join(prune_lines(plan)))
    if config.dry_run and not config.json:
        raise DryRunEnds
    if (plan.generations or plan.keys) and not config.dry_run:
        confirm(config)
        plan = prune_generations(session, plan)
    if config.json:
        print_json(
            {
                "success": True,
                "prefix": str(plan.prefix),
                "dry_run": config.dry_run,
                "dropped": [one.number for one in plan.generations],
                "staying": list(plan.staying),
                "kept_files_dropped": list(plan.keys),
                "size": plan.size,
            }
        )
    return 0


def prune_lines(plan: PrunePlan) -> Iterator[str]:
    """What goes, and how much that frees."""
    if not plan.generations and not plan.keys:
        yield "There is nothing to drop."
        return
    for one in plan.generations:
        yield f"  generation {one.number} of {local_time(one.time)}"
    for key in plan.keys:
        yield f"  kept files of {key.rpartition('-')[0]}"
    yield f"In all {size_text(plan.size)}; {len(plan.staying)} generations stay."


# -- for programs -----------------------------------------------------------------------------------------------------


def history_json(history: EnvironmentHistory) -> dict[str, object]:
    """The history as data."""
    latest = history.entries[-1].generation.number if history.entries else None
    return {
        "success": True,
        "prefix": str(history.prefix),
        "generations": [entry_json(entry, is_latest=entry.generation.number == latest) for entry in history.entries],
        "since": differences_json(history.since),
        "changed_since": not history.since.is_empty,
        "earlier_revisions": [
            {
                "revision": one.number,
                "date": one.revision.date,
                "command": one.revision.command,
                "linked": list(one.revision.linked),
                "unlinked": list(one.revision.unlinked),
                "restorable": False,
            }
            for one in history.earlier
        ],
        "broken": list(history.broken),
    }


def entry_json(entry: HistoryEntry, *, is_latest: bool) -> dict[str, object]:
    """One generation: its facts, and what it changed."""
    one = entry.generation
    return {
        "number": one.number,
        "time": one.time,
        "user": one.user,
        "host": one.host,
        "program": one.program,
        "command": one.command,
        "cause": one.cause,
        "parent": one.parent,
        "restored": one.restored,
        "revision": one.revision,
        "latest": is_latest,
        "packages": len(one.packages),
        "changes": differences_json(entry.changes),
    }
