"""Parsing and ordering what repodata is full of: versions and dependency strings."""

from __future__ import annotations

import random

from benchmarks.measure import have_rattler, in_turn, run_function, show
from kaa.models.match_spec import MatchSpec
from kaa.models.version import Version

COUNT = 10_000


def texts() -> tuple[list[str], list[str]]:
    """Versions and dependency strings as they occur, from a fixed seed."""
    dice = random.Random(7)
    names = ["python", "numpy", "libgcc", "openssl", "zlib", "__glibc"]

    def version() -> str:
        return f"{dice.randrange(30)}.{dice.randrange(30)}.{dice.randrange(30)}" + dice.choice(
            ["", "", "rc1", ".post0"]
        )

    versions = [version() for _ in range(COUNT)]
    specs = [f"{dice.choice(names)} >={version()},<{dice.randrange(40)}.0a0" for _ in range(COUNT)]
    return versions, specs


def main() -> None:
    versions, specs = texts()
    for title, ours, theirs in (
        (f"Parse and sort {COUNT} versions", lambda: sorted(Version(text) for text in versions), "Version"),
        (f"Parse {COUNT} match specs", lambda: [MatchSpec.parse(text, lenient=True) for text in specs], "MatchSpec"),
    ):
        contestants = {"kaa": lambda ours=ours: run_function(ours)}  # type: ignore[misc]
        if have_rattler():
            import rattler

            kind = getattr(rattler, theirs)
            contestants["py-rattler"] = lambda kind=kind, theirs=theirs: run_function(  # type: ignore[misc]
                lambda: sorted(map(kind, versions)) if theirs == "Version" else [kind(text) for text in specs]
            )
        show(title, in_turn(contestants))
