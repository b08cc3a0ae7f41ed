"""What a user decided about the scripts that packages bring along, by the content of each script.

`~/.conda/scripts.json` is the user's own, for all environments:

    {"scripts": {"<sha256>": {"decision": "allowed", "package": "tool-1.0-0", "path": "bin/.tool-post-link.sh"}}}

Decisions are `shown` (the user was told of it), `allowed` and `denied`. Activation reads this file, so nothing heavy is
imported here.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from kaa.errors import KaaError
from kaa.host.files import read_regular_file
from kaa.models.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

Policy: TypeAlias = "Literal['run', 'ask', 'deny']"
Verdict: TypeAlias = "Literal['shown', 'allowed', 'denied']"


class BrokenDecisions(KaaError):
    """The file of decisions about scripts cannot be understood."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(
            f"{path} cannot be used: {reason}",
            hints=("repair the JSON in that file", "remove it, and decide about scripts again"),
        )


class Decision(Value):
    """What was decided about one script, and where it was seen first."""

    verdict: Verdict
    package: str = ""
    path: str = ""


def decisions_file(home: Path) -> Path:
    """The file in which a user's decisions are kept."""
    return home / ".conda" / "scripts.json"


def read_decisions(file: Path) -> dict[str, Decision]:
    """The decisions by the sha256 of the scripts; none where there is no file. Raises BrokenDecisions."""
    try:
        text = read_regular_file(file)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BrokenDecisions(file, error.strerror or str(error)) from error
    try:
        content = importlib.import_module("json").loads(text)
    except (ValueError, RecursionError) as error:
        raise BrokenDecisions(file, f"it is not JSON ({error})") from error
    scripts = content.get("scripts") if isinstance(content, dict) else None
    if not isinstance(scripts, dict):
        raise BrokenDecisions(file, "it holds no map `scripts`")
    return {str(digest): _decision(file, digest, found) for digest, found in scripts.items()}


def _decision(file: Path, digest: str, found: object) -> Decision:
    match found:
        case {"decision": "shown" | "allowed" | "denied" as verdict, **rest}:
            return Decision(verdict, str(rest.get("package", "")), str(rest.get("path", "")))
    raise BrokenDecisions(file, f"scripts[{digest!r}].decision is none of shown, allowed and denied")


class ScriptGate:
    """Which scripts of an environment a shell may run: what the policy says, and what was decided."""

    __slots__ = ("decisions", "policy")

    def __init__(self, policy: Policy, decisions: Mapping[str, Decision]) -> None:
        self.policy = policy
        self.decisions = decisions

    def may_run(self, path: str) -> bool:
        """Whether the script in a file may run; the file is only read when its content matters."""
        if self.policy == "deny":
            return False
        if self.policy == "run" and not any(one.verdict == "denied" for one in self.decisions.values()):
            return True
        try:
            with open(path, "rb") as stream:  # noqa: PTH123
                content = stream.read()
        except OSError:
            return False
        return self.may_run_content(importlib.import_module("hashlib").sha256(content).hexdigest())

    def may_run_content(self, sha256: str) -> bool:
        """Whether a script of that content may run."""
        known = self.decisions.get(sha256)
        verdict = known.verdict if known is not None else "shown"
        return self.policy != "deny" and (verdict == "allowed" or (self.policy == "run" and verdict != "denied"))


EVERYTHING_RUNS = ScriptGate("run", {})
"""For callers that have nothing against any script."""
