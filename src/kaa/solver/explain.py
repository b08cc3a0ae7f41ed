"""Why there is no solution, in words: the proof of the search → one sentence, a tree of causes, and ways out.

The proof rests on facts: requests, pins, what candidates depend on, what is missing. The tree begins at the requests
that take part in it and follows only those dependencies that do, versions folded to ranges, until it comes to what
cannot be had.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from kaa.models.match_spec import MatchSpec
from kaa.solver.causes import Tree, tell
from kaa.solver.drawing import drawn
from kaa.solver.folding import listed
from kaa.solver.incompatibility import Incompatibility
from kaa.solver.opening import Opening
from kaa.solver.proof import facts_of
from kaa.solver.reasons import Pinned, Requested
from kaa.solver.spelling import spell

MOST_LINES = 7


class Explanation(msgspec.Struct, frozen=True):
    """What is said about a contradiction."""

    summary: str
    lines: tuple[str, ...]
    hints: tuple[str, ...]
    """What can be done outside of the request."""
    untried: tuple[str, ...]
    """What would help if it worked; for those who do not try it."""
    requests: tuple[str, ...]
    pins: tuple[str, ...]


def explain(proof: Incompatibility, opening: Opening, asked: Sequence[MatchSpec]) -> Explanation:
    """The explanation of a proof; `asked` are the requests, in their order."""
    facts = facts_of(proof)
    order = {spec: place for place, spec in reversed(list(enumerate(asked)))}
    facts.sort(key=lambda fact: order.get(fact.spec, len(order)))
    tree = Tree(proof, opening)
    roots = tree.grow(facts)
    return Explanation(
        summary(facts),
        tuple(drawn(roots, MOST_LINES, [str(fact.spec.name) for fact in facts])),
        tuple(dict.fromkeys(tree.hints)),
        tuple(dict.fromkeys([*hints_for(facts), *tree.untried])),
        tuple(spell(fact.spec) for fact in facts if isinstance(fact, Requested)),
        tuple(spell(fact.spec) for fact in facts if isinstance(fact, Pinned)),
    )


def summary(facts: Sequence[Requested | Pinned]) -> str:
    """One sentence that names what contradicts each other."""
    asked = [tell(fact) for fact in facts if isinstance(fact, Requested) and fact.job in ("install", "update")]
    earlier = [tell(fact) for fact in facts if isinstance(fact, Requested) and fact.job == "history"]
    frozen = [tell(fact) for fact in facts if isinstance(fact, Requested) and fact.job == "freeze"]
    pins = [tell(fact) for fact in facts if isinstance(fact, Pinned)]
    if asked:
        sentence = f"{listed(asked)} cannot be installed" + ("" if earlier or len(asked) == 1 else " together")
        sentence += f" together with what was asked for earlier: {listed(earlier)}" if earlier else ""
    elif earlier:
        together = " together" if len(earlier) > 1 else ""
        sentence = f"{listed(earlier)}, asked for earlier, cannot be kept{together}"
    else:
        sentence = f"What is installed cannot stay as it is: {listed(frozen or pins)}"
    if frozen and (asked or earlier):
        sentence += f" while {'this installed package stays' if len(frozen) == 1 else 'these installed packages stay'}"
        sentence += f" as {'it is' if len(frozen) == 1 else 'they are'}: {listed(frozen)}"
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
