"""Repairs as command lines: what to type in place of the command that failed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from msgspec.structs import replace

from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec import MatchSpec
from kaa.models.redaction import redact
from kaa.solver.relaxation import Relaxation, Repair
from kaa.solver.spelling import spell

WITH_VALUE = frozenset({"-n", "--name", "-p", "--prefix", "-c", "--channel", "-f", "--file", "--platform", "--subdir"})
"""Options whose value may look like a spec."""
FREEZING = ("--freeze-installed", "--no-update-deps")
CHANGING = frozenset({"create", "install", "update", "upgrade"})
"""Commands whose words are what is asked for."""


def command_of(repair: Repair, words: Sequence[str]) -> str:
    """The command line for a repair, given the words of the one that failed; empty where no command line says it."""
    typed = list(words)
    if not any(word in CHANGING for word in words[:3]):
        return ""
    for relaxation in repair.relaxations:
        changed = changed_by(relaxation, repair, typed)
        if changed is None:
            return ""
        typed = changed
    return redact(shlex.join(["kaa", *typed]))


def changed_by(relaxation: Relaxation, repair: Repair, words: list[str]) -> list[str] | None:
    """The words with one relaxation; None if they cannot say it."""
    match relaxation.kind:
        case "freeze":
            return [word for word in words if word not in FREEZING] if set(words) & set(FREEZING) else None
        case "pin":
            return with_flag(words, "--no-pin") if repair.lifts_all_pins else None
        case "priority":
            return [*words, "--channel-priority", relaxation.new]
        case "cutoff" if relaxation.new:
            return [*words, "--exclude-newer-package", f"{relaxation.new}=false"]
        case "cutoff":
            return [*words, "--exclude-newer", "false"]
        case "history" | "frozen":
            return [*words, written(relaxation.new)]
        case _:
            return exchanged(relaxation, words)


def with_flag(words: list[str], flag: str) -> list[str]:
    """The words with a flag, once."""
    return words if flag in words else [*words, flag]


def exchanged(relaxation: Relaxation, words: list[str]) -> list[str] | None:
    """The words with one spec in the place of another; None when that is not among them but in a file, say."""
    new = [written(relaxation.new)] if relaxation.new else []
    if not relaxation.old:
        return [*words, *new]
    # A channel may have been written by its name.
    old = replace(MatchSpec.parse(relaxation.old), channel=None)
    for place in range(len(words) - 1, 0, -1):
        if words[place - 1] not in WITH_VALUE and read_spec(words[place]) == old:
            return [*words[:place], *new, *words[place + 1 :]]
    return None


def read_spec(word: str) -> MatchSpec | None:
    """What a word asks for, wherever it comes from, if it is a spec."""
    try:
        return None if word.startswith("-") else replace(MatchSpec.parse(word), channel=None)
    except InvalidText:
        return None


def written(text: str) -> str:
    """A spec as one types it."""
    return spell(MatchSpec.parse(text))
