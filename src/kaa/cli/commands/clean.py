"""`kaa clean`: free what the package cache no longer needs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from kaa.api.cleaning import clean, plan_clean
from kaa.api.session import Session
from kaa.cli.arguments import add_output, add_prompts, ignored
from kaa.cli.configuring import ArgumentsMissing
from kaa.cli.output import print_json, size_text, table
from kaa.cli.prompt import DryRunEnds, confirm
from kaa.package_cache.clean import CleanPlan, Removable

HELP = """Free what the package cache no longer needs. Packages that an environment was linked from stay."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-a", "--all", action="store_true", help="all of these")
    parser.add_argument("-i", "--index-cache", action="store_true", help="what channels offer, as it was fetched")
    parser.add_argument("-p", "--packages", action="store_true", help="unpacked packages that no environment uses")
    parser.add_argument("-t", "--tarballs", action="store_true", help="package archives")
    parser.add_argument("-c", "--tempfiles", nargs="*", metavar="DIR", help="what interrupted work left behind")
    parser.add_argument("-l", "--logfiles", action="store_true", help=argparse.SUPPRESS)
    add_prompts(parser)
    add_output(parser)
    ignored(parser, "-f", "--force-pkgs-dirs")


def run(arguments: argparse.Namespace, session: Session) -> int:
    everything = arguments.all
    wanted = {
        "archives": everything or arguments.tarballs,
        "packages": everything or arguments.packages,
        "index_cache": everything or arguments.index_cache,
        "temporary": everything or arguments.tempfiles is not None,
    }
    if not any(wanted.values()) and not arguments.logfiles:
        raise ArgumentsMissing(
            "nothing to clean was named", hints=("kaa clean --all", "kaa clean --tarballs --packages")
        )
    config = session.config
    plan = plan_clean(session, **wanted)
    if not config.json:
        print("\n".join(plan_lines(plan)))
    if config.dry_run and not config.json:
        raise DryRunEnds
    if plan.all() and not config.dry_run:
        confirm(config)
        given_back = clean(session, plan)
        if not config.json:
            print(f"Freed {size_text(given_back)}.")
    if config.json:
        print_json(clean_json(plan, wanted, logfiles=everything or arguments.logfiles))
    return 0


def plan_lines(plan: CleanPlan) -> list[str]:
    """What would go, by kind, with its size."""
    kinds = (
        ("package archives", plan.archives),
        ("unused packages", plan.packages),
        ("cached indexes", plan.index_caches),
        ("leftovers of interrupted work", plan.temporary),
    )
    rows = [
        (heading, str(len(items)), size_text(sum(item.size for item in items))) for heading, items in kinds if items
    ]
    if not rows:
        return ["There is nothing to clean."]
    return [*table(rows, indent="  "), f"In all {size_text(plan.size)}."]


def clean_json(plan: CleanPlan, wanted: dict[str, bool], *, logfiles: bool) -> dict[str, object]:
    """The shape of `conda clean --json`."""
    document: dict[str, object] = {"success": True}
    if wanted["archives"]:
        document["tarballs"] = by_directory(plan.archives)
    if wanted["index_cache"]:
        document["index_cache"] = {"files": [str(item.path) for item in plan.index_caches]}
    if wanted["packages"]:
        document["packages"] = by_directory(plan.packages)
    if wanted["temporary"]:
        document["tempfiles"] = [str(item.path) for item in plan.temporary]
    if logfiles:
        document["logfiles"] = []
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
