"""What `kaa undo` and `kaa rollback` have in common: show the way back, ask, go it, and tell."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

from kaa.api.execution import missing_packages
from kaa.api.going_back import Restoration, restore_generation
from kaa.api.session import Session
from kaa.cli.arguments import add_frozen, add_network, add_output, add_prompts, add_target
from kaa.cli.differing import difference_lines, differences_json
from kaa.cli.output import print_json
from kaa.cli.progress import clean
from kaa.cli.prompt import DryRunEnds, confirm
from kaa.cli.records import ChannelNames, channel_names
from kaa.cli.showing import result_json, summary
from kaa.models.record import RepoDataRecord
from kaa.transaction.plan import Reinstall


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of both commands."""
    add_target(parser)
    parser.add_argument(
        "--with-edited",
        action="store_true",
        help="put files of pip's distributions back although they were edited after pip had installed them",
    )
    add_frozen(parser)
    add_prompts(parser)
    add_network(parser)
    add_output(parser)


def go_back(session: Session, restoration: Restoration) -> int:
    """Show where the way leads, ask, and go it."""
    config, transaction = session.config, restoration.transaction
    names = channel_names(session)
    number = restoration.target.number
    if not restoration.is_needed:
        if config.json:
            message = f"The environment is generation {number} already."
            print_json({"success": True, "message": message, "generation": number})
        else:
            print(f"\n# {transaction.prefix} is generation {number} already.\n")
        return 0
    missing = missing_packages(session, transaction)
    if not config.json and not (config.quiet and config.always_yes):
        lines = ["", *map(clean, restoration_lines(restoration, missing, names)), ""]
        print("\n".join(lines), flush=True)
    made = None
    if config.dry_run:
        if not config.json:
            raise DryRunEnds
    else:
        confirm(config)
        made = restore_generation(session, restoration)
    if config.json:
        document = result_json(transaction, missing, names, dry_run=config.dry_run)
        print_json({**document, **restoration_json(restoration), "generation": made})
    elif not config.quiet:
        where = shlex.quote(str(transaction.prefix))
        before = f"`kaa rollback --prefix {where} {made - 1}`" if made and made > 1 else "`kaa rollback`"
        print(f"The environment is what it was in generation {number}; {before} takes this back.")
    return 0


def restoration_lines(restoration: Restoration, missing: list[RepoDataRecord], names: ChannelNames) -> Iterator[str]:
    """The way back as text: what changes, what is linked again, and what cannot be had."""
    transaction = restoration.transaction
    yield f"Environment: {transaction.prefix}"
    yield f"It becomes again what it was in generation {restoration.target.number}:"
    yield ""
    yield from difference_lines(restoration.changes, names)
    again = [one.new for one in transaction.operations if isinstance(one, Reinstall)]
    if again:
        yield "  linked again, because pip changed their files:"
        yield from (f"    {record.name} {record.version}" for record in again)
    if restoration.left:
        yield "  not taken away, because they do not say which files are theirs:"
        yield from (f"    {label}" for label in restoration.left)
    if restoration.lacking:
        yield "  not brought back, because nothing of theirs was kept:"
        yield from (f"    {label}" for label in restoration.lacking)
    if transaction.operations:
        yield ""
        yield summary(transaction, missing)


def restoration_json(restoration: Restoration) -> dict[str, object]:
    """What results of other changes do not say."""
    return {
        "restored": restoration.target.number,
        "changes": differences_json(restoration.changes),
        "left": list(restoration.left),
        "lacking": list(restoration.lacking),
    }
