"""Writing match specs: the canonical text, which parses back to an equal spec (CEP 29, appendix A).

What can stand before the brackets does, everything else is a pair in them; a spec that is all said by the address of a
package is that address. Credentials are no part of a spec's fields, and so of no text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kaa.models.invalid_text import InvalidText
from kaa.models.match_spec_brackets import quote
from kaa.models.match_spec_syntax import BUILD, KEYS
from kaa.models.pattern import Pattern
from kaa.models.subdir import is_known

if TYPE_CHECKING:
    from kaa.models.match_spec import MatchSpec

_POSITIONAL_SIGNS = ("==", "=", "!=", "~=")
_LESS_OR_MORE = Pattern(r"[<>][0-9]+", re.ASCII)


def format_spec(spec: MatchSpec) -> str:
    """The canonical text of a spec (CEP 29, appendix A), which parses back to an equal one."""
    values = _texts(spec)
    if spec.url is not None:
        text = _format_package_url(spec, values)
        if text is not None:
            return text
    return _head(spec, values) + _format_brackets(values)


def format_in_brackets(spec: MatchSpec) -> str:
    """The name and one pair of brackets, as conditions and records of the third generation write specs (CEP 43, 48)."""
    return _name_text(spec) + _format_brackets(_texts(spec))


def _texts(spec: MatchSpec) -> dict[str, str]:
    """The value of every field that is given, as text."""
    values: dict[str, str] = {}
    for key in KEYS:
        value = getattr(spec, key)
        if value is None or value == ():
            continue
        if key in ("extras", "flags"):
            values[key] = "[" + ",".join(f"'{item}'" for item in value) + "]"
        elif key == "track_features":
            values[key] = " ".join(value)
        else:
            values[key] = str(value)
    return values


def _name_text(spec: MatchSpec) -> str:
    return spec.name or (spec.name_glob.text if spec.name_glob is not None else "*")


def _format_brackets(values: dict[str, str]) -> str:
    if not values:
        return ""
    return f"[{','.join(f'{key}={_quoted(key, value)}' for key, value in values.items())}]"


def _quoted(key: str, value: str) -> str:
    if key in ("extras", "flags") or (key == "build_number" and _LESS_OR_MORE.fullmatch(value)):
        return value
    return quote(value, always=key == "when")


def _head(spec: MatchSpec, values: dict[str, str]) -> str:
    """What can stand before the brackets; it is taken out of the values."""
    text = ""
    channel = values.get("channel")
    if channel is not None and _can_lead(channel):
        text = values.pop("channel")
        if is_known(values.get("subdir", "")):
            text += "/" + values.pop("subdir")
        text += "::"
    text += _name_text(spec)
    version = values.get("version", "")
    if spec.version is not None and spec.version.single == "==":
        text += values.pop("version")
        if spec.build is not None and spec.build.is_exact and BUILD.fullmatch(spec.build.text):
            text += "=" + values.pop("build")
    elif (
        spec.version is not None
        and spec.version.single in _POSITIONAL_SIGNS
        and (version[0] == "=" or "build" not in values)
    ):
        text += values.pop("version")
    return text


def _can_lead(channel: str) -> bool:
    """Whether a channel can stand before `::`."""
    return re.search(r"[*\[\]#;'\"<>=!~()\s]|:(?!//|\d)|:$", channel) is None and not channel.endswith("/")


def _format_package_url(spec: MatchSpec, values: dict[str, str]) -> str | None:
    """The URL, with brackets for what it does not say; None if it is not all that names the package."""
    assert spec.url is not None
    try:
        said = type(spec).parse(spec.url, lenient=True)
    except InvalidText:
        return None
    if said.url != spec.url or (said.name, said.name_glob) != (spec.name, spec.name_glob):
        return None
    if any(getattr(spec, key) in (None, ()) and getattr(said, key) not in (None, ()) for key in KEYS):
        return None
    told = _texts(said)
    return spec.url + _format_brackets({key: value for key, value in values.items() if told.get(key) != value})
