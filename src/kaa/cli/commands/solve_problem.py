"""`kaa solve-problem`: solve again what --save-problem wrote, with nothing but that file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from kaa.api.problems import Replay, solve_problem
from kaa.cli.arguments import add_output
from kaa.cli.output import error_json, print_json, report_error, table
from kaa.errors import KaaError
from kaa.models.record import RepoDataRecord

HELP = """Solve again what --save-problem wrote, with nothing but that file: no channel, no configuration.

    kaa create --dry-run --save-problem problem.json.zst -n demo python=3.14 tensorflow
    kaa solve-problem problem.json.zst

Prints the packages of the solution, or why there is none, as the first command did; so does the exit code."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="the problem, compressed or not")
    add_output(parser)


def run(arguments: argparse.Namespace) -> int:
    replay = solve_problem(Path(arguments.file))
    result = replay.result
    if arguments.json:
        print_json(replay_json(replay))
    elif isinstance(result, KaaError):
        report_error(result, as_json=False)
    else:
        rows = [(record.name, record.version, record.build, origin(record)) for record in result.records]
        print("\n".join(table(sorted(rows), header=("Name", "Version", "Build", "Channel"))))
        if not arguments.quiet:
            print(f"\n{len(rows)} packages, in {replay.seconds:.2f} s.")
    if not arguments.json:
        for line in differences(replay):
            print(line, file=sys.stderr)
    return result.exit_code if isinstance(result, KaaError) else 0


def origin(record: RepoDataRecord) -> str:
    """Where a record comes from, in few words."""
    name = record.channel.rpartition("/")[2]
    return f"{name}/{record.subdir}" if name else ""


def differences(replay: Replay) -> list[str]:
    """In what the file says that it ended otherwise."""
    if replay.is_as_recorded is not False:
        return []
    recorded, outcome = replay.problem.outcome, replay.outcome
    assert recorded is not None
    lines = [f"This is not how it ended when the file was written (by kaa {replay.problem.kaa}):"]
    if recorded.packages is None:
        return [*lines, f"  {recorded.error}: {recorded.message}"]
    if outcome.packages is None:
        return [*lines, f"  there was a solution of {len(recorded.packages)} packages"]
    missing = [text for text in recorded.packages if text not in outcome.packages]
    more = [text for text in outcome.packages if text not in recorded.packages]
    if not missing and not more:
        return [*lines, "  the packages stood in another order"]
    return [*lines, *(f"  then only: {text}" for text in missing), *(f"  now only:  {text}" for text in more)]


def replay_json(replay: Replay) -> dict[str, object]:
    """The result for programs: the packages, or the error as every command tells it, and whether it is as recorded."""
    about = {
        "as_recorded": replay.is_as_recorded,
        "differences": differences(replay)[1:],
        "kaa": replay.problem.kaa,
        "seconds": round(replay.seconds, 3),
    }
    if isinstance(replay.result, KaaError):
        return {**error_json(replay.result), "problem": about}
    return {
        "success": True,
        "packages": [
            {
                "name": record.name,
                "version": record.version,
                "build_string": record.build,
                "build_number": record.build_number,
                "dist_name": record.dist,
                "base_url": record.channel or None,
                "platform": record.subdir,
                "why": replay.result.why.get(record.name),
            }
            for record in replay.result.records
        ],
        "problem": about,
    }
