"""Why there is no solution, in words: the proof of the search → one sentence, a tree of causes, and ways out.

The proof rests on facts: requests, pins, what candidates depend on, what is missing. The tree begins at the requests
that take part in it and follows only those dependencies that do, versions folded to ranges, until it comes to what
cannot be had.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec import MatchSpec
from kaa.solver.candidates import ABSENT
from kaa.solver.folding import fold, listed
from kaa.solver.incompatibility import Implication, Incompatibility
from kaa.solver.opening import Opening, rows_of
from kaa.solver.reasons import Conditional, Constrains, Depends, Pinned, Removed, Requested, Unreadable
from kaa.solver.spelling import override_of, spell
from kaa.solver.states import NameStates, query_of

MOST_LINES = 40
MOST_TEXTS = 3


class Explanation(msgspec.Struct, frozen=True):
    """What is said about a contradiction."""

    summary: str
    lines: tuple[str, ...]
    hints: tuple[str, ...]
    requests: tuple[str, ...]
    pins: tuple[str, ...]


class Node(msgspec.Struct):
    """A line of the tree and those below it."""

    text: str
    children: list[Node] = msgspec.field(default_factory=list)


def leaves_of(proof: Incompatibility) -> list[Incompatibility]:
    """What a proof rests on, in the order in which it was used."""
    seen: set[int] = set()
    leaves: list[Incompatibility] = []
    waiting = [proof]
    while waiting:
        step = waiting.pop()
        if id(step) in seen:
            continue
        seen.add(id(step))
        if step.causes:
            waiting.extend(reversed(step.causes))
        else:
            leaves.append(step)
    return leaves


def facts_of(proof: Incompatibility) -> list[Requested | Pinned]:
    """The requests and pins that a proof rests on."""
    facts = dict.fromkeys(leaf.reason for leaf in leaves_of(proof) if isinstance(leaf.reason, Requested | Pinned))
    return list(facts)


def explain(proof: Incompatibility, opening: Opening, asked: Sequence[MatchSpec]) -> Explanation:
    """The explanation of a proof; `asked` are the requests, in their order."""
    facts = facts_of(proof)
    order = {spec: place for place, spec in reversed(list(enumerate(asked)))}
    facts.sort(key=lambda fact: order.get(fact.spec, len(order)))
    tree = Tree(proof, opening)
    roots = tree.grow(facts)
    lines = list(drawn(roots))
    if len(lines) > MOST_LINES:
        lines[MOST_LINES:] = [f"… and {len(lines) - MOST_LINES} lines more"]
    return Explanation(
        summary(facts),
        tuple(lines),
        tuple(dict.fromkeys([*hints_for(facts), *tree.hints])),
        tuple(spell(fact.spec) for fact in facts if isinstance(fact, Requested)),
        tuple(spell(fact.spec) for fact in facts if isinstance(fact, Pinned)),
    )


def summary(facts: Sequence[Requested | Pinned]) -> str:
    """One sentence that names what contradicts each other."""
    asked = [spell(fact.spec) for fact in facts if isinstance(fact, Requested) and fact.job in ("install", "update")]
    earlier = [spell(fact.spec) for fact in facts if isinstance(fact, Requested) and fact.job == "history"]
    frozen = [spell(fact.spec) for fact in facts if isinstance(fact, Requested) and fact.job == "freeze"]
    pins = [spell(fact.spec) for fact in facts if isinstance(fact, Pinned)]
    if not asked:
        sentence = "What is installed cannot stay together"
    elif len(asked) == 1:
        sentence = f"{asked[0]} cannot be installed"
    else:
        sentence = f"{listed(asked)} cannot be installed" + ("" if earlier else " together")
    if earlier:
        sentence += f" together with what was asked for earlier: {listed(earlier)}"
    if frozen:
        sentence += f" while these installed packages stay as they are: {listed(frozen)}"
    if pins:
        sentence += f" while {'this pin holds' if len(pins) == 1 else 'these pins hold'}: {listed(pins)}"
    return sentence + "."


def hints_for(facts: Sequence[Requested | Pinned]) -> Iterator[str]:
    """Ways out that lie in the requests themselves."""
    for fact in facts:
        if isinstance(fact, Pinned):
            yield f"lift the pin {spell(fact.spec)}: remove it from conda-meta/pinned or from pinned_packages"
    for fact in facts:
        if isinstance(fact, Requested) and fact.job == "history":
            yield f"name {fact.spec.name} in the request as well, to lift the earlier {spell(fact.spec)}"
    if any(isinstance(fact, Requested) and fact.job == "freeze" for fact in facts):
        yield "let installed packages change: leave out --freeze-installed"
    versions = [
        str(fact.spec.name)
        for fact in facts
        if isinstance(fact, Requested) and fact.job in ("install", "update") and fact.spec.version is not None
    ]
    if versions:
        yield f"ask for another version of {listed(list(dict.fromkeys(versions)), last='or')}"


class Tree:
    """The causes, from the requests down."""

    def __init__(self, proof: Incompatibility, opening: Opening) -> None:
        self.opening = opening
        self.hints: list[str] = []
        self._facts: dict[str, list[Incompatibility]] = {}
        self._edges: dict[str, list[Incompatibility]] = {}
        self._possible: dict[str, int] = {}
        self._visited: dict[str, int] = {}
        self._said: dict[str, list[tuple[str, str, int]]] = {}
        for leaf in leaves_of(proof):
            self._sort_in(leaf)

    def _sort_in(self, leaf: Incompatibility) -> None:
        reason = reason_of(leaf)
        if isinstance(reason, Requested | Pinned | Removed):
            number = next(iter(leaf.terms))
            self._facts.setdefault(self.opening.names[number], []).append(leaf)
        elif isinstance(reason, Depends | Constrains | Conditional | Unreadable):
            self._edges.setdefault(reason.name, []).append(leaf)

    def grow(self, facts: Sequence[Requested | Pinned]) -> list[Node]:
        """The trees of all requests that have something below them."""
        roots: list[Node] = []
        for fact in facts:
            name = fact.spec.name
            if name is None or not isinstance(fact, Requested) or name in self._visited:
                continue
            line = f"{spell(fact.spec)} {WAS_ASKED[fact.job]}"
            if name.startswith("__"):
                states = self._states(name)
                missing = states.universe == ABSENT
                trouble = self._trouble(name, 0, constrains=False) if missing else self._no_version(name, states)
                roots.append(Node(f"{line}, but {trouble}"))
                continue
            children = self._look_at(name, self.possible(name))
            if children:
                roots.append(Node(line, children))
        return roots

    def possible(self, name: str) -> int:
        """The candidates that no request, pin or removal refuses."""
        if name not in self._possible:
            states = self._states(name).universe & ~ABSENT
            for leaf in self._facts.get(name, ()):
                states &= ~leaf.terms[self.opening.number_of(name)]
            self._possible[name] = states
        return self._possible[name]

    def _states(self, name: str) -> NameStates:
        self.opening.load((name,))
        return self.opening.states(self.opening.number_of(name))

    def _look_at(self, name: str, states: int) -> list[Node]:
        """Why none of these candidates can be had, as far as it is known of them alone."""
        if not states & ~self._visited.get(name, 0):
            return []
        self._visited[name] = self._visited.get(name, 0) | states
        nodes: list[Node] = []
        done: set[tuple[type, str]] = set()
        for leaf in self._edges.get(name, ()):
            reason = reason_of(leaf)
            if isinstance(reason, Depends | Constrains):
                other = reason.needs if isinstance(reason, Depends) else reason.accepts
                if (type(reason), other) not in done:
                    done.add((type(reason), other))
                    nodes += self._needs(name, states & self._concerned(name, type(reason), other), reason, other)
            elif isinstance(reason, Unreadable):
                carriers = states & leaf.terms[self.opening.number_of(name)]
                if carriers:
                    nodes.append(Node(f"{self._versions(name, carriers)} needs {reason.text!r}, which cannot be read"))
            elif isinstance(reason, Conditional):
                carriers = states & leaf.terms.get(self.opening.number_of(name), 0)
                if carriers:
                    nodes.append(self._conditional(self._versions(name, carriers), reason))
        return nodes

    def _conditional(self, subject: str, reason: Conditional) -> Node:
        """A need that a condition or an extra brings."""
        try:
            allows = self._states(reason.needs).matching(query_of(MatchSpec.parse(reason.text, lenient=True)))
        except InvalidText:
            allows = 0
        trouble = self._trouble(reason.needs, allows, constrains=False)
        line = f"{subject} needs {reason.text}"
        if trouble:
            return Node(f"{line}, but {trouble}")
        return Node(line, self._look_at(reason.needs, allows & self.possible(reason.needs)))

    def _concerned(self, name: str, kind: type, other: str) -> int:
        """The candidates of a name whose needs of another one are part of the proof."""
        states = 0
        for leaf in self._edges[name]:
            reason = reason_of(leaf)
            if isinstance(reason, kind) and other in (getattr(reason, "needs", ""), getattr(reason, "accepts", "")):
                states |= leaf.terms[self.opening.number_of(name)]
        return states

    def _needs(self, name: str, states: int, reason: Depends | Constrains, other: str) -> list[Node]:
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
            line = f"{subject} {verb} {self._wanted(other, texts, union)}"
            if key != OPEN:
                nodes.append(Node(f"{line}, but {key}"))
                continue
            clash = self._clash(name, subject, other, union & self.possible(other), verb)
            children = [] if constrains or clash else self._look_at(other, union & self.possible(other))
            nodes.append(Node(f"{line}, but {clash}" if clash else line, children))
        return nodes

    def _texts(self, name: str, states: int, other: str, *, constrains: bool) -> Iterator[tuple[int, str]]:
        """The distinct dependency strings of these candidates on another name, without the name."""
        for part in self._states(name).parts:
            for need in part.constrains if constrains else part.depends:
                if need.name == other:
                    for carriers, text, _ in rows_of(need, part.shift):
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
                self.hints.append(f"set {override_of(name)} to solve for a machine that has {name}")
                return f"this machine has no {name}"
            self.hints.append(f"add a channel that has {name}")
            return "no channel offers it"
        if not allows:
            return self._no_version(name, states)
        if not allows & self.possible(name):
            return listed([self._fact(leaf) for leaf in self._facts.get(name, ())])
        return ""

    def _no_version(self, name: str, states: NameStates) -> str:
        """What there is of a name, when nothing fits."""
        everything = states.universe & ~ABSENT
        versions = fold(states.versions(everything), states.versions(everything))
        if name.startswith("__"):
            build = states.parts[0].build_at(0)
            found = versions if build == "0" else f"{versions} {build}"
            self.hints.append(f"set {override_of(name)} to solve for another machine")
            return f"this machine has {name} {found}"
        if states.shut_out:
            group = states.shut_out[0]
            channel = group.channel.rpartition("/")[2]
            self.hints.append(f"ask for {channel}::{name}, or use flexible channel priority")
            return f"the first channel that has {name} offers {versions} (strict channel priority)"
        return f"the channels offer {versions}"

    def _fact(self, leaf: Incompatibility) -> str:
        reason = leaf.reason
        if isinstance(reason, Pinned):
            return f"there is the pin {spell(reason.spec)}"
        if isinstance(reason, Removed):
            return f"{spell(reason.spec)} is to be removed"
        assert isinstance(reason, Requested)
        return f"{spell(reason.spec)} {WAS_ASKED[reason.job]}"

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

    def _wanted(self, name: str, texts: Sequence[str], union: int) -> str:
        """What is needed of a name: as written, or in versions, when there are many ways of writing it."""
        distinct = sorted({text for text in texts if text})
        if not distinct:
            return name
        if len(distinct) == 1:
            return f"{name} {distinct[0]}" if distinct[0][0] != "[" else name + distinct[0]
        if not union:
            return f"{name} {listed(distinct, last='or', most=MOST_TEXTS)}"
        states = self._states(name)
        return f"{name} {fold(states.versions(union), states.versions(states.universe & ~ABSENT))}"


OPEN = "open"

WAS_ASKED = {
    "install": "was asked for",
    "update": "is to be updated",
    "history": "was asked for earlier",
    "freeze": "is installed and stays as it is",
}


def reason_of(leaf: Incompatibility) -> object:
    """The reason of a fact, or that of the implication it belongs to."""
    return leaf.reason.reason if isinstance(leaf.reason, Implication) else leaf.reason


def drawn(nodes: Iterable[Node]) -> Iterator[str]:
    """The lines of a tree, drawn with its branches."""
    waiting: list[tuple[Node, str, str]] = [(node, "", "") for node in nodes][::-1]
    while waiting:
        node, before, below = waiting.pop()
        yield before + node.text
        last = len(node.children) - 1
        waiting += [
            (child, below + ("└─ " if place == last else "├─ "), below + ("   " if place == last else "│  "))
            for place, child in enumerate(node.children)
        ][::-1]
