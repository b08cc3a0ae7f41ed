"""Reading match specs (CEP 29, 43, 44, 45): positional parts, brackets, URLs of packages.

Two readers share one procedure. The strict one is for what people write: what would silently mean something else is
refused, with the place and a way out. The lenient one is for the dependencies of old records and takes what conda does.

    text    ─► brackets off ─► package URL?  ─► channel/subdir ─► name ─► build from the right ─► version, `=` rules

How specs are written is in `kaa.models.match_spec_format`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote as unquote_url

from kaa.models.artifact import (
    EXTENSIONS,
    InvalidArtifactName,
    InvalidPackageName,
    check_package_name,
    parse_file_name,
    wheel_name,
)
from kaa.models.channel import UrlCredential, split_credentials
from kaa.models.condition import InvalidCondition, is_extra, is_flag, parse_condition
from kaa.models.match_spec_brackets import InvalidMatchSpec, Pair, closing_bracket, read_list, read_pairs
from kaa.models.pattern import Pattern
from kaa.models.regex import InvalidRegex
from kaa.models.string_match import InvalidNumberMatch, NumberMatch, StringMatch, is_regex
from kaa.models.subdir import is_known
from kaa.models.version_spec import InvalidVersionSpec, VersionSpec, find_doubt

if TYPE_CHECKING:
    from kaa.models.match_spec import MatchSpec

Fields = dict[str, Any]
"""The fields of a match spec that are given, by name."""

KEYS = (
    "channel",
    "subdir",
    "version",
    "build",
    "build_number",
    "track_features",
    "features",
    "url",
    "fn",
    "md5",
    "sha256",
    "license",
    "license_family",
    "extras",
    "flags",
    "when",
)
"""The keys that brackets may hold, in the order in which they are written; `name` and `namespace` are read besides."""

HASH_LENGTHS = {"md5": 32, "sha256": 64}

_SIMPLE = Pattern(
    r"([a-z0-9_][a-z0-9_.-]*)"
    r"(?: +(?!if )(\*|==[0-9a-z][0-9a-z_.+!]*|[0-9a-z<>!][0-9a-z_.+!<>=,|*]*)"
    r"(?: +([A-Za-z0-9_.+*]+))?)? *",
    re.ASCII,
)
_NAME_ALONE = Pattern(r"[a-z0-9_][a-z0-9_.-]*(?=[\s<>=!~\[]|$)", re.ASCII)
_NAME = Pattern(r"[^\s=<>!~\[\](),|;#]*")
_LOOSE_NAME = Pattern(r"[a-z0-9_][a-z0-9_.-]*", re.ASCII)
_GLOB_NAME = Pattern(r"[a-z0-9_.*-]+", re.ASCII)
BUILD = Pattern(r"[A-Za-z0-9_.+*]+", re.ASCII)
_FEATURE = Pattern(r"@?([a-z0-9_.-]+)@?", re.ASCII)
_HASH = Pattern(r"[0-9a-f]+", re.ASCII)
_URL = Pattern(r"[A-Za-z][A-Za-z0-9+.-]+://|/|\\|\.{1,2}[/\\]|~[/\\]|[A-Za-z]:[/\\]")
_PACKAGE = Pattern(r"[^#]*?\.(?:conda|tar\.bz2|whl)(?:#[^\s\[\]]*)?(?=\s*(?:\[|$))")
_FILE = Pattern(r"[^\s=<>!~|,*()]+")
_WORD = Pattern(r"\S+")
_NAMESPACE = Pattern(r"[A-Za-z0-9_-]*", re.ASCII)
_NOT_IN_CHANNEL = Pattern(r"[\s<>=!~,|()]")
_NO_BUILD = "-=,|<>~"
_USERINFO = Pattern(r"(?<=://).*(?=@)", re.DOTALL)
_TOKEN = Pattern(r"(?<=/t/)[^/\s:]+")
_CONDITION = Pattern(r"\sif\s")
_TIGHT = "<>=!~,|()"


def parse_simple(text: str) -> Fields | None:
    """The fields of the forms that nearly all dependencies have; None if it takes a closer look."""
    match = _SIMPLE.fullmatch(text)
    if match is None:
        return None
    name, version, build = match.groups()
    if name.endswith(EXTENSIONS):
        return None
    if version is None:
        return {"name": name}
    try:
        fields: Fields = {"name": name}
        if version != "*":
            fields["version"] = VersionSpec(version)
    except InvalidVersionSpec:
        return None
    if build is not None:
        fields["build"] = StringMatch(build)
    return fields


def parse_fields(text: str, parse_spec: Callable[[str], MatchSpec], *, lenient: bool) -> Fields:
    """The fields of a match spec, closely looked at; `parse_spec` reads the leaves of conditions."""
    try:
        return _Reader(text, parse_spec, lenient=lenient).read()
    except InvalidMatchSpec as error:
        hints = tuple(map(masked, error.hints))
        raise InvalidMatchSpec(masked(text), error.position, masked(error.reason), hints=hints) from None


def masked(text: str) -> str:
    """The text with credentials in URLs drawn as stars, one for each character."""
    if "://" not in text:
        return text

    def stars(match: re.Match[str]) -> str:
        return "*" * len(match[0])

    return _TOKEN.sub(stars, _USERINFO.sub(stars, text))


def name_of(text: str) -> str:
    """The package name that a dependency begins with, in lower case, without reading the rest; "*" for any.

    >>> name_of("python >=3.10,<3.11.0a0 *_cpython"), name_of("conda-forge::NumPy[version='>=1']")
    ('python', 'numpy')
    """
    match = _NAME_ALONE.match(text)
    if match is not None and not match[0].endswith(EXTENSIONS):
        return match[0]
    text = text.strip()
    end = _end_of_package(text, 0, len(text))
    if end is not None:
        file_name = unquote_url(re.split(r"[/\\:]", text[:end].partition("#")[0])[-1])
        return wheel_name(file_name) or file_name.rsplit("-", 2)[0].lower()
    head = text.partition("[")[0]
    if not _URL.match(text):
        head = head.partition("#")[0]
    found = _NAME.match(head.rpartition(":")[2].lstrip())
    return found[0].lower() if found is not None and found[0] else "*"


def _end_of_package(text: str, start: int, end: int) -> int | None:
    """Where the address of a package ends, hash included, if the text begins with one."""
    found = _PACKAGE.match(text, start, end)
    if found is None or (_URL.match(text, start) is None and _FILE.fullmatch(found[0]) is None):
        return None
    return found.end()


class _Reader:
    """Reads one text; all positions are places in it."""

    def __init__(self, text: str, parse_spec: Callable[[str], MatchSpec], *, lenient: bool) -> None:
        self.text = text
        self.parse_spec = parse_spec
        self.lenient = lenient
        self.fields: Fields = {}

    def read(self) -> Fields:
        start = len(self.text) - len(self.text.lstrip())
        end = len(self.text.rstrip())
        if start >= end:
            raise self._fault(start, "a spec has at least a name")
        package = _end_of_package(self.text, start, end)
        if package is None:
            end = self._before_comment(start, end)
        opening, end = self._brackets(package or start, end)
        pairs = read_pairs(self.text, opening, end) if opening < end else {}
        if opening < end and not pairs:
            self._doubt(opening, "these brackets are empty", "leave them out")
        if package is None:
            self._positional(self._channel(start, opening), opening)
        else:
            self._package(start, package)
        self._keywords(pairs)
        return self.fields

    def _fault(self, position: int, reason: str, *hints: str) -> InvalidMatchSpec:
        return InvalidMatchSpec(self.text, position, reason, hints=hints)

    def _doubt(self, position: int, reason: str, *hints: str) -> None:
        """Refuse, unless reading leniently."""
        if not self.lenient:
            raise self._fault(position, reason, *hints)

    def _before_comment(self, start: int, end: int) -> int:
        """Where the spec ends: at a `#` outside brackets, which in an address comes after `::` only."""
        position = start
        if _URL.match(self.text, start):
            position = max(start, self.text.rfind("::", start, end))
        while position < end:
            character = self.text[position]
            if character == "#":
                break
            if character == "[":
                position = closing_bracket(self.text, position, end)
            elif character == ";":
                raise self._fault(position, "';' cannot stand in a spec", "write a condition as name[when='…']")
            position += 1
        while position > start and self.text[position - 1].isspace():
            position -= 1
        if position == start:
            raise self._fault(start, "a spec has at least a name")
        return position

    def _brackets(self, start: int, end: int) -> tuple[int, int]:
        """Where the brackets begin and end; both the same if there are none."""
        opening = self.text.find("[", start, end)
        if opening < 0:
            if "]" in self.text[start:end]:
                raise self._fault(self.text.index("]", start), "this ']' closes nothing")
            return end, end
        closing = closing_bracket(self.text, opening, end)
        rest = self.text[closing + 1 : end].strip()
        if rest.startswith("("):
            self._doubt(closing + 1, "nothing may follow the brackets", "leave out what is in parentheses")
        elif rest:
            raise self._fault(closing + 1, "nothing may follow the brackets")
        return opening, closing + 1

    def _channel(self, start: int, end: int) -> int:
        """Take the channel, the subdir and the namespace, `channel/subdir:namespace:`; the place of the name."""
        colon = self.text.rfind("::", start, end) + 1
        if colon == 0:
            word = re.compile(r"[^\s<>=!~]*").match(self.text, start, end)
            colon = self.text.rfind(":", start, word.end() if word is not None else start)
        if colon < 0:
            return start
        before = self.text[start:colon]
        channel, _, namespace = before.rpartition(":")
        if "://" in before and _NAMESPACE.fullmatch(namespace) is None:
            raise self._fault(colon, "a channel is followed by '::'")
        wrong = _NOT_IN_CHANNEL.search(before) if _URL.match(before) is None else None
        if wrong is not None:
            raise self._fault(start + wrong.start(), f"{wrong[0]!r} cannot stand in the name of a channel")
        self._take_channel(channel.strip())
        return colon + 1

    def _take_channel(self, text: str) -> None:
        """A channel as written, perhaps with a subdir at its end, without its credentials."""
        channel, credential = _without_credentials(text)
        channel = channel.rstrip("/")
        while "/" in channel and is_known(channel.rpartition("/")[2].lower()):
            channel, _, subdir = channel.rpartition("/")
            self.fields.setdefault("subdir", subdir.lower())
            channel = channel.rstrip("/")
        if channel and channel != "*":
            self.fields["channel"] = channel
        self.fields["channel_credential"] = credential

    def _package(self, start: int, end: int) -> None:
        """Take the address of a package, or `channel::file name`."""
        address, _, fragment = self.text[start:end].partition("#")
        if fragment:
            self._fragment(start + len(address) + 1, fragment)
        channel, colons, quoted = address.rpartition("::")
        if colons:
            self._take_channel(channel.strip())
        else:
            url, credential = _without_credentials(address)
            self.fields["url"] = url
            self.fields["url_credential"] = credential
            folder, _, quoted = url.replace("\\", "/").rpartition("/")
            channel, _, subdir = folder.rpartition("/")
            if "://" in channel and is_known(subdir):
                self.fields["channel"] = channel
                self.fields["subdir"] = subdir
        self._take_file_name(unquote_url(quoted), start + len(address) - len(quoted))

    def _take_file_name(self, file_name: str, position: int) -> None:
        self.fields["fn"] = StringMatch(file_name)
        project = wheel_name(file_name)
        if project is not None:
            self.fields["name"] = project
            return
        try:
            artifact = parse_file_name(file_name)
        except InvalidArtifactName as error:
            # Escapes in the address make it longer than the file name.
            place = position + (error.position if self.text.startswith(file_name, position) else 0)
            raise self._fault(place, f"no package file has this name: {error.reason}") from None
        self.fields["name"] = artifact.name
        self.fields["version"] = VersionSpec("==" + artifact.version.lower())
        self.fields["build"] = StringMatch(artifact.build)

    def _fragment(self, position: int, fragment: str) -> None:
        """The hash after `#`, as in explicit lists: md5, or sha256 with or without its name."""
        value = fragment.removeprefix("sha256:").removeprefix("md5:").lower()
        for key, length in HASH_LENGTHS.items():
            if len(value) == length and _HASH.fullmatch(value):
                self.fields[key] = value
                return
        raise self._fault(position, "after '#' an md5 or sha256 is expected")

    def _positional(self, start: int, end: int) -> None:
        while start < end and self.text[start].isspace():
            start += 1
        found = _NAME.match(self.text, start, end)
        assert found is not None
        position = found.end()
        if not self._take_name(start, found[0]):
            if position < end:
                raise self._fault(position, "nothing may follow a feature")
            return
        if self.text[position:end][:1] in ("]", ")", "|", ","):
            raise self._fault(position, f"{self.text[position]!r} cannot follow a name")
        condition = _CONDITION.search(self.text, position, end)
        if condition is not None:
            raise self._fault(condition.start() + 1, "'if' is no part of a spec", "write a condition as name[when='…']")
        if self.text[position:end].strip():
            self._take_version_and_build(position, end)

    def _take_name(self, position: int, text: str) -> bool:
        """Take the name; False if it was a feature instead (`mkl@`)."""
        name = text.lower()
        if not name:
            raise self._fault(position, "a package name is expected here", "write * for any package")
        if "@" in name:
            feature = _FEATURE.fullmatch(name)
            if feature is None or name.startswith("@") == name.endswith("@"):
                raise self._fault(position + name.index("@"), "'@' cannot stand in a package name")
            self._doubt(position, "features are written in brackets", f"write *[track_features={feature[1]}]")
            self.fields["track_features"] = (feature[1],)
            return False
        if name == "*":
            return True
        if name.endswith(EXTENSIONS):
            raise self._fault(position, "this names a file, not a package")
        if "*" in name or is_regex(name):
            if not is_regex(name) and _GLOB_NAME.fullmatch(name) is None:
                raise self._fault(position, "this is no pattern for package names")
            self.fields["name_glob"] = self._pattern(text if is_regex(name) else name, position)
            return True
        if not self.lenient or _LOOSE_NAME.fullmatch(name) is None:
            try:
                check_package_name(name)
            except InvalidPackageName as error:
                raise self._fault(position + error.position, error.reason) from None
        self.fields["name"] = name
        return True

    def _take_version_and_build(self, start: int, end: int) -> None:
        """Take version and build.

        The build is what follows the first space or single `=` that no operator precedes, if it holds neither
        operators nor dashes. Spaces beside operators do not count; others stay, for the version to refuse.
        """
        end, separator, build = self._split_build(start, end)
        if build:
            self.fields["build"] = self._build(build, end)
        places: list[int] = []
        for word in _WORD.finditer(self.text, start, end):
            if places and self.text[places[-1]] not in _TIGHT and word[0][0] not in _TIGHT:
                places.append(word.start() - 1)
            places += range(*word.span())
        version = "".join(self.text[place] for place in places)
        if version == "=":
            self._doubt(start, "a version is expected after '='")
            return
        self._take_version(*self._equals_rules(version, places, separator))

    def _split_build(self, start: int, end: int) -> tuple[int, str | None, str]:
        """Where the version ends, what separates it from the build, and the build; no separator if there is none."""
        last = max(self.text.rfind(sign, start, end) for sign in _NO_BUILD)
        if last >= 0 and self.text[last] == "=":
            before = self.text[start:last].rstrip()
            build = self.text[last + 1 : end].strip()
            if build and before[-1:] not in ("", *"=!|,<>~"):
                return start + len(before), "=", build
        words = _WORD.finditer(self.text, max(start, last + 1), end)
        version, build_start = next(words, None), next(words, None)
        if version is None or build_start is None:
            return end, None, ""
        return version.end(), " ", self.text[build_start.start() : end].strip()

    def _build(self, text: str, after: int) -> StringMatch:
        good = BUILD.match(text)
        length = good.end() if good is not None else 0
        if length < len(text):
            position = self.text.index(text, after)
            raise self._fault(position + length, f"{text[length]!r} cannot stand in a build string")
        return StringMatch(text)

    def _equals_rules(self, version: str, places: list[int], separator: str | None) -> tuple[str, list[int]]:
        """`==v` is v; `=v` is v.*, but with a build it is v, as conda and rattler read it."""
        if not version.startswith("="):
            return version, places
        sign = 2 if version.startswith("==") else 1
        rest = version[sign:]
        if not rest or rest[0] in "=<>!~" or set(rest) & set("=,|"):
            return version, places
        if sign == 2:
            return rest, places[sign:]
        if separator is None:
            return (rest, places[sign:]) if rest.endswith("*") else (version, places)
        if separator != "=" and "*" not in rest:
            build = self.fields["build"]
            self._doubt(
                places[0],
                "it is not clear whether this version is exact",
                f"write =={rest}={build} for exactly this version",
                f"write {rest}.* {build} for all versions that begin so",
            )
        return rest, places[sign:]

    def _take_version(self, version: str, places: list[int]) -> None:
        if version in ("*", "=*"):
            return
        places = [*places, places[-1] + 1]
        try:
            spec = VersionSpec(version)
        except InvalidVersionSpec as error:
            raise self._fault(places[error.position], error.reason, *error.hints) from None
        doubt = None if self.lenient else find_doubt(version)
        if doubt is not None:
            raise self._fault(places[doubt.position], doubt.reason, doubt.hint)
        if spec.text != "*":
            self.fields["version"] = spec

    def _pattern(self, text: str, position: int) -> StringMatch:
        try:
            return StringMatch(text)
        except InvalidRegex as error:
            raise self._fault(position + error.position, error.reason) from None

    def _keywords(self, pairs: dict[str, Pair]) -> None:
        """Values in brackets win over positional ones, but never over the name."""
        for key, pair in pairs.items():
            if key == "name":
                self._check_name(pair)
            elif key not in KEYS and key != "namespace":
                raise self._fault(
                    self.text.rfind(key, 0, pair.position), f"{key!r} is not a field of a spec", *_near(key)
                )
            if not pair.quoted and "=" in pair.value and key not in ("extras", "flags"):
                self._doubt(pair.position, "a value that holds '=' stands in quotes", f"write {key}='{pair.value}'")
        if "channel" in pairs:
            self.fields.pop("channel", None)
            self.fields.pop("channel_credential", None)
            before = self.fields.pop("subdir", None)
            self._take_channel(pairs["channel"].value.strip())
            if before is not None:
                self.fields.setdefault("subdir", before)
        for key, pair in pairs.items():
            if key not in ("channel", "name", "namespace"):
                self._keyword(key, pair)

    def _check_name(self, pair: Pair) -> None:
        if pair.value.lower() != self.fields.get("name"):
            self._doubt(pair.position, "the name stands before the brackets, and only there")

    def _keyword(self, key: str, pair: Pair) -> None:
        value = pair.value.strip()
        match key:
            case "version":
                self.fields.pop("version", None)
                lead = pair.position + len(pair.value) - len(pair.value.lstrip())
                # Inside quotes a protected character takes two places; the caret then stands a little to the left.
                self._take_version(value, list(range(lead, lead + len(value))))
            case "build" | "features" | "fn" | "license" | "license_family":
                self.fields[key] = self._pattern(value, pair.position)
            case "build_number":
                try:
                    self.fields[key] = NumberMatch(value)
                except (InvalidNumberMatch, InvalidRegex) as error:
                    raise self._fault(pair.position + error.position, error.reason) from None
            case "subdir":
                self.fields[key] = value.lower()
            case "md5" | "sha256":
                self.fields[key] = self._hash(key, value.lower(), pair.position)
            case "url":
                self.fields["url"], self.fields["url_credential"] = _without_credentials(value)
            case "track_features":
                self.fields[key] = tuple(sorted(set(re.split(r"[\s,]+", value.strip(" ,"))) - {""}))
            case "extras" | "flags":
                self.fields[key] = self._list(key, pair)
            case "when":
                self.fields[key] = self._condition(pair)

    def _hash(self, key: str, value: str, position: int) -> str:
        if len(value) != HASH_LENGTHS[key] or _HASH.fullmatch(value) is None:
            raise self._fault(position, f"{key} has {HASH_LENGTHS[key]} hexadecimal digits")
        return value

    def _list(self, key: str, pair: Pair) -> tuple[str, ...]:
        items = read_list(self.text, pair)
        for item in items:
            if not (is_extra(item) if key == "extras" else is_flag(item)):
                raise self._fault(pair.position, f"{item!r} cannot be one of the {key}", "use lower case, digits and _")
        return tuple(sorted(set(items)))

    def _condition(self, pair: Pair) -> object:
        if not pair.quoted:
            self._doubt(pair.position, "a condition stands in quotes", f"write when='{pair.value}'")
        try:
            return parse_condition(pair.value, self.parse_spec)
        except InvalidCondition as error:
            raise self._fault(pair.position + error.position, error.reason, *error.hints) from None


def _near(key: str) -> tuple[str, ...]:
    """The hint for a field that does not exist."""
    similar = [known for known in KEYS if known.replace("_", "") == key.lower().replace("_", "").replace("-", "")]
    return (f"write {similar[0]}",) if similar else (f"use one of {', '.join(KEYS)}",)


def _without_credentials(text: str) -> tuple[str, UrlCredential | None]:
    """A URL without credentials, however often it holds some, and the first of them."""
    clean, first = split_credentials(text)
    credential = first
    while credential is not None:
        clean, credential = split_credentials(clean)
    return clean, first
