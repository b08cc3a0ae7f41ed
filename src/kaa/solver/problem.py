"""The form of a problem file: a request, all that its solve saw, and how it ended, as one JSON document.

Every value is checked when a document is decoded; docs/reference/problem-files.md describes it.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from kaa.errors import KaaError
from kaa.models.virtual_package import VirtualPackage

FORMAT = "kaa-problem"
VERSION = 1

Number: TypeAlias = Annotated[int, Meta(ge=-(1 << 53), le=1 << 53)]
Texts: TypeAlias = tuple[str, ...]


class ProblemRecord(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What a solver reads of a record; name, channel and subdir stand around it."""

    version: str
    build: str
    build_number: Number = 0
    depends: Texts = ()
    constrains: Texts = ()
    extra_depends: dict[str, Texts] = {}
    flags: Texts = ()
    track_features: str = ""
    features: str | None = None
    noarch: str | None = None
    timestamp: Number | None = None
    indexed_timestamp: Number | None = None
    license: str | None = None
    license_family: str | None = None
    md5: str | None = None
    sha256: str | None = None
    fn: str = ""
    """Empty for `name-version-build.conda`."""


class ProblemNeeds(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What a record asks for beyond what its fields say, if that was read."""

    place: Number
    """Its place in `ProblemGroup.records`."""
    was_read: bool = False
    depends: Texts = ()
    constrains: Texts = ()
    extra_depends: dict[str, Texts] = {}
    unusable: str = ""
    """Why it could not be read."""


class ProblemGroup(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What a channel subdir offers under one name, best first; nothing, when the solver did not look at it."""

    channel: Number
    """Its place in `Problem.channels`."""
    subdir: str
    rank: Number
    records: tuple[ProblemRecord, ...] = ()
    unread: tuple[ProblemNeeds, ...] = ()
    """Those of the records whose fields say only a part of what they ask for."""


class InstalledRecord(ProblemRecord, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A record of the environment."""

    name: str
    channel: str = ""
    subdir: str = ""


class ProblemOnHand(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What was there without a network, of what the solve asked about."""

    channels: Texts = ()
    dists: Texts = ()
    packages: Texts = ()
    """`channel/subdir/file`."""


class ProblemRequest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A `SolveRequest`, with specs as texts."""

    install: Texts = ()
    remove: Texts = ()
    update: Texts = ()
    update_all: bool = False
    update_deps: bool = False
    refresh: Texts = ()
    installed: tuple[InstalledRecord, ...] = ()
    history: Texts = ()
    pins: Texts = ()
    freeze_installed: bool = False
    no_deps: bool = False
    only_deps: bool = False
    prune: bool = False
    virtual_packages: tuple[VirtualPackage, ...] = ()
    options: dict[str, object] = {}
    """`SolveOptions`, those that are not the default."""
    channel_names: dict[str, Texts] = {}
    """The base URLs for which names of channels in specs stand."""
    on_hand: ProblemOnHand | None = None
    """With it, only what is on hand may be chosen."""


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """How a solve ended: with packages (`channel/subdir::name-version-build`), or with an error."""

    packages: Texts | None = None
    error: str | None = None
    """The kind of error; of an end that has nothing to do with the problem (an interruption) its name."""
    message: str = ""
    hints: Texts = ()

    @property
    def is_reproducible(self) -> bool:
        """Whether solving again must end in the same way: it is a solution, or an error that follows from it."""
        return self.packages is not None or (bool(self.message) and self.error not in BROKEN_OFF)

    def agrees_with(self, other: Outcome) -> bool:
        """Whether two solves of one problem ended alike; how many ways out are found is a matter of time."""
        return (self.packages, self.error, self.message) == (other.packages, other.error, other.message)


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """A request and all that the solver saw while it worked on it."""

    format: str
    version: int
    kaa: str
    """The version of the program that wrote it."""
    request: ProblemRequest
    channels: Texts = ()
    names: dict[str, tuple[ProblemGroup, ...]] = {}
    """All names that were asked for; without a group where nobody offers one."""
    near_names: dict[str, Texts] = {}
    """Names that were looked for among all others, and those that look like them."""
    repair_seconds: float | None = None
    """For how long ways out were looked for, if there is no solution; None: not at all."""
    outcome: Outcome | None = None


BROKEN_OFF = frozenset({"TimeLimitReached"})
"""Errors that say something about the machine that worked on a problem, not about the problem."""


class InvalidProblem(KaaError, ValueError):
    """A file that should hold a problem does not."""

    def __init__(self, source: str, reason: str, *, hints: tuple[str, ...] = ()) -> None:
        self.source = source
        self.reason = reason
        super().__init__(
            f"{source} is no problem file that can be solved: {reason}",
            hints=hints or ("write it again with --save-problem",),
        )


class Header(msgspec.Struct, frozen=True):
    """What is read of a document first: whether the rest can be read at all."""

    format: str = ""
    version: int = 0


_encoder = msgspec.json.Encoder(order="deterministic")
_header_decoder = msgspec.json.Decoder(Header)
_decoder = msgspec.json.Decoder(Problem)


def encode_problem(problem: Problem) -> bytes:
    """A problem as JSON."""
    return _encoder.encode(problem)


def decode_problem(content: bytes | bytearray | memoryview, source: str) -> Problem:
    """The problem in a document; `source` is its name for messages. Raises InvalidProblem."""
    try:
        header = _header_decoder.decode(content)
        if header.format != FORMAT:
            raise InvalidProblem(source, f"its `format` is not {FORMAT!r}")
        if header.version != VERSION:
            reason = f"its `version` is {header.version}, and this kaa reads version {VERSION}"
            raise InvalidProblem(source, reason, hints=("use the kaa that wrote it, or a newer one",))
        return _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InvalidProblem(source, with_name(content, str(error))) from error
    except RecursionError:
        raise InvalidProblem(source, "it is nested too deeply") from None


def with_name(content: bytes | bytearray | memoryview, reason: str) -> str:
    """What is wrong with a document; where it is in a package, with the name of the package."""
    if NAMES not in reason:
        return reason
    document: Any = msgspec.json.decode(content)
    for name, groups in document["names"].items():
        try:
            msgspec.convert(groups, tuple[ProblemGroup, ...])
        except msgspec.ValidationError as error:
            text = str(error)
            return text.replace("`$", f"`$.names.{name}") if "`$" in text else f"{text} - at `$.names.{name}`"
    return reason


NAMES = "$.names[...]"
