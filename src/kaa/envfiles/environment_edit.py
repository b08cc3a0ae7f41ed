"""Write specs into an environment file and leave the rest of it as it stands: comments, order, quotes, indentation.

A spec takes the place of those about the same package that count on the platform; a new one comes behind the last spec.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from kaa.envfiles.environment_yaml import parse_environment_yaml
from kaa.envfiles.selectors import select_lines
from kaa.envfiles.spec import InvalidEnvironmentFile
from kaa.envfiles.yaml_text import scalar
from kaa.models.match_spec import InvalidMatchSpec, MatchSpec
from kaa.models.subdir import operating_system


class _Edit(msgspec.Struct, frozen=True):
    """A part of the text and what comes in its place."""

    start: int
    end: int
    text: str


def with_specs(text: str, specs: Sequence[str], *, filename: str = "", subdir: str = "") -> str:
    """The file with `specs`, as they are written, in its dependencies.

    Raises InvalidEnvironmentFile, InvalidMatchSpec.

    >>> print(with_specs("dependencies:\\n  - a  # why\\n  - 'b=1'\\n", ["b=2", "c >=1"]), end="")
    dependencies:
      - a  # why
      - 'b=2'
      - c >=1
    """
    for word in specs:
        text = _with_spec(text, word.strip(), filename, subdir)
    return text


def _with_spec(text: str, word: str, filename: str, subdir: str) -> str:
    spec = MatchSpec.parse(word)
    # Whatever is wrong with the file is told before anything is made of it.
    parse_environment_yaml(text, filename=filename, subdir=subdir)
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    changed = mark + _edited(text.removeprefix(mark), word, spec.name, filename, subdir)
    after = parse_environment_yaml(changed, filename=filename, subdir=subdir)
    if spec not in after.specs:
        raise InvalidEnvironmentFile(
            filename,
            f"{word} cannot be written into it without changing the rest",
            hints=("write it into the file by hand",),
        )
    return changed


def _edited(text: str, word: str, name: str | None, filename: str, subdir: str) -> str:
    dependencies = _dependencies(text)
    counting = _emptied_lines(text, subdir, filename)
    same = [
        node
        for node in _spec_nodes(dependencies, subdir)
        if node.start_mark.line not in counting and _name_of(str(node.value)) == name
    ]
    if same:
        first, *others = same
        edits = [_Edit(first.start_mark.index, first.end_mark.index, _quoted_as(text, first, word))]
        edits += [_without(text, node) for node in others]
    else:
        edits = [_added(text, dependencies, word)]
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _dependencies(text: str) -> Node:
    """What stands behind `dependencies:`."""
    document = YAML(typ="rt").compose(text)
    found: Node = next(value for key, value in document.value if key.value == "dependencies")
    return found


def _emptied_lines(text: str, subdir: str, filename: str) -> frozenset[int]:
    """The lines, counted from 0, that a selector takes away on the platform."""
    if not subdir:
        return frozenset()
    left = select_lines(text, subdir, filename).split("\n")
    return frozenset(
        number for number, line in enumerate(text.split("\n")) if line.strip() and not left[number].strip()
    )


def _spec_nodes(node: Node, subdir: str) -> Iterator[ScalarNode]:
    """The specs of the dependencies that may count on the platform, those behind `sel(…)` included."""
    if not isinstance(node, SequenceNode):
        return
    for item in node.value:
        if isinstance(item, ScalarNode):
            yield item
        elif isinstance(item, MappingNode):
            for key, value in item.value:
                if isinstance(value, ScalarNode) and _selects(str(key.value), subdir):
                    yield value


def _selects(key: str, subdir: str) -> bool:
    system = operating_system(subdir) if subdir else ""
    return key == f"sel({system})" or (key == "sel(unix)" and system in ("linux", "osx"))


def _name_of(text: str) -> str | None:
    try:
        return MatchSpec.parse(text).name
    except InvalidMatchSpec:
        return None


def _quoted_as(text: str, node: ScalarNode, word: str) -> str:
    """The word with the quotes that the old one had."""
    if node.value == word:
        return text[node.start_mark.index : node.end_mark.index]
    if node.style == "'":
        return "'" + word.replace("'", "''") + "'"
    if node.style == '"' and "\\" not in word and word.isprintable():
        return '"' + word.replace('"', '\\"') + '"'
    return _in_flow(word)


def _in_flow(word: str) -> str:
    """A word that is one even between brackets, where commas divide."""
    return "'" + word.replace("'", "''") + "'" if "," in word else scalar(word)


def _without(text: str, node: ScalarNode) -> _Edit:
    """A list item taken away, with its line if nothing else stands on it."""
    start = text.rfind("\n", 0, node.start_mark.index) + 1
    end = text.find("\n", node.end_mark.index)
    end = len(text) if end < 0 else end + 1
    before, after = text[start : node.start_mark.index].strip(), text[node.end_mark.index : end].strip()
    if before == "-" and (not after or after.startswith("#")):
        return _Edit(start, end, "")
    # Within brackets: with the comma behind it, or the one before.
    behind = len(text[node.end_mark.index :]) - len(text[node.end_mark.index :].lstrip())
    place = node.end_mark.index + behind
    if text[place : place + 1] == ",":
        rest = text[place + 1 :]
        return _Edit(node.start_mark.index, place + 1 + len(rest) - len(rest.lstrip(" ")), "")
    comma = text.rfind(",", 0, node.start_mark.index)
    return _Edit(comma, node.end_mark.index, "")


def _added(text: str, dependencies: Node, word: str) -> _Edit:
    """A new item behind the last spec."""
    newline = "\r\n" if "\r\n" in text else "\n"
    if not isinstance(dependencies, SequenceNode):
        # `dependencies:` with nothing behind it, or null.
        start, end = dependencies.start_mark.index, dependencies.end_mark.index
        if start == end:
            start = end = text.rindex(":", 0, start + 1) + 1
            return _Edit(start, end, f" [{_in_flow(word)}]")
        return _Edit(start, end, f"[{_in_flow(word)}]")
    specs = [item for item in dependencies.value if isinstance(item, ScalarNode)]
    if dependencies.flow_style:
        if not dependencies.value:
            return _Edit(dependencies.start_mark.index + 1, dependencies.end_mark.index - 1, _in_flow(word))
        end = (specs or dependencies.value)[-1].end_mark.index
        return _Edit(end, end, f", {_in_flow(word)}")
    indent = " " * dependencies.start_mark.column
    if not specs:
        start = text.rfind("\n", 0, dependencies.start_mark.index) + 1
        return _Edit(start, start, f"{indent}- {scalar(word)}{newline}")
    end = text.find("\n", specs[-1].end_mark.index)
    if end < 0:
        return _Edit(len(text), len(text), f"{newline}{indent}- {scalar(word)}")
    return _Edit(end + 1, end + 1, f"{indent}- {scalar(word)}{newline}")
