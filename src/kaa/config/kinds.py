"""What the value of an option can be: from YAML, from an environment variable, to a line of text.

A kind turns what a source holds into the option's Python value and says in plain words what it expected otherwise.
Environment variables are always text, so each kind reads its own textual form too; conda's spellings are accepted
(`yes`, `on`, `true`, and `channel_priority: true` from its older files).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from kaa.models.cutoff import EXPECTED, InvalidCutoff, parse_cutoff
from kaa.models.typed import Generic, TypeVar

T = TypeVar("T", covariant=True)

TRUE = frozenset({"true", "yes", "on", "y", "1"})
FALSE = frozenset({"false", "no", "off", "n", "0", "none", ""})


class UnfitValue(ValueError):
    """A value that an option cannot take; the text says what is expected."""


class Kind(Generic[T]):
    """How the value of an option is read; `parse` takes a YAML value, `parse_text` an environment variable."""

    parameter_type = "primitive"
    element_types: tuple[str, ...] = ("str",)
    expected = "a value"

    def parse(self, value: object) -> T:
        raise NotImplementedError

    def parse_text(self, text: str, separator: str) -> T:
        return self.parse(text)


class Boolean(Kind[bool]):
    """true or false."""

    element_types = ("bool",)
    expected = "true or false"

    def parse(self, value: object) -> bool:
        found = _boolean(value)
        if found is None:
            raise UnfitValue(self.expected)
        return found


class MaybeBoolean(Kind["bool | None"]):
    """true, false, or not said."""

    element_types = ("bool", "NoneType")
    expected = "true, false or nothing"

    def parse(self, value: object) -> bool | None:
        if value is None or (isinstance(value, str) and value.strip().lower() in ("", "none", "null", "~")):
            return None
        found = _boolean(value)
        if found is None:
            raise UnfitValue(self.expected)
        return found


class Integer(Kind[int]):
    """A whole number; `true` and `false` count as 1 and 0 (conda's `local_repodata_ttl`, `auto_stack`)."""

    element_types = ("int",)
    expected = "a whole number, 0 or more"

    def parse(self, value: object) -> int:
        if isinstance(value, str):
            truth = _boolean(value.strip()) if value.strip().isalpha() else None
            try:
                value = int(truth if truth is not None else value.strip())
            except ValueError:
                raise UnfitValue(self.expected) from None
        if not isinstance(value, int | float) or value != int(value) or value < 0:
            raise UnfitValue(self.expected)
        return int(value)


class Number(Kind[float]):
    """A number."""

    element_types = ("float", "int")
    expected = "a number, 0 or more"

    def parse(self, value: object) -> float:
        if isinstance(value, bool):
            raise UnfitValue(self.expected)
        if isinstance(value, str):
            try:
                value = float(value.strip())
            except ValueError:
                raise UnfitValue(self.expected) from None
        if not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise UnfitValue(self.expected)
        return float(value)


class Text(Kind[str]):
    """A text; nothing is the empty text, numbers are taken as they are written."""

    expected = "a text"

    def parse(self, value: object) -> str:
        found = _text(value)
        if found is None:
            raise UnfitValue(self.expected)
        return found


class PointInTime(Kind[str]):
    """A date, a time or an age as it was written; nothing, or false, for no point in time."""

    expected = EXPECTED

    def parse(self, value: object) -> str:
        found = _text(value)
        try:
            parse_cutoff(found or "", now=0)
        except InvalidCutoff:
            found = None
        if found is None:
            raise UnfitValue(self.expected)
        return found


class Choice(Kind[str]):
    """One of a few words; `other` maps further spellings (booleans of older files) to a word."""

    def __init__(self, *words: str, other: Mapping[str, str] | None = None) -> None:
        self.words = words
        self.other = other or {}
        self.expected = " or ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else words[0]

    def parse(self, value: object) -> str:
        word = (_text(value) or "").strip().lower()
        word = self.other.get(word, word)
        if word not in self.words:
            raise UnfitValue(self.expected)
        return word


class Verification(Kind["bool | str"]):
    """true, false, or a text (`ssl_verify`: a file of certificates, or `truststore`)."""

    element_types = ("bool", "str")
    expected = "true, false, truststore, or the path of a file of certificates"

    def parse(self, value: object) -> bool | str:
        if isinstance(value, bool):
            return value
        if not isinstance(value, str) or not value.strip():
            raise UnfitValue(self.expected)
        found = _boolean(value.strip())
        return value.strip() if found is None else found


class Texts(Kind["tuple[str, ...]"]):
    """A list of texts; an environment variable holds them with a separator between."""

    parameter_type = "sequence"
    expected = "a list of texts"

    def parse(self, value: object) -> tuple[str, ...]:
        if value is None:
            return ()
        if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
            raise UnfitValue(self.expected)
        found = [_text(item) for item in value]
        texts = tuple(item for item in found if item is not None)
        if len(texts) != len(found):
            raise UnfitValue(self.expected)
        return texts

    def parse_text(self, text: str, separator: str) -> tuple[str, ...]:
        return tuple(item.strip() for item in text.split(separator) if item.strip())


class TextMap(Kind["Mapping[str, str]"]):
    """Texts by key; an environment variable holds `key=value,key=value`."""

    parameter_type = "map"
    expected = "a map of texts"

    def parse(self, value: object) -> Mapping[str, str]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise UnfitValue(self.expected)
        found = {str(key): _text(item) for key, item in value.items()}
        texts = {key: item for key, item in found.items() if item is not None}
        if len(texts) != len(found):
            raise UnfitValue(self.expected)
        return texts

    def parse_text(self, text: str, separator: str) -> Mapping[str, str]:
        found = {}
        for item in filter(None, (part.strip() for part in text.split(separator))):
            key, equals, value = item.partition("=")
            if not equals:
                raise UnfitValue("key=value pairs with a comma between")
            found[key.strip()] = value.strip()
        return found


class PointInTimeMap(TextMap):
    """Points in time by key."""

    expected = f"a map in which each value is {EXPECTED}"

    def parse(self, value: object) -> Mapping[str, str]:
        try:
            return {key: PointInTime().parse(text) for key, text in super().parse(value).items()}
        except UnfitValue:
            raise UnfitValue(self.expected) from None

    def parse_text(self, text: str, separator: str) -> Mapping[str, str]:
        return self.parse(super().parse_text(text, separator))


class ListMap(Kind["Mapping[str, tuple[str, ...]]"]):
    """Lists of texts by key."""

    parameter_type = "map"
    element_types = ("list",)
    expected = "a map of lists of texts"

    def parse(self, value: object) -> Mapping[str, tuple[str, ...]]:
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            raise UnfitValue(self.expected)
        try:
            return {str(key): Texts().parse(item) for key, item in value.items()}
        except UnfitValue:
            raise UnfitValue(self.expected) from None


class MapList(Kind["tuple[Mapping[str, str], ...]"]):
    """A list of maps of texts (`channel_settings`)."""

    parameter_type = "sequence"
    element_types = ("map",)
    expected = "a list of maps of texts"

    def parse(self, value: object) -> tuple[Mapping[str, str], ...]:
        if value is None:
            return ()
        if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
            raise UnfitValue(self.expected)
        try:
            return tuple(TextMap().parse(item) for item in value)
        except UnfitValue:
            raise UnfitValue(self.expected) from None


class Anything(Kind[object]):
    """Whatever conda allows there; kaa keeps it and reads nothing from it."""

    element_types = ("object",)
    expected = "anything"

    def parse(self, value: object) -> object:
        return value


def _boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = value.strip().lower()
        return True if word in TRUE else False if word in FALSE else None
    return None


def _text(value: object) -> str | None:
    if value is None:
        return ""
    if isinstance(value, str):
        # Readers of YAML hand out their own subclasses of str; nobody else should meet them.
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return None
