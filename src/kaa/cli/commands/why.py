"""`kaa why`: who needs a package, back to what was asked for."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from kaa.api.session import Session
from kaa.api.why import Why, explain_planned_presence, explain_presence
from kaa.cli.arguments import add_channels, add_network, add_output, add_solving, add_target
from kaa.cli.changing import change_options
from kaa.cli.configuring import existing_target
from kaa.cli.output import print_json
from kaa.cli.records import channel_names, list_json
from kaa.models.match_spec import MatchSpec
from kaa.solver.presence import Need, Presence
from kaa.solver.spelling import spell

HELP = """Tell who needs a package, from what was asked for down to it, with the words of every dependency.

    kaa why libffi -n demo
    kaa why libffi --plan python=3.12 numpy     (nothing is installed)

Shown are the shortest ways; -v shows all of them, and what others allow of the package."""

MOST_NAMES = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("package", metavar="NAME", help="the package")
    add_target(parser)
    add_plan(parser)
    add_channels(parser)
    add_solving(parser)
    add_network(parser)
    add_output(parser)


def add_plan(parser: argparse.ArgumentParser) -> None:
    """--plan."""
    parser.add_argument(
        "--plan",
        nargs="+",
        metavar="SPEC",
        help="as if these were installed, in a new environment or in the one that is named",
    )


def run(arguments: argparse.Namespace, session: Session) -> int:
    if arguments.plan:
        prefix = planned_target(arguments, session)
        options = change_options(arguments)
        why = explain_planned_presence(session, arguments.package, arguments.plan, prefix, options)
    else:
        prefix = existing_target(arguments, session.config, session.environ)
        why = explain_presence(session, prefix, arguments.package)
    if session.config.json:
        print_json(why_json(why, session))
    else:
        print("\n".join(why_lines(why, everything=session.config.verbosity > 0)))
    return 0


def planned_target(arguments: argparse.Namespace, session: Session) -> Path | None:
    """The environment that a plan is for: the one that is named, else a new one."""
    if arguments.name or arguments.prefix:
        return existing_target(arguments, session.config, session.environ)
    return None


# -- for people -------------------------------------------------------------------------------------------------------


def why_lines(why: Why, *, everything: bool) -> list[str]:
    """Why a package is there, in words."""
    presence = why.presence
    if presence is None:
        return pip_lines(why)
    lines = [*Ways(presence, presence.needs if everything else presence.shortest()).lines()]
    if not everything:
        lines += others_line(presence)
    if everything and presence.constrains:
        lines += ["", f"These go only with some versions of {why.name}:"]
        lines += [f"  {title(presence, need.source)}: {need.text}" for need in presence.constrains]
    if why.pip is not None:
        lines += ["", *pip_lines(why)]
    return [headline(why), *([""] if lines else []), *lines]


def headline(why: Why) -> str:
    """The package and the shortest answer."""
    presence = why.presence
    assert presence is not None
    name = title(presence, why.name)
    if why.is_virtual:
        return f"{name} is a fact about the machine. It is needed by:" if presence.needs else f"{name} is not needed."
    if presence.requested is not None:
        spec = spoken(presence.requested)
        asked = f"{name} was asked for" + ("" if spec == why.name else f" ({spec})")
        return f"{asked}, and it is needed:" if presence.needs else f"{asked}. Nothing else needs it."
    if not why.is_unneeded:
        return f"{name} is needed:"
    where = "" if why.prefix is None else f" --prefix {shlex.quote(str(why.prefix))}"
    if presence.needs:
        return f"{name} is needed only by what nobody asked for:"
    return (
        f"{name}: nothing needs it, and nobody asked for it.\n"
        f"To take it away, with what only it needs: kaa remove --prune{where} {why.name}"
    )


def pip_lines(why: Why) -> list[str]:
    """What is known of a package that no conda package brought."""
    pip = why.pip
    assert pip is not None
    by = f"by {pip.installer}" if pip.installer and pip.installer != "conda" else "by pip or its like"
    source = f" from {pip.editable_source}" if pip.editable_source else ""
    lines = [f"{pip.name} {pip.version} was installed {by}{source}, not from a channel."]
    where = "" if why.prefix is None else f" --prefix {shlex.quote(str(why.prefix))}"
    return [*lines, f"What needs it is not known to kaa; ask pip: kaa run{where} python -m pip show {pip.name}"]


def title(presence: Presence, name: str) -> str:
    """A package and its version."""
    record = presence.records.get(name)
    return name if record is None else f"{name} {record.version}"


def spoken(spec: str) -> str:
    """A spec, as the history keeps it, as people write it."""
    return spell(MatchSpec.parse(spec, lenient=True))


def others_line(presence: Presence) -> list[str]:
    """Who needs the package besides those on the shortest ways."""
    told = {need.source for need in presence.shortest()}
    others = [name for name in dict.fromkeys(need.source for need in presence.direct) if name not in told]
    if not others:
        return []
    shown = ", ".join(others[:MOST_NAMES]) + (f" and {len(others) - MOST_NAMES} more" if others[MOST_NAMES:] else "")
    return ["", f"Needed directly by {shown} as well; -v shows all ways."]


class Ways:
    """The ways to a package as a tree, every package told once."""

    def __init__(self, presence: Presence, needs: Sequence[Need]) -> None:
        self._presence = presence
        self._needs: dict[str, list[Need]] = {}
        for need in needs:
            self._needs.setdefault(need.source, []).append(need)
        self._told: set[str] = set()

    def lines(self) -> Iterator[str]:
        """One tree for each origin that was not told in another one."""
        for origin in self._presence.origins:
            spec = self._presence.requests.get(origin)
            again = origin in self._told
            asked = "nobody asked for it" if spec is None else f"asked for: {spoken(spec)}"
            yield f"{title(self._presence, origin)} ({asked}){', see above' if again else ''}"
            if not again:
                yield from self._below(origin)

    def _below(self, origin: str) -> Iterator[str]:
        """What an origin needs on its ways, depth first, drawn with branches."""
        self._told.add(origin)
        waiting = [*self._branches(origin, "")][::-1]
        while waiting:
            line, target, below = waiting.pop()
            if target is None or target == self._presence.name:
                yield line
            elif target in self._told:
                yield f"{line}, see above"
            else:
                self._told.add(target)
                yield line
                waiting += [*self._branches(target, below)][::-1]

    def _branches(self, source: str, before: str) -> Iterator[tuple[str, str | None, str]]:
        """A line for each need, what is to be told below it, and the drawing that goes on there.

        Needs of what was told above are one line.
        """
        needs = self._needs.get(source, [])
        known = [need for need in needs if need.target in self._told and need.target != self._presence.name]
        fresh = [need for need in needs if need not in known]
        # What leads straight to the package comes first.
        fresh.sort(key=lambda need: need.target != self._presence.name)
        lines: list[tuple[str, str | None]] = [(self._line(need), need.target) for need in fresh]
        if known:
            names = dict.fromkeys(need.target for need in known)
            lines.append((f"needs {', '.join(names)}, see above", None))
        for place, (line, target) in enumerate(lines):
            last = place == len(lines) - 1
            yield f"{before}{'└─ ' if last else '├─ '}{line}", target, before + ("   " if last else "│  ")

    def _line(self, need: Need) -> str:
        record = self._presence.records.get(need.target)
        if need.target == self._presence.name or record is None:
            return f"needs {need.text}"
        return f"needs {need.text}: {need.target} {record.version}"


# -- for programs -----------------------------------------------------------------------------------------------------


def why_json(why: Why, session: Session) -> dict[str, object]:
    """The same as data."""
    presence = why.presence
    pip = why.pip
    document: dict[str, object] = {
        "success": True,
        "name": why.name,
        "prefix": None if why.prefix is None else str(why.prefix),
        "package": None if why.record is None else list_json(why.record, channel_names(session)),
        "unneeded": why.is_unneeded,
        "pip": None
        if pip is None
        else {
            "name": pip.name,
            "version": pip.version,
            "installer": pip.installer or None,
            "editable_source": pip.editable_source,
        },
    }
    if presence is not None:
        document |= {
            "requested": presence.requested,
            "needed_by": [need_json(need) for need in presence.direct],
            "origins": [{"name": name, "requested": presence.requests.get(name)} for name in presence.origins],
            "ways": [[need_json(need) for need in presence.way_from(origin)] for origin in presence.origins],
            "needs": [need_json(need) for need in presence.needs],
            "constrained_by": [need_json(need) for need in presence.constrains],
        }
    return document


def need_json(need: Need) -> dict[str, str]:
    """Who needs what, in which words."""
    return {"name": need.source, "needs": need.target, "spec": need.text}
