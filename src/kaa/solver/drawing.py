"""A tree of causes as lines of text: chains in one sentence, needs of one subject together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from kaa.models.match_spec_syntax import name_of
from kaa.solver.folding import listed
from kaa.solver.unrolling import Unrolled, unroll

LONGEST_CHAIN = 110
"""Characters of a line to which the next need is still appended."""
MOST_LEADS = 3
ASKED = 1000
"""As contested as this is what was asked for itself."""

PRERELEASE = re.compile(r"(<[0-9][0-9.]*?)(?:\.0)*\.?a0(?=$|[,| ])")
BUILD = re.compile(r" (?:[0-9A-Za-z._]*h[0-9a-f]{7}_[0-9A-Za-z_]+|\*_cp[0-9a-z]+)$")
"""The hash in a build string, and the kind of interpreter."""


class Node(msgspec.Struct, frozen=True):
    """A statement of the tree, and those below it.

    The statement is made of the subject, clauses of a verb and what is wanted, what closed branches lead to (`leads`),
    and an ending. `carriers` are the states of which it tells, `allows` those that are left of what the last clause
    is about.
    """

    subject: str
    clauses: tuple[tuple[str, str], ...] = ()
    ending: str = ""
    carriers: int = 0
    allows: int = 0
    ends: tuple[tuple[str, str], ...] = ()
    """What the closed branches below come to, and what is said of that."""
    leads: tuple[str, ...] = ()
    alone: str = ""
    """The statement when there is no clause."""
    children: tuple[Node, ...] = ()

    @property
    def text(self) -> str:
        """The statement as a line."""
        told = ", which ".join(f"{verb} {wanted}" for verb, wanted in self.clauses)
        leads = listed(self.leads, most=MOST_LEADS) if self.leads else ""
        if told:
            text = f"{self.subject} {told}" + (f", and in the end {leads}" if leads else "")
        else:
            text = f"{self.subject} needs in the end {leads}" if leads else self.alone
        return text + self.ending


def drawn(nodes: Iterable[Node], most: int, asked: Collection[str] = ()) -> list[str]:
    """The lines of a tree, at most so many (but one for each root); `asked` are the names that were asked for."""
    merged = [unroll(merge(node)) for node in nodes]
    while count(merged) > most and (deepest := depth(merged)) > 1:
        # Every level has a line, so more levels than lines are too many in any case.
        levels = max(1, min(deepest - 1, most))
        merged = list(merge_siblings([close(node, levels) for node in merged]))
    contested = Counter(name for node in merged for name in {name_of(wanted) for wanted, _ in ends_of(node)})
    contested.update(dict.fromkeys(asked, ASKED))
    return list(lines_of([sharpen(node, contested) for node in merged]))


def merge(node: Node) -> Unrolled[Node]:
    """A tree with the simple needs of one subject in one line, and chains of needs in one line."""
    merged: list[Node] = []
    for child in node.children:
        merged.append((yield merge(child)))
    children = merge_siblings(merged)
    if len(children) == 1 and not node.ending and children[0].clauses and not node.allows & ~children[0].carriers:
        [child] = children
        joined = replace(
            child,
            subject=node.subject,
            clauses=(*node.clauses, *child.clauses),
            carriers=node.carriers,
            alone=node.alone,
        )
        if len(joined.text) <= LONGEST_CHAIN or not node.clauses:
            return joined
    return replace(node, children=tuple(children))


def merge_siblings(nodes: Sequence[Node]) -> list[Node]:
    """Simple needs of the same subject as one line."""
    found: dict[object, Node] = {}
    for place, node in enumerate(nodes):
        simple = len(node.clauses) == 1 and not (node.children or node.ending or node.ends)
        key: object = (node.subject, node.clauses[0][0]) if simple else place
        before = found.get(key)
        if before is not None:
            [(verb, wanted)], [(_, more)] = before.clauses, node.clauses
            node = replace(before, clauses=((verb, f"{wanted} and {more}"),))
        found[key] = node
    return list(found.values())


def count(nodes: Iterable[Node]) -> int:
    """How many lines a tree takes."""
    return sum(1 for _ in walk(nodes))


def depth(nodes: Iterable[Node]) -> int:
    """How many levels a tree has."""
    return max((level for _, level in walk(nodes)), default=0)


def walk(nodes: Iterable[Node]) -> Iterator[tuple[Node, int]]:
    """All nodes of a tree, each before those below it, with their level."""
    waiting = [(node, 1) for node in nodes][::-1]
    while waiting:
        node, level = waiting.pop()
        yield node, level
        waiting += [(child, level + 1) for child in reversed(node.children)]


def close(node: Node, levels: int) -> Node:
    """A tree of so many levels; what is below is told in a few words."""
    if levels > 1:
        return replace(node, children=tuple(close(child, levels - 1) for child in node.children))
    return replace(node, children=(), ends=tuple(dict.fromkeys(ends_of(node)))) if node.children else node


def ends_of(node: Node) -> Iterator[tuple[str, str]]:
    """What is wanted at the ends of the branches, and what is said of it."""
    for one, _ in walk([node]):
        if one.ends:
            yield from one.ends
        elif not one.children:
            yield one.clauses[-1][1] if one.clauses else one.subject, one.ending


def sharpen(node: Node, contested: Mapping[str, int]) -> Node:
    """A tree whose closed branches tell of what others want, too, or was asked for; of each name once."""
    if not node.ends:
        return replace(node, children=tuple(sharpen(child, contested) for child in node.children))
    by_name: dict[str, dict[str, None]] = {}
    for wanted, _ in node.ends:
        by_name.setdefault(name_of(wanted), {})[wanted] = None
    most = max(contested[name] for name in by_name)
    least = ASKED if most >= ASKED else min(most, 2)
    names = sorted(name for name in by_name if contested[name] >= least)
    endings = {ending for wanted, ending in node.ends if name_of(wanted) in names}
    return replace(
        node,
        leads=tuple(
            next(iter(by_name[name])) if len(by_name[name]) == 1 else f"other versions of {name}" for name in names
        ),
        ending=endings.pop() if len(endings) == 1 else "",
    )


def lines_of(nodes: Iterable[Node]) -> Iterator[str]:
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


def plain_text(text: str) -> str:
    """What a dependency string asks for, without what only packaging knows about.

    >>> plain_text(">=1.22.2,<1.23.0a0"), plain_text("22.0.0 ha7f89c6_20_cpu"), plain_text("*")
    ('>=1.22.2,<1.23', '22.0.0', '')
    """
    return BUILD.sub("", PRERELEASE.sub(r"\1", text)) if text != "*" else ""
