"""Small files of conda-meta beside the records: variables (`state`), the lines of `pinned`, `frozen` (CEP 22, 32)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kaa.errors import KaaError
from kaa.host.files import read_regular_file
from kaa.models.pattern import Pattern
from kaa.prefix.prefix import Prefix

UNSET = "***unset***"
"""The value that stands for "this variable is to be unset"."""

_CONTROL = Pattern(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class BrokenState(KaaError):
    """`conda-meta/state` cannot be read."""

    conda_name = "CorruptedEnvironmentError"

    def __init__(self, path: Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(
            f"{path} cannot be used: {reason}",
            hints=("repair the JSON in that file, or remove it and set the variables again",),
        )


class EnvironmentFrozen(KaaError):
    """The environment is marked as frozen, and somebody wants to change it."""

    conda_name = "EnvironmentIsFrozenError"

    def __init__(self, path: Path, marker: FrozenMarker) -> None:
        self.prefix = str(path)
        self.reason = marker.message
        said = f": {marker.message}" if marker.message else ""
        super().__init__(
            f"the environment {path} is frozen and is not changed{said}",
            hints=("make another environment for the change", "add --override-frozen if you know what you are doing"),
        )


class FrozenMarker(msgspec.Struct, frozen=True):
    """The marker of a frozen environment, and the message of whoever froze it (may be empty)."""

    message: str


def read_variables(prefix: Prefix) -> dict[str, str]:
    """The variables that activation sets; UNSET as a value means that it unsets them."""
    content = _read_state(prefix)
    variables = content.get("env_vars")
    if not isinstance(variables, dict):
        return {}
    return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in variables.items()}


def state_content(prefix: Prefix, variables: Mapping[str, str]) -> bytes | None:
    """What `conda-meta/state` is to hold for these variables; other keys of the file stay. Raises BrokenState.

    None where no file is needed any more.
    """
    content = _read_state(prefix) | {"env_vars": dict(variables)}
    if not variables and content.keys() == {"env_vars"}:
        return None
    return json.dumps(content, indent=2).encode() + b"\n"


def _read_state(prefix: Prefix) -> dict[str, object]:
    path = prefix.conda_meta / "state"
    try:
        content = json.loads(read_regular_file(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BrokenState(path, error.strerror or str(error)) from error
    except (ValueError, RecursionError) as error:
        raise BrokenState(path, f"it is not JSON ({error})") from error
    if not isinstance(content, dict):
        raise BrokenState(path, "it holds no JSON object")
    return content


def read_pinned_lines(prefix: Prefix) -> tuple[str, ...]:
    """The lines of `conda-meta/pinned` that say something; `#` begins a comment."""
    return pinned_lines(read_pins_text(prefix))


def read_pins_text(prefix: Prefix) -> str:
    """The text of `conda-meta/pinned`; empty where there is none."""
    try:
        return read_regular_file(prefix.conda_meta / "pinned").decode(errors="replace")
    except OSError:
        return ""


def pinned_lines(text: str) -> tuple[str, ...]:
    """The lines of a text of pins that say something; `#` begins a comment."""
    # A '#' within a spec belongs to it (a URL with a hash); one after space does not.
    lines = (re.split(r"(?:^|\s)#", line)[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line)


def is_frozen(prefix: Prefix) -> bool:
    """Whether the environment carries the frozen marker."""
    return find_frozen_marker(prefix) is not None


def find_frozen_marker(prefix: Prefix) -> FrozenMarker | None:
    """The frozen marker of an environment; a damaged one freezes all the same."""
    try:
        data = read_regular_file(prefix.conda_meta / "frozen")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return FrozenMarker("")
    message = ""
    try:
        content = json.loads(data) if data.strip() else {}
        if isinstance(content, dict) and isinstance(content.get("message"), str):
            message = content["message"]
    except (ValueError, RecursionError):
        pass
    return FrozenMarker(_CONTROL.sub("", message))


def check_not_frozen(prefix: Prefix) -> None:
    """Raise EnvironmentFrozen for an environment that carries the marker."""
    marker = find_frozen_marker(prefix)
    if marker is not None:
        raise EnvironmentFrozen(prefix.path, marker)
