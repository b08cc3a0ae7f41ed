"""`kaa clean`: free what the package cache no longer needs."""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import time
from collections.abc import Sequence
from pathlib import Path

from kaa.api.cleaning import clean, plan_clean
from kaa.api.session import Session
from kaa.cli.arguments import add_output, add_prompts
from kaa.cli.configuring import ArgumentsMissing
from kaa.cli.output import print_json, size_text, table
from kaa.cli.prompt import DryRunEnds, confirm
from kaa.models.cutoff import InvalidCutoff, parse_cutoff
from kaa.package_cache.clean import CleanPlan, CleanRequest, Kept, Removable
from kaa.package_cache.needs import UnknownEnvironment
from kaa.package_cache.removing import Cleaned

HELP = """Free what the package cache no longer needs. What any environment of any user needs, or may need, stays."""

LISTED = 20
"""How many packages are named unless more is asked for."""
_UNITS = {"": 1, "b": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_BINARY_UNITS = {"ki": 2**10, "mi": 2**20, "gi": 2**30, "ti": 2**40}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="all of these")
    parser.add_argument("-i", "--index-cache", action="store_true", help="what channels offer, as it was fetched")
    parser.add_argument("-p", "--packages", action="store_true", help="unpacked packages that no environment needs")
    parser.add_argument("-t", "--tarballs", action="store_true", help="package archives")
    parser.add_argument("-c", "--tempfiles", nargs="*", metavar="DIR", help="what interrupted work left behind")
    parser.add_argument(
        "-f",
        "--force-pkgs-dirs",
        action="store_true",
        help="unpacked packages and archives (as -p -t: what an environment needs stays here, too)",
    )
    parser.add_argument("-l", "--logfiles", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--temporary-environments", action="store_true", help="those of `kaa run` in which no program runs now"
    )
    group = parser.add_argument_group("how much of it (of everything, unless kinds are named)")
    group.add_argument(
        "--older-than",
        metavar="AGE",
        type=point_in_time,
        help="only what was not used for so long (30d, 12h, 2w), or since a date",
    )
    group.add_argument(
        "--max-size",
        metavar="SIZE",
        type=number_of_bytes,
        help="least recently used first, until the cache takes no more than that (20GB, 500MB)",
    )
    group.add_argument(
        "--forget",
        metavar="DIR",
        action="append",
        default=[],
        help="the environment that was in this directory is gone for good; may be repeated",
    )
    add_prompts(parser)
    add_output(parser)


def point_in_time(text: str) -> float:
    """What --older-than takes, in seconds since the epoch."""
    try:
        moment = parse_cutoff(text, int(time.time() * 1000), source="--older-than")
    except InvalidCutoff:
        moment = None
    if moment is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; it takes one like 30d, 12h or 2w, or a date")
    return moment / 1000


def number_of_bytes(text: str) -> int:
    """What --max-size takes."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?i?)b?", text.strip().lower())
    units = _UNITS | _BINARY_UNITS
    if match is None or match[2] not in units:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; it takes one like 20GB, 500MB or 8GiB")
    return int(float(match[1]) * units[match[2]])


def run(arguments: argparse.Namespace, session: Session) -> int:
    config = session.config
    if arguments.force_pkgs_dirs:
        arguments.packages = arguments.tarballs = True
    request = request_of(arguments, session)
    # They go first: what only they needed can then go as well.
    removed = clean_temporary(arguments, session) if arguments.all or arguments.temporary_environments else None
    forget = tuple(Path(text) for text in arguments.forget)
    plan = plan_clean(session, request, forget=forget)
    if not config.json:
        print("\n".join(plan_lines(plan, request, forget, verbose=config.verbosity > 0)))
    if config.dry_run and not config.json:
        raise DryRunEnds
    done = None
    if not config.dry_run and (plan.all() or forget or plan.gone):
        if plan.all():
            confirm(config)
        done = clean(session, plan)
        if not config.json and plan.all():
            print(f"Freed {size_text(done.given_back)}.")
    if config.json:
        document = clean_json(plan, request, done, logfiles=arguments.all or arguments.logfiles)
        if arguments.force_pkgs_dirs:
            document["pkgs_dirs"] = [str(path) for path in session.package_directories]
        print_json(document if removed is None else {**document, "temporary_environments": removed})
    return 0


def clean_temporary(arguments: argparse.Namespace, session: Session) -> list[str]:
    """Remove the temporary environments that nobody uses, after asking; the paths of those that go."""
    temporary = importlib.import_module("kaa.api.temporary_environments")
    found = temporary.find_removable(session, unused_since=arguments.older_than)
    if not session.config.json and found:
        rows = [
            (
                str(one.prefix),
                size_text(one.size),
                f"last used {time.strftime('%Y-%m-%d', time.localtime(one.last_used))}",
            )
            for one in found
        ]
        print("\n".join(["Temporary environments:", *table(rows, indent="  "), ""]))
    if session.config.dry_run or not found:
        return [str(one.prefix) for one in found]
    confirm(session.config)
    return [str(path) for path in temporary.remove_temporary(session, found)]


def request_of(arguments: argparse.Namespace, session: Session) -> CleanRequest:
    """What the arguments ask for; raises ArgumentsMissing."""
    named = arguments.index_cache or arguments.packages or arguments.tarballs or arguments.tempfiles is not None
    named = named or arguments.temporary_environments
    limited = arguments.older_than is not None or arguments.max_size is not None
    everything = arguments.all or (limited and not named)
    if not everything and not named and not arguments.logfiles and not arguments.forget:
        raise ArgumentsMissing(
            "nothing to clean was named", hints=("kaa clean --all", "kaa clean --tarballs --packages")
        )
    return CleanRequest(
        archives=everything or arguments.tarballs,
        packages=everything or arguments.packages,
        index_cache=everything or arguments.index_cache,
        temporary=everything or arguments.tempfiles is not None,
        temporary_in=tuple(session.cwd / path for path in arguments.tempfiles or ()),
        unused_since=arguments.older_than,
        max_size=arguments.max_size,
    )


def plan_lines(plan: CleanPlan, request: CleanRequest, forget: Sequence[Path], *, verbose: bool) -> list[str]:
    """What would go, by kind and by package with its size, and what stays for which reason."""
    kinds = (
        ("package archives", plan.archives),
        ("unused packages", plan.packages),
        ("cached indexes", plan.index_caches),
        ("leftovers of interrupted work", plan.temporary),
    )
    rows = [
        (heading, str(len(items)), size_text(sum(item.size for item in items))) for heading, items in kinds if items
    ]
    lines = package_lines(plan.packages, verbose=verbose)
    lines += [*table(rows, indent="  "), f"In all {size_text(plan.size)}."] if rows else ["There is nothing to clean."]
    if request.max_size is not None and plan.total - plan.size > request.max_size:
        left = size_text(plan.total - plan.size)
        lines.append(f"The cache takes {left} then, more than {size_text(request.max_size)}: the rest is in use.")
    lines += [f"{path} belongs to others: nothing is removed there." for path in plan.closed]
    if plan.unknown:
        lines.append(unknown_sentence(plan.unknown, plan.kept, request, forget))
    if verbose:
        if plan.unread_registries:
            listed = ", ".join(plan.unread_registries)
            lines.append(f"Environments of these users are only known as far as the cache knows them: {listed}.")
        lines += ["", "What stays:"] if plan.kept else []
        lines += table(([kept.path.name, size_text(kept.size), why(kept.reasons)] for kept in plan.kept), indent="  ")
    return lines


def why(reasons: Sequence[str]) -> str:
    """The first reason, and how many others there are."""
    return reasons[0] + (f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else "")


def package_lines(packages: Sequence[Removable], *, verbose: bool) -> list[str]:
    """The packages that go, the largest first."""
    largest = sorted(packages, key=lambda one: (-one.size, one.path))
    shown = largest if verbose else largest[:LISTED]
    lines = table(
        ((one.path.name, size_text(one.size), f"last used {time.strftime('%Y-%m-%d', time.localtime(one.last_used))}"))
        for one in shown
    )
    if len(shown) < len(largest):
        rest = size_text(sum(one.size for one in largest[len(shown) :]))
        lines.append(f"and {len(largest) - len(shown)} smaller ones ({rest}); all of them with -v")
    return [f"  {line}" for line in lines] + ([""] if lines else [])


def unknown_sentence(
    unknown: Sequence[UnknownEnvironment], kept: Sequence[Kept], request: CleanRequest, forget: Sequence[Path]
) -> str:
    """Which environments keep packages that nobody else needs, and the command for when they are gone."""
    size = size_text(sum(one.size for one in kept if any(" may need it (" in reason for reason in one.reasons)))
    listed = ", ".join(f"{one.path} ({one.reason})" for one in unknown[:3])
    more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
    everything = request.archives and request.index_cache and request.temporary
    words = ["--all"] if everything else ["--packages", *(["--tarballs"] if request.archives else [])]
    paths = [*map(str, forget), *(one.path for one in unknown)]
    command = shlex.join(["kaa", "clean", *words, *(word for path in paths for word in ("--forget", path))])
    return f"{size} stay because nobody knows what {listed}{more} needs; if they are gone for good: {command}"


def clean_json(plan: CleanPlan, request: CleanRequest, done: Cleaned | None, *, logfiles: bool) -> dict[str, object]:
    """The shape of `conda clean --json`, with what stays and why beside it."""
    document: dict[str, object] = {"success": True}
    if request.archives:
        document["tarballs"] = by_directory(plan.archives)
    if request.index_cache:
        document["index_cache"] = {"files": [str(item.path) for item in plan.index_caches]}
    if request.packages:
        document["packages"] = by_directory(plan.packages)
    if request.temporary:
        document["tempfiles"] = [str(item.path) for item in plan.temporary]
    if logfiles:
        document["logfiles"] = []
    document["total_size"] = plan.size
    document["kept"] = [{"path": str(one.path), "size": one.size, "reasons": list(one.reasons)} for one in plan.kept]
    document["unknown_environments"] = [{"path": one.path, "reason": one.reason} for one in plan.unknown]
    document["unread_registries"] = list(plan.unread_registries)
    document["not_writable"] = [str(path) for path in plan.closed]
    if done is not None:
        document["freed"] = done.given_back
        document["stayed"] = [{"path": str(path), "reason": reason} for path, reason in done.stayed]
    return document


def by_directory(items: Sequence[Removable]) -> dict[str, object]:
    """Names and sizes by the directory of the cache."""
    sizes: dict[str, dict[str, int]] = {}
    for item in items:
        sizes.setdefault(str(item.path.parent), {})[item.path.name] = item.size
    return {
        "warnings": [],
        "pkg_sizes": sizes,
        "pkgs_dirs": {directory: list(names) for directory, names in sizes.items()},
        "total_size": sum(item.size for item in items),
    }
