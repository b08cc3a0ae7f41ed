"""What a proof rests on, as a tree of causes: from the requests down to what cannot be had."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from kaa.models.channel import short_name
from kaa.models.cutoff import show_cutoff
from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec import MatchSpec
from kaa.models.version import Version
from kaa.solver.candidates import ABSENT
from kaa.solver.drawing import Node, plain_text
from kaa.solver.folding import fold, listed
from kaa.solver.incompatibility import Implication, Incompatibility
from kaa.solver.opening import Opening
from kaa.solver.proof import leaves_of
from kaa.solver.reasons import (
    Conditional,
    Constrains,
    Depends,
    NotOnHand,
    Pinned,
    Removed,
    Requested,
    TooNew,
    Unreadable,
    Unusable,
)
from kaa.solver.spelling import spell
from kaa.solver.states import NameStates, query_of
from kaa.solver.unrolling import Unrolled, unroll

MOST_TEXTS = 3
LOWEST_VERSION = re.compile(r"(?:^|[,|>= ])>?=*([0-9][0-9.]*)")

OPEN = "open"

WAS_ASKED = {
    "install": "was asked for",
    "update": "is to be updated",
    "history": "was asked for earlier",
    "freeze": "is installed and stays as it is",
}


def builds(number: int, name: str) -> str:
    """So many builds of a package are … what follows."""
    return (
        f"the only build of {name} that would do is"
        if number == 1
        else f"all {number} builds of {name} that would do are"
    )


ROLES = {"history": " (asked for earlier)", "freeze": " (installed)", "update": "", "install": ""}


def tell(fact: Requested | Pinned) -> str:
    """What a fact asks for; of a frozen package its build does not matter."""
    if isinstance(fact, Requested) and fact.job == "freeze":
        return f"{fact.spec.name} {str(fact.spec.version).removeprefix('==')}"
    return spell(fact.spec)


def root_of(fact: Requested) -> Node:
    """The node for a request, with nothing below it yet."""
    text = tell(fact)
    return Node(text + ROLES[fact.job], alone=f"{text} {WAS_ASKED[fact.job]}")


def reason_of(leaf: Incompatibility) -> object:
    """The reason of a fact, or that of the implication it belongs to."""
    return leaf.reason.reason if isinstance(leaf.reason, Implication) else leaf.reason


class Tree:
    """The causes, from the requests down."""

    def __init__(self, proof: Incompatibility, opening: Opening) -> None:
        self.opening = opening
        self.hints: list[str] = []
        """What can be done outside of the request."""
        self.untried: list[str] = []
        """What would help if it worked."""
        self._facts: dict[str, list[Incompatibility]] = {}
        self._edges: dict[str, list[Incompatibility]] = {}
        self._possible: dict[str, int] = {}
        self._visited: dict[str, int] = {}
        self._said: dict[str, list[tuple[str, str, int]]] = {}
        for leaf in leaves_of(proof):
            self._sort_in(leaf)

    def _sort_in(self, leaf: Incompatibility) -> None:
        reason = reason_of(leaf)
        if isinstance(reason, Requested | Pinned | Removed | TooNew | NotOnHand):
            number = next(iter(leaf.terms))
            self._facts.setdefault(self.opening.names[number], []).append(leaf)
        elif isinstance(reason, Depends | Constrains | Conditional | Unreadable | Unusable):
            self._edges.setdefault(reason.name, []).append(leaf)

    def grow(self, facts: Sequence[Requested | Pinned]) -> list[Node]:
        """The trees of all requests that have something below them."""
        roots: list[Node] = []
        for fact in facts:
            name = fact.spec.name
            if name is None or not isinstance(fact, Requested) or name in self._visited:
                continue
            root = root_of(fact)
            if name.startswith("__"):
                states = self._states(name)
                missing = states.universe == ABSENT
                trouble = self._trouble(name, 0, constrains=False) if missing else self._no_version(name, states)
                self._suggest_override(name, [str(fact.spec.version or "")])
                roots.append(replace(root, ending=f", but {trouble}"))
                continue
            wanted = self._states(name).matching(query_of(fact.spec))
            if wanted and not wanted & self.possible(name) and self._may_not_be_chosen(name):
                roots.append(replace(root, ending=f", but {self._refused(name, wanted, fact)}"))
                continue
            possible = self.possible(name)
            children = unroll(self._look_at(name, possible))
            if children:
                roots.append(replace(root, carriers=possible, allows=possible, children=tuple(children)))
        return roots

    def possible(self, name: str) -> int:
        """The candidates that no request, pin or removal refuses, and that may be chosen at all."""
        if name not in self._possible:
            states = self._states(name).universe & ~ABSENT
            for leaf in self._facts.get(name, ()):
                states &= ~leaf.terms[self.opening.number_of(name)]
            self._possible[name] = states
        return self._possible[name]

    def _states(self, name: str) -> NameStates:
        self.opening.load((name,))
        return self.opening.states(self.opening.number_of(name))

    def _look_at(self, name: str, states: int) -> Unrolled[list[Node]]:
        """Why none of these candidates can be had, as far as it is known of them alone."""
        if not states & ~self._visited.get(name, 0):
            return []
        self._visited[name] = self._visited.get(name, 0) | states
        nodes = self._unusable(name, states)
        done: set[tuple[type, str]] = set()
        for leaf in self._edges.get(name, ()):
            reason = reason_of(leaf)
            if isinstance(reason, Depends | Constrains):
                other = reason.needs if isinstance(reason, Depends) else reason.accepts
                if (type(reason), other) not in done:
                    done.add((type(reason), other))
                    concerned = states & self._concerned(name, type(reason), other)
                    nodes += yield self._needs(name, concerned, reason, other)
            elif isinstance(reason, Unreadable):
                carriers = states & leaf.terms[self.opening.number_of(name)]
                if carriers:
                    clause = ("needs", repr(reason.text))
                    subject = self._versions(name, carriers)
                    nodes.append(Node(subject, (clause,), ", which cannot be read", carriers))
            elif isinstance(reason, Conditional):
                carriers = states & leaf.terms.get(self.opening.number_of(name), 0)
                if carriers:
                    nodes.append((yield self._conditional(self._versions(name, carriers), carriers, reason)))
        return nodes

    def _unusable(self, name: str, states: int) -> list[Node]:
        """One line for every reason why what candidates ask for could not be read."""
        carriers: dict[str, int] = {}
        for leaf in self._edges.get(name, ()):
            reason = reason_of(leaf)
            if isinstance(reason, Unusable):
                carriers[reason.why] = carriers.get(reason.why, 0) | leaf.terms[self.opening.number_of(name)] & states
        told = [(self._versions(name, found), why, found) for why, found in carriers.items() if found]
        if told:
            self.hints.append(f"ask for another version of {name}, or take it from another channel")
        return [
            Node(subject, (), f", which cannot be used: {why}", found, alone=f"there is {subject}")
            for subject, why, found in told
        ]

    def _conditional(self, subject: str, carriers: int, reason: Conditional) -> Unrolled[Node]:
        """A need that a condition or an extra brings."""
        try:
            allows = self._states(reason.needs).matching(query_of(MatchSpec.parse(reason.text, lenient=True)))
        except InvalidText:
            allows = 0
        trouble = self._trouble(reason.needs, allows, constrains=False)
        clauses = (("needs", reason.text),)
        if trouble:
            return Node(subject, clauses, f", but {trouble}", carriers)
        possible = allows & self.possible(reason.needs)
        children = yield self._look_at(reason.needs, possible)
        return Node(subject, clauses, "", carriers, possible, children=tuple(children))

    def _concerned(self, name: str, kind: type, other: str) -> int:
        """The candidates of a name whose needs of another one are part of the proof."""
        states = 0
        for leaf in self._edges[name]:
            reason = reason_of(leaf)
            if isinstance(reason, kind) and other in (getattr(reason, "needs", ""), getattr(reason, "accepts", "")):
                states |= leaf.terms[self.opening.number_of(name)]
        return states

    def _needs(self, name: str, states: int, reason: Depends | Constrains, other: str) -> Unrolled[list[Node]]:
        """One line for every way in which the candidates' needs of another name end."""
        outcomes: dict[str, tuple[int, list[str], int]] = {}
        constrains = isinstance(reason, Constrains)
        for carriers, text in self._texts(name, states, other, constrains=constrains):
            allows = self._allows(other, text)
            # Needs that can be met for the time being are one line, whatever the versions.
            key = self._trouble(other, allows, constrains=constrains) or OPEN
            before, texts, union = outcomes.get(key, (0, [], 0))
            outcomes[key] = (before | carriers, [*texts, text], union | allows)
        nodes = []
        for key, (carriers, texts, union) in outcomes.items():
            verb = "goes only with" if constrains else "needs"
            subject = self._versions(name, carriers)
            clauses = ((verb, self._wanted(other, texts, union)),)
            if key != OPEN:
                self._suggest_override(other, texts)
                nodes.append(Node(subject, clauses, f", but {key}", carriers))
                continue
            possible = union & self.possible(other)
            clash = self._clash(name, subject, other, possible, verb)
            children = [] if constrains or clash else (yield self._look_at(other, possible))
            ending = f", but {clash}" if clash else ""
            nodes.append(Node(subject, clauses, ending, carriers, possible, children=tuple(children)))
        return nodes

    def _texts(self, name: str, states: int, other: str, *, constrains: bool) -> Iterator[tuple[int, str]]:
        """The distinct dependency strings of these candidates on another name, without the name."""
        for part in self._states(name).parts:
            for need in part.constrains if constrains else part.depends:
                if need.name == other:
                    for carriers, text, _ in need.rows:
                        if carriers & states:
                            yield carriers & states, text

    def _allows(self, name: str, text: str) -> int:
        try:
            return self._states(name).matching_rest(text)
        except InvalidText:
            return 0

    def _trouble(self, name: str, allows: int, *, constrains: bool) -> str:
        """Why a need of these states of a name cannot be met; nothing if that is not plain from it alone."""
        states = self._states(name)
        if constrains and not allows:
            return ""
        if states.universe == ABSENT:
            if name.startswith("__"):
                return f"this machine has no {name}"
            self.hints.append(f"add a channel that has {name}")
            return "no channel offers it"
        if not allows:
            return self._no_version(name, states)
        if not allows & self.possible(name):
            return self._refused(name, allows)
        return ""

    def _may_not_be_chosen(self, name: str) -> bool:
        """Whether candidates are refused for other reasons than requests and pins, which the summary tells already."""
        return any(isinstance(leaf.reason, TooNew | NotOnHand | Removed) for leaf in self._facts.get(name, ()))

    def _refused(self, name: str, states: int, fact: Requested | None = None) -> str:
        """What refuses these candidates of a name, but for one fact."""
        number = self.opening.number_of(name)
        facts = [leaf for leaf in self._facts.get(name, ()) if leaf.reason != fact and leaf.terms[number] & states]
        return listed([self._fact(leaf, (leaf.terms[number] & states).bit_count()) for leaf in facts])

    def _suggest_override(self, name: str, texts: Sequence[str]) -> None:
        """How to solve for a machine that has what is needed of a virtual package."""
        if name.startswith("__"):
            asked = sorted({Version(literal) for text in texts for literal in LOWEST_VERSION.findall(text)})
            version = asked[0] if asked else "VERSION"
            self.hints.append(f"solve for a machine that has it: --virtual-package {name}={version}")

    def _no_version(self, name: str, states: NameStates) -> str:
        """What there is of a name, when nothing fits."""
        everything = states.universe & ~ABSENT
        versions = fold(states.versions(everything), states.versions(everything))
        if name.startswith("__"):
            build = states.parts[0].build_at(0)
            found = versions if build == "0" else f"{versions} {build}"
            return f"this machine has {name} {found}"
        if states.shut_out:
            group = states.shut_out[0]
            channel = short_name(group.channel)
            self.untried.append(f"ask for {channel}::{name}, or use flexible channel priority")
            return f"the first channel that has {name} offers {versions} (strict channel priority)"
        return f"the channels offer {versions}"

    def _fact(self, leaf: Incompatibility, refused: int) -> str:
        reason = leaf.reason
        if isinstance(reason, TooNew):
            self.untried.append(
                f"allow newer ones of {reason.name}: --exclude-newer-package {reason.name}=false, or a later date"
            )
            known = ", or of unknown age" if reason.undated else ""
            return f"{builds(refused, reason.name)} newer than the cut-off {show_cutoff(reason.cutoff)}{known}"
        if isinstance(reason, NotOnHand):
            self.hints.append("run it without --offline, so that packages can be fetched")
            return f"{builds(refused, reason.name)} not in the package cache, and kaa works offline"
        if isinstance(reason, Pinned):
            return f"there is the pin {spell(reason.spec)}"
        if isinstance(reason, Removed):
            return f"{spell(reason.spec)} is to be removed"
        assert isinstance(reason, Requested)
        return f"{tell(reason)} {WAS_ASKED[reason.job]}"

    def _clash(self, name: str, subject: str, other: str, states: int, verb: str) -> str:
        """What was said about the same name before, and does not go with this."""
        said = self._said.setdefault(other, [])
        others = [(statement, before) for source, statement, before in said if source != name]
        for statement, before in others:
            if not before & states:
                return statement
        left = states
        for _, before in others:
            left &= before
        if others and not left:
            return listed([statement for statement, _ in others])
        versions = self._states(other).versions(states)
        if versions:
            wanted = fold(versions, self._states(other).versions(self._states(other).universe & ~ABSENT))
            said.append((name, f"{subject} {verb} {other} {wanted}", states))
        return ""

    def _versions(self, name: str, states: int) -> str:
        """A name and versions of it; if these are all, the name alone."""
        known = self._states(name)
        everything = known.versions(known.universe & ~ABSENT)
        chosen = known.versions(states)
        if len(chosen) == len(everything) > 1:
            return f"every {name}" if known.universe & ~ABSENT == states else name
        return f"{name} {fold(chosen, everything)}"

    def _without_build(self, name: str, text: str) -> str:
        """What a text asks of the version, where not even that is to be had."""
        version = text.partition(" ")[0]
        return text if "[" in text or not version or self._allows(name, version) else version

    def _wanted(self, name: str, texts: Sequence[str], union: int) -> str:
        """What is needed of a name: as written, or in versions, when there are many ways of writing it."""
        if not union:
            texts = [self._without_build(name, text) for text in texts]
        distinct = sorted(set(filter(None, map(plain_text, texts))))
        if not distinct:
            return name
        if len(distinct) == 1:
            return f"{name} {distinct[0]}" if distinct[0][0] != "[" else name + distinct[0]
        if not union:
            return f"{name} {listed(distinct, last='or', most=MOST_TEXTS)}"
        states = self._states(name)
        return f"{name} {fold(states.versions(union), states.versions(states.universe & ~ABSENT))}"
