"""The lines of pip's requirements files, as environment files hold them in `pip:` sections: what each of them asks for.

Known are requirements by name (PEP 508), wheels by address or path, further files and constraints, and where indexes
are. All else (repositories, source trees, options) is for pip itself to understand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

import msgspec

from kaa.models.pattern import Pattern

_COMMENT = re.compile(r"(?:^|\s)#.*")
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)\}")
_OPTION = Pattern(r"(-[A-Za-z]|--[a-z0-9-]+)(?:\s*=\s*|\s+|)(.*)")
_OWN_OPTIONS = re.compile(r"\s+--(?:hash|config-settings?|global-option|install-option)[\s=].*")
_HASH = re.compile(r"--hash[\s=]+([a-z0-9]+):([0-9a-fA-F]+)")
_REQUIREMENT = Pattern(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[(?P<extras>[A-Za-z0-9._,\s-]*)\])?\s*"
    r"(?:@\s*(?P<url>[^;\s]+(?=\s*;|\s*\Z|\s+;))|(?P<range>\(?\s*(?:[<>=!~].*?)?\)?))\s*(?:;(?P<marker>.*))?"
)
_SCHEME = Pattern(r"[A-Za-z][A-Za-z0-9+.-]*://.*")

FILES = {"-r": "file", "--requirement": "file", "-c": "constraints", "--constraint": "constraints"}
INDEXES = {
    "-i": "index",
    "--index-url": "index",
    "--pypi-url": "index",
    "--extra-index-url": "extra-index",
    "-f": "links",
    "--find-links": "links",
    "--no-index": "no-index",
}
OF_NO_CONSEQUENCE = frozenset({"--prefer-binary", "--only-binary"})
"""Options that ask for what kaa does anyway: wheels."""


class Line(msgspec.Struct, frozen=True):
    """One line: its `kind` says what it asks for, `text` is the line as it stands.

    `project`: a requirement by name; `wheel`: one wheel, by `value`; `file`, `constraints`: a file, by `value`;
    `index`, `extra-index`, `links`, `no-index`: where packages come from; `nothing`; `other`: something that only pip
    knows; `option`: an option for all lines that only pip knows.
    """

    kind: str
    text: str
    value: str = ""
    """What stands behind an option, or the address of a wheel"""
    name: str = ""
    extras: tuple[str, ...] = ()
    range: str = ""
    marker: str = ""
    sha256: tuple[str, ...] = ()
    """Of the files that will do, where the line says so"""


def iter_lines(texts: Iterable[str], environ: Mapping[str, str]) -> Iterator[Line]:
    r"""What lines ask for; a backslash at the end of one takes the next one to it.

    >>> [(line.kind, line.name or line.value) for line in iter_lines(["rich>=13 # shown", "-r more.txt", "-e ."], {})]
    [('project', 'rich'), ('file', 'more.txt'), ('other', '')]
    """
    waiting = ""
    for text in texts:
        joined = waiting + text
        if joined.endswith("\\") and not _COMMENT.search(joined):
            waiting = joined[:-1]
            continue
        waiting = ""
        yield _line(joined, environ)
    if waiting:
        yield _line(waiting, environ)


def _line(written: str, environ: Mapping[str, str]) -> Line:
    text = _COMMENT.sub("", written).strip()
    text = _VARIABLE.sub(lambda match: environ.get(match[1], match[0]), text)
    if not text:
        return Line("nothing", text)
    if text.startswith("-"):
        return _option(text)
    own = _OWN_OPTIONS.search(text)
    hashes: tuple[str, ...] = ()
    if own is not None:
        found = _HASH.findall(own[0])
        if _HASH.sub("", own[0]).strip() or any(algorithm != "sha256" for algorithm, _ in found):
            return Line("option", text)
        hashes = tuple(digest.lower() for _, digest in found)
    return _requirement(text, text if own is None else text[: own.start()].strip(), hashes)


def _option(text: str) -> Line:
    match = _OPTION.fullmatch(text)
    option, value = (match[1], match[2].strip().strip("\"'")) if match is not None else (text, "")
    if option in FILES:
        return Line(FILES[option], text, value)
    if option in INDEXES:
        return Line(INDEXES[option], text, value)
    if option in OF_NO_CONSEQUENCE:
        return Line("nothing", text)
    return Line("other" if option in ("-e", "--editable") else "option", text)


def _requirement(text: str, asked: str, hashes: tuple[str, ...]) -> Line:
    match = _REQUIREMENT.fullmatch(asked)
    if match is None or (match["url"] is None and asked.endswith(".whl")):
        return _address(text, asked, hashes)
    extras = tuple(extra.strip() for extra in (match["extras"] or "").split(",") if extra.strip())
    marker = (match["marker"] or "").strip()
    if match["url"] is not None:
        return msgspec.structs.replace(
            _address(text, match["url"], hashes), name=match["name"], extras=extras, marker=marker
        )
    span = (match["range"] or "").strip().removeprefix("(").removesuffix(")").strip()
    return Line("project", text, "", match["name"], extras, span, marker, hashes)


def _address(text: str, asked: str, hashes: tuple[str, ...]) -> Line:
    """A requirement by address or path: a wheel, or something that is built."""
    address, _, marker = asked.partition(";") if not _SCHEME.fullmatch(asked) else asked.partition(" ;")
    place, _, fragment = address.strip().partition("#")
    extras: tuple[str, ...] = ()
    if place.endswith("]") and "[" in place:
        place, _, named = place[:-1].rpartition("[")
        extras = tuple(extra.strip() for extra in named.split(",") if extra.strip())
    if not place.partition("?")[0].endswith(".whl"):
        return Line("other", text)
    told = tuple(part[7:].lower() for part in fragment.split("&") if part.startswith("sha256="))
    return Line("wheel", text, place, "", extras, "", marker.strip(), hashes or told)
