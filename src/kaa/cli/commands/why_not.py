"""`kaa why-not`: what keeps a package out of an environment, or what would change if it came."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from kaa.api.session import Session
from kaa.api.why_not import Offer, WhyNot, explain_absence
from kaa.cli.arguments import add_channels, add_network, add_output, add_solving, add_target
from kaa.cli.changing import change_options
from kaa.cli.commands.why import add_plan, planned_target
from kaa.cli.configuring import existing_target
from kaa.cli.output import error_json, print_json, table
from kaa.cli.records import ChannelNames, channel_names, list_json
from kaa.solver.failures import PackagesNotFound, Unsolvable
from kaa.solver.relaxation import Change, Repair
from kaa.solver.spelling import spell

HELP = """Tell what keeps a package out of an environment, or what would change if it came. Nothing is changed.

    kaa why-not numpy=2 -n demo
    kaa why-not numpy=2 --plan python=3.9 pandas     (of a new environment)

What is offered as a way out was tried."""

MOST_CHANGES = 20
MOST_VERSIONS = 4
FLAGS = {
    "subdir": "--platform",
    "channel_priority": "--channel-priority",
    "solve_strategy": "--strategy",
    "exclude_newer": "--exclude-newer",
    "exclude_newer_package": "--exclude-newer-package",
    "override_virtual_packages": "--virtual-package",
}
HIDDEN_BY = {
    "channel_priority": "strict channel priority takes {name} from an earlier channel only",
    "exclude_newer": "newer than exclude_newer allows",
    "platform": "another platform",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("spec", metavar="SPEC", help="the package, perhaps with a version")
    add_target(parser)
    add_plan(parser)
    add_channels(parser)
    add_solving(parser)
    add_network(parser)
    add_output(parser)


def run(arguments: argparse.Namespace, session: Session) -> int:
    if arguments.plan:
        prefix = planned_target(arguments, session)
    else:
        prefix = existing_target(arguments, session.config, session.environ)
    why_not = explain_absence(session, arguments.spec, prefix, arguments.plan or (), change_options(arguments))
    if session.config.json:
        print_json(why_not_json(why_not, arguments, session))
    else:
        print("\n".join(Telling(why_not, arguments, session).lines()))
    return 0


def command_for(why_not: WhyNot, arguments: argparse.Namespace, session: Session) -> list[str]:
    """The command that installs the package, with the channels and settings that were given here."""
    specs = [*(arguments.plan or ()), spell(why_not.spec)]
    return ["kaa", *where_of(why_not.prefix, session), *flags_of(arguments), *specs]


def where_of(prefix: Path | None, session: Session) -> list[str]:
    """The command for an environment, and the words that name it."""
    if prefix is None:
        return ["create", "-n", "NAME"]
    name = session.environments.name_of(prefix)
    return ["install", *(["-p", name] if name == str(prefix) else ["-n", name])]


def flags_of(arguments: argparse.Namespace) -> list[str]:
    """Flags of this command line that the other command needs as well."""
    flags = ["-O"] if arguments.override_channels else []
    for channel in arguments.channels or ():
        flags += ["-c", channel]
    for option, flag in FLAGS.items():
        value = getattr(arguments, option, None)
        if isinstance(value, dict):
            flags += [word for name, text in value.items() for word in (flag, f"{name}={text}")]
        elif value is not None:
            flags += [flag, str(value)]
    return [*flags, *(["--no-pin"] if arguments.no_pin else [])]


# -- for people -------------------------------------------------------------------------------------------------------


class Telling:
    """The answer in words."""

    def __init__(self, why_not: WhyNot, arguments: argparse.Namespace, session: Session) -> None:
        self._why_not = why_not
        self._arguments = arguments
        self._session = session
        self._names = channel_names(session)
        self._spec = spell(why_not.spec)
        self._name = why_not.spec.name or ""

    def lines(self) -> Iterator[str]:
        """The answer first, then the reasons, then what to do."""
        match self._why_not.answer:
            case "there":
                yield from self._there()
            case "possible":
                yield from self._possible()
            case _:
                yield from self._impossible()
        pip = self._why_not.pip
        if pip is not None:
            yield f"\n{pip.installer or 'pip'} installed {pip.name} {pip.version} there, not from a channel."

    @property
    def _where(self) -> str:
        prefix = self._why_not.prefix
        return "a new environment" if prefix is None else str(prefix)

    def _there(self) -> Iterator[str]:
        present = self._why_not.present
        assert present is not None
        verb = "would be in" if self._arguments.plan else "is in"
        yield f"Nothing keeps {self._spec} out: {present.name} {present.version} {verb} {self._where}."
        yield f"{self._why_command()} tells who needs it."

    def _possible(self) -> Iterator[str]:
        present = self._why_not.present
        yield f"{self._spec} can be had in {self._where}: nothing keeps it out."
        if present is None:
            yield "Nobody asked for it, and nothing there needs it."
        elif self._arguments.plan:
            yield f"Without asking for it, {present.name} {present.version} is what fits best."
        else:
            yield f"{present.name} {present.version} is installed, and stays until something else is asked for."
        yield from ["", "What would change:" if present or self._why_not.prefix else "What would come with it:"]
        changes = self._why_not.changes
        rows = [(change.name, change_text(change)) for change in changes[:MOST_CHANGES]]
        yield from table(rows, indent="  ")
        if changes[MOST_CHANGES:]:
            yield f"  and {len(changes) - MOST_CHANGES} more"
        yield from ["", f"To get it: {self._command()}"]

    def _impossible(self) -> Iterator[str]:
        failure = self._why_not.failure
        assert failure is not None
        yield f"{self._spec} cannot be had in {self._where}."
        yield from ["", failure.message]
        if self._why_not.answer == "missing":
            yield from self._offers()
        tried: Sequence[Repair] = failure.repairs if isinstance(failure, Unsolvable | PackagesNotFound) else ()
        repairs = [repair for repair in tried if not self._gives_up(repair)]
        if repairs:
            yield from ["", "What works (each was tried):", *(f"  {repair.sentence}" for repair in repairs)]
        others = [hint for hint in failure.hints if hint not in {repair.sentence for repair in tried}]
        if others:
            yield from ["", "What else to try:" if repairs else "What to try:", *(f"  {hint}" for hint in others)]
        alone = self._why_not.alone
        if alone is not None:
            words = ["kaa", *where_of(None, self._session), *flags_of(self._arguments), self._spec]
            yield from ["", f"In an environment of its own it can be had ({alone.name} {alone.version}):"]
            yield f"  {shlex.join(words)}"

    def _gives_up(self, repair: Repair) -> bool:
        """Whether a way out is to do without what is asked about."""
        return any(one.kind == "drop" and one.old == str(self._why_not.spec) for one in repair.relaxations)

    def _offers(self) -> Iterator[str]:
        """Who has it, though it is not to be had."""
        if self._why_not.offers:
            yield from ["", "It exists:"]
        for offer in self._why_not.offers:
            reason = HIDDEN_BY[offer.hidden_by].format(name=self._name) if offer.hidden_by else ""
            versions = ", ".join(offer.versions[:MOST_VERSIONS]) + (", …" if offer.versions[MOST_VERSIONS:] else "")
            yield f"  {place_of(offer, self._names)}: {self._name} {versions}" + (f" ({reason})" if reason else "")

    def _why_command(self) -> str:
        """The command that tells who needs the package, in the same place."""
        words = ["kaa", "why", self._name]
        if self._why_not.prefix is not None:
            words += where_of(self._why_not.prefix, self._session)[1:]
        if self._arguments.plan:
            words += [*flags_of(self._arguments), "--plan", *self._arguments.plan]
        return shlex.join(words)

    def _command(self) -> str:
        return shlex.join(command_for(self._why_not, self._arguments, self._session))


def place_of(offer: Offer, names: ChannelNames) -> str:
    """The short name of a channel, and the platform."""
    return f"{names.of_url(offer.channel)}/{offer.subdir}"


def change_text(change: Change) -> str:
    """What becomes of a package."""
    if not change.before:
        return change.after
    if not change.after:
        return f"{change.before} -> removed"
    return f"{change.before} -> {change.after}" if change.before != change.after else f"{change.after} (another build)"


# -- for programs -----------------------------------------------------------------------------------------------------


def why_not_json(why_not: WhyNot, arguments: argparse.Namespace, session: Session) -> dict[str, object]:
    """The same as data; the failure has the keys of every error."""
    names = channel_names(session)
    failure = why_not.failure
    return {
        "success": True,
        "spec": str(why_not.spec),
        "prefix": None if why_not.prefix is None else str(why_not.prefix),
        "answer": why_not.answer,
        "present": None if why_not.present is None else list_json(why_not.present, names),
        "pip": None if why_not.pip is None else {"name": why_not.pip.name, "version": why_not.pip.version},
        "changes": [msgspec.to_builtins(change) for change in why_not.changes],
        "command": command_for(why_not, arguments, session) if why_not.answer == "possible" else None,
        "failure": None if failure is None else error_json(failure),
        "alone": None if why_not.alone is None else list_json(why_not.alone, names),
        "offers": [msgspec.to_builtins(offer) for offer in why_not.offers],
    }
