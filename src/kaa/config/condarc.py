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
from typing import TYPE_CHECKING, Any

from kaa.config.plain_yaml import parse_plain
from kaa.errors import KaaError

if TYPE_CHECKING:
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
        text = path.read_bytes().decode("utf-8-sig")
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
        line = document.lc.key(key)[0] + 1
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
    from ruamel.yaml import YAML  # noqa: PLC0415 - see the module's docstring

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _load(text: str, path: str) -> CommentedMap:
    from ruamel.yaml.comments import CommentedMap  # noqa: PLC0415
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        document = _yaml().load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(str(error.problem or error.context or "is no YAML").split())
        raise InvalidConfigFile(path, f"is no valid YAML: {problem}", line=mark.line + 1 if mark else None) from error
    except YAMLError as error:
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
    """One condarc file, to be changed: comments, order and unknown keys stay as they are.

    Values are those of YAML (texts, numbers, booleans, lists, maps). Nothing is written before `text()` is asked for;
    writing is the caller's.
    """

    def __init__(self, text: str, path: str) -> None:
        self.path = path
        self._document = _load(text, path)
        self._original = text

    def keys(self) -> tuple[str, ...]:
        """The keys of the file, in its order."""
        return tuple(str(key) for key in self._document)

    def get(self, key: str) -> object:
        """The value of a key (`a.b` reaches into a map); raises KeyError."""
        node: object = self._document
        for part in _parts(self._document, key):
            if not isinstance(node, Mapping) or part not in node:
                raise KeyError(key)
            node = node[part]
        return _plain_value(node)

    def set(self, key: str, value: object) -> None:
        """Put a value in place of what is there."""
        parts = _parts(self._document, key)
        node: Any = self._document
        for part in parts[:-1]:
            if not isinstance(node.get(part), dict):
                node[part] = {}
            node = node[part]
        node[parts[-1]] = value

    def insert(self, key: str, item: str, *, first: bool) -> bool:
        """Put an item at the beginning or the end of a list; True if it was moved from elsewhere in the list."""
        items = self._list(key)
        moved = item in items
        if moved:
            items.remove(item)
        if first:
            self._insert_first(items, item)
        else:
            items.append(item)
        return moved

    @staticmethod
    def _insert_first(items: Any, item: str) -> None:
        items.insert(0, item)

    def remove_item(self, key: str, item: str) -> None:
        """Take an item out of a list, or a key out of a map; raises KeyError if it is not there."""
        value = self._find(key)
        if isinstance(value, list) and item in value:
            value.remove(item)
        elif isinstance(value, dict) and item in value:
            del value[item]
        else:
            raise KeyError(item)

    def remove_key(self, key: str) -> None:
        """Take a key out with its value; raises KeyError if it is not there."""
        parts = _parts(self._document, key)
        node: Any = self._document
        for part in parts[:-1]:
            node = node[part] if isinstance(node.get(part), dict) else {}
        if parts[-1] not in node:
            raise KeyError(key)
        del node[parts[-1]]

    def _find(self, key: str) -> Any:
        node: Any = self._document
        for part in _parts(self._document, key):
            if not isinstance(node, dict) or part not in node:
                raise KeyError(key)
            node = node[part]
        return node

    def _list(self, key: str) -> Any:
        try:
            value = self._find(key)
        except KeyError:
            value = None
        if value is None:
            self.set(key, [])
            return self._find(key)
        if not isinstance(value, list):
            raise InvalidConfigFile(self.path, f"{key} is not a list there")
        return value

    def text(self) -> str:
        """The file as it is to be written."""
        if not self._document:
            comments = [line for line in self._original.splitlines() if line.lstrip().startswith("#")]
            return "".join(f"{line}\n" for line in comments)
        stream = io.StringIO()
        _yaml().dump(self._document, stream)
        return stream.getvalue()


def _parts(document: Mapping[str, object], key: str) -> list[str]:
    """`a.b` reaches into the map `a`, unless a key is really called `a.b`; a key may hold dots after the first."""
    if key in document or "." not in key:
        return [key]
    first, _, rest = key.partition(".")
    return [first, rest]
