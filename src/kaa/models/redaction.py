"""Credentials in text, replaced by stars. Apart from the channels because start-up loads it, and it must cost nothing.

>>> redact("see https://ali:Sesame@host/t/tk-1/channel")
'see https://***@host/t/***/channel'
"""

from __future__ import annotations

import re

from kaa.models.pattern import Pattern

HIDDEN = "***"

_USERINFO_IN_TEXT = Pattern(r"([A-Za-z][A-Za-z0-9+.-]*://)[^/\s]*@")
_TOKEN_IN_TEXT = Pattern(r"((?!file:)\b[A-Za-z][A-Za-z0-9+.-]*://[^\s'\"<>]*?/t/)[^/\s'\"<>]+")


def redact(text: str) -> str:
    """Any text, with the credentials of the URLs in it replaced by stars."""
    return _TOKEN_IN_TEXT.sub(rf"\1{HIDDEN}", _USERINFO_IN_TEXT.sub(rf"\1{HIDDEN}@", text))


def redact_strictly(text: str) -> str:
    """For text that may be broken in ways that hide where a password ends: everything up to the last `@` goes."""
    text = re.sub(r"(://).*@", rf"\1{HIDDEN}@", text, flags=re.DOTALL)
    text = re.sub(r"\?.*", f"?{HIDDEN}", text, flags=re.DOTALL)
    return re.sub(r"^t/[^/]+", f"t/{HIDDEN}", redact(text))
