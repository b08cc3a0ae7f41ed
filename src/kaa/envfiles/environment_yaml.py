"""environment.yml: the wanted content of an environment. Implements CEP 24.

Beyond the CEP it knows mamba's `sel(linux): spec`, and `platforms`. Credentials and variables stay as they are written;
nothing here expands anything.

>>> spec = parse_environment_yaml("name: demo\\nchannels: [conda-forge]\\ndependencies: [python >=3.11, {pip: [rich]}]")
>>> spec.name, spec.channels, [str(wanted) for wanted in spec.specs], spec.pip
('demo', ('conda-forge',), ["python[version='>=3.11']"], ('rich',))
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from kaa.envfiles.bounded_yaml import LARGEST_DOCUMENT, TooLarge, bounded_yaml, find_line, load_bounded
from kaa.envfiles.selectors import select_lines
from kaa.envfiles.spec import EnvironmentSpec, InvalidEnvironmentFile
from kaa.models.match_spec import InvalidMatchSpec, MatchSpec
from kaa.models.subdir import operating_system

NO_DEFAULTS = "nodefaults"
KNOWN_KEYS = ("name", "prefix", "channels", "dependencies", "variables", "platforms", "category")
_CORRECT = ("correct the file there; what holds special characters goes into quotes",)
_EXACT = re.compile(r"[^=\[\s]+==[^=\[\s]+=[^=\[\s]+")
_SELECTOR = re.compile(r"sel\((linux|osx|win|unix)\)")


ReadSpec: TypeAlias = Callable[[str, Sequence[str]], MatchSpec]
"""Reads a spec of a file that names these channels."""


def parse_environment_yaml(
    text: str,
    *,
    filename: str = "",
    subdir: str = "",
    read_spec: ReadSpec = lambda text, channels: MatchSpec.parse(text),
) -> EnvironmentSpec:
    """The environment that a file describes; raises InvalidEnvironmentFile.

    `subdir` is the platform for which entries with a selector (`sel(linux): …`) are chosen.
    """
    return _Reader(filename, subdir, read_spec).read(text)


class _Reader:
    """Reads one file; knows its name for messages."""

    def __init__(self, filename: str, subdir: str, read_spec: ReadSpec) -> None:
        self._filename = filename
        self._subdir = subdir
        self._read_spec = read_spec
        self._channels: tuple[str, ...] = ()

    def read(self, text: str) -> EnvironmentSpec:
        if len(text) > LARGEST_DOCUMENT:
            raise TooLarge(self._filename)
        document = self._load(text)
        if "dependencies" not in document:
            raise self._error("it has no `dependencies:`", hints=("write `dependencies: []` for an empty environment",))
        channels = self._texts(document, "channels")
        self._channels = tuple(channel for channel in channels if channel != NO_DEFAULTS)
        specs: list[MatchSpec] = []
        pip: list[str] = []
        dependencies = document["dependencies"]
        if dependencies is not None and not isinstance(dependencies, CommentedSeq):
            raise self._error("`dependencies` is not a list", _key_line(document, "dependencies"))
        if dependencies is not None:
            for position, entry in enumerate(dependencies):
                self._dependency(entry, dependencies.lc.item(position)[0] + 1, specs, pip)
        return EnvironmentSpec(
            name=self._text(document, "name"),
            prefix=self._text(document, "prefix"),
            channels=self._channels,
            only_these_channels=NO_DEFAULTS in channels,
            specs=tuple(specs),
            pip=tuple(pip),
            variables=self._variables(document),
            platforms=self._texts(document, "platforms"),
            unknown_keys=tuple(str(key) for key in document if key not in KNOWN_KEYS),
        )

    def _error(self, reason: str, line: int | None = None, hints: tuple[str, ...] = ()) -> InvalidEnvironmentFile:
        return InvalidEnvironmentFile(self._filename, reason, line=line, hints=hints)

    def _load(self, text: str) -> CommentedMap:
        selected = self._selected(text.removeprefix("\ufeff"))
        try:
            document = load_bounded(bounded_yaml(), selected)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            reason = " ".join(str(error.problem or error.context).split())
            raise self._error(f"no valid YAML: {reason}", mark.line + 1 if mark else None, _CORRECT) from error
        except (YAMLError, ValueError) as error:
            # ValueError: what looks like a date, and is none.
            raise self._error(f"no valid YAML: {' '.join(str(error).split())}", hints=_CORRECT) from error
        if not isinstance(document, CommentedMap):
            raise self._error("it does not hold `key: value` lines", hints=("begin with `dependencies:`",))
        return document

    def _selected(self, text: str) -> str:
        return select_lines(text, self._subdir, self._filename) if self._subdir else text

    def _text(self, document: CommentedMap, key: str) -> str | None:
        value = document.get(key)
        if value is None:
            return None
        if isinstance(value, bool | list | dict):
            raise self._error(f"`{key}` is not a text", _key_line(document, key))
        return str(value)

    def _texts(self, document: CommentedMap, key: str) -> tuple[str, ...]:
        value = document.get(key)
        if value is None:
            return ()
        if not isinstance(value, CommentedSeq) or not all(isinstance(item, str) for item in value):
            raise self._error(f"`{key}` is not a list of texts", _key_line(document, key))
        return tuple(str(item) for item in value)

    def _variables(self, document: CommentedMap) -> Mapping[str, str]:
        value = document.get("variables")
        if value is None:
            return {}
        if not isinstance(value, CommentedMap):
            raise self._error("`variables` is not a map", _key_line(document, "variables"))
        for name, content in value.items():
            if isinstance(content, list | dict):
                raise self._error(f"the variable {name} is not a text", _key_line(value, name))
        return {str(name): "" if content is None else str(content) for name, content in value.items()}

    def _dependency(self, entry: object, line: int, specs: list[MatchSpec], pip: list[str]) -> None:
        if isinstance(entry, str):
            specs.append(self._spec(entry, line))
            return
        if not isinstance(entry, CommentedMap):
            raise self._error(f"{entry!r} is not a spec", line, hints=("put it in quotes if it is a name",))
        for key, value in entry.items():
            selector = _SELECTOR.fullmatch(str(key))
            if selector is not None:
                if self._selects(selector[1]):
                    self._dependency(value, line, specs, pip)
            elif key == "pip":
                pip += self._requirements(value, line)
            else:
                raise self._error(
                    f"nothing here installs {key!r} packages",
                    line,
                    hints=(f"write {key}={value} if a version of {key} is meant",)
                    if isinstance(value, str | float)
                    else (),
                )

    def _spec(self, text: str, line: int) -> MatchSpec:
        try:
            return self._read_spec(text, self._channels)
        except InvalidMatchSpec as error:
            raise self._error(error.message, line, error.hints) from error

    def _requirements(self, value: object, line: int) -> list[str]:
        if value is None:
            return []
        if not isinstance(value, CommentedSeq) or not all(isinstance(item, str) for item in value):
            raise self._error("`pip` is not a list of texts", line)
        return [str(item) for item in value]

    def _selects(self, system: str) -> bool:
        own = operating_system(self._subdir) if self._subdir else ""
        return system == own or (system == "unix" and own in ("linux", "osx"))


def _key_line(node: Any, key: object) -> int:
    line = find_line(node, key)
    return int(node.lc.line if line is None else line) + 1


def environment_text(spec: EnvironmentSpec) -> str:
    """The file that describes an environment, as `parse_environment_yaml` reads it."""
    stream = io.StringIO()
    yaml = YAML()
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.dump(environment_document(spec), stream)
    return stream.getvalue()


def environment_document(spec: EnvironmentSpec) -> dict[str, object]:
    """The content of the file as lists and maps, in conda's order."""
    document: dict[str, object] = {}
    if spec.name is not None:
        document["name"] = spec.name
    document["channels"] = [*spec.channels, *([NO_DEFAULTS] if spec.only_these_channels else [])]
    dependencies: list[object] = [dependency_text(wanted) for wanted in spec.specs]
    if spec.pip:
        dependencies.append({"pip": list(spec.pip)})
    document["dependencies"] = dependencies
    if spec.platforms:
        document["platforms"] = list(spec.platforms)
    if spec.variables:
        document["variables"] = dict(spec.variables)
    if spec.prefix is not None:
        document["prefix"] = spec.prefix
    return document


def dependency_text(spec: MatchSpec) -> str:
    """A spec as environment files have it: canonical, but `name=version=build` for exactly one package."""
    text = str(spec)
    exact = text.replace("==", "=", 1)
    return exact if _EXACT.fullmatch(text) and MatchSpec.parse(exact) == spec else text
