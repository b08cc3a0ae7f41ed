r"""The regular expressions that the string fields of a spec may hold (CEP 29), matched in linear time.

What a spec asks for comes from outside, and a backtracking engine can be made to run for years by a short pattern. This
one walks all alternatives at once: its time is at most the length of the text times the size of the pattern. It knows
literals, `.`, classes, groups, `|`, `* + ? {m,n}`, `^`, `$` and `\d \w \s`, ignores case, and refuses the rest by name.

>>> Regex(r"^1\.(8|9).*$").search("1.9.3")
True
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from kaa.models.invalid_text import InvalidText

MOST_COPIES = 100
DEEPEST_GROUP = 30
LARGEST_PROGRAM = 2000


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_"


_CATEGORIES = {"d": str.isdecimal, "s": str.isspace, "w": _is_word}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r"}


class InvalidRegex(InvalidText):
    """A regular expression that is malformed, or asks for more than CEP 29 allows."""

    conda_name = "InvalidMatchSpec"
    noun = "regular expression"


class Characters(msgspec.Struct, frozen=True):
    """One character out of a set; `categories` are letters as in `\\d`, upper-case ones exclude."""

    singles: frozenset[str] = frozenset()
    ranges: tuple[tuple[str, str], ...] = ()
    categories: str = ""
    negated: bool = False

    def contains(self, character: str) -> bool:
        return self.negated != any(map(self._contains, {character, character.lower(), character.upper()}))

    def _contains(self, character: str) -> bool:
        return (
            character in self.singles
            or any(first <= character <= last for first, last in self.ranges)
            or any(_CATEGORIES[name.lower()](character) == name.islower() for name in self.categories)
        )


class Sequence(msgspec.Struct, frozen=True):
    parts: tuple[Node, ...]


class Choice(msgspec.Struct, frozen=True):
    parts: tuple[Node, ...]


class Repeat(msgspec.Struct, frozen=True):
    part: Node
    least: int
    most: int | None


class Anchor(msgspec.Struct, frozen=True):
    """`^` or `$`."""

    mark: str


Node: TypeAlias = Characters | Sequence | Choice | Repeat | Anchor

ANYTHING = Characters(frozenset("\n"), negated=True)


class Step(msgspec.Struct):
    """One step of the program: pass over a character or an anchor, or just go on to all of `following`."""

    test: Characters | Anchor | None
    following: list[int]


class Regex:
    """A regular expression, compared without regard to case."""

    __slots__ = ("_program", "pattern")

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self._program = _Compiler(pattern).compile(_Parser(pattern).parse())

    def search(self, text: str) -> bool:
        """Whether the expression matches anywhere in the text."""
        program = self._program
        last = len(program) - 1
        states: set[int] = set()
        for position in range(len(text) + 1):
            states = self._reach(states | {0}, position, len(text))
            if last in states:
                return True
            if position == len(text):
                break
            character = text[position]
            states = {
                target
                for state in states
                if isinstance(test := program[state].test, Characters) and test.contains(character)
                for target in program[state].following
            }
        return False

    def _reach(self, states: set[int], position: int, length: int) -> set[int]:
        """All states that can be had from these without passing over a character."""
        reached = set(states)
        pending = list(states)
        while pending:
            step = self._program[pending.pop()]
            if isinstance(step.test, Characters):
                continue
            if step.test is not None and position != (0 if step.test.mark == "^" else length):
                continue
            pending += [state for state in step.following if state not in reached]
            reached.update(step.following)
        return reached


class _Compiler:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.program: list[Step] = []

    def compile(self, node: Node) -> list[Step]:
        """The program: it begins at step 0 and has matched at its last step."""
        self._emit(node)
        self._add(None).following.clear()
        return self.program

    def _add(self, test: Characters | Anchor | None) -> Step:
        """Append a step that goes on to the next one."""
        if len(self.program) >= LARGEST_PROGRAM:
            raise InvalidRegex(self.pattern, 0, "the expression is too large")
        step = Step(test, [len(self.program) + 1])
        self.program.append(step)
        return step

    def _emit(self, node: Node) -> None:
        match node:
            case Characters() | Anchor():
                self._add(node)
            case Sequence(parts):
                for part in parts:
                    self._emit(part)
            case Choice(parts):
                self._emit_choice(parts)
            case Repeat(part, least, most):
                for _ in range(least):
                    self._emit(part)
                if most is None:
                    self._emit_loop(part)
                for _ in range((most or least) - least):
                    self._emit_choice((part, Sequence(())))

    def _emit_choice(self, parts: tuple[Node, ...]) -> None:
        fork = self._add(None)
        fork.following.clear()
        ends = []
        for part in parts:
            fork.following.append(len(self.program))
            self._emit(part)
            ends.append(self._add(None))
        for end in ends:
            end.following[:] = [len(self.program)]

    def _emit_loop(self, part: Node) -> None:
        start = len(self.program)
        fork = self._add(None)
        self._emit(part)
        self._add(None).following[:] = [start]
        fork.following.append(len(self.program))


class _Parser:
    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.position = 0
        self.depth = 0

    def parse(self) -> Node:
        node = self._choice()
        if self.position < len(self.pattern):
            raise self._fault("this ')' closes nothing")
        return node

    def _fault(self, reason: str, position: int | None = None) -> InvalidRegex:
        return InvalidRegex(self.pattern, self.position if position is None else position, reason)

    def _peek(self) -> str:
        return self.pattern[self.position : self.position + 1]

    def _take(self, text: str) -> bool:
        if not self.pattern.startswith(text, self.position):
            return False
        self.position += len(text)
        return True

    def _choice(self) -> Node:
        parts = [self._sequence()]
        while self._take("|"):
            parts.append(self._sequence())
        return parts[0] if len(parts) == 1 else Choice(tuple(parts))

    def _sequence(self) -> Node:
        parts = []
        while self._peek() not in ("", "|", ")"):
            start = self.position
            node = self._atom()
            repeated = self._quantified(node)
            if isinstance(node, Anchor) and repeated is not node:
                raise self._fault("there is nothing to repeat", start + 1)
            parts.append(repeated)
        return Sequence(tuple(parts))

    def _quantified(self, node: Node) -> Node:
        start = self.position
        if self._take("*"):
            node = Repeat(node, 0, None)
        elif self._take("+"):
            node = Repeat(node, 1, None)
        elif self._take("?"):
            node = Repeat(node, 0, 1)
        elif self._peek() == "{":
            node = self._counted(node)
        else:
            return node
        # A lazy quantifier accepts the same texts.
        self._take("?")
        if self._peek() in ("*", "+", "?", "{"):
            raise self._fault("a quantifier cannot be repeated")
        assert self.position > start
        return node

    def _counted(self, node: Node) -> Node:
        start = self.position
        end = self.pattern.find("}", start)
        least, comma, most = self.pattern[start + 1 : end].partition(",")
        if end < 0 or not all(number.isdecimal() for number in (least, most) if number) or not (least or most):
            raise self._fault("a count is written {2}, {2,} or {2,5}")
        low = int(least[:9] or "0")
        high = low if not comma else int(most[:9]) if most else None
        if low > MOST_COPIES or (high is not None and high > MOST_COPIES):
            raise self._fault(f"a count is at most {MOST_COPIES}")
        if high is not None and high < low:
            raise self._fault("the first count is larger than the second")
        self.position = end + 1
        return Repeat(node, low, high)

    def _atom(self) -> Node:
        character = self._peek()
        if character == "(":
            return self._group()
        if character == "[":
            return self._class()
        if character == "\\":
            return self._escape()
        if character in "*+?{":
            raise self._fault("there is nothing to repeat")
        self.position += 1
        if character in "^$":
            return Anchor(character)
        return ANYTHING if character == "." else Characters(frozenset(character))

    def _group(self) -> Node:
        start = self.position
        self.position += 1
        if self._take("?") and not self._take(":"):
            raise self._fault("only plain groups are allowed: no lookaround, no flags, no names", start)
        self.depth += 1
        if self.depth > DEEPEST_GROUP:
            raise self._fault("groups are nested too deeply", start)
        node = self._choice()
        if not self._take(")"):
            raise self._fault("this '(' is never closed", start)
        self.depth -= 1
        return node

    def _escape(self) -> Characters:
        start = self.position
        character = self.pattern[start + 1 : start + 2]
        self.position += 2
        if character.lower() in _CATEGORIES and character:
            return Characters(categories=character)
        if character.isdecimal():
            raise self._fault("backreferences are not allowed", start)
        if not character or (character.isalpha() and character not in _CONTROLS):
            raise self._fault("this escape is not known", start)
        return Characters(frozenset(_CONTROLS.get(character, character)))

    def _class(self) -> Characters:
        start = self.position
        self.position += 1
        negated = self._take("^")
        singles: set[str] = set()
        ranges: list[tuple[str, str]] = []
        categories = ""
        first = True
        while first or self._peek() != "]":
            first = False
            if not self._peek():
                raise self._fault("this '[' is never closed", start)
            item = self._class_item()
            if item.categories:
                categories += item.categories
                continue
            (single,) = item.singles
            if self._peek() != "-" or self.pattern[self.position + 1 : self.position + 2] in ("]", ""):
                singles.add(single)
                continue
            self.position += 1
            end = self._class_item()
            if end.categories or min(end.singles) < single:
                raise self._fault("this range of characters is not one")
            ranges.append((single, min(end.singles)))
        self.position += 1
        return Characters(frozenset(singles), tuple(ranges), categories, negated)

    def _class_item(self) -> Characters:
        if self._peek() == "\\":
            return self._escape()
        self.position += 1
        return Characters(frozenset(self.pattern[self.position - 1]))
