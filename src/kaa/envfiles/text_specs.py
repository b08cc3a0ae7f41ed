"""Text files of specs, and explicit lists of packages. Implements CEP 23.

A file of specs holds one MatchSpec per line. A line that is exactly `@EXPLICIT` makes it an explicit list: one URL or
path of a package per line, with a hash behind `#` if the writer had one, in the order in which they can be linked.
Blank lines and lines that begin with `#` are comments; `# platform: linux-64` among them tells for which platform the
list was made.

>>> parse_text_specs("numpy >=2\\n# a comment\\npython  # and one more").specs
(MatchSpec("numpy[version='>=2']"), MatchSpec('python'))
>>> [entry] = parse_text_specs("@EXPLICIT\\nhttps://host/chan/noarch/six-1.0-0.conda#" + "0" * 32).entries
>>> entry.location, entry.md5
('https://host/chan/noarch/six-1.0-0.conda', '00000000000000000000000000000000')
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from urllib.parse import unquote

import msgspec

from kaa.envfiles.spec import InvalidEnvironmentFile
from kaa.models.artifact import InvalidArtifactName, parse_file_name, wheel_name
from kaa.models.match_spec import InvalidMatchSpec, MatchSpec
from kaa.models.pattern import Pattern

MARKER = "@EXPLICIT"
_HASH = Pattern(r"(?:md5:)?(?P<md5>[0-9A-Fa-f]{32})|(?:sha256:)?(?P<sha256>[0-9A-Fa-f]{64})")
_PLATFORM = Pattern(r"#\s*platform:\s*(\S+)\s*")
_TRAILING_COMMENT = Pattern(r"(?:^|\s)#.*")


class ExplicitEntry(msgspec.Struct, frozen=True):
    """One package of an explicit list; `location` is its URL or path, without the hash."""

    location: str
    md5: str | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        if self.sha256:
            return f"{self.location}#sha256:{self.sha256}"
        return f"{self.location}#{self.md5}" if self.md5 else self.location


class TextSpecs(msgspec.Struct, frozen=True):
    """What a text file asks for: specs to solve, or the packages of an explicit list."""

    specs: tuple[MatchSpec, ...] = ()
    entries: tuple[ExplicitEntry, ...] = ()
    explicit: bool = False
    platform: str | None = None
    """What `# platform:` says; advice, no rule."""


def is_explicit_list(text: str) -> bool:
    """Whether a text holds the line that makes it an explicit list."""
    return any(line.strip() == MARKER for line in text.splitlines())


def parse_text_specs(
    text: str,
    *,
    filename: str = "",
    expand: Callable[[str], str] = str,
    read: Callable[[str], MatchSpec] = MatchSpec.parse,
) -> TextSpecs:
    """The content of a file; raises InvalidEnvironmentFile with the line.

    `expand` replaces `~` and environment variables in the locations of an explicit list; `read` reads a spec.
    """
    lines = [(number, line.strip()) for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1)]
    platforms = [match[1] for _, line in lines if (match := _PLATFORM.fullmatch(line))]
    platform = platforms[0] if platforms else None
    wanted = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if any(line == MARKER for _, line in wanted):
        entries = tuple(_entry(line, number, filename, expand) for number, line in wanted if line != MARKER)
        return TextSpecs(entries=entries, explicit=True, platform=platform)
    return TextSpecs(specs=tuple(_spec(line, number, filename, read) for number, line in wanted), platform=platform)


def _spec(line: str, number: int, filename: str, read: Callable[[str], MatchSpec]) -> MatchSpec:
    if line.startswith("@"):
        raise InvalidEnvironmentFile(
            filename,
            f"{line!r} is not a spec",
            line=number,
            hints=(f"write {MARKER} exactly so, on a line of its own, if this is a list of packages",),
        )
    try:
        return read(_TRAILING_COMMENT.sub("", line))
    except InvalidMatchSpec as error:
        raise InvalidEnvironmentFile(filename, error.message, line=number, hints=error.hints) from error


def _entry(line: str, number: int, filename: str, expand: Callable[[str], str]) -> ExplicitEntry:
    location, mark, rest = _TRAILING_COMMENT.sub("", line).partition("#")
    location = expand(location.strip())
    if not location:
        raise InvalidEnvironmentFile(filename, "a hash without a package before it", line=number)
    file_name = unquote(location.replace("\\", "/").rpartition("/")[2])
    try:
        if wheel_name(file_name) is None:
            parse_file_name(file_name)
    except InvalidArtifactName as error:
        hint = "write the address or the path of a package file, as in …/linux-64/zlib-1.3.1-hb9d3cd8_2.conda"
        raise InvalidEnvironmentFile(filename, error.message, line=number, hints=(hint,)) from error
    if not mark:
        return ExplicitEntry(location)
    match = _HASH.fullmatch(rest.strip())
    if match is None:
        raise InvalidEnvironmentFile(
            filename,
            f"{rest.strip()!r} is no hash: 32 hexadecimal digits are an MD5, 64 a SHA-256",
            line=number,
            hints=("take the hash out with its #, or correct it",),
        )
    md5, sha256 = match["md5"], match["sha256"]
    return ExplicitEntry(location, md5=md5.lower() if md5 else None, sha256=sha256.lower() if sha256 else None)


def header(platform: str, created_by: str, program: str = "kaa") -> str:
    """The comment lines at the top of exported lists."""
    return (
        "# This file may be used to create an environment using:\n"
        f"# $ {program} create --name <env> --file <this file>\n"
        f"# platform: {platform}\n"
        f"# created-by: {created_by}\n"
    )


def explicit_text(entries: Iterable[ExplicitEntry], *, platform: str, created_by: str) -> str:
    """An explicit list, as `parse_text_specs` reads it."""
    lines = "".join(f"{entry}\n" for entry in entries)
    return f"{header(platform, created_by)}{MARKER}\n{lines}"


def specs_text(specs: Iterable[MatchSpec]) -> str:
    """A file of specs, as `parse_text_specs` reads it."""
    return "".join(f"{spec}\n" for spec in specs)
