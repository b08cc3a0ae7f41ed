"""condarc files: read with lines and flags, changed without losing a comment.

A condarc file is a YAML map (conda's documentation is its only standard). Comments of the form `#!final`, `#!top` and
`#!bottom` behind a key or a list item are flags that steer merging (`kaa.config.sources`).

Most such files need next to nothing of YAML, and a YAML library costs more to load than kaa needs for the rest of its
start; so plain files are read by `kaa.config.plain_yaml`, all others, and every change, by ruamel.yaml.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from kaa.config.plain_yaml import parse_plain
from kaa.envfiles.bounded_yaml import LARGEST_DOCUMENT, bounded_yaml, find_line, load_bounded
from kaa.errors import KaaError
from kaa.host.files import read_bounded

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ruamel.yaml import YAML
    from ruamel.yaml.comments import CommentedMap

FLAGS = {"final": "final", "top": "top", "bottom": "bottom"}


class Entry:
    """One key of a file: its value, its line (from 1), its flag, and the flags of its items (by position or key)."""

    __slots__ = ("flag", "item_flags", "line", "value")

    def __init__(
        self, value: object, line: int | None, flag: str = "", item_flags: Mapping[int | str, str] | None = None
    ) -> None:
        self.value = value
        self.line = line
        self.flag = flag
        self.item_flags = item_flags or {}

    def __repr__(self) -> str:
        return f"Entry({self.value!r}, {self.line!r}, {self.flag!r}, {dict(self.item_flags)!r})"


class InvalidConfigFile(KaaError):
    """A configuration file that is no YAML, or no map of options."""

    conda_name = "ConfigurationLoadError"

    def __init__(self, path: str, reason: str, *, line: int | None = None) -> None:
        place = f"{path}, line {line}" if line else path
        super().__init__(
            f"{place}: {reason}",
            hints=("correct that line, or move the file away while you look into it",),
        )
        self.path = path
        self.line = line
        self.reason = reason


def read_condarc(path: Path) -> dict[str, Entry]:
    """The keys of a file, in its order; raises InvalidConfigFile."""
    try:
        text = read_bounded(path, LARGEST_DOCUMENT).decode("utf-8-sig")
    except OSError as error:
        raise InvalidConfigFile(str(path), f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidConfigFile(str(path), f"is not UTF-8 text (byte {error.start})") from error
    return parse_condarc(text, str(path))


def parse_condarc(text: str, path: str = "condarc") -> dict[str, Entry]:
    """The keys of a file's text; `path` is for messages."""
    plain = parse_plain(text)
    if plain is None:
        return _parse_whole(text, path)
    return {
        key: Entry(value, line, _flag(comment), {at: flag for at, note in notes.items() if (flag := _flag(note))})
        for key, (value, line, comment, notes) in plain.items()
    }


def _parse_whole(text: str, path: str) -> dict[str, Entry]:
    document = _load(text, path)
    entries: dict[str, Entry] = {}
    for key, value in document.items():
        line = (find_line(document, key) or document.lc.line) + 1
        flags: dict[int | str, str] = {}
        # ruamel keeps the comment behind a scalar's line with the key, and one behind a bare key (its value begins on
        # the next line) with the value.
        flag = _flag(_comment_of(document, key)) or _flag(_first_comment_of(value))
        if isinstance(value, list):
            flags = {i: found for i in range(len(value)) if (found := _flag(_comment_of(value, i)))}
        elif isinstance(value, dict):
            flags = {str(k): found for k in value if (found := _flag(_comment_of(value, k)))}
        entries[str(key)] = Entry(_plain_value(value), line, flag, flags)
    return entries


def _yaml() -> YAML:
    yaml = bounded_yaml()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _load(text: str, path: str) -> CommentedMap:
    from ruamel.yaml.comments import CommentedMap  # noqa: PLC0415
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        document = load_bounded(_yaml(), text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context or "is no YAML").split())
        raise InvalidConfigFile(path, f"is no valid YAML: {problem}", line=mark.line + 1 if mark else None) from error
    except (YAMLError, ValueError) as error:
        # ValueError: what looks like a date, and is none.
        raise InvalidConfigFile(path, f"is no valid YAML: {' '.join(str(error).split())}") from error
    if document is None:
        return CommentedMap()
    if not isinstance(document, CommentedMap):
        raise InvalidConfigFile(path, "does not hold `key: value` lines", line=1)
    return document


def _comment_of(node: Any, key: object) -> str:
    """The text of the comment at the end of an item's line."""
    tokens = node.ca.items.get(key) or []
    return "\n".join(token.value for token in tokens if token is not None and hasattr(token, "value"))


def _first_comment_of(node: object) -> str:
    comment = getattr(getattr(node, "ca", None), "comment", None)
    return comment[0].value if comment and comment[0] is not None else ""


def _flag(comment: str) -> str:
    """The flag a comment holds (its first line counts), or nothing."""
    line = comment.lstrip().split("\n", 1)[0].strip()
    return FLAGS.get(line[2:].strip().lower(), "") if line.startswith("#!") else ""


def _plain_value(node: object) -> object:
    """The value without ruamel's own types."""
    if isinstance(node, Mapping):
        return {str(key): _plain_value(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain_value(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for plain in (str, int, float):
        if isinstance(node, plain):
            # bool is int: ruamel's own boolean type is one that only bool() makes plain.
            return bool(node) if type(node).__name__ == "ScalarBoolean" else plain(node)
    return str(node)


class CondarcFile:
    """The text of one condarc file, to be changed: comments, order, spelling and unknown keys stay as they are.

    Every change is made on as few lines as possible, and only kept if the text then reads as it must; otherwise a
    larger part is written anew. Values are those of YAML: texts, numbers, booleans, lists, maps. Writing the text to
    the file is the caller's.
    """

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self.text = text
        self._document = _load(text, path)

    @property
    def values(self) -> dict[str, object]:
        """What the file holds."""
        return {str(key): _plain_value(value) for key, value in self._document.items()}

    def get(self, key: str) -> object:
        """The value of a key (`a.b` reaches into the map `a`); raises KeyError."""
        first, rest = self._split(key)
        value = self.values[first]
        if not rest:
            return value
        if not isinstance(value, dict):
            raise KeyError(key)
        return value[rest]

    def set(self, key: str, value: object) -> None:
        """Put a value in place of what is there."""
        first, rest = self._split(key)
        if not rest:
            self._change(first, value, self._with_scalar(first, value))
            return
        old = self.values.get(first)
        pairs = dict(old) if isinstance(old, dict) else {}
        new = _dumped({rest: value})
        if rest in pairs:
            node = self._document[first]
            new[0] = _with_comment(new[0], _comment_of(node, rest))
            lines = self._with_line(self._line_of(node, rest), new)
        else:
            lines = self._with_more(first, new, first=False) if pairs else None
        pairs[rest] = value
        self._change(first, pairs, lines)

    def insert(self, key: str, item: str, *, first: bool) -> bool:
        """Put an item at the beginning or the end of a list; True if it was there and has been moved."""
        moved = item in self._list(key)
        if moved:
            self.remove_item(key, item)
        items = self._list(key)
        lines = self._with_more(key, [line.strip() for line in _dumped([item])], first=first) if items else None
        self._change(key, [item, *items] if first else [*items, item], lines)
        return moved

    def remove_item(self, key: str, item: str) -> None:
        """Take an item out of a list, or a key out of a map; raises KeyError if it is not there."""
        first, _ = self._split(key)
        value = self.values.get(first)
        if isinstance(value, list) and item in value:
            line = self._line_of(self._document[first], value.index(item))
            rest: object = [other for other in value if other != item]
        elif isinstance(value, dict) and item in value:
            line = self._line_of(self._document[first], item)
            rest = {name: other for name, other in value.items() if name != item}
        else:
            raise KeyError(item)
        self._change(first, rest, self._with_line(line, []) if rest else None)

    def remove_key(self, key: str) -> None:
        """Take a key out with its value; raises KeyError if it is not there."""
        first, rest = self._split(key)
        if rest:
            self.remove_item(first, rest)
            return
        if first not in self._document:
            raise KeyError(key)
        start, end = self._block(first)
        lines = self._lines()
        self._accept({k: v for k, v in self.values.items() if k != first}, [*lines[:start], *lines[end:]])

    # -- how the text changes -----------------------------------------------------------------------------------------

    def _split(self, key: str) -> tuple[str, str]:
        """`a.b` reaches into the map `a`, unless a key is really called `a.b`; a map's key may hold dots itself."""
        if key in self._document:
            return key, ""
        first, _, rest = key.partition(".")
        return first, rest

    def _list(self, key: str) -> list[object]:
        value = self.values.get(key)
        if value is not None and not isinstance(value, list):
            raise InvalidConfigFile(self.path, f"{key} is not a list there", line=self._block(key)[0] + 1)
        return value or []

    def _lines(self) -> list[str]:
        return self.text.splitlines()

    def _block(self, key: str) -> tuple[int, int]:
        """The lines of a key and its value, without the comments and blank lines that follow."""
        lines = self._lines()
        start = find_line(self._document, key)
        if start is None:
            raise InvalidConfigFile(self.path, f"{key} comes from another mapping (`<<`); change it there by hand")
        later = [line for other in self._document if (line := find_line(self._document, other) or 0) > start]
        end = min(later, default=len(lines))
        while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
            end -= 1
        return start, end

    @staticmethod
    def _line_of(node: Any, at: object) -> int | None:
        """The line of an item or a key inside a list or map written line by line."""
        if node.fa.flow_style():
            return None
        in_list = isinstance(node, list)
        line: int | None = node.lc.item(at)[0] if in_list else find_line(node, at)
        return line

    def _with_line(self, line: int | None, replacement: list[str]) -> list[str] | None:
        """The lines with one of them replaced, indented as it was."""
        if line is None:
            return None
        lines = self._lines()
        indent = lines[line][: len(lines[line]) - len(lines[line].lstrip())]
        return [*lines[:line], *(indent + new for new in replacement), *lines[line + 1 :]]

    def _with_scalar(self, key: str, value: object) -> list[str] | None:
        if key not in self._document or isinstance(value, list | dict):
            return None
        start, end = self._block(key)
        line = _with_comment(_dumped({key: value})[0], _comment_of(self._document, key))
        lines = self._lines()
        return [*lines[:start], line, *lines[end:]]

    def _with_more(self, key: str, new: list[str], *, first: bool) -> list[str] | None:
        """The lines with one more item in a list or a map that is written line by line."""
        node = self._document[key]
        at = self._line_of(node, next(iter(node)) if isinstance(node, dict) else 0)
        if at is None:
            return None
        lines = self._lines()
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        place = at if first else self._block(key)[1]
        return [*lines[:place], *(indent + line for line in new), *lines[place:]]

    def _change(self, key: str, value: object, lines: list[str] | None) -> None:
        """Take `lines` if they say that `key` is `value`, else write the key anew, else the whole file."""
        new = _dumped({key: value})
        old = self._lines()
        start, end = self._block(key) if key in self._document else (len(old), len(old))
        expected = {**self.values, key: value}
        self._accept(expected, lines, [*old[:start], *new, *old[end:]])

    def _accept(self, expected: dict[str, object], *candidates: list[str] | None) -> None:
        for lines in candidates:
            if lines is not None and self._reads_as("".join(f"{line}\n" for line in lines), expected):
                return
        document = self._document
        for key in [key for key in document if key not in expected]:
            del document[key]
        for key, value in expected.items():
            if key not in document or _plain_value(document[key]) != value:
                document[key] = value
        stream = io.StringIO()
        _yaml().dump(document, stream)
        self.text = stream.getvalue()
        self._document = _load(self.text, self.path)

    def _reads_as(self, text: str, expected: dict[str, object]) -> bool:
        try:
            document = _load(text, self.path)
        except InvalidConfigFile:
            return False
        if {str(key): _plain_value(value) for key, value in document.items()} != expected:
            return False
        self.text, self._document = text, document
        return True


def _with_comment(line: str, comment: str) -> str:
    """A line with the first line of a comment behind it."""
    return f"{line}  {comment.strip().split(chr(10), 1)[0].strip()}".rstrip()


def _dumped(value: object) -> list[str]:
    """A value as lines of YAML."""
    stream = io.StringIO()
    _yaml().dump(value, stream)
    return stream.getvalue().splitlines()
